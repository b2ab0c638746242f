//! A merchant's fulfilment endpoint, which can answer late, drip, close connections and send a malformed `Retry-After`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::Result;
use crate::server::{Request, Response, Server, drip, full};

/// An answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The header `Retry-After`.
    pub retry_after: Option<&'static str>,
    /// The pause before each byte of the body. Such a body never ends.
    pub drip: Option<Duration>,
}

impl Reply {
    /// An answer with only this status.
    #[must_use]
    pub fn of(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// The HTTP response.
    #[must_use]
    pub fn response(&self) -> Response {
        let mut response = hyper::Response::builder().status(self.status);
        if let Some(text) = self.retry_after {
            response = response.header("retry-after", text);
        }
        let body = self.drip.map_or_else(|| full(Bytes::from_static(b"{}")), drip);
        response.body(body).expect("status and header are valid")
    }
}

/// How many calls there were about an order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// All calls.
    pub begun: usize,
    /// The calls that the caller ended before the answer.
    pub cut_off: usize,
}

type Journal = Arc<Mutex<BTreeMap<String, Calls>>>;

/// A running endpoint.
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
        let server = Server::start(move |request| {
            let order_id = order_id(&request);
            let (decision, call) = (decide(order_id.clone()), Call::begin(&keeps, order_id));
            async move {
                let reply = decision.await;
                call.answered();
                reply.map(|reply| reply.response())
            }
        });
        Ok(Self { server: server.await?, journal })
    }

    /// The value for `WEBHOOK_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/fulfil", self.server.address())
    }

    /// The calls about each order.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<String, Calls> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The id of the order that a call is about: its `Idempotency-Key`.
#[must_use]
pub fn order_id(request: &Request) -> String {
    let key = request.headers().get("idempotency-key").and_then(|key| key.to_str().ok());
    key.unwrap_or_default().to_owned()
}

/// A call in progress. Dropped without an answer, it counts as cut off.
struct Call {
    journal: Journal,
    order_id: String,
    is_answered: bool,
}

impl Call {
    fn begin(journal: &Journal, order_id: String) -> Self {
        let call = Self { journal: Arc::clone(journal), order_id, is_answered: false };
        call.change(|calls| calls.begun += 1);
        call
    }

    fn answered(mut self) {
        self.is_answered = true;
    }

    fn change(&self, change: impl FnOnce(&mut Calls)) {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        change(journal.entry(self.order_id.clone()).or_default());
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.is_answered {
            self.change(|calls| calls.cut_off += 1);
        }
    }
}
