//! Runs once a minute: requeues the orders whose message must be lost, and folds old statistics.
//!
//! A run may be late, duplicate or concurrent with another: an order that was requeued is not requeued again within the grace
//! period.
//!
//! Each active order has a message in the queue. If the queue holds as many messages as there are active orders, overdue orders only
//! wait for a worker, and a run requeues at most [`LEAST_LIMIT`] of them. If messages are missing, it requeues as many as are missing.
//!
//! A run has a deadline, a little before the function's time-out. It requeues chunk by chunk and starts no chunk that it may not
//! finish. The next run requeues the rest.
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

/// The least limit of a run. Duplicate messages hide missing ones from the count, so each run requeues a few in any case.
const LEAST_LIMIT: i64 = 100;
/// The most orders of one statement.
const CHUNK: i64 = 1000;

/// The divisor of the share that is reserved for the statistics and the answer, and of the share of a chunk: its statement, its
/// sends, and undoing the failed ones. A run starts no chunk with less time.
const CHUNK_SHARE: u32 = 4;
/// The divisor of the share that is reserved for the answer.
const ANSWER_SHARE: u32 = 10;

/// The sweeper. One for each execution environment.
pub struct Sweeper {
    database: Arc<Database>,
    queue: Queue,
    grace: Duration,
    limit: i64,
    timeout: Duration,
}

/// The result of a run.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Swept {
    /// Orders that were overdue by more than the grace period and got another message.
    pub requeued: usize,
    /// Orders whose message the queue did not accept. The next run finds them again.
    pub unsent: usize,
    /// Rows of statistics that were folded into others.
    pub folded: u64,
}

impl Sweeper {
    /// Reads the variables of [`shared::config`] and [`shared::queue`], and builds the clients. They connect at their first use.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        env.required::<Stage>("STAGE")?;
        let limit = env.optional("SWEEP_LIMIT")?.unwrap_or(10_000);
        if limit < LEAST_LIMIT {
            return Err(ConfigError::new("SWEEP_LIMIT", format!("must be at least {LEAST_LIMIT}")));
        }
        let (queue, database) = (Queue::orders(env)?, Database::new(DbConfig::from_env(env)?));
        Ok(Self { database, queue, grace: Timing::from_env(env)?.grace, limit, timeout: time_limit(env, 30)? })
    }

    /// Runs once.
    pub async fn sweep(&self) -> Result<Swept, DbError> {
        let deadline = Deadline::after(self.timeout);
        let requeue_deadline = deadline.minus(self.timeout / CHUNK_SHARE);
        let overdue = work::oldest_overdue(&self.database.until(requeue_deadline)).await?;
        Measure::OldestOverdue.add(overdue);
        let (requeued, unsent) = if overdue > self.grace { self.requeue(requeue_deadline).await? } else { (0, 0) };
        let folded = stats::fold(&self.database.until(deadline.minus(self.timeout / ANSWER_SHARE))).await?;
        let swept = Swept { requeued, unsent, folded };
        Count::Requeued.add(requeued);
        tracing::info!(swept.requeued, swept.unsent, swept.folded, "swept");
        Ok(swept)
    }

    /// Requeues overdue orders, chunk by chunk, until none is left, the limit is reached, the queue refuses messages, or the time is
    /// over. Returns the number of orders that it requeued, and of messages that the queue refused.
    async fn requeue(&self, deadline: Deadline) -> Result<(usize, usize), DbError> {
        let db = self.database.until(deadline);
        let mut left = self.limit(&db, deadline).await?;
        let (mut requeued, mut unsent) = (0, 0);
        while left > 0 && unsent == 0 && deadline.remaining() > self.timeout / CHUNK_SHARE {
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

    /// Sends a message for each of these orders. Returns the number of messages that were not sent; their orders are overdue as before.
    async fn send(&self, db: &Db, overdue: &[Overdue], deadline: Deadline) -> Result<usize, DbError> {
        let message =
            |order: &Overdue| Message::new(&order.order_id, order.user_id.as_deref().map(Group::of), Duration::ZERO);
        let messages: Vec<_> = overdue.iter().map(message).collect();
        // Half of the time. The other half is for undoing the sends that a hanging queue did not accept.
        let unsent = self.queue.send_all(&messages, deadline.share(1, 2)).await;
        if !unsent.is_empty() {
            let unsent: Vec<_> = unsent.iter().map(|index| &overdue[*index].order_id).collect();
            work::undo_requeue(db, &unsent).await?;
        }
        Ok(unsent.len())
    }

    /// The most orders that this run may requeue: the number of missing messages.
    async fn limit(&self, db: &Db, deadline: Deadline) -> Result<i64, DbError> {
        let active = work::count(db).await?;
        match self.queue.depth(deadline.share(1, 4)).await {
            Ok(messages) => Ok((active - messages).clamp(LEAST_LIMIT, self.limit)),
            Err(error) => {
                tracing::warn!(%error, "could not read the queue's depth; requeueing as few orders as possible");
                Ok(LEAST_LIMIT)
            }
        }
    }
}
