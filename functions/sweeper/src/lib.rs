//! Once a minute: finds the orders whose message must be lost and tells the queue again, and folds old statistics.
//!
//! It may run late, twice or twice at once: an order that was found is not found again within the grace period.
//!
//! Every active order has a message somewhere. So where the queue holds as many messages as there are active orders, those
//! that are overdue merely wait for a worker, and a run tells of no more than [`LEAST`] of them; where messages are missing,
//! of as many as are missing.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `SWEEP_LIMIT` | the most orders that a run tells the queue of | 10000 |

use std::time::Duration;

use serde::Serialize;
use shared::config::{ConfigError, Env, Stage, Timing};
use shared::db::{Db, DbConfig, DbError, stats, work};
use shared::order::OrderId;
use shared::queue::{Queue, Wake};
use shared::telemetry::{Count, Measure};

/// The least limit of a run: messages that were doubled make up, in the count, for some that are missing.
const LEAST: i64 = 100;
/// The most orders of one statement.
const CHUNK: i64 = 1000;

/// Sweeps: one for each execution environment.
pub struct Sweeper {
    db: Db,
    queue: Queue,
    grace: Duration,
    limit: i64,
}

/// What a run did.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Swept {
    /// Orders that were overdue by more than the grace period and of which the queue was told again.
    pub rescued: usize,
    /// Those of which it could not be told; the next run finds them again.
    pub unsent: usize,
    /// Rows of statistics folded into others.
    pub folded: u64,
}

impl Sweeper {
    /// Reads the variables that [`shared::config`] and [`shared::queue`] describe and builds the clients; neither has connected yet.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        env.required::<Stage>("STAGE")?;
        let limit = env.optional("SWEEP_LIMIT")?.unwrap_or(10_000);
        if limit < LEAST {
            return Err(ConfigError::new("SWEEP_LIMIT", format!("must be at least {LEAST}")));
        }
        let queue = Queue::orders(env)?;
        Ok(Self { db: Db::new(DbConfig::from_env(env)?), queue, grace: Timing::from_env(env)?.grace, limit })
    }

    /// Does one run.
    pub async fn sweep(&self) -> Result<Swept, DbError> {
        let overdue = work::oldest_overdue(&self.db).await?;
        Measure::OldestOverdue.add(overdue);
        let (rescued, unsent) = if overdue > self.grace { self.rescue().await? } else { (0, 0) };
        let folded = stats::fold(&self.db).await?;
        let swept = Swept { rescued, unsent, folded };
        Count::Rescued.add(rescued);
        tracing::info!(swept.rescued, swept.unsent, swept.folded, "swept");
        Ok(swept)
    }

    /// Tells the queue of overdue orders, chunk by chunk, until there are none, the limit is reached or the queue refuses.
    async fn rescue(&self) -> Result<(usize, usize), DbError> {
        let mut left = self.limit().await?;
        let (mut rescued, mut unsent) = (0, 0);
        while left > 0 && unsent == 0 {
            let overdue = work::sweep(&self.db, self.grace, left.min(CHUNK)).await?;
            if overdue.is_empty() {
                break;
            }
            unsent = self.tell(&overdue).await?;
            rescued += overdue.len() - unsent;
            left -= i64::try_from(overdue.len()).unwrap_or(left);
        }
        Ok((rescued, unsent))
    }

    /// Tells the queue of these orders, and gives how many it refused: they are overdue as before.
    async fn tell(&self, overdue: &[OrderId]) -> Result<usize, DbError> {
        let wakes: Vec<_> = overdue.iter().map(|order_id| Wake::new(order_id, Duration::ZERO)).collect();
        let unsent = self.queue.send_all(&wakes).await;
        if !unsent.is_empty() {
            let unsent: Vec<_> = unsent.iter().map(|index| &overdue[*index]).collect();
            work::unsweep(&self.db, &unsent, self.grace).await?;
        }
        Ok(unsent.len())
    }

    /// How many orders this run may tell of: as many as there are messages missing.
    async fn limit(&self) -> Result<i64, DbError> {
        let active = work::count(&self.db).await?;
        match self.queue.depth().await {
            Ok(messages) => Ok((active - messages).clamp(LEAST, self.limit)),
            Err(error) => {
                tracing::warn!(%error, "the queue's depth is not known");
                Ok(LEAST)
            }
        }
    }
}
