//! The faults that happen at a certain moment of a statement or a queue call. The proxy of the database and the queue call
//! these hooks.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use sandbox::runtime::{Environment, Pool};
use sandbox::wire::{Kind, Moment, Statement};
use sandbox::{queue, wire};
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

use crate::chance;
use crate::faults::{Fault, Faults};
use crate::journal::Journal;
use crate::receiver::Receiver;

/// How long a late outcome is withheld if no other worker starts.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long that worker has been processing when the outcome arrives.
const INTO_WORK: Duration = Duration::from_millis(200);
/// How often a call that hangs looks whether the fault is over.
const HANGING: Duration = Duration::from_millis(100);

/// The journal's words for a sent message. The sender's name follows.
pub const SENT: &str = "sent to the queue by";

/// The journal's words for the answer to a claim, whether it claimed the order or not. The worker's name follows.
pub const CLAIM: &str = "claim attempted by";

/// The parts of the world that the hooks read and change.
pub struct Hooks {
    /// Records what happened to each order.
    pub journal: Arc<Journal>,
    /// The faults to inject, and what they affected.
    pub faults: Arc<Faults>,
    pub receiver: Arc<Receiver>,
    /// How long an environment stays frozen.
    pub freeze: Duration,
    /// The functions. They are set later, because they need the addresses of what calls the hooks.
    pub pools: OnceCell<Vec<Weak<Pool>>>,
}

/// The moments at which a processor is killed, each with its fault and the journal's words for it.
const KILLS: [(Moment, Kind, Fault, &str); 4] = [
    (Moment::Before, Kind::Claim, Fault::KilledBeforeClaim, "killed before it claims"),
    (Moment::After, Kind::Claim, Fault::KilledAfterClaim, "killed after its claim"),
    (Moment::Before, Kind::Finish, Fault::KilledBeforeFinish, "killed before it records the outcome"),
    (Moment::After, Kind::Finish, Fault::KilledAfterFinish, "killed after it recorded the outcome"),
];

impl Hooks {
    pub fn of_wire(self: &Arc<Self>) -> wire::Hook {
        let hooks = Arc::clone(self);
        Arc::new(move |moment, statement| Arc::clone(&hooks).on_statement(moment, statement).boxed())
    }

    pub fn of_queue(self: &Arc<Self>) -> queue::CallHook {
        let hooks = Arc::clone(self);
        Arc::new(move |call| Arc::clone(&hooks).on_call(call).boxed())
    }

    async fn on_statement(self: Arc<Self>, moment: Moment, statement: Statement) -> wire::Ruling {
        self.record(moment, &statement);
        for (at, kind, fault, what) in KILLS {
            if (at, kind) == (moment, statement.kind) && self.strikes(fault, &statement.orders) {
                self.kill(&statement.environment, &statement.orders, what).await;
                return wire::Ruling::Cut;
            }
        }
        match (moment, statement.kind) {
            (Moment::After, Kind::Create) if self.strikes(Fault::ApiFrozen, &statement.orders) => {
                if let Some(environment) = self.pause(&statement, "frozen") {
                    let freeze = self.freeze;
                    tokio::spawn(async move {
                        sleep(freeze).await;
                        environment.resume();
                    });
                }
            }
            (Moment::After, Kind::Claim) if self.strikes(Fault::Hangs, &statement.orders) => {
                self.pause(&statement, "stopped");
            }
            (Moment::Before, Kind::Finish) if self.faults.disarm(Fault::LateOutcome) => {
                self.hold_back(&statement).await;
            }
            _ => {}
        }
        wire::Ruling::Pass
    }

    /// Adds the statement to the stories of its orders.
    fn record(&self, moment: Moment, statement: &Statement) {
        let what = match (moment, statement.kind) {
            (Moment::After, Kind::Claim) => CLAIM,
            (Moment::After, Kind::Reschedule) => "rescheduled by",
            (Moment::After, Kind::Finish) => "finished by",
            _ => return,
        };
        self.note(&statement.orders, &format!("{what} {}", statement.environment));
        if statement.kind == Kind::Finish {
            self.journal.last_finish.send_replace(self.journal.now());
        }
    }

    /// Kills the worker, and withholds its last statement until another worker processes the order.
    async fn hold_back(&self, statement: &Statement) {
        let Some(order) = statement.orders.first() else { return };
        let next = self.receiver.watch(order.clone());
        self.kill(&statement.environment, &statement.orders, "killed, and its outcome is late").await;
        self.faults.hold_back();
        if timeout(PATIENCE, next).await.is_ok_and(|begun| begun.is_ok()) {
            sleep(INTO_WORK).await;
            self.faults.happened(Fault::LateOutcome, self.journal.now(), &statement.orders);
        }
        self.faults.let_go();
        self.note(&statement.orders, &format!("the outcome of {} arrives", statement.environment));
    }

    async fn kill(&self, environment: &str, orders: &[String], what: &str) {
        self.note(orders, &format!("{environment} is {what}"));
        if let Some(environment) = self.find(environment) {
            environment.kill();
            environment.exited().await;
        }
    }

    fn pause(&self, statement: &Statement, what: &str) -> Option<Arc<Environment>> {
        self.note(&statement.orders, &format!("{} is {what}", statement.environment));
        self.find(&statement.environment).inspect(|environment| environment.pause())
    }

    /// Decides about a call to the event bus.
    async fn on_events(&self, details: &[String]) -> queue::CallRuling {
        let faults = [Fault::BusHangs, Fault::BusRefuses, Fault::BusHalves, Fault::BusLosesAnswers];
        let Some(fault) = faults.into_iter().find(|fault| self.faults.is_on(*fault)) else {
            return queue::CallRuling::Pass;
        };
        let order = |detail: &String| {
            serde_json::from_str::<Value>(detail).ok()?["order"]["order_id"].as_str().map(str::to_owned)
        };
        let orders: Vec<_> = details.iter().filter_map(order).collect();
        self.faults.happened(fault, self.journal.now(), &orders);
        self.note(&orders, fault.name());
        match fault {
            Fault::BusHangs => {
                self.hang(fault).await;
                queue::CallRuling::LoseCall
            }
            Fault::BusHalves => queue::CallRuling::Half,
            Fault::BusLosesAnswers => queue::CallRuling::LoseAnswer,
            _ => queue::CallRuling::Refuse(if chance::percent(25) { 503 } else { 403 }),
        }
    }

    async fn on_call(self: Arc<Self>, call: queue::Sighting) -> queue::CallRuling {
        if ["DescribeEventBus", "PutEvents"].contains(&call.action.as_str()) {
            return self.on_events(&call.bodies).await;
        }
        if self.faults.is_on(Fault::QueueHangs) {
            self.faults.happened(Fault::QueueHangs, self.journal.now(), &call.bodies);
            self.note(&call.bodies, Fault::QueueHangs.name());
            self.hang(Fault::QueueHangs).await;
        }
        let plans = ["SendMessage", "ChangeMessageVisibility"].iter().any(|action| call.action.starts_with(action));
        if call.queue != queue::ORDERS || !plans {
            return queue::CallRuling::Pass;
        }
        let is_api = call.environment.starts_with("api");
        if is_api && self.strikes(Fault::ApiKilled, &call.bodies) {
            self.kill(&call.environment, &call.bodies, "killed before it enqueues the order").await;
            return queue::CallRuling::LoseCall;
        }
        if self.faults.is_on(Fault::QueueRefuses) {
            self.faults.happened(Fault::QueueRefuses, self.journal.now(), &call.bodies);
            self.note(&call.bodies, Fault::QueueRefuses.name());
            return queue::CallRuling::Refuse(if chance::percent(25) { 503 } else { 403 });
        }
        self.note(&call.bodies, &format!("{SENT} {}", call.environment));
        queue::CallRuling::Pass
    }

    /// Waits until the fault is over.
    async fn hang(&self, fault: Fault) {
        while self.faults.is_on(fault) {
            sleep(HANGING).await;
        }
    }

    fn strikes(&self, fault: Fault, orders: &[String]) -> bool {
        let strikes = !orders.is_empty() && self.faults.disarm(fault);
        if strikes {
            self.faults.happened(fault, self.journal.now(), orders);
        }
        strikes
    }

    fn note(&self, orders: &[String], what: &str) {
        for order in orders {
            self.journal.note(order, what.to_owned());
        }
    }

    fn find(&self, name: &str) -> Option<Arc<Environment>> {
        self.pools.get()?.iter().filter_map(Weak::upgrade).find_map(|pool| pool.find(name))
    }
}
