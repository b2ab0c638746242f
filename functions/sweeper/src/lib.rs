//! Runs once a minute: requeues late orders, as many as messages are missing, and up to a hundred in any case; sends the first messages of
//! scheduled orders, announces ends that were left behind, folds old statistics, and deletes old orders if the deployment keeps them only
//! for a time.
//!
//! A run's deadline is the function's time-out, and its steps end earlier. It reads the active orders slice by slice
//! ([`shared::db::requeue::Slice`]), sends messages chunk by chunk, and starts nothing that it may not finish. The next run does the rest.
//! Millions of active orders therefore don't stop it. A run may be late, duplicate or concurrent with another.
//!
//! Because of it no message has to arrive: the api sends one after the commit, and answers 201 even if that fails. The price is that each
//! run reads `order_work`, as much of it as its time allows, and that a lost message costs its order three to four minutes. A backlog looks
//! like lost messages, so a run compares the number of overdue orders with that of the queue's messages before it sends any.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `SWEEP_LIMIT` | the most orders that a run requeues | 10000 |
//! | `RETENTION_DAYS` | how many days an order is kept after its end; 0 keeps it | 0 |

mod announce;
mod enqueue;
mod retention;
mod survey;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use shared::config::{ConfigError, Env, Timing, function_timeout};
use shared::db::ends::OldEnd;
use shared::db::{Database, DbConfig, StoreError};
use shared::deadline::Deadline;
use shared::error::Chain;
use shared::events::Bus;
use shared::queue::Queue;
use shared::telemetry::Count;
use tokio::sync::Mutex;

use retention::Retention;
use survey::Cursor;

/// The rows of statistics that one statement folds. Each is of a batch of orders, so this is a minute or two of a busy service.
const FOLD_CHUNK: i64 = 5000;
/// The divisor of the share that is reserved for the statistics, the retention and the answer.
const STATISTICS_SHARE: u32 = 4;
/// The divisor of the share of a chunk: its statement, its sends, and undoing the failed ones. A run starts no chunk with less time.
const CHUNK_SHARE: u32 = 4;
/// The divisor of the share of a statement that folds statistics. A run starts none with less time.
const FOLD_SHARE: u32 = 10;
/// The divisor of the share that is reserved for the answer.
const ANSWER_SHARE: u32 = 10;

/// The sweeper. One for each execution environment.
pub struct Sweeper {
    database: Arc<Database>,
    queue: Queue,
    timing: Timing,
    sweep_limit: i64,
    bus: Option<Bus>,
    /// The last of the ends that could not be announced in the run before. The next run starts after it.
    unannounced: Mutex<Option<OldEnd>>,
    retention: Option<Retention>,
    cursor: Mutex<Cursor>,
    timeout: Duration,
}

/// The result of a run.
#[derive(Debug, Default, Serialize, PartialEq, Eq)]
pub struct Swept {
    /// Orders that were overdue by more than the grace period and got another message.
    pub requeued: usize,
    /// Scheduled orders that are due soon and got their first message.
    pub enqueued: usize,
    /// Orders whose message the queue did not accept. The next run finds them again.
    pub unsent: usize,
    /// Rows of statistics that were folded into others.
    pub folded: u64,
    /// Old orders that were deleted.
    pub deleted: u64,
    /// Ends that an earlier invocation did not announce and that the bus has taken now.
    pub events: usize,
}

impl Sweeper {
    /// Reads the variables of [`shared::config`] and [`shared::queue`], and builds the clients. They connect at their first use.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let sweep_limit = env.number("SWEEP_LIMIT", 10_000, enqueue::LEAST_LIMIT..)?;
        let (queue, database) = (Queue::orders(env)?, Database::new(DbConfig::from_env(env)?));
        let (timing, retention) = (Timing::from_env(env)?, Retention::from_env(env)?);
        let bus = Bus::from_env(env)?;
        let (unannounced, cursor) = (Mutex::default(), Mutex::default());
        let timeout = function_timeout(env, 30)?;
        Ok(Self { database, queue, timing, sweep_limit, bus, unannounced, retention, cursor, timeout })
    }

    /// Runs once. A step that fails does not keep the next ones from running. Returns the first error.
    pub async fn sweep(&self) -> Result<Swept, StoreError> {
        let deadline = Deadline::after(self.timeout);
        let requeue_deadline = deadline.minus(self.timeout / STATISTICS_SHARE);
        let mut swept = Swept::default();
        let (survey, surveyed) = self.survey(requeue_deadline).await;
        let announced = self.announce(requeue_deadline, &mut swept).await;
        let enqueued = self.enqueue_all(&survey, requeue_deadline, &mut swept).await;
        let answer_deadline = deadline.minus(self.timeout / ANSWER_SHARE);
        let folded = self.fold(answer_deadline, &mut swept).await;
        let deleted = self.delete_old(answer_deadline, &mut swept).await;
        let steps = [surveyed, announced, enqueued, folded, deleted];
        for error in steps.iter().filter_map(|step| step.as_ref().err()) {
            tracing::error!(error = %Chain(error), "could not finish a step of the sweep; the next run continues");
        }
        Count::Requeued.add(swept.requeued);
        tracing::info!(
            swept.requeued,
            swept.enqueued,
            swept.unsent,
            swept.folded,
            swept.deleted,
            swept.events,
            "swept"
        );
        steps.into_iter().collect::<Result<(), _>>().map(|()| swept)
    }

    /// Folds the statistics chunk by chunk, until none are left or the time is over. The next run folds the rest.
    async fn fold(&self, deadline: Deadline, swept: &mut Swept) -> Result<(), StoreError> {
        let store = self.database.until(deadline);
        loop {
            let folded = store.fold_statistics(FOLD_CHUNK).await?;
            swept.folded += folded;
            if folded < FOLD_CHUNK.unsigned_abs() || deadline.remaining() < self.timeout / FOLD_SHARE {
                return Ok(());
            }
        }
    }
}
