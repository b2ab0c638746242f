//! The schedule of the faults: one kind at a time, then all kinds at once.

mod stall;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sandbox::Result;
use sandbox::mapping::{Courier, Delivery};
use sandbox::queue::Message;
use tokio::sync::Mutex as Turn;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::chance;
use crate::faults::{Fault, Faults, Lasts};
use crate::journal::Journal;
use crate::world::World;

pub use stall::Recovery;

/// How many messages are deleted at a time.
const STOLEN: usize = 5;
/// How much longer than its share a fault may wait for its first occasion.
const OVERTIME: Duration = Duration::from_secs(10);
/// The shortest time between two injections of a fault.
const SHORTEST: Duration = Duration::from_millis(100);
/// How many spells the service works between two stalls. It could process few orders if one came after the other.
const BETWEEN_STALLS: u32 = 4;
/// The longest delay of a message's delivery.
const LATEST: Duration = Duration::from_secs(3);
/// The storm and what it measured.
pub struct Storm {
    world: Arc<World>,
    spell: Duration,
    recoveries: Mutex<Vec<Recovery>>,
    /// A stall holds it until the next one may begin.
    turn: Turn<()>,
}

impl Storm {
    /// A storm in this world. A lasting fault lasts for `spell`.
    pub fn new(world: Arc<World>, spell: Duration) -> Arc<Self> {
        Arc::new(Self { world, spell, recoveries: Mutex::default(), turn: Turn::default() })
    }

    /// Injects one kind of fault after the other, each repeatedly for its share of the time.
    pub async fn one_by_one(&self, within: Duration) -> Result<()> {
        let share = within / u32::try_from(Fault::all().len())?;
        for fault in Fault::all() {
            self.world.faults.alone(Some(fault));
            let end = Instant::now() + share;
            while Instant::now() < end || self.is_awaited(fault, end) {
                self.inject(fault).await?;
                sleep(self.respite(fault, end - Instant::now()).max(SHORTEST)).await;
            }
        }
        self.world.faults.alone(None);
        Ok(())
    }

    /// The time until the fault is injected again. `left` is the rest of its share.
    fn respite(&self, fault: Fault, left: Duration) -> Duration {
        match fault {
            Fault::QueueRefuses => left,
            _ if fault.lasts() == Lasts::Stall => left,
            // Each one blocks a worker until its time-out, and some workers have to remain.
            Fault::Hangs => self.spell / 2,
            _ => left.min(Duration::from_millis(700)),
        }
    }

    /// Whether the fault has not happened yet and may still use overtime. A late outcome always comes after its share.
    fn is_awaited(&self, fault: Fault, end: Instant) -> bool {
        let has_happened = fault == Fault::LateOutcome || self.world.faults.record(fault).injected > 0;
        !has_happened && Instant::now() < end + OVERTIME
    }

    /// Injects all kinds of faults at random times until `end`.
    pub async fn mixed(self: &Arc<Self>, end: Instant) -> Result<()> {
        let mut faults = JoinSet::new();
        for fault in Fault::all() {
            faults.spawn(Arc::clone(self).again_and_again(fault, end));
        }
        faults.join_all().await.into_iter().collect()
    }

    async fn again_and_again(self: Arc<Self>, fault: Fault, end: Instant) -> Result<()> {
        loop {
            let pause = self.pause(fault).mul_f64(chance::share() * 2.0);
            if Instant::now() + pause >= end {
                return Ok(());
            }
            sleep(pause).await;
            if fault.lasts() == Lasts::Stall {
                let _turn = self.turn.lock().await;
                if Instant::now() < end {
                    self.inject(fault).await?;
                    sleep(self.spell * BETWEEN_STALLS).await;
                }
            } else {
                self.inject(fault).await?;
            }
        }
    }

    /// The mean time between two injections of the fault, besides the time that a stall waits for its turn.
    fn pause(&self, fault: Fault) -> Duration {
        let spells = match (fault, fault.lasts()) {
            (_, Lasts::Stall) => 24,
            (Fault::QueueRefuses, _) => 20,
            (Fault::Cut, _) | (_, Lasts::Spell) => 3,
            _ => 1,
        };
        self.spell * spells
    }

    /// Injects the fault once, or keeps it active for a spell.
    async fn inject(&self, fault: Fault) -> Result<()> {
        match (fault, fault.lasts()) {
            (Fault::Stolen, _) => self.steal(),
            (Fault::Cut, _) => self.cut().await?,
            (Fault::ClockAhead | Fault::ClockBehind, _) => {
                let pollers = self.world.process_with_wrong_clock(fault == Fault::ClockAhead);
                sleep(self.spell).await;
                pollers.stop().await;
            }
            (Fault::Disorder, _) => {
                self.hasten();
                self.lasting(fault, self.spell).await;
            }
            (Fault::QueueRefuses, _) => {
                let (journal, from) = (&self.world.journal, self.world.journal.now());
                self.lasting(fault, Duration::from_secs(self.world.times.refusal)).await;
                journal.outages.add(from, journal.now());
            }
            (_, Lasts::Stall) => self.stall(fault).await?,
            (_, Lasts::Spell) => self.lasting(fault, self.spell).await,
            (_, Lasts::Moment) => self.world.faults.arm(fault),
        }
        Ok(())
    }

    async fn lasting(&self, fault: Fault, spell: Duration) {
        self.world.faults.begin(fault);
        sleep(spell).await;
        self.world.faults.end(fault);
    }

    fn steal(&self) {
        let stolen = self.world.queues.steal(STOLEN);
        if !stolen.is_empty() {
            self.happened(Fault::Stolen, &stolen);
        }
    }

    /// Lets each delayed message come now: the order's row alone decides when the order is due.
    fn hasten(&self) {
        let hastened = self.world.queues.hasten();
        if !hastened.is_empty() {
            self.happened(Fault::Disorder, &hastened);
        }
    }

    async fn cut(&self) -> Result<()> {
        let active = self.world.active().await?;
        self.world.database.cut();
        self.happened(Fault::Cut, &active);
        Ok(())
    }

    fn happened(&self, fault: Fault, orders: &[String]) {
        self.world.faults.happened(fault, self.world.journal.now(), orders);
        for order in orders {
            self.world.journal.note(order, fault.name());
        }
    }

    pub fn recoveries(&self) -> Vec<Recovery> {
        self.recoveries.lock().clone()
    }
}

/// The courier that delivers every message once and without delay, except while `Disorder` is active.
pub fn courier(journal: Arc<Journal>, faults: Arc<Faults>) -> Courier {
    Arc::new(move |messages| {
        if !faults.is_on(Fault::Disorder) {
            return vec![Delivery { late: Duration::ZERO, messages }];
        }
        let orders: Vec<_> = messages.iter().map(|message| message.body.clone()).collect();
        faults.happened(Fault::Disorder, journal.now(), &orders);
        disorder(&messages)
    })
}

/// Delivers each message one to three times, in three shuffled batches with random delays.
fn disorder(messages: &[Message]) -> Vec<Delivery> {
    let lateness = || LATEST.mul_f64(chance::share());
    let mut deliveries = [Duration::ZERO, lateness(), lateness()].map(|late| Delivery { late, messages: Vec::new() });
    for message in messages {
        for _ in 0..=chance::below(3) {
            deliveries[chance::below(3)].messages.push(message.clone());
        }
    }
    for delivery in &mut deliveries {
        chance::shuffle(&mut delivery.messages);
    }
    deliveries.into_iter().filter(|delivery| !delivery.messages.is_empty()).collect()
}
