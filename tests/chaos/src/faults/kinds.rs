//! The kinds of faults, with their names in the report.

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The api is killed after the commit and before it enqueues the order.
    ApiKilled,
    /// The api is frozen between the commit and the send, and resumes later.
    ApiFrozen,
    /// The processor is killed when it has received a batch and is about to claim it.
    KilledBeforeClaim,
    /// The processor is killed after it committed the claim.
    KilledAfterClaim,
    /// The processor is killed after the work, before it records the outcome.
    KilledBeforeFinish,
    /// The processor is killed after it recorded the outcome, before the messages are acknowledged.
    KilledAfterFinish,
    /// The processor is stopped after it committed the claim, until its time-out.
    Hangs,
    /// The processor is killed, and its outcome reaches the database while another worker processes the order.
    LateOutcome,
    /// Messages are delivered one to three times, shuffled and late.
    Disorder,
    /// Messages are deleted.
    Stolen,
    /// PostgreSQL is restarted and ends all sessions.
    FastRestart,
    /// PostgreSQL crashes and recovers.
    Crash,
    /// All connections to PostgreSQL are cut.
    Cut,
    /// The table `orders` is locked.
    OrdersLocked,
    /// The table `order_work` is locked.
    WorkLocked,
    /// All packets to and from the database are dropped.
    PacketsVanish,
    /// A standby is promoted and replaces the primary.
    Failover,
    /// An operator pauses processing.
    Paused,
    /// The queue refuses every message.
    QueueRefuses,
    /// The queue accepts calls and does not answer.
    QueueHangs,
    /// The event bus refuses every call.
    BusRefuses,
    /// The event bus accepts calls and does not answer.
    BusHangs,
    /// The event bus refuses every second event.
    BusHalves,
    /// The event bus takes the events, and its answer gets lost.
    BusLosesAnswers,
    /// The endpoint answers just before the processor's time limit.
    EndpointLate,
    /// The endpoint sends the body of its answer byte by byte and never ends it.
    EndpointDrips,
    /// The endpoint answers with a malformed `Retry-After`.
    EndpointGarbles,
    /// The endpoint answers after the processor's time limit.
    EndpointSlow,
    /// The endpoint answers 503.
    EndpointFails,
    /// The endpoint closes the connection without an answer.
    EndpointDrops,
    /// The endpoint answers 422, which is final.
    EndpointRefuses,
    /// A worker's clock is two minutes ahead.
    ClockAhead,
    /// A worker's clock is two minutes behind.
    ClockBehind,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 33] = [
        // First, because it takes long: the message's visibility timeout has to pass.
        Self::LateOutcome,
        Self::ApiKilled,
        Self::ApiFrozen,
        Self::KilledBeforeClaim,
        Self::KilledAfterClaim,
        Self::KilledBeforeFinish,
        Self::KilledAfterFinish,
        Self::Hangs,
        Self::Disorder,
        Self::Stolen,
        Self::EndpointSlow,
        Self::EndpointFails,
        Self::EndpointDrops,
        Self::EndpointRefuses,
        Self::EndpointLate,
        Self::EndpointDrips,
        Self::EndpointGarbles,
        Self::BusRefuses,
        Self::BusHangs,
        Self::BusHalves,
        Self::BusLosesAnswers,
        Self::ClockAhead,
        Self::ClockBehind,
        Self::FastRestart,
        Self::Crash,
        Self::Cut,
        Self::OrdersLocked,
        Self::WorkLocked,
        Self::PacketsVanish,
        Self::Failover,
        Self::Paused,
        // Last, because afterwards the queue has nothing to deliver for a while.
        Self::QueueRefuses,
        Self::QueueHangs,
    ];

    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::ApiKilled => "`api` killed between commit and send",
            Self::ApiFrozen => "`api` frozen between commit and send",
            Self::KilledBeforeClaim => "`processor` killed before the claim",
            Self::KilledAfterClaim => "`processor` killed after the claim",
            Self::KilledBeforeFinish => "`processor` killed after the work, before its outcome is recorded",
            Self::KilledAfterFinish => "`processor` killed after that, before the acknowledgement",
            Self::Hangs => "`processor` stands still until its time-out",
            Self::LateOutcome => "an outcome arrives when another worker has taken over",
            Self::Disorder => "messages delivered 1–3 times, shuffled, late",
            Self::Stolen => "messages deleted",
            Self::FastRestart => "PostgreSQL restarted (fast)",
            Self::Crash => "PostgreSQL restarted (immediate)",
            Self::Cut => "all database connections cut",
            Self::OrdersLocked => "`orders` locked",
            Self::WorkLocked => "`order_work` locked",
            Self::PacketsVanish => "the database's packets vanish",
            Self::Failover => "failover to a promoted standby",
            Self::Paused => "an operator pauses processing",
            Self::QueueHangs => "the queue takes calls and never answers",
            Self::QueueRefuses => "the queue refuses every send",
            Self::BusRefuses => "the event bus refuses every call",
            Self::BusHangs => "the event bus takes calls and never answers",
            Self::BusHalves => "the event bus takes half of each batch",
            Self::BusLosesAnswers => "the event bus takes events, and its answers get lost",
            Self::EndpointLate => "the endpoint answers late, but in time",
            Self::EndpointDrips => "the endpoint's answer drips and never ends",
            Self::EndpointGarbles => "the endpoint answers garbage in `Retry-After`",
            Self::EndpointSlow => "the endpoint answers too late",
            Self::EndpointFails => "the endpoint answers 503",
            Self::EndpointDrops => "the endpoint closes the connection",
            Self::EndpointRefuses => "the endpoint answers 422 (failed is the right end)",
            Self::ClockAhead => "a worker's clock 2 minutes ahead",
            Self::ClockBehind => "a worker's clock 2 minutes behind",
        }
    }
}
