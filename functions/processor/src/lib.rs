//! Takes a batch of queue messages: claims the orders that are due, runs their work, records the outcomes.
//!
//! | what a message turns out to be | what becomes of it |
//! |---|---|
//! | no order's identifier | to the dead-letter queue, at once: no retry can mend it |
//! | of an order that wants nothing any more | acknowledged |
//! | early, or of an order that asks to wait | sent again for when the order is due, then acknowledged |
//! | of an order whose outcome is recorded | acknowledged |
//! | anything that the database or the queue was out of reach for | reported as failed: it comes back by itself |
//!
//! A message that is bad or fails never fails its neighbours.

mod batch;
mod config;
mod work;

use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use futures_util::future::join_all;
use shared::config::{ConfigError, Env};
use shared::db::work::{Claim, Claimed, claim, finish, put_off};
use shared::db::{Db, DbConfig, DbError, stats};
use shared::order::OrderId;
use shared::queue::Queue;
use uuid::Uuid;

use batch::Batch;
pub use config::Config;
pub use work::{Outcome, Simulated, Work};

/// The shortest delay of a message that came while its order was due, but in other hands.
const SHORTEST_DELAY: Duration = Duration::from_secs(1);

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

impl<W: Work> Processor<W> {
    /// Builds the clients; neither has connected yet.
    pub fn new(config: Config, work: W, env: &Env) -> Result<Self, ConfigError> {
        let queue = Queue::orders(env)?;
        let dead_letters = queue.dead_letters(env)?;
        let db = Db::new(DbConfig::from_env(env)?);
        Ok(Self { db, queue, dead_letters, config, work, shard: stats::draw_shard() })
    }

    /// Processes a batch and names the messages that have to come back.
    pub async fn handle(&self, event: SqsEvent) -> SqsBatchResponse {
        let mut batch = Batch::new(event);
        self.bury_malformed(&mut batch).await;
        let order_ids = batch.order_ids();
        if order_ids.is_empty() {
            return batch.response();
        }
        match claim(&self.db, &order_ids, self.config.timing.lease).await {
            Ok(claim) => self.work_off(claim, &mut batch).await,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the batch could not be claimed; it comes back"
                );
                batch.fail_all();
            }
        }
        batch.response()
    }

    async fn bury_malformed(&self, batch: &mut Batch) {
        for message in batch.take_malformed() {
            tracing::error!(
                message.id = message.id,
                "a message is no order's identifier; it goes to the dead-letter queue"
            );
            if let Err(error) = self.dead_letters.bury(&message.body, "not an order's identifier").await {
                tracing::warn!(message.id = message.id, %error, "the dead-letter queue can't be used; the message comes back");
                batch.fail_message(message.id);
            }
        }
    }

    async fn work_off(&self, claim: Claim, batch: &mut Batch) {
        let Claim { token, claimed, early } = claim;
        let outcomes = join_all(claimed.into_iter().map(|order| self.attempt(order))).await;
        let (waiting, ended): (Vec<_>, Vec<_>) =
            outcomes.into_iter().partition(|(_, outcome)| matches!(outcome, Outcome::Wait(_)));
        self.end(token, &ended, batch).await;
        let mut again = self.put_off(token, &waiting, batch).await;
        again.extend(early.iter().map(|(order_id, due_in)| (order_id, (*due_in).max(SHORTEST_DELAY))));
        for index in self.queue.send_all(&again).await {
            batch.fail(again[index].0);
        }
    }

    /// Runs the work, unless the order has used up its attempts by taking its workers down.
    async fn attempt(&self, order: Claimed) -> (Claimed, Outcome) {
        let outcome = if order.attempts < self.config.max_attempts {
            self.work.run(&order).await
        } else {
            Outcome::Fail(format!("given up after {} attempts that ended without an outcome", order.attempts))
        };
        tracing::info!(order.id = %order.order_id, attempt = order.attempts + 1, %outcome, "order attempted");
        (order, outcome)
    }

    /// Records the ends. An order that has been taken over meanwhile is left to who took it.
    async fn end(&self, token: Uuid, ended: &[(Claimed, Outcome)], batch: &mut Batch) {
        let outcomes: Vec<_> = ended.iter().map(|(order, outcome)| (&order.order_id, outcome.failure())).collect();
        if outcomes.is_empty() {
            return;
        }
        match finish(&self.db, token, &outcomes, self.shard).await {
            Ok(recorded) => {
                for (order_id, _) in outcomes.iter().filter(|(order_id, _)| !recorded.contains(*order_id)) {
                    tracing::warn!(order.id = %order_id, "the lease was lost before the outcome was recorded");
                }
            }
            Err(error) => batch.fail_each(outcomes.iter().map(|(order_id, _)| *order_id), &error),
        }
    }

    /// Gives the leases of orders that wait back, and says when each is to be looked at again.
    async fn put_off<'a>(
        &self,
        token: Uuid,
        waiting: &'a [(Claimed, Outcome)],
        batch: &mut Batch,
    ) -> Vec<(&'a OrderId, Duration)> {
        let waits: Vec<_> = (waiting.iter())
            .filter_map(|(order, outcome)| Some((order, outcome.wait()?)))
            .map(|(order, wait)| (&order.order_id, order.now + wait, wait))
            .collect();
        if waits.is_empty() {
            return Vec::new();
        }
        let due: Vec<_> = waits.iter().map(|(order_id, due_at, _)| (*order_id, *due_at)).collect();
        let stored: Result<(), DbError> = put_off(&self.db, token, &due).await;
        match stored {
            Ok(()) => waits.into_iter().map(|(order_id, _, wait)| (order_id, wait)).collect(),
            Err(error) => {
                batch.fail_each(waits.iter().map(|(order_id, ..)| *order_id), &error);
                Vec::new()
            }
        }
    }
}
