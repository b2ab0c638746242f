//! Once a minute: finds the orders whose message must be lost and sends another, and folds old statistics.
//!
//! It may run late, twice or twice at once: an order that was requeued is not requeued again within the grace period.
//!
//! Each active order has a message somewhere. Where the queue holds as many messages as there are active orders, the
//! overdue ones merely wait for a worker, and a run requeues no more than [`LEAST`] of them; where messages are missing, it
//! requeues as many as are missing.
//!
//! A run has a deadline, a little before the function's time-out. It requeues chunk by chunk and begins none that it may not
//! finish; the next run requeues the rest.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `SWEEP_LIMIT` | the most orders that a run requeues | 10000 |

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use shared::config::{ConfigError, Env, Stage, Timing, time_limit};
use shared::db::work::{self, Overdue};
use shared::db::{Database, Db, DbConfig, DbError, stats};
use shared::deadline::Deadline;
use shared::queue::{Group, Message, Queue};
use shared::telemetry::{Count, Measure};

/// The least limit of a run: duplicated messages make up, in the count, for some that are missing.
const LEAST: i64 = 100;
/// The most orders of one statement.
const CHUNK: i64 = 1000;

/// The part of the function's time-out that is left for the statistics and the answer; and the part that a chunk may take: its
/// statement, its sends, and undoing those that failed. No chunk is begun with less time.
const A_QUARTER: u32 = 4;
/// The part that is left for the answer.
const A_TENTH: u32 = 10;

/// Sweeps: one for each execution environment.
pub struct Sweeper {
    database: Arc<Database>,
    queue: Queue,
    grace: Duration,
    limit: i64,
    timeout: Duration,
}

/// What a run did.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Swept {
    /// Orders that were overdue by more than the grace period and got another message.
    pub requeued: usize,
    /// Those that the queue did not take a message for; the next run finds them again.
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
        let (queue, database) = (Queue::orders(env)?, Database::new(DbConfig::from_env(env)?));
        Ok(Self { database, queue, grace: Timing::from_env(env)?.grace, limit, timeout: time_limit(env, 30)? })
    }

    /// Does one run.
    pub async fn sweep(&self) -> Result<Swept, DbError> {
        let deadline = Deadline::after(self.timeout);
        let requeue_ends = deadline.minus(self.timeout / A_QUARTER);
        let overdue = work::oldest_overdue(&self.database.until(requeue_ends)).await?;
        Measure::OldestOverdue.add(overdue);
        let (requeued, unsent) = if overdue > self.grace { self.requeue(requeue_ends).await? } else { (0, 0) };
        let folded = stats::fold(&self.database.until(deadline.minus(self.timeout / A_TENTH))).await?;
        let swept = Swept { requeued, unsent, folded };
        Count::Requeued.add(requeued);
        tracing::info!(swept.requeued, swept.unsent, swept.folded, "swept");
        Ok(swept)
    }

    /// Requeues overdue orders, chunk by chunk, until there are none, the limit is reached, the queue refuses messages or the
    /// time is over. Returns how many it requeued, and how many messages the queue refused.
    async fn requeue(&self, deadline: Deadline) -> Result<(usize, usize), DbError> {
        let db = self.database.until(deadline);
        let mut left = self.limit(&db, deadline).await?;
        let (mut requeued, mut unsent) = (0, 0);
        while left > 0 && unsent == 0 && deadline.remaining() > self.timeout / A_QUARTER {
            let overdue = work::requeue_overdue(&db, self.grace, left.min(CHUNK)).await?;
            if overdue.is_empty() {
                break;
            }
            unsent = self.send(&db, &overdue, deadline).await?;
            requeued += overdue.len() - unsent;
            left -= i64::try_from(overdue.len()).unwrap_or(left);
        }
        Ok((requeued, unsent))
    }

    /// Sends a message for each of these orders, and returns how many were not sent: those are overdue as before.
    async fn send(&self, db: &Db, overdue: &[Overdue], deadline: Deadline) -> Result<usize, DbError> {
        let message =
            |order: &Overdue| Message::new(&order.order_id, order.user_id.as_deref().map(Group::of), Duration::ZERO);
        let messages: Vec<_> = overdue.iter().map(message).collect();
        // Half of the time, so that what a queue that hangs did not take is undone.
        let unsent = self.queue.send_all(&messages, deadline.share(1, 2)).await;
        if !unsent.is_empty() {
            let unsent: Vec<_> = unsent.iter().map(|index| &overdue[*index].order_id).collect();
            work::undo_requeue(db, &unsent).await?;
        }
        Ok(unsent.len())
    }

    /// How many orders this run may requeue: as many as there are messages missing.
    async fn limit(&self, db: &Db, deadline: Deadline) -> Result<i64, DbError> {
        let active = work::count(db).await?;
        match self.queue.depth(deadline.share(1, 4)).await {
            Ok(messages) => Ok((active - messages).clamp(LEAST, self.limit)),
            Err(error) => {
                tracing::warn!(%error, "could not read the queue's depth");
                Ok(LEAST)
            }
        }
    }
}
