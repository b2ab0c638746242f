//! The kit of the integration tests: the deployed stack ([`Stack`]), a fresh database and fresh queues for a single test on
//! the same servers ([`World`]), answers of either ([`Answer`]), and a database server with TLS ([`TlsPostgres`]).
//!
//! Without a running stack the tests start the servers that they need. Tests of the deployed stack or of the built functions are
//! ignored unless asked for, as `make test` does.

#![expect(clippy::panic, clippy::missing_panics_doc, reason = "a panic of the harness is the failure of a test")]
#![expect(clippy::must_use_candidate, reason = "a test often calls for the effect or for the assertion alone")]

mod bus;
mod http;
mod log;
mod servers;
mod stack;
mod tls;
mod tokens;
mod world;

pub use bus::Bus;
pub use http::{Answer, assert_members, call_in_process, event, ids, invoke, walk};
pub use log::Log;
pub use stack::Stack;
pub use tls::{Authority, Certificate, TlsListener, TlsPostgres};
pub use tokens::{Issuer, Signature};
pub use world::{
    LOCKED_OUT, MERCHANT_SECRET, NO_AWS, NO_DATABASE, OutcomeBy, World, actor, batch, connect, end, failures, get,
    handle, order, order_with, post, post_empty, processor, store, webhook, with_header,
};

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Calls `look` until it returns a value, and returns that. Panics with `what` after `deadline`.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, deadline: Duration, look: impl Fn() -> F) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until this holds. Panics with `what` after `deadline`.
pub async fn until(what: &str, deadline: Duration, holds: impl AsyncFn() -> bool) {
    eventually(what, deadline, || async { holds().await.then_some(()) }).await;
}
