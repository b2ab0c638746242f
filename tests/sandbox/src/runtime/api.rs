//! The Runtime API of one environment.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::Method;
use hyper::http::response::Builder;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

use crate::Result;
use crate::server::{Request, Response, Server, full, json};

/// The function's answer: its result, or the error that it reported.
pub type Outcome = std::result::Result<Bytes, String>;

/// An invocation: an event for the function, and a channel for the answer.
pub struct Invocation {
    pub event: Bytes,
    pub answer: oneshot::Sender<Outcome>,
}

/// A running Runtime API.
pub struct RuntimeApi {
    server: Server,
    invocations: mpsc::Sender<Invocation>,
    ready: watch::Receiver<bool>,
}

struct State {
    waiting: tokio::sync::Mutex<mpsc::Receiver<Invocation>>,
    open: Mutex<HashMap<String, oneshot::Sender<Outcome>>>,
    ready: watch::Sender<bool>,
    function: String,
    timeout: Duration,
}

impl RuntimeApi {
    /// Starts the Runtime API for the function of this name. Its deadline for an event is `timeout` away.
    pub async fn start(function: &str, timeout: Duration) -> Result<Self> {
        let (invocations, waiting) = mpsc::channel(1);
        let (is_ready, ready) = watch::channel(false);
        let state = Arc::new(State {
            waiting: tokio::sync::Mutex::new(waiting),
            open: Mutex::default(),
            ready: is_ready,
            function: function.to_owned(),
            timeout,
        });
        let server = Server::start(move |request| Arc::clone(&state).answer(request));
        Ok(Self { server: server.await?, invocations, ready })
    }

    /// The value for `AWS_LAMBDA_RUNTIME_API`.
    pub fn address(&self) -> String {
        self.server.address().to_string()
    }

    /// Waits until the function asks for its first event.
    pub async fn ready(&self) {
        let _ = self.ready.clone().wait_for(|ready| *ready).await; // The channel lives as long as the server.
    }

    /// Queues an invocation for the function. Returns false if the server has ended.
    pub async fn invoke(&self, invocation: Invocation) -> bool {
        self.invocations.send(invocation).await.is_ok()
    }
}

impl State {
    async fn answer(self: Arc<Self>, request: Request) -> Option<Response> {
        let path = request.uri().path().to_owned();
        let answer = match (request.method(), path.rsplit('/').next().unwrap_or_default()) {
            (&Method::GET, "next") if path.contains("/extension/") => std::future::pending().await,
            (&Method::GET, "next") => self.next().await,
            (&Method::POST, "register") => registered(),
            (&Method::POST, "response") => self.close(&path, Ok(request.into_body())),
            (&Method::POST, "error") => self.close(&path, Err(String::from_utf8_lossy(request.body()).into_owned())),
            _ => json(404, "{}"),
        };
        Some(answer)
    }

    /// Waits for an event and answers with it.
    async fn next(&self) -> Response {
        self.ready.send_replace(true);
        let Some(invocation) = self.waiting.lock().await.recv().await else {
            return std::future::pending().await;
        };
        let request_id = uuid::Uuid::new_v4().to_string();
        self.open.lock().insert(request_id.clone(), invocation.answer);
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
            .body(full(invocation.event))
            .expect("the headers are text")
    }

    /// Completes the invocation that the path names (`…/invocation/{id}/response`) with its outcome.
    fn close(&self, path: &str, outcome: Outcome) -> Response {
        let request_id = path.rsplit('/').nth(1).unwrap_or_default();
        let answer = self.open.lock().remove(request_id);
        if let Some(answer) = answer {
            let _ = answer.send(outcome); // The caller may have given up.
        }
        json(202, r#"{"status":"OK"}"#)
    }
}

/// A trace header for an invocation, as Lambda sets it with tracing on.
fn trace() -> String {
    let (root, parent) = uuid::Uuid::new_v4().as_u64_pair();
    let root = format!("{:08x}-{:024x}", root >> 32, root);
    format!("Root=1-{root};Parent={parent:016x};Sampled=1")
}

/// The answer to an internal extension that registers. It receives no event afterwards: environments here end by signals.
fn registered() -> Response {
    let mut response = json(200, r#"{"functionName":"function","functionVersion":"$LATEST","handler":"bootstrap"}"#);
    let identifier = uuid::Uuid::new_v4().to_string().parse().expect("an identifier is text");
    response.headers_mut().insert("lambda-extension-identifier", identifier);
    response
}
