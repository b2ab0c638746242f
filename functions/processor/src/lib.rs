//! Processes a batch of queue messages: claims the orders that are due, runs their work, records the outcomes.
//!
//! | a message | what the processor does |
//! |---|---|
//! | without an order's identifier | sends it to the dead-letter queue: no retry can help |
//! | of an order that has ended | acknowledges it |
//! | of an order that is due while processing is paused | acknowledges it: the sweeper requeues the order after the pause |
//! | of an order that is due within ten seconds, at its first delivery | keeps it: makes it invisible until then, and reports it as failed, so that Lambda does not delete it. If SQS does not confirm that, sends a new message instead |
//! | of any other order that is not due, or that waits, gets another attempt, or was released for lack of time | sends a new message for when the order is due, then acknowledges this one |
//! | of an order whose outcome is recorded | acknowledges it; after the last attempt the dead-letter queue gets a message as well |
//! | of an order whose statement or send failed | reports it as failed: SQS delivers it again |
//!
//! A bad or failed message never fails its neighbours. SQS moves a message to the dead-letter queue after its tenth receive, which takes 18
//! to 20 minutes. Its order stays active, and the sweeper sends another message. A message is kept for one wait at most, so waits do not
//! add up to ten receives.
//!
//! The batch has a deadline, a little before the function's time-out, and `budget` divides the time among its steps. The processor
//! records known outcomes before it calls the queue, so that a queue that hangs can't lose them. A dead letter is the exception: the
//! failure is recorded after it is sent, so that no failed order lacks it. It announces ends last.

mod backoff;
mod batch;
mod budget;
mod config;
mod decision;
pub mod event;
mod queues;
mod recorder;
mod work;

use std::collections::HashSet;
use std::sync::Arc;

use aws_lambda_events::sqs::SqsBatchResponse;
use futures_util::future::join_all;
use shared::config::{ConfigError, Env};
use shared::db::claim::{Claim, Claimed};
use shared::db::ends::MAX_ENDS;
use shared::db::{Database, DbConfig};
use shared::deadline::Deadline;
use shared::error::Chain;
use shared::events::Bus;
use shared::queue::split;
use shared::telemetry::Count;
use tokio::time::Instant;

use batch::Batch;
pub use batch::DatabaseFailed;
pub use config::ProcessorConfig;
use decision::{DeadLetter, Decision};
use event::SqsEvent;
use queues::{Kept, Queues};
use recorder::Recorder;
pub use work::{ConfiguredWork, Outcome, Simulated, Webhook, Work};

/// Processes batches with one kind of work. One for each execution environment.
pub struct Processor<W> {
    /// The database.
    pub database: Arc<Database>,
    queues: Queues,
    bus: Option<Bus>,
    config: ProcessorConfig,
    work: W,
}

impl<W: Work> Processor<W> {
    /// Builds the clients. They connect at their first use.
    pub fn new(config: ProcessorConfig, work: W, env: &Env) -> Result<Self, ConfigError> {
        let (queues, database) = (Queues::from_env(env)?, Database::new(DbConfig::from_env(env)?));
        Ok(Self { database, queues, bus: Bus::from_env(env)?, config, work })
    }

    /// Processes a batch within the function's time-out and returns the messages that SQS must deliver again.
    ///
    /// # Errors
    /// [`DatabaseFailed`] if the database failed, and no message is done.
    pub async fn handle(&self, event: SqsEvent) -> Result<SqsBatchResponse, DatabaseFailed> {
        let deadline = budget::of_batch(self.config.function_timeout);
        let mut batch = Batch::new(event);
        let order_ids = batch.order_ids();
        if !order_ids.is_empty() {
            let store = self.database.until(budget::of_claim(deadline));
            let ProcessorConfig { timing, max_attempts, .. } = &self.config;
            match store.claim(&order_ids, timing.lease, self.work.delay(), *max_attempts).await {
                Ok(claim) => self.process(claim, deadline, &mut batch).await,
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "could not claim the batch; SQS will deliver its messages again");
                    batch.redeliver_after_database_failure(order_ids.iter());
                }
            }
        }
        self.queues.dead_letter_malformed(&mut batch, deadline).await;
        self.announce(&batch, deadline).await;
        batch.response()
    }

    /// Announces the orders of the batch that have ended, by this batch or before. This comes last: what is not announced now is left to
    /// the sweeper, and fails no message. While the bus is unavailable, the sweeper alone calls it.
    async fn announce(&self, batch: &Batch, deadline: Deadline) {
        let Some(bus) = &self.bus else { return };
        let deadline = budget::of_events(deadline);
        let store = self.database.until(deadline);
        for order_ids in batch.ended.chunks(MAX_ENDS) {
            if bus.is_unavailable() || deadline.is_over() {
                return;
            }
            let announced = async {
                let ends = store.find_ends(order_ids).await?;
                bus.announce(&store, &ends, budget::of_bus(deadline)).await
            };
            if let Err(error) = announced.await {
                tracing::warn!(error = %Chain(&error), "could not announce ends; the sweeper will retry");
                return;
            }
        }
    }

    async fn process(&self, claim: Claim, deadline: Deadline, batch: &mut Batch) {
        let Claim { token, claimed, not_due, paused, ended, not_reclaimed } = claim;
        if let Some((order_ids, error)) = not_reclaimed {
            tracing::error!(error = %Chain(&error), "could not claim orders whose lease has expired; SQS will deliver their messages again");
            batch.redeliver_after_database_failure(order_ids.iter());
        }
        tracing::debug!(
            claimed = claimed.len(),
            not_due = not_due.len(),
            paused = paused.len(),
            ended = ended.len(),
            "claimed a batch"
        );
        Count::EndedBefore.add(ended.len());
        batch.ended.extend(ended);
        let since = Instant::now();
        let work_deadline = budget::of_work(deadline, self.config.function_timeout);
        let decided = join_all(claimed.into_iter().map(|order| self.attempt(order, work_deadline))).await;
        let store = self.database.until(deadline).repeating_until(budget::of_repeats(deadline));
        let recorder = Recorder { token, since, store };
        let (ends, dead_letters, later) = decision::split(decided);
        recorder.finish(&ends, batch).await;
        let (kept, mut unkept) = queues::split_kept(&not_due, since.elapsed(), batch);
        // An order whose rescheduling failed gets no new message: SQS delivers the old one again.
        if recorder.reschedule(&later, batch).await {
            unkept.extend(later.iter().map(|later| (&later.order.order_id, later.after)));
        }
        // All at once, so that a queue that hangs costs the time of only one. Dead letters before their failures are recorded.
        let queue_deadline = budget::of_messages(deadline);
        let ((letters_sent, letters_unsent), orders_unsent, unconfirmed) = tokio::join!(
            self.queues.dead_letter(dead_letters, batch, queue_deadline),
            self.queues.enqueue_later(&unkept, batch, queue_deadline),
            self.queues.set_visibility(&kept, queue_deadline)
        );
        for order_id in letters_unsent.iter().map(|letter| &letter.order.order_id).chain(orders_unsent) {
            batch.redeliver(order_id);
        }
        let failed: Vec<_> = letters_sent.into_iter().map(DeadLetter::into_finish).collect();
        recorder.finish(&failed, batch).await;
        let due_again: Vec<_> = letters_unsent.into_iter().map(DeadLetter::without_letter).collect();
        recorder.reschedule(&due_again, batch).await;
        self.keep(kept, &unconfirmed, batch, budget::of_messages(deadline)).await;
    }

    /// Reports the invisible messages to Lambda, which does not delete them then. An order whose message may be visible gets a new one:
    /// the old message would only return after its visibility timeout.
    async fn keep(&self, kept: Vec<Kept<'_>>, unconfirmed: &HashSet<usize>, batch: &mut Batch, deadline: Deadline) {
        let (invisible, others) = split(kept, unconfirmed);
        for kept in invisible {
            batch.redeliver_message(kept.message_id);
        }
        let others: Vec<_> = others.iter().map(|kept| (kept.order_id, kept.due_in)).collect();
        for order_id in self.queues.enqueue_later(&others, batch, deadline).await {
            batch.redeliver(order_id);
        }
    }

    /// Runs the work, unless the order has used up its attempts.
    async fn attempt(&self, order: Claimed, work_deadline: Deadline) -> Decision {
        let ProcessorConfig { max_attempts, backoff, .. } = &self.config;
        let store = self.database.until(work_deadline);
        if order.attempts >= *max_attempts {
            let cause = store.last_cause(&order.order_id).await.unwrap_or_else(|error| {
                tracing::warn!(order.id = %order.order_id, error = %Chain(&error), "could not read why an order failed; it fails without its last cause");
                None
            });
            return Decision::without_attempt(order, cause.as_deref());
        }
        let outcome = self.work.run(&order, &store, work_deadline).await;
        log_attempt(&order, &outcome);
        if matches!(outcome, Outcome::Retry { .. }) {
            Count::Retried.add(1);
        }
        Decision::after_attempt(order, outcome, *max_attempts, backoff)
    }
}

/// Logs an attempt. A successful one is logged at `DEBUG` only: the order's row has its start and end.
fn log_attempt(order: &Claimed, outcome: &Outcome) {
    let (order_id, attempt) = (&order.order_id, order.attempts + 1);
    match outcome {
        Outcome::Complete | Outcome::Wait(_) | Outcome::NotStarted => {
            tracing::debug!(order.id = %order_id, attempt, %outcome, "attempted an order");
        }
        Outcome::Fail(_) | Outcome::Retry { .. } => {
            tracing::info!(order.id = %order_id, attempt, %outcome, "attempted an order");
        }
    }
}
