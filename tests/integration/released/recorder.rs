//! Records the statements between a client and PostgreSQL.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use reqwest::Url;
use sandbox::wire::{Hook, Moment, Query, Ruling, Wire};
use tests::World;

/// The recorded statements, in order.
pub struct Recording {
    _wire: Wire,
    queries: Arc<Mutex<Vec<Query>>>,
}

impl Recording {
    /// Starts to record the statements that reach this world's database by the returned URL.
    pub async fn start(world: &World) -> (Self, Url) {
        let queries = Arc::<Mutex<Vec<_>>>::default();
        let kept = Arc::clone(&queries);
        let hook: Hook = Arc::new(move |moment, statement| {
            if moment == Moment::Before {
                kept.lock().unwrap().push(Query::clone(&statement.query));
            }
            async { Ruling::Pass }.boxed()
        });
        let (wire, url) = world.behind_a_proxy(hook).await;
        (Self { _wire: wire, queries }, url)
    }

    /// All statements so far.
    pub fn statements(&self) -> Vec<Query> {
        self.queries.lock().unwrap().clone()
    }
}
