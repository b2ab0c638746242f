//! Takes a batch of queue messages: claims the orders that are due, runs their work, records the outcomes.
//!
//! | what a message turns out to be | what becomes of it |
//! |---|---|
//! | no order's identifier | to the dead-letter queue, at once: no retry can mend it |
//! | of an order that wants nothing any more | acknowledged |
//! | early, or of an order that asks to wait | sent again for when the order is due, then acknowledged |
//! | of an order whose outcome is recorded | acknowledged; after the last attempt, to the dead-letter queue as well |
//! | of an order to try again | kept, invisible until the back-off is over |
//! | of an order that there was no time for | kept, visible at once |
//! | anything that the database or the queue was out of reach for | reported as failed: it comes back by itself |
//!
//! A message that is bad or fails never fails its neighbours.

mod batch;
mod config;
mod retry;
mod verdict;
mod work;

use std::collections::HashSet;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use futures_util::future::join_all;
use shared::config::{ConfigError, Env};
use shared::db::work::{Claim, Claimed, claim, finish, put_off};
use shared::db::{Db, DbConfig, stats};
use shared::error::Chain;
use shared::order::OrderId;
use shared::queue::{Queue, Wake};
use shared::telemetry::{Count, Measure};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use batch::Batch;
pub use config::Config;
use verdict::Verdict;
pub use work::{ConfiguredWork, Outcome, Simulated, Webhook, Work};

/// The shortest delay of a message that came while its order was due, but in other hands.
const SHORTEST_DELAY: Duration = Duration::from_secs(1);
/// How long before the time-out work is broken off: what it takes to record the outcomes.
const TIME_TO_RECORD: Duration = Duration::from_secs(3);

/// Processes batches with one kind of work: one for each execution environment.
pub struct Processor<W> {
    /// The database.
    pub db: Db,
    queue: Queue,
    dead_letters: Queue,
    config: Config,
    work: W,
    shard: i16,
}

/// An order of the batch and what becomes of it.
type Judged = (Claimed, Verdict);

impl<W: Work> Processor<W> {
    /// Builds the clients; neither has connected yet.
    pub fn new(config: Config, work: W, env: &Env) -> Result<Self, ConfigError> {
        let queue = Queue::orders(env)?;
        let dead_letters = queue.dead_letters(env)?;
        let db = Db::new(DbConfig::from_env(env)?);
        Ok(Self { db, queue, dead_letters, config, work, shard: stats::draw_shard() })
    }

    /// Processes a batch within the function's time-out and names the messages that have to come back. The time is taken
    /// from now, so that a clock that is wrong does no harm.
    pub async fn handle(&self, event: SqsEvent) -> SqsBatchResponse {
        let break_off = Instant::now() + self.config.timing.timeout.saturating_sub(TIME_TO_RECORD);
        let mut batch = Batch::new(event);
        let order_ids = batch.order_ids();
        if !order_ids.is_empty() {
            match claim(&self.db, &order_ids, self.config.timing.lease).await {
                Ok(claim) => self.work_off(claim, break_off, &mut batch).await,
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "the batch could not be claimed; it comes back");
                    batch.fail_all();
                }
            }
        }
        self.bury_malformed(&mut batch).await;
        batch.response()
    }

    /// After everything else, and all at once: what is no order must not hold the orders up.
    async fn bury_malformed(&self, batch: &mut Batch) {
        let malformed = batch.take_malformed();
        let buried = malformed.iter().map(|message| self.dead_letters.bury(&message.body, "not an order's identifier"));
        for (message, buried) in malformed.iter().zip(join_all(buried).await) {
            tracing::error!(message.id, "a message is no order's identifier; it goes to the dead-letter queue");
            if let Err(error) = buried {
                tracing::warn!(message.id, %error, "the dead-letter queue can't be used; the message comes back");
                batch.fail_message(message.id.clone());
            }
        }
    }

    async fn work_off(&self, claim: Claim, break_off: Instant, batch: &mut Batch) {
        let Claim { token, claimed, early } = claim;
        let done_with = batch.order_count() - claimed.len() - early.len();
        tracing::debug!(claimed = claimed.len(), early = early.len(), done_with, "batch claimed");
        let judged = join_all(claimed.into_iter().map(|order| self.attempt(order, break_off))).await;
        let judged = self.bury_given_up(judged, batch).await;
        self.end(token, &judged, batch).await;
        if self.put_off(token, &judged, batch).await {
            self.hold_back(&judged, batch).await;
            self.wake_later(&judged, &early, batch).await;
        } else {
            self.wake_later(&[], &early, batch).await;
        }
    }

    /// Runs the work, unless the order has used up its attempts by taking its workers down, until there is no time left.
    async fn attempt(&self, order: Claimed, break_off: Instant) -> Judged {
        let Config { max_attempts, backoff, .. } = &self.config;
        if order.attempts >= *max_attempts {
            let cause = format!("given up after {} attempts that ended without an outcome", order.attempts);
            return (order, Verdict::GivenUp(cause));
        }
        let Ok(outcome) = timeout_at(break_off, self.work.run(&order)).await else {
            tracing::warn!(order.id = %order.order_id, "no time was left for the order; another worker takes it");
            return (order, Verdict::Release);
        };
        log_attempt(&order, &outcome);
        let verdict = Verdict::on(outcome, order.attempts, *max_attempts, backoff.after(order.attempts));
        (order, verdict)
    }

    /// Puts the orders that are given up into the dead-letter queue, before they are recorded as failed: should we be lost
    /// in between, that is done again. What can't be put there is left to the next attempt.
    async fn bury_given_up(&self, judged: Vec<Judged>, batch: &mut Batch) -> Vec<Judged> {
        let mut buried = Vec::with_capacity(judged.len());
        for (order, verdict) in judged {
            if let Verdict::GivenUp(cause) = &verdict
                && let Err(error) = self.dead_letters.bury(order.order_id.as_str(), cause).await
            {
                tracing::error!(order.id = %order.order_id, %error, "the dead-letter queue can't be used");
                batch.fail(&order.order_id);
                continue;
            }
            buried.push((order, verdict));
        }
        buried
    }

    /// Records the ends. An order that has been taken over meanwhile is left to who took it.
    async fn end(&self, token: Uuid, judged: &[Judged], batch: &mut Batch) {
        let ends: Vec<_> = judged.iter().filter_map(|(order, verdict)| verdict.end(order)).collect();
        if ends.is_empty() {
            return;
        }
        match finish(&self.db, token, &ends, self.shard).await {
            Ok(recorded) => {
                count(judged, &recorded);
                batch.trace_ends(ends.iter().filter(|end| recorded.contains(end.order_id)));
                for end in ends.iter().filter(|end| !recorded.contains(end.order_id)) {
                    tracing::warn!(order.id = %end.order_id, "the outcome was not recorded: it had been already, or the lease was lost");
                }
            }
            Err(error) => batch.fail_each(ends.iter().map(|end| end.order_id), &error),
        }
    }

    /// Gives the leases of orders that go on later back; false where that could not be recorded.
    async fn put_off(&self, token: Uuid, judged: &[Judged], batch: &mut Batch) -> bool {
        let later: Vec<_> = judged.iter().filter_map(|(order, verdict)| verdict.put_off(order)).collect();
        if later.is_empty() {
            return true;
        }
        let recorded = put_off(&self.db, token, &later).await;
        if let Err(error) = &recorded {
            batch.fail_each(later.iter().map(|order| order.order_id), error);
        }
        recorded.is_ok()
    }

    /// Keeps a message of each order that is tried again, invisible until then.
    async fn hold_back(&self, judged: &[Judged], batch: &mut Batch) {
        let mut hidden = Vec::new();
        for (order, verdict) in judged {
            let time = match verdict {
                Verdict::Retry(backoff) => *backoff,
                Verdict::Release => Duration::ZERO,
                Verdict::End(_) | Verdict::GivenUp(_) | Verdict::Wait(_) => continue,
            };
            hidden.extend(batch.keep_one(&order.order_id).map(|receipt| (receipt, time)));
        }
        self.queue.hide_all(&hidden).await;
    }

    /// Sends a message for each order that waits or whose message came early.
    async fn wake_later(&self, judged: &[Judged], early: &[(OrderId, Duration)], batch: &mut Batch) {
        let waiting = judged.iter().filter_map(|(order, verdict)| match verdict {
            Verdict::Wait(wait) => Some((&order.order_id, *wait)),
            _ => None,
        });
        let early = early.iter().map(|(order_id, due_in)| (order_id, (*due_in).max(SHORTEST_DELAY)));
        let later: Vec<_> = waiting.chain(early).collect();
        let wake =
            |(order_id, delay): &(&OrderId, Duration)| Wake::new(order_id, *delay).with_trace(batch.trace(order_id));
        let wakes: Vec<_> = later.iter().map(wake).collect();
        for index in self.queue.send_all(&wakes).await {
            batch.fail(later[index].0);
        }
    }
}

/// What goes as it should is worth no line of its own: an order's row says when it began and ended.
fn log_attempt(order: &Claimed, outcome: &Outcome) {
    let (order_id, attempt) = (&order.order_id, order.attempts + 1);
    match outcome {
        Outcome::Complete | Outcome::Wait(_) => {
            tracing::debug!(order.id = %order_id, attempt, %outcome, "order attempted");
        }
        Outcome::Fail(_) => tracing::info!(order.id = %order_id, attempt, %outcome, "order attempted"),
        Outcome::Retry(_) => {
            Count::Retried.add(1);
            tracing::info!(order.id = %order_id, attempt, %outcome, "order attempted");
        }
    }
}

/// Counts the orders whose end was recorded, and how long they took.
fn count(judged: &[Judged], recorded: &HashSet<OrderId>) {
    for (order, verdict) in judged.iter().filter(|(order, _)| recorded.contains(&order.order_id)) {
        if let Some(end) = verdict.end(order) {
            if end.failure.is_none() { Count::Completed } else { Count::Failed }.add(1);
            Measure::ClaimToFinish.add((order.now - order.started_at).try_into().unwrap_or_default());
        }
    }
}
