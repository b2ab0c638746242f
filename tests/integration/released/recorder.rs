//! Records the statements between a client and PostgreSQL.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use sandbox::wire::{Hook, Moment, Query, Ruling, Wire};

/// The recorded statements, in order.
pub struct Recording {
    wire: Wire,
    queries: Arc<Mutex<Vec<Query>>>,
}

impl Recording {
    /// Starts a proxy that records, in front of the server at this address.
    pub async fn start(upstream: SocketAddr) -> Self {
        let queries = Arc::<Mutex<Vec<_>>>::default();
        let kept = Arc::clone(&queries);
        let hook: Hook = Arc::new(move |moment, statement| {
            if moment == Moment::Before {
                kept.lock().unwrap().push(Query::clone(&statement.query));
            }
            async { Ruling::Pass }.boxed()
        });
        Self { wire: Wire::start(upstream, hook).await.unwrap(), queries }
    }

    /// The proxy's port.
    pub fn port(&self) -> u16 {
        self.wire.address().port()
    }

    /// All statements so far.
    pub fn statements(&self) -> Vec<Query> {
        self.queries.lock().unwrap().clone()
    }
}
