//! Processes a batch of queue messages: claims the orders that are due, runs their work, records the outcomes.
//!
//! | a message | what the processor does |
//! |---|---|
//! | that is no order's identifier | sends it to the dead-letter queue: no retry can mend it |
//! | of an order that has ended | acknowledges it |
//! | of an order that is not due, waits, is tried again, or that there was no time for | sends a new message for when the order is due, then acknowledges this one |
//! | of an order whose outcome is recorded | acknowledges it; after the last attempt the dead-letter queue gets a message as well |
//! | whose order the database or the queue could not be used for | reports it as failed: SQS delivers it again |
//!
//! A message that is bad or fails never fails its neighbours. SQS moves a message to the dead-letter queue after ten receives. Only
//! a message that is reported as failed uses up one, so a healthy order never ends there.
//!
//! The batch has a deadline, a little before the function's time-out, and [`budget`] divides the time among its steps. Known
//! outcomes are recorded first, before the queue is called: a queue that hangs can't cost them.

mod batch;
mod budget;
mod config;
mod decision;
mod retry;
mod work;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use futures_util::future::join_all;
use shared::config::{ConfigError, Env};
use shared::db::work::{Claim, Claimed, claim, finish, reschedule};
use shared::db::{Database, Db, DbConfig};
use shared::deadline::Deadline;
use shared::error::Chain;
use shared::order::OrderId;
use shared::queue::{self, Queue};
use shared::telemetry::{Count, Measure};
use tokio::time::Instant;
use uuid::Uuid;

use batch::Batch;
pub use config::Config;
use decision::{Decided, Decision};
pub use work::{ConfiguredWork, Outcome, Simulated, Webhook, Work};

/// The shortest delay of a message for an order that is due, but that another worker holds.
const SHORTEST_DELAY: Duration = Duration::from_secs(1);

/// Processes batches with one kind of work: one for each execution environment.
pub struct Processor<W> {
    /// The database.
    pub database: Arc<Database>,
    queue: Queue,
    dead_letters: Queue,
    config: Config,
    work: W,
}

/// The orders of a batch that were claimed together.
struct Lease {
    token: Uuid,
    claimed_at: Instant,
    db: Db,
}

impl<W: Work> Processor<W> {
    /// Builds the clients; neither has connected yet.
    pub fn new(config: Config, work: W, env: &Env) -> Result<Self, ConfigError> {
        let queue = Queue::orders(env)?;
        let dead_letters = queue.dead_letters(env)?;
        let database = Database::new(DbConfig::from_env(env)?);
        Ok(Self { database, queue, dead_letters, config, work })
    }

    /// Processes a batch within the function's time-out and returns the messages that failed.
    pub async fn handle(&self, event: SqsEvent) -> SqsBatchResponse {
        let deadline = budget::of_batch(self.config.timeout);
        let mut batch = Batch::new(event);
        let order_ids = batch.order_ids();
        if !order_ids.is_empty() {
            let db = self.database.until(budget::of_claim(deadline));
            match claim(&db, &order_ids, self.config.timing.lease, self.work.delay()).await {
                Ok(claim) => self.process(claim, deadline, &mut batch).await,
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "could not claim the batch; SQS will deliver its messages again");
                    batch.fail_all();
                }
            }
        }
        self.dead_letter_malformed(&mut batch, deadline).await;
        batch.response()
    }

    /// Last, so that messages which are no orders' don't hold orders up.
    async fn dead_letter_malformed(&self, batch: &mut Batch, deadline: Deadline) {
        let malformed = batch.take_malformed();
        let letter = |message: &batch::Message| {
            tracing::error!(message.id, "received a message that is no order's identifier; dead-lettering it");
            queue::Message::dead_letter(&message.body, "not an order's identifier")
        };
        let unsent = self.dead_letters.send_all(&malformed.iter().map(letter).collect::<Vec<_>>(), deadline).await;
        for index in unsent {
            batch.fail_message(malformed[index].id.clone());
        }
    }

    async fn process(&self, claim: Claim, deadline: Deadline, batch: &mut Batch) {
        let Claim { token, claimed, not_due, ended } = claim;
        tracing::debug!(claimed = claimed.len(), not_due = not_due.len(), ended = ended.len(), "claimed a batch");
        let lease = Lease { token, claimed_at: Instant::now(), db: self.database.until(deadline) };
        let work_ends = budget::of_work(deadline, self.config.timeout);
        let decided = join_all(claimed.into_iter().map(|order| self.attempt(order, work_ends))).await;
        let (given_up, others): (Vec<_>, Vec<_>) =
            decided.into_iter().partition(|decided| matches!(decided.decision, Decision::DeadLetter(_)));
        self.finish(&lease, &others, batch).await;
        let rescheduled = if self.reschedule(&lease, &others, batch).await { others.as_slice() } else { &[] };
        // Both at once: a queue that hangs takes the time of one.
        let queue_ends = deadline.share(2, 3);
        let unsent = tokio::join!(
            self.dead_letter(&given_up, queue_ends),
            self.send_again(rescheduled, &not_due, batch, queue_ends)
        );
        let (unsent_letters, unsent_messages) = unsent;
        for order_id in unsent_messages.iter().chain(&unsent_letters) {
            batch.fail(order_id);
        }
        let given_up = given_up.into_iter().filter(|decided| !unsent_letters.contains(&decided.order.order_id));
        self.finish(&lease, &given_up.collect::<Vec<_>>(), batch).await;
    }

    /// Runs the work, unless the order has used up its attempts by taking its workers down.
    async fn attempt(&self, order: Claimed, work_ends: Deadline) -> Decided {
        let Config { max_attempts, backoff, .. } = &self.config;
        if order.attempts >= *max_attempts {
            return Decided::without_attempt(order);
        }
        let outcome = self.work.run(&order, &self.database.until(work_ends), work_ends).await;
        log_attempt(&order, &outcome);
        Decided::after_attempt(order, outcome, *max_attempts, backoff)
    }

    /// Records the ends. An order that another worker has claimed since is left to it.
    async fn finish(&self, lease: &Lease, decided: &[Decided], batch: &mut Batch) {
        let ends: Vec<_> = decided.iter().filter_map(Decided::finish).collect();
        if ends.is_empty() {
            return;
        }
        match finish(&lease.db, lease.token, &ends, lease.claimed_at.elapsed()).await {
            Ok(recorded) => {
                count(decided, &recorded, lease.claimed_at.elapsed());
                batch.trace_ends(ends.iter().filter(|end| recorded.contains(&end.order.order_id)));
                for end in ends.iter().filter(|end| !recorded.contains(&end.order.order_id)) {
                    tracing::warn!(
                        order.id = %end.order.order_id,
                        "did not record an outcome: it was recorded before, or another worker has the order"
                    );
                }
            }
            Err(error) => batch.fail_each(ends.iter().map(|end| &end.order.order_id), &error),
        }
    }

    /// Ends the leases of the orders that go on later. Returns whether that was recorded.
    async fn reschedule(&self, lease: &Lease, decided: &[Decided], batch: &mut Batch) -> bool {
        let since_claim = lease.claimed_at.elapsed();
        let later: Vec<_> = decided.iter().filter_map(|decided| decided.reschedule(since_claim)).collect();
        if later.is_empty() {
            return true;
        }
        let recorded = reschedule(&lease.db, lease.token, &later).await;
        if let Err(error) = &recorded {
            batch.fail_each(later.iter().map(|order| order.order_id), error);
        }
        recorded.is_ok()
    }

    /// Sends the orders that are given up to the dead-letter queue, before they are recorded as failed: a worker that is lost
    /// in between does both again. Returns the orders that could not be sent.
    async fn dead_letter(&self, given_up: &[Decided], deadline: Deadline) -> HashSet<OrderId> {
        let letter = |decided: &Decided| {
            let cause = decided.finish().and_then(|end| end.failure).unwrap_or_default();
            queue::Message::dead_letter(decided.order.order_id.as_str(), cause)
        };
        let letters: Vec<_> = given_up.iter().map(letter).collect();
        let unsent = self.dead_letters.send_all(&letters, deadline).await;
        unsent.into_iter().map(|index| given_up[index].order.order_id.clone()).collect()
    }

    /// Sends a new message for each order that waits and for each that was not due. Returns the orders whose messages
    /// could not be sent.
    async fn send_again(
        &self,
        decided: &[Decided],
        not_due: &[(OrderId, Duration)],
        batch: &Batch,
        deadline: Deadline,
    ) -> HashSet<OrderId> {
        let go_on = decided.iter().filter_map(|decided| Some((&decided.order.order_id, decided.goes_on_after()?)));
        let not_due = not_due.iter().map(|(order_id, due_in)| (order_id, (*due_in).max(SHORTEST_DELAY)));
        let later: Vec<_> = go_on.chain(not_due).collect();
        let message = |(order_id, delay): &(&OrderId, Duration)| {
            queue::Message::new(order_id, *delay).with_trace(batch.trace(order_id))
        };
        let unsent = self.queue.send_all(&later.iter().map(message).collect::<Vec<_>>(), deadline).await;
        unsent.into_iter().map(|index| later[index].0.clone()).collect()
    }
}

/// An attempt that goes as it should is not worth a line at `INFO`: the order's row says when it began and ended.
fn log_attempt(order: &Claimed, outcome: &Outcome) {
    let (order_id, attempt) = (&order.order_id, order.attempts + 1);
    match outcome {
        Outcome::Complete | Outcome::Wait(_) | Outcome::NoTime => {
            tracing::debug!(order.id = %order_id, attempt, %outcome, "attempted an order");
        }
        Outcome::Fail(_) => tracing::info!(order.id = %order_id, attempt, %outcome, "attempted an order"),
        Outcome::Retry { .. } => {
            Count::Retried.add(1);
            tracing::info!(order.id = %order_id, attempt, %outcome, "attempted an order");
        }
    }
}

/// Counts the orders whose end was recorded, and how long they took.
fn count(decided: &[Decided], recorded: &HashSet<OrderId>, since_claim: Duration) {
    for end in decided.iter().filter_map(Decided::finish).filter(|end| recorded.contains(&end.order.order_id)) {
        if end.failure.is_none() { Count::Completed } else { Count::Failed }.add(1);
        let before_claim: Duration = (end.order.now - end.order.started_at).try_into().unwrap_or_default();
        Measure::ClaimToFinish.add(before_claim + since_claim);
    }
}
