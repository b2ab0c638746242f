//! Runs once a minute: requeues the orders whose message must be lost, folds old statistics, and deletes old orders if the deployment
//! keeps them only for a time.
//!
//! A run may be late, duplicate or concurrent with another: an order that was requeued is not requeued again within the grace
//! period.
//!
//! Each active order has a message in the queue, except one whose `process_after` is far. If the queue holds as many messages as there
//! should be, overdue orders only wait for a worker, and a run requeues at most [`LEAST_LIMIT`] of them. If messages are missing, it
//! requeues as many as are missing.
//!
//! While processing is paused, a run requeues nothing: the processor has acknowledged the messages of the orders that are due. The
//! first runs after the pause requeue these orders, because their messages are missing.
//!
//! A run also sends the first messages of orders whose `process_after` is near ([`shared::db::schedule`]), each delayed until its order
//! is due. It looks [`AHEAD`], so that orders are due in time even if some runs fail.
//!
//! With an event bus, a run announces the ends that were left behind: their function crashed, or the bus did not take their events.
//!
//! A run has a deadline, a little before the function's time-out. It reads the active orders slice by slice ([`Slice`]), requeues chunk by
//! chunk, and starts nothing that it may not finish. The next run does the rest. Millions of active orders therefore don't stop it.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `SWEEP_LIMIT` | the most orders that a run requeues | 10000 |
//! | `RETENTION_DAYS` | how many days an order is kept after its end; 0 keeps it | 0 |

mod announce;
mod retention;
mod survey;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use shared::config::{ConfigError, Env, Stage, Timing, time_limit};
use shared::db::ends::OldEnd;
use shared::db::requeue::{Slice, ToEnqueue};
use shared::db::{Database, DbConfig, StoreError};
use shared::deadline::Deadline;
use shared::error::Chain;
use shared::events::Bus;
use shared::order::OrderId;
use shared::queue::{Group, Message, Queue};
use shared::telemetry::Count;
use tokio::sync::Mutex;

use retention::Retention;
use survey::{Place, Survey};

/// The least limit of a run. Duplicate messages hide missing ones from the count, so each run requeues a few in any case.
const LEAST_LIMIT: i64 = 100;
/// The most orders of one statement.
const CHUNK: i64 = 1000;
/// The rows of statistics that one statement folds. Each is of a batch of orders, so this is a minute or two of a busy service.
const FOLD_CHUNK: i64 = 5000;
/// How long before it is due an order with a `process_after` gets its message: ten runs. SQS delays a message by 15 minutes at most.
const AHEAD: Duration = Duration::from_mins(10);

/// The divisor of the share that is reserved for the statistics and the answer, and of the share of a chunk: its statement, its
/// sends, and undoing the failed ones. A run starts no chunk with less time.
const CHUNK_SHARE: u32 = 4;
/// The divisor of the share that is reserved for the answer.
const ANSWER_SHARE: u32 = 10;

/// The sweeper. One for each execution environment.
pub struct Sweeper {
    database: Arc<Database>,
    queue: Queue,
    timing: Timing,
    limit: i64,
    bus: Option<Bus>,
    /// The last of the ends that could not be announced in the run before. The next run starts after it.
    unannounced: Mutex<Option<OldEnd>>,
    retention: Option<Retention>,
    place: Mutex<Place>,
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
        env.required::<Stage>("STAGE")?;
        let limit = env.number("SWEEP_LIMIT", 10_000, LEAST_LIMIT..)?;
        let (queue, database) = (Queue::orders(env)?, Database::new(DbConfig::from_env(env)?));
        let (timing, retention) = (Timing::from_env(env)?, Retention::from_env(env)?);
        let bus = Bus::from_env(env)?;
        let (unannounced, place) = (Mutex::default(), Mutex::default());
        Ok(Self { database, queue, timing, limit, bus, unannounced, retention, place, timeout: time_limit(env, 30)? })
    }

    /// Runs once. A step that fails does not keep the next ones from running. Returns the first error.
    pub async fn sweep(&self) -> Result<Swept, StoreError> {
        let deadline = Deadline::after(self.timeout);
        let requeue_deadline = deadline.minus(self.timeout / CHUNK_SHARE);
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

    /// Sends the messages of scheduled orders, starting in the first half of the time, and then those that are lost.
    async fn enqueue_all(&self, survey: &Survey, deadline: Deadline, swept: &mut Swept) -> Result<(), StoreError> {
        let (mut scheduled, mut late) = (SendCounts::default(), SendCounts::default());
        let last_start = deadline.minus(self.timeout / CHUNK_SHARE);
        let (slices, late_slices) = (survey.scheduled(), survey.late());
        let mut result = Ok(());
        if !slices.is_empty() {
            let last_start = if late_slices.is_empty() { deadline } else { last_start }.share(1, 2);
            result = self.enqueue(Kind::Scheduled, &slices, self.limit, last_start, deadline, &mut scheduled).await;
        }
        if !late_slices.is_empty() {
            let limit = self.limit(survey.expected_messages(), deadline).await;
            let requeued = self.enqueue(Kind::Overdue, &late_slices, limit, last_start, deadline, &mut late).await;
            result = result.and(requeued);
        }
        (swept.enqueued, swept.requeued, swept.unsent) = (scheduled.sent, late.sent, scheduled.unsent + late.unsent);
        result
    }

    /// Folds the statistics chunk by chunk, until none are left or the time is over. The next run folds the rest.
    async fn fold(&self, deadline: Deadline, swept: &mut Swept) -> Result<(), StoreError> {
        let store = self.database.until(deadline);
        loop {
            let folded = store.fold_statistics(FOLD_CHUNK).await?;
            swept.folded += folded;
            if folded < FOLD_CHUNK.unsigned_abs() || deadline.remaining() < self.timeout / ANSWER_SHARE {
                return Ok(());
            }
        }
    }

    /// Deletes old orders, if the deployment keeps them only for a time. It comes last: nothing else waits for it.
    async fn delete_old(&self, deadline: Deadline, swept: &mut Swept) -> Result<(), StoreError> {
        let Some(retention) = &self.retention else { return Ok(()) };
        let store = self.database.until(deadline);
        retention.apply(&store, deadline, self.timeout / CHUNK_SHARE, &mut swept.deleted).await
    }

    /// Sends messages to the orders of a kind, slice by slice. A slice that fails holds up no others. Returns the first error.
    async fn enqueue(
        &self,
        kind: Kind,
        slices: &[Slice],
        mut limit: i64,
        last_start: Deadline,
        deadline: Deadline,
        counts: &mut SendCounts,
    ) -> Result<(), StoreError> {
        let mut result = Ok(());
        for slice in slices {
            result = result.and(self.enqueue_slice(kind, *slice, &mut limit, last_start, deadline, counts).await);
        }
        result
    }

    /// Sends messages to the orders of a kind in a slice, chunk by chunk, until none is left, the limit is reached, or the queue refuses
    /// messages. Starts no chunk after `last_start`.
    async fn enqueue_slice(
        &self,
        kind: Kind,
        slice: Slice,
        left: &mut i64,
        last_start: Deadline,
        deadline: Deadline,
        counts: &mut SendCounts,
    ) -> Result<(), StoreError> {
        let store = self.database.until(deadline);
        while *left > 0 && counts.unsent == 0 && !last_start.is_over() {
            let orders = match kind {
                Kind::Overdue => store.requeue_overdue(slice, self.timing.grace, CHUNK.min(*left)).await?,
                Kind::Scheduled => store.find_scheduled(slice, AHEAD, CHUNK.min(*left)).await?,
            };
            if orders.is_empty() {
                break;
            }
            *left -= i64::try_from(orders.len()).unwrap_or(*left);
            let refused = self.send(&orders, deadline).await;
            let (unsent, sent): (Vec<_>, Vec<_>) =
                orders.iter().map(|order| &order.order_id).partition(|order_id| refused.contains(order_id));
            counts.sent += sent.len();
            counts.unsent += unsent.len();
            // Overdue orders were marked before the send, so that a crash sends no message twice. Scheduled ones are marked after it, so that it
            // loses none.
            match kind {
                Kind::Overdue if !unsent.is_empty() => store.undo_requeue(&unsent).await?,
                Kind::Overdue => {}
                Kind::Scheduled => store.mark_enqueued(&sent).await?,
            }
        }
        Ok(())
    }

    /// Sends a message for each of these orders, with its delay. Returns the orders whose messages were not sent.
    async fn send<'a>(&self, orders: &'a [ToEnqueue], deadline: Deadline) -> HashSet<&'a OrderId> {
        let message =
            |order: &ToEnqueue| Message::new(&order.order_id, order.user_id.as_deref().map(Group::of), order.due_in);
        let messages: Vec<_> = orders.iter().map(message).collect();
        // Half of the time. The other half is for undoing the sends that a hanging queue did not accept.
        let unsent = self.queue.send_all(&messages, deadline.share(1, 2)).await;
        unsent.into_iter().map(|index| &orders[index].order_id).collect()
    }

    /// The most orders that this run may requeue: the number of missing messages.
    async fn limit(&self, expected_messages: i64, deadline: Deadline) -> i64 {
        match self.queue.depth(deadline.share(1, 4)).await {
            Ok(messages) => (expected_messages - messages).clamp(LEAST_LIMIT, self.limit),
            Err(error) => {
                tracing::warn!(%error, "could not read the queue's depth; requeueing as few orders as possible");
                LEAST_LIMIT
            }
        }
    }
}

/// The orders that a run sends messages to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Overdue orders, whose message must be lost.
    Overdue,
    /// Orders whose `process_after` is near, which have no message yet.
    Scheduled,
}

/// The messages of a run.
#[derive(Debug, Default)]
struct SendCounts {
    sent: usize,
    unsent: usize,
}
