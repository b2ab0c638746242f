//! A merchant's fulfilment endpoint, which can be late, drip, close connections and ask for time in words that make no sense.

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
    /// How long each next byte of the body takes. The body then never ends.
    pub drip: Option<Duration>,
}

impl Reply {
    /// An answer of this status, and nothing else.
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

/// How often an order was called about, and how many of the calls ended before they were answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// How many there were.
    pub begun: usize,
    /// How many the caller cut off.
    pub cut_off: usize,
}

type Journal = Arc<Mutex<BTreeMap<String, Calls>>>;

/// A running endpoint.
pub struct Merchant {
    server: Server,
    journal: Journal,
}

impl Merchant {
    /// Answers each call as `decide` says of the order, or closes its connection where that says nothing.
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

    /// What `WEBHOOK_URL` is set to.
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

/// The order that a call is about.
#[must_use]
pub fn order_id(request: &Request) -> String {
    let key = request.headers().get("idempotency-key").and_then(|key| key.to_str().ok());
    key.unwrap_or_default().to_owned()
}

/// A call that counts as cut off unless it is answered.
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
