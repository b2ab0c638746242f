//! A merchant's fulfilment endpoint, which can answer late, drip, close connections and send a malformed `Retry-After`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::HeaderMap;
use parking_lot::Mutex;

use crate::Result;
use crate::server::{Request, Response, Server, drip, full};

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// A header, such as `Retry-After`.
    pub header: Option<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
    /// The pause before each byte of another body, which never ends.
    pub drip: Option<Duration>,
}

impl Reply {
    /// An answer with only this status.
    pub fn of(status: u16) -> Self {
        Self { status, header: None, body: Bytes::from_static(b"{}"), drip: None }
    }

    /// The same answer with this header.
    pub fn with(self, name: &'static str, value: impl Into<String>) -> Self {
        Self { header: Some((name, value.into())), ..self }
    }

    /// The HTTP response.
    pub fn response(self) -> Response {
        let mut response = hyper::Response::builder().status(self.status);
        if let Some((name, value)) = self.header {
            response = response.header(name, value);
        }
        let body = self.drip.map_or_else(|| full(self.body), drip);
        response.body(body).expect("status and header are valid")
    }
}

/// A call that the endpoint received.
#[derive(Debug, Clone)]
pub struct Call {
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
    /// Whether the caller ended it before the answer.
    pub is_cut_off: bool,
}

impl Call {
    /// A header's value as text, or an empty text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The id of the order that the call is about: its `Idempotency-Key`.
    pub fn order_id(&self) -> &str {
        self.header("idempotency-key")
    }
}

type Journal = Arc<Mutex<Vec<Call>>>;

/// A running endpoint. Dropping it closes all its connections.
pub struct Merchant {
    server: Server,
    journal: Journal,
}

impl Merchant {
    /// Starts an endpoint. It answers each call with the result of `decide` for the order, or closes the connection on `None`.
    pub async fn start<F>(decide: impl Fn(String) -> F + Clone + Send + Sync + 'static) -> Result<Self>
    where
        F: Future<Output = Option<Reply>> + Send + 'static,
    {
        let journal = Journal::default();
        let keeps = Arc::clone(&journal);
        let server = Server::start(move |request: Request| {
            let body = String::from_utf8_lossy(request.body()).into_owned();
            let call = Call { headers: request.headers().clone(), body, is_cut_off: false };
            let (decision, under_way) = (decide(call.order_id().to_owned()), UnderWay::begin(&keeps, call));
            async move {
                let reply = decision.await;
                under_way.answered();
                reply.map(Reply::response)
            }
        });
        Ok(Self { server: server.await?, journal })
    }

    /// The value for `WEBHOOK_URL`. The endpoint answers at every path.
    pub fn url(&self) -> String {
        format!("{}/fulfil", self.server.url())
    }

    /// The calls so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.journal.lock().clone()
    }
}

/// A call in progress. Dropped without an answer, it counts as cut off.
struct UnderWay {
    journal: Journal,
    index: usize,
    is_answered: bool,
}

impl UnderWay {
    fn begin(journal: &Journal, call: Call) -> Self {
        let mut calls = journal.lock();
        calls.push(call);
        Self { journal: Arc::clone(journal), index: calls.len() - 1, is_answered: false }
    }

    fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut calls = self.journal.lock();
        calls[self.index].is_cut_off = !self.is_answered;
    }
}
