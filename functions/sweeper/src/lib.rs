//! Once a minute: finds the orders whose message must be lost and tells the queue again, and folds old statistics.
//!
//! It may run late, twice or twice at once: an order that was found is not found again within the grace period.

use std::time::Duration;

use serde::Serialize;
use shared::config::{ConfigError, Env, Stage, Timing};
use shared::db::{Db, DbConfig, DbError, stats, work};
use shared::queue::Queue;

/// The most orders told of in one run.
const LIMIT: i64 = 1000;

/// Sweeps: one for each execution environment.
pub struct Sweeper {
    db: Db,
    queue: Queue,
    grace: Duration,
}

/// What a run did.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Swept {
    /// Orders that were overdue by more than the grace period and of which the queue was told again.
    pub rescued: usize,
    /// Those of which it could not be told; a later run finds them again.
    pub unsent: usize,
    /// Rows of statistics folded into others.
    pub folded: u64,
}

impl Sweeper {
    /// Reads the variables that [`shared::config`] and [`shared::queue`] describe and builds the clients; neither has connected yet.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        env.required::<Stage>("STAGE")?;
        let queue = Queue::orders(env)?;
        Ok(Self { db: Db::new(DbConfig::from_env(env)?), queue, grace: Timing::from_env(env)?.grace })
    }

    /// Does one run.
    pub async fn sweep(&self) -> Result<Swept, DbError> {
        let overdue = work::sweep(&self.db, self.grace, LIMIT).await?;
        let messages: Vec<_> = overdue.iter().map(|order_id| (order_id, Duration::ZERO)).collect();
        let unsent = self.queue.send_all(&messages).await.len();
        let folded = stats::fold(&self.db).await?;
        let swept = Swept { rescued: overdue.len() - unsent, unsent, folded };
        tracing::info!(swept.rescued, swept.unsent, swept.folded, "swept");
        Ok(swept)
    }
}
