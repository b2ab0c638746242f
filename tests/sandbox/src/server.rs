//! An HTTP/1.1 server on a free loopback port, with one handler for all requests.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::Result;

/// A request with its whole body.
pub type Request = hyper::Request<Bytes>;
/// A response.
pub type Response = hyper::Response<Body>;
/// The body of a response.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A running server. Dropping it closes all its connections.
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<Infallible>,
}

impl Server {
    /// Serves `handler` on a free port. If the handler returns `None`, the server closes the connection without an answer.
    /// If the client disconnects, the handler is dropped at once.
    pub async fn start<H, F>(handler: H) -> Result<Self>
    where
        H: Fn(Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Option<Response>> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        Ok(Self { address, task: tokio::spawn(accept(listener, handler)) })
    }

    /// Serves this answer to every request.
    pub async fn answering(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Result<Self> {
        Self::start(move |_| std::future::ready(Some(answer()))).await
    }

    /// The URL of the server, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A port that takes connections into its backlog and never answers, and its URL.
pub async fn silent() -> Result<(TcpListener, String)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((listener, url))
}

/// A response with a JSON body.
pub fn json(status: u16, body: impl Into<Bytes>) -> Response {
    let response = hyper::Response::builder().status(status).header("content-type", "application/x-amz-json-1.0");
    response.body(full(body)).expect("the callers' statuses are valid")
}

/// A body of these bytes.
pub fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).boxed_unsync()
}

/// A body that never ends and sends a byte after each `pause`.
pub fn drip(pause: Duration) -> Body {
    let bytes = stream::unfold((), move |()| async move {
        sleep(pause).await;
        Some((Ok(Frame::data(Bytes::from_static(b" "))), ()))
    });
    StreamBody::new(bytes).boxed_unsync()
}

async fn accept<H, F>(listener: TcpListener, handler: H) -> Infallible
where
    H: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Option<Response>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(converse(stream, handler.clone()));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse<H, F>(stream: TcpStream, handler: H)
where
    H: Fn(Request) -> F + Clone,
    F: Future<Output = Option<Response>>,
{
    let _ = stream.set_nodelay(true); // Without it the server is slower, but still correct.
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let handler = handler.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
            let response = handler(Request::from_parts(parts, body)).await;
            // The error makes hyper close the connection.
            response.ok_or_else(|| io::Error::other("the connection is closed without an answer"))
        }
    });
    // An error only ends this connection, which the client notices.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
