//! The merchant's fulfilment endpoint. It fulfils each order once, however many calls it receives, keeps a journal, and
//! misbehaves while one of its faults is active.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use sandbox::Result;
use sandbox::merchant::Reply;
use sandbox::server::{Request, Response, Server, json};
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::chance;
use crate::faults::{Fault, Faults};
use crate::journal::{Call, Journal};

/// The secret that signs the calls.
pub const SECRET: &str = "a-secret-of-sixteen-characters-or-more";
/// From how many seconds of difference a signature's time proves that the worker's clock is wrong.
const WRONG_CLOCK: i64 = 60;
/// How long the endpoint usually takes for a call.
const USUAL: Duration = Duration::from_millis(5);
/// How long it takes for a call that [`Receiver::watch`] waits for.
const WATCHED: Duration = Duration::from_millis(600);

/// The pause between two bytes of a dripping answer.
const DRIP: Duration = Duration::from_millis(100);
/// Malformed values of `Retry-After`.
const GARBAGE: [&str; 5] = ["soon", "-1", "1.5", "1, 2", "Thu, 99 Foo 2026 25:61:00 GMT"];
/// The statuses with a `Retry-After`.
const ASKS: [u16; 3] = [202, 429, 503];

pub struct Receiver {
    journal: Arc<Journal>,
    faults: Arc<Faults>,
    patience: Duration,
    /// The watched orders, each with the channel that announces its next call.
    watched: Mutex<Vec<(String, oneshot::Sender<()>)>>,
}

impl Receiver {
    /// An endpoint whose callers wait `patience` for an answer.
    pub fn new(journal: Arc<Journal>, faults: Arc<Faults>, patience: Duration) -> Arc<Self> {
        Arc::new(Self { journal, faults, patience, watched: Mutex::default() })
    }

    pub async fn serve(self: &Arc<Self>) -> Result<Server> {
        let receiver = Arc::clone(self);
        Server::start(move |request| Arc::clone(&receiver).answer(request)).await
    }

    /// Notifies the returned channel when the next call about this order begins. That call then takes longer.
    pub fn watch(&self, order: String) -> oneshot::Receiver<()> {
        let (begun, notified) = oneshot::channel();
        self.watched.lock().push((order, begun));
        notified
    }

    async fn answer(self: Arc<Self>, request: Request) -> Option<Response> {
        let Some((order, time)) = Self::read(&request) else {
            self.journal.violation("the endpoint received a malformed or wrongly signed call".to_owned());
            return Some(json(400, "{}"));
        };
        self.note_clock(&order, time);
        let mut call = self.begin(&order);
        sleep(if self.is_watched(&order) { WATCHED } else { USUAL }).await;
        let reply = self.decide(&order).await;
        call.answered(reply.as_ref());
        reply.map(Reply::response)
    }

    /// Returns the order and the signature's time if the key, the body and the signature agree.
    fn read(request: &Request) -> Option<(String, i64)> {
        let header = |name| request.headers().get(name)?.to_str().ok();
        let (order, time) = (header("idempotency-key")?, header("webhook-timestamp")?);
        let body: Value = serde_json::from_slice(request.body()).ok()?;
        Webhook::from_bytes(SECRET.into())
            .and_then(|library| library.verify(request.body(), request.headers()))
            .ok()?;
        (body["order_id"] == order).then_some((order.to_owned(), time.parse().ok()?))
    }

    /// Records a clock fault if the signature's time shows that the worker's clock is wrong.
    fn note_clock(&self, order: &str, time: i64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed());
        if (time - now).abs() < WRONG_CLOCK {
            return;
        }
        let fault = if time > now { Fault::ClockAhead } else { Fault::ClockBehind };
        self.faults.happened(fault, self.journal.now(), &[order.to_owned()]);
        self.journal.note(order, fault.name());
    }

    fn begin(&self, order: &str) -> UnderWay<'_> {
        let begin = self.journal.now();
        let index = self.journal.change(order, "the endpoint is called", |story| {
            story.overlapped |= story.calls.iter().any(|call| call.end.is_none());
            story.calls_after_acting += usize::from(story.acted);
            story.calls.push(Call { begin, end: None, is_answered: false });
            story.calls.len() - 1
        });
        UnderWay { journal: &self.journal, order: order.to_owned(), index, is_answered: false }
    }

    fn is_watched(&self, order: &str) -> bool {
        let mut watched = self.watched.lock();
        let Some(index) = watched.iter().position(|(of, _)| of == order) else { return false };
        let _ = watched.swap_remove(index).1.send(()); // The receiver may have given up.
        true
    }

    /// Chooses the answer, or none, and fulfils the order or not.
    async fn decide(&self, order: &str) -> Option<Reply> {
        if self.refuses(order) {
            return Some(Reply::of(422));
        }
        if chance::percent(50) {
            self.act(order);
        }
        for fault in MISBEHAVIOUR {
            if self.faults.is_on(fault) && chance::percent(40) {
                self.faults.happened(fault, self.journal.now(), &[order.to_owned()]);
                self.journal.note(order, fault.name());
                return self.misbehave(fault, order).await;
            }
        }
        self.act(order);
        Some(Reply::of(204))
    }

    async fn misbehave(&self, fault: Fault, order: &str) -> Option<Reply> {
        match fault {
            Fault::EndpointSlow => {
                sleep(self.patience + Duration::from_secs(1)).await;
                Some(Reply::of(204))
            }
            Fault::EndpointFails => Some(Reply::of(503)),
            Fault::EndpointLate => {
                sleep(self.patience.mul_f64(0.7)).await;
                self.act(order);
                Some(Reply::of(204))
            }
            Fault::EndpointDrips => {
                self.act(order);
                Some(Reply { drip: Some(DRIP), ..Reply::of(200) })
            }
            Fault::EndpointGarbles => {
                let retry_after = GARBAGE[chance::below(GARBAGE.len())];
                Some(Reply::of(ASKS[chance::below(ASKS.len())]).with("retry-after", retry_after))
            }
            _ => None,
        }
    }

    /// Whether the endpoint refuses the order for good. The first call about an order decides that.
    fn refuses(&self, order: &str) -> bool {
        let is_drawn = self.faults.is_on(Fault::EndpointRefuses) && chance::percent(20);
        let mut stories = self.journal.stories.lock();
        let Some(story) = stories.get_mut(order) else { return false };
        story.refused |= is_drawn && story.calls.len() == 1 && !story.acted;
        let refuses = story.refused && !story.retried;
        drop(stories);
        if refuses {
            self.faults.happened(Fault::EndpointRefuses, self.journal.now(), &[order.to_owned()]);
        }
        refuses
    }

    fn act(&self, order: &str) {
        if let Some(story) = self.journal.stories.lock().get_mut(order) {
            story.acted = true;
        }
    }
}

/// The faults that change the endpoint's answer.
const MISBEHAVIOUR: [Fault; 6] = [
    Fault::EndpointSlow,
    Fault::EndpointFails,
    Fault::EndpointDrops,
    Fault::EndpointLate,
    Fault::EndpointDrips,
    Fault::EndpointGarbles,
];

/// A call in progress. Dropping it ends the call, also if the caller disconnected.
struct UnderWay<'a> {
    journal: &'a Journal,
    order: String,
    index: usize,
    is_answered: bool,
}

impl UnderWay<'_> {
    fn answered(&mut self, reply: Option<&Reply>) {
        self.is_answered = reply.is_some();
        let what =
            reply.map_or("the endpoint closes the connection".into(), |reply| format!("it answers {}", reply.status));
        self.journal.note(&self.order, what);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let (now, is_answered) = (self.journal.now(), self.is_answered);
        if let Some(story) = self.journal.stories.lock().get_mut(&self.order) {
            if !is_answered {
                story.events.push((now, "a call ends without an answer".into()));
            }
            let call = &mut story.calls[self.index];
            (call.end, call.is_answered) = (Some(now), is_answered);
        }
    }
}
