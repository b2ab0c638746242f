//! The Runtime API of one environment, which may ask for several events at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::Method;
use hyper::http::response::Builder;
use tokio::sync::{mpsc, oneshot, watch};

use crate::Result;
use crate::server::{Request, Response, Server, full, json};

/// What a function answered: its result, or the error that it reported.
pub type Outcome = std::result::Result<Bytes, String>;

/// An event on its way to the function, and whoever waits for the answer.
pub struct Call {
    /// What the function is given.
    pub event: Bytes,
    /// Gets the answer.
    pub answer: oneshot::Sender<Outcome>,
}

/// The Runtime API and what goes through it.
pub struct RuntimeApi {
    server: Server,
    calls: mpsc::Sender<Call>,
    ready: watch::Receiver<bool>,
}

struct Desk {
    waiting: tokio::sync::Mutex<mpsc::Receiver<Call>>,
    open: Mutex<HashMap<String, oneshot::Sender<Outcome>>>,
    ready: watch::Sender<bool>,
    function: String,
    timeout: Duration,
}

impl RuntimeApi {
    /// Serves the function of this name, which has so much time for an event.
    pub async fn start(function: &str, timeout: Duration) -> Result<Self> {
        let (calls, waiting) = mpsc::channel(1);
        let (is_ready, ready) = watch::channel(false);
        let desk = Arc::new(Desk {
            waiting: tokio::sync::Mutex::new(waiting),
            open: Mutex::default(),
            ready: is_ready,
            function: function.to_owned(),
            timeout,
        });
        let server = Server::start(move |request| {
            let desk = Arc::clone(&desk);
            async move { Some(desk.answer(request).await) }
        });
        Ok(Self { server: server.await?, calls, ready })
    }

    /// What `AWS_LAMBDA_RUNTIME_API` is set to.
    #[must_use]
    pub fn address(&self) -> String {
        self.server.address().to_string()
    }

    /// Waits until the function asks for its first event.
    pub async fn ready(&self) {
        let _ = self.ready.clone().wait_for(|ready| *ready).await; // The channel lives as long as the server.
    }

    /// Hands an event over. False where nobody takes events any more.
    pub async fn call(&self, call: Call) -> bool {
        self.calls.send(call).await.is_ok()
    }
}

impl Desk {
    async fn answer(&self, request: Request) -> Response {
        let path = request.uri().path().to_owned();
        match (request.method(), path.rsplit('/').next().unwrap_or_default()) {
            (&Method::GET, "next") if path.contains("/extension/") => std::future::pending().await,
            (&Method::GET, "next") => self.next().await,
            (&Method::POST, "register") => registered(),
            (&Method::POST, "response") => self.close(&path, Ok(request.into_body())),
            (&Method::POST, "error") => self.close(&path, Err(String::from_utf8_lossy(request.body()).into_owned())),
            _ => json(404, "{}"),
        }
    }

    /// Waits for an event and hands it over.
    async fn next(&self) -> Response {
        self.ready.send_replace(true);
        let Some(call) = self.waiting.lock().await.recv().await else {
            return std::future::pending().await;
        };
        let request_id = uuid::Uuid::new_v4().to_string();
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(request_id.clone(), call.answer);
        let deadline = SystemTime::now() + self.timeout;
        let deadline = deadline.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Builder::new()
            .header("content-type", "application/json")
            .header("lambda-runtime-aws-request-id", request_id)
            .header("lambda-runtime-deadline-ms", deadline.to_string())
            .header("lambda-runtime-trace-id", trace())
            .header(
                "lambda-runtime-invoked-function-arn",
                format!("arn:aws:lambda:us-east-1:000000000000:function:{}", self.function),
            )
            .body(full(call.event))
            .expect("the headers are text")
    }

    /// Takes an answer, to the invocation that the path names: `…/invocation/{id}/response`.
    fn close(&self, path: &str, outcome: Outcome) -> Response {
        let request_id = path.rsplit('/').nth(1).unwrap_or_default();
        let answer = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(request_id);
        if let Some(answer) = answer {
            let _ = answer.send(outcome); // Whoever asked may have given up.
        }
        json(202, r#"{"status":"OK"}"#)
    }
}

/// The trace of an invocation, as Lambda makes one where tracing is on.
fn trace() -> String {
    let (root, parent) = uuid::Uuid::new_v4().as_u64_pair();
    let root = format!("{:08x}-{:024x}", root >> 32, root);
    format!("Root=1-{root};Parent={parent:016x};Sampled=1")
}

/// The answer to an internal extension, which is then never told of anything: our environments end by signals alone.
fn registered() -> Response {
    let mut response = json(200, r#"{"functionName":"function","functionVersion":"$LATEST","handler":"bootstrap"}"#);
    let identifier = uuid::Uuid::new_v4().to_string().parse().expect("an identifier is text");
    response.headers_mut().insert("lambda-extension-identifier", identifier);
    response
}
