//! The protocol of claim, wait, finish, sweep, cancel and retry under random interleavings: two workers, a sweeper, a client
//! and an operator, who pauses processing too, act on an order in any sequence, while workers crash, time passes and messages are lost and duplicated.
//! Every step is the product's own statement on a real database.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use shared::db::Store;
use shared::db::claim::Claim;
use shared::db::ends::Announce;
use shared::db::finish::{Finish, Reschedule};
use shared::order::OrderId;
use tests::World;

const DELAY: Duration = Duration::from_secs(2);
const LEASE: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_mins(3);

/// A step. It has no effect if it is not possible in the current state.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A worker without an order receives a message. A delay may precede its work.
    Deliver(usize, bool),
    /// A worker records that its order is completed or failed, and its message is acknowledged.
    Finish(usize, bool),
    /// A worker's order waits: a new message is sent, and the old one is acknowledged.
    Wait(usize),
    /// A worker reschedules its order for another attempt, and its message becomes visible again.
    Retry(usize),
    /// A worker crashes, and its message becomes visible again.
    Crash(usize),
    /// A worker hangs and keeps its claim. Its message becomes visible again after its visibility timeout.
    Redeliver(usize),
    /// A message is lost.
    Lose,
    /// A message is duplicated.
    Duplicate,
    Sweep,
    Cancel,
    OperatorRetry,
    /// An operator pauses processing, or resumes it.
    Pause,
    Resume,
    /// This many seconds pass: less than a lease, more than a lease, or more than the grace period.
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..2_usize, any::<bool>()).prop_map(|(worker, has_delay)| Step::Deliver(worker, has_delay)),
        3 => (0..2_usize, prop::bool::weighted(0.7)).prop_map(|(worker, completed)| Step::Finish(worker, completed)),
        2 => (0..2_usize).prop_map(Step::Wait),
        2 => (0..2_usize).prop_map(Step::Retry),
        1 => (0..2_usize).prop_map(Step::Crash),
        1 => (0..2_usize).prop_map(Step::Redeliver),
        1 => Just(Step::Lose),
        1 => Just(Step::Duplicate),
        1 => Just(Step::Sweep),
        1 => Just(Step::Cancel),
        1 => Just(Step::OperatorRetry),
        1 => Just(Step::Pause),
        1 => Just(Step::Resume),
        3 => prop::sample::select(vec![3_u16, 31, 181]).prop_map(Step::Pass),
    ]
}

/// The run of one order: its messages in the queue, the workers' claims, and the recorded ends.
struct Play<'a> {
    world: &'a World,
    store: &'a Store,
    order: [OrderId; 1],
    messages: usize,
    workers: [Option<Claim>; 2],
    /// The worker with the last claim, if it has not released the order.
    holder: Option<usize>,
    lives: i64,
    ends: i64,
    is_cancelled: bool,
}

impl Play<'_> {
    fn id(&self) -> &OrderId {
        &self.order[0]
    }

    async fn act(&mut self, step: Step) {
        match step {
            Step::Deliver(worker, has_delay) => self.deliver(worker, has_delay).await,
            Step::Finish(worker, completed) => self.finish(worker, completed).await,
            Step::Wait(worker) => self.reschedule(worker, 5, false).await,
            Step::Retry(worker) => self.reschedule(worker, 0, true).await,
            Step::Crash(worker) => self.messages += usize::from(self.workers[worker].take().is_some()),
            Step::Redeliver(worker) => self.messages += usize::from(self.workers[worker].is_some()),
            Step::Lose => self.messages = self.messages.saturating_sub(1),
            Step::Duplicate => self.messages += usize::from(self.messages > 0),
            Step::Sweep => self.messages += self.store.requeue_overdue(GRACE, 10).await.unwrap().len(),
            Step::Cancel => self.cancel().await,
            Step::OperatorRetry => self.operator_retry().await,
            Step::Pause => drop(self.store.pause_processing("a test", "tester").await.unwrap()),
            Step::Resume => drop(self.store.resume_processing().await.unwrap()),
            Step::Pass(seconds) => self.world.let_pass(f64::from(seconds)).await,
        }
        self.check().await;
    }

    /// Claims the order. The message stays with the worker, is sent again if the order is not due, or is deleted, as in a pause.
    async fn deliver(&mut self, worker: usize, has_delay: bool) {
        if self.messages == 0 || self.workers[worker].is_some() {
            return;
        }
        let delay = if has_delay { DELAY } else { Duration::ZERO };
        let claim = self.store.claim(&self.order, LEASE, delay).await.unwrap();
        self.messages -= usize::from(claim.not_due.is_empty());
        if !claim.claimed.is_empty() {
            assert!(!self.is_paused().await, "an order was claimed while processing was paused");
            assert!(!self.is_cancelled, "a cancelled order was claimed");
            self.workers[worker] = Some(claim);
            self.holder = Some(worker);
        }
    }

    async fn is_paused(&self) -> bool {
        self.world.value("SELECT paused_at IS NOT NULL FROM processing_pause").await
    }

    async fn finish(&mut self, worker: usize, completed: bool) {
        if let Some(claim) = self.workers[worker].take() {
            let end = Finish { order: &claim.claimed[0], attempts: 1, failure: (!completed).then_some("refused") };
            let recorded = self.store.finish(claim.token, &[end], Duration::ZERO, Announce::Never).await.unwrap();
            if !recorded.is_empty() {
                assert_eq!(self.holder.take(), Some(worker), "a worker without the lease recorded an end");
                self.ends += 1;
            }
        }
    }

    async fn reschedule(&mut self, worker: usize, seconds: u64, counts_as_attempt: bool) {
        if let Some(claim) = self.workers[worker].take() {
            let due_at = claim.claimed[0].now + Duration::from_secs(seconds);
            let order = Reschedule { order_id: self.id(), due_at, failed_attempt: counts_as_attempt.then_some("busy") };
            self.store.reschedule(claim.token, &[order]).await.unwrap();
            self.holder = self.holder.filter(|holder| *holder != worker);
            self.messages += 1;
        }
    }

    async fn cancel(&mut self) {
        if self.store.cancel(self.id(), None, tests::actor(&"olga".parse().unwrap()), Announce::Never).await.unwrap() {
            self.ends += 1;
            self.is_cancelled = true;
        }
    }

    async fn operator_retry(&mut self) {
        let retried =
            self.store.retry(&self.order, Duration::ZERO, tests::actor(&"olga".parse().unwrap())).await.unwrap().len();
        self.lives += i64::try_from(retried).unwrap();
        self.messages += retried;
    }

    /// Asserts the invariants: a row of `order_work` exists exactly while the order is active, and each life ends at most once.
    async fn check(&self) {
        let sql = "SELECT status IN ('pending', 'processing'), (status = 'processing') = (w.started_at IS NOT NULL),
                w.order_id IS NOT NULL
            FROM order_states AS o LEFT JOIN order_work AS w USING (order_id) WHERE o.order_id = $1";
        let row = &self.world.rows(sql, &[&self.id().as_str()]).await[0];
        let (is_active, is_in_step, has_work): (bool, bool, bool) = (row.get(0), row.get(1), row.get(2));
        assert!(is_in_step && is_active == has_work, "status and work differ");
        assert_eq!(self.ends, self.lives - i64::from(is_active), "an end was lost or recorded twice");
    }

    /// Asserts that the order can always end with only the sweeper and a healthy worker.
    async fn settle(&mut self) {
        self.workers = [None, None];
        for step in [Step::Pass(240), Step::Resume, Step::Sweep, Step::Deliver(0, false), Step::Finish(0, true)] {
            self.act(step).await;
        }
        let order = self.store.read_order(self.id(), None).await.unwrap().unwrap();
        assert!(!order.status.is_active(), "the order is stuck: {order:?}");
    }
}

async fn play(world: &World, store: &Store, steps: &[Step]) {
    let order = OrderId::generate();
    world.create(order.as_str()).await;
    let workers = [None, None];
    let mut play = Play {
        world,
        store,
        order: [order],
        messages: 1,
        workers,
        holder: None,
        lives: 1,
        ends: 0,
        is_cancelled: false,
    };
    for step in steps {
        play.act(*step).await;
    }
    play.settle().await;
}

/// Runs `PROTOCOL_CASES` cases, 200 by default. They are the same in each run.
#[test]
fn no_interleaving_loses_an_order_or_ends_it_twice() {
    let cases = std::env::var("PROTOCOL_CASES").map_or(200, |cases| cases.parse().unwrap());
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::new());
    let played = runner.run(&vec(step(), 0..40), |steps| {
        // A store has a deadline, and a busy machine takes minutes for all cases.
        runtime.block_on(async { play(&world, &world.store(), &steps).await });
        Ok(())
    });
    played.unwrap_or_else(|found| panic!("{found}"));
    let is_equal: bool = runtime.block_on(world.value(
        "SELECT (SELECT sum(completed) FROM order_outcomes) = count(*) FILTER (WHERE status = 'completed')
            AND (SELECT sum(failed) FROM order_outcomes) = count(*) FILTER (WHERE status = 'failed')
            AND (SELECT sum(cancelled) FROM order_outcomes) = count(*) FILTER (WHERE status = 'cancelled') FROM order_states",
    ));
    assert!(is_equal, "the statistics differ from a recount");
}
