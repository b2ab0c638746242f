//! The kinds of faults.

/// A kind of fault. The table says what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    LateOutcome,
    ApiKilled,
    ApiFrozen,
    KilledBeforeClaim,
    KilledAfterClaim,
    KilledBeforeFinish,
    KilledAfterFinish,
    Hangs,
    Disorder,
    Stolen,
    EndpointSlow,
    EndpointFails,
    EndpointDrops,
    EndpointRefuses,
    EndpointLate,
    EndpointDrips,
    EndpointGarbles,
    BusRefuses,
    BusHangs,
    BusHalves,
    BusLosesAnswers,
    ClockAhead,
    ClockBehind,
    FastRestart,
    Crash,
    Cut,
    OrdersLocked,
    WorkLocked,
    PacketsVanish,
    Failover,
    Paused,
    QueueRefuses,
    QueueHangs,
}

/// How long a fault lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasts {
    /// It happens at one moment.
    Moment,
    /// It is active for a spell.
    Spell,
    /// It keeps the service from accepting or finishing orders until it is over.
    Stall,
}

/// All kinds with their names in the report. A run injects them one by one in this order, and then all at once.
const KINDS: [(Fault, Lasts, &str); 33] = [
    // First, because it takes long: the message's visibility timeout has to pass.
    (Fault::LateOutcome, Lasts::Moment, "an outcome arrives when another worker has taken over"),
    (Fault::ApiKilled, Lasts::Moment, "`api` killed between commit and send"),
    (Fault::ApiFrozen, Lasts::Moment, "`api` frozen between commit and send"),
    (Fault::KilledBeforeClaim, Lasts::Moment, "`processor` killed before the claim"),
    (Fault::KilledAfterClaim, Lasts::Moment, "`processor` killed after the claim"),
    (Fault::KilledBeforeFinish, Lasts::Moment, "`processor` killed after the work, before its outcome is recorded"),
    (Fault::KilledAfterFinish, Lasts::Moment, "`processor` killed after that, before the acknowledgement"),
    (Fault::Hangs, Lasts::Moment, "`processor` stands still until its time-out"),
    (Fault::Disorder, Lasts::Spell, "messages delivered 1–3 times, shuffled, late"),
    (Fault::Stolen, Lasts::Moment, "messages deleted"),
    (Fault::EndpointSlow, Lasts::Spell, "the endpoint answers too late"),
    (Fault::EndpointFails, Lasts::Spell, "the endpoint answers 503"),
    (Fault::EndpointDrops, Lasts::Spell, "the endpoint closes the connection"),
    (Fault::EndpointRefuses, Lasts::Spell, "the endpoint answers 422 (failed is the right end)"),
    (Fault::EndpointLate, Lasts::Spell, "the endpoint answers late, but in time"),
    (Fault::EndpointDrips, Lasts::Spell, "the endpoint's answer drips and never ends"),
    (Fault::EndpointGarbles, Lasts::Spell, "the endpoint answers garbage in `Retry-After`"),
    (Fault::BusRefuses, Lasts::Spell, "the event bus refuses every call"),
    (Fault::BusHangs, Lasts::Spell, "the event bus takes calls and never answers"),
    (Fault::BusHalves, Lasts::Spell, "the event bus takes half of each batch"),
    (Fault::BusLosesAnswers, Lasts::Spell, "the event bus takes events, and its answers get lost"),
    (Fault::ClockAhead, Lasts::Spell, "a worker's clock 2 minutes ahead"),
    (Fault::ClockBehind, Lasts::Spell, "a worker's clock 2 minutes behind"),
    (Fault::FastRestart, Lasts::Stall, "PostgreSQL restarted (fast)"),
    (Fault::Crash, Lasts::Stall, "PostgreSQL restarted (immediate)"),
    (Fault::Cut, Lasts::Moment, "all database connections cut"),
    (Fault::OrdersLocked, Lasts::Stall, "`orders` locked"),
    (Fault::WorkLocked, Lasts::Stall, "`order_work` locked"),
    (Fault::PacketsVanish, Lasts::Stall, "the database's packets vanish"),
    (Fault::Failover, Lasts::Stall, "failover to a promoted standby"),
    (Fault::Paused, Lasts::Stall, "an operator pauses processing"),
    // Last, because afterwards the queue has nothing to deliver for a while.
    (Fault::QueueRefuses, Lasts::Spell, "the queue refuses every send and every change of visibility"),
    (Fault::QueueHangs, Lasts::Stall, "the queue takes calls and never answers"),
];

impl Fault {
    /// All kinds, in that order.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        KINDS.iter().map(|(fault, ..)| *fault)
    }

    pub fn name(self) -> &'static str {
        self.kind().2
    }

    pub fn lasts(self) -> Lasts {
        self.kind().1
    }

    fn kind(self) -> &'static (Self, Lasts, &'static str) {
        KINDS.iter().find(|(fault, ..)| *fault == self).expect("the table has every kind")
    }
}
