//! The orders that `tail` follows, and their lines.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::LISTED;
use crate::client::Client;
use crate::exit::Failure;
use crate::orders::{ApiOrder, encoded};
use crate::output::Output;
use crate::tail::line::{Written, life, line};

/// How long an order may take from its `created_at` until a list has it: twice as long as PostgreSQL lets a statement run.
const LATE: Duration = Duration::from_secs(10);
/// The most orders that a poll reads one by one.
const ASKED_AFTER: usize = 20;
/// The most active orders to follow; it forgets the oldest.
const KEPT: usize = 10_000;
/// The most ended orders to remember, so that it recognises them in a list.
const ENDED: usize = 2 * LISTED;

/// An active order.
struct Known {
    created_at: OffsetDateTime,
    shown: usize,
    etag: Option<String>,
}

/// The state of all followed orders.
pub struct Seen {
    output: Output,
    /// The lines of this poll that are not written yet.
    pub lines: Vec<Written>,
    active: HashMap<String, Known>,
    /// The active orders, the next one to read first.
    turns: VecDeque<String>,
    /// The ended orders and when they ended, the one last met behind.
    ended: VecDeque<(String, Option<OffsetDateTime>)>,
    /// When the newest order was created, and when a list first had it.
    newest: Option<(OffsetDateTime, Instant)>,
    /// Orders that were created until then are older than the first list.
    pub floor: Option<OffsetDateTime>,
    /// `tail` knows every order that was created until then, except those that are older than the first list.
    pub horizon: Option<OffsetDateTime>,
    /// How many orders of the last list were above the horizon.
    pub recent: usize,
}

impl Seen {
    pub fn new(output: Output) -> Self {
        Self {
            output,
            lines: Vec::new(),
            active: HashMap::new(),
            turns: VecDeque::new(),
            ended: VecDeque::new(),
            newest: None,
            floor: None,
            horizon: None,
            recent: 0,
        }
    }

    fn knows(&self, order_id: &str) -> bool {
        self.active.contains_key(order_id) || self.ended.iter().any(|(ended, _)| ended == order_id)
    }

    /// Says which orders the list leaves out, if there are too many new ones.
    pub fn gap(&self, list: &[ApiOrder]) -> Option<String> {
        let (oldest, (known, _)) = (list.last()?.created_at, self.newest?);
        let [known_at, oldest_at] = [known, oldest].map(|at| at.format(&Rfc3339).unwrap_or_default());
        (list.len() >= LISTED && oldest > known).then(|| {
            format!("more than {LISTED} orders are new; those that were created between {known_at} and {oldest_at} are left out")
        })
    }

    /// Notes the orders of a list. Shows an unknown order only if it is above the horizon: another one is older than the first list, or
    /// has ended so long ago that it was forgotten.
    pub fn meet(&mut self, list: &[ApiOrder]) {
        for order in list.iter().rev() {
            let is_shown = Some(order.created_at) > self.horizon || self.knows(&order.order_id);
            self.note(order, is_shown);
        }
    }

    /// Sets the horizon after a list, whose first call began at this moment. The horizon stays behind the newest order until a list also
    /// has the orders that were created before that one and committed after it.
    pub fn settle(&mut self, list: &[ApiOrder], asked: Instant) {
        let newest = list.iter().map(|order| order.created_at).max();
        if let Some(newest) = newest.filter(|newest| self.newest.is_none_or(|(known, _)| known < *newest)) {
            self.newest = Some((newest, Instant::now()));
        }
        self.horizon = self.newest.map(|(newest, since)| {
            let is_settled = asked.saturating_duration_since(since) >= LATE;
            if is_settled { newest } else { newest - LATE }
        });
        self.horizon = self.horizon.max(self.floor);
    }

    /// Remembers an order, and adds a line for each status that it has reached since. An order does not say when a retry made it
    /// pending again, so that status has no second line.
    pub fn note(&mut self, order: &ApiOrder, is_shown: bool) {
        let mut before = self.active.get(&order.order_id).map_or(0, |known| known.shown);
        let place = self.ended.iter().position(|(ended, _)| *ended == order.order_id);
        if let Some(ended) = place.and_then(|place| self.ended.remove(place)) {
            if ended.1 == order.finished_at {
                self.ended.push_back(ended);
                return;
            }
            // An operator has retried it.
            before = 1;
        }
        let life = life(order);
        if is_shown {
            let output = self.output;
            self.lines.extend(life.iter().skip(before).filter_map(|status| line(order, *status, output)));
        }
        if !order.status.is_active() {
            self.let_go(&order.order_id);
            self.ended.push_back((order.order_id.clone(), order.finished_at));
            if self.ended.len() > ENDED {
                self.ended.pop_front();
            }
        } else if let Some(known) = self.active.get_mut(&order.order_id) {
            known.shown = life.len();
        } else {
            let known = Known { created_at: order.created_at, shown: life.len(), etag: None };
            self.active.insert(order.order_id.clone(), known);
            self.turns.push_back(order.order_id.clone());
            if self.active.len() > KEPT {
                let oldest = self.active.iter().min_by_key(|(_, known)| known.created_at);
                if let Some(order_id) = oldest.map(|(order_id, _)| order_id.clone()) {
                    self.let_go(&order_id);
                }
            }
        }
    }

    /// Follows this order no longer.
    fn let_go(&mut self, order_id: &str) {
        self.active.remove(order_id);
        self.turns.retain(|turn| turn != order_id);
    }

    /// Reads some of the active orders that are not in this list.
    pub async fn ask_after(&mut self, client: &Client<'_>, met: &[ApiOrder]) -> Result<(), Failure> {
        let mut asked = 0;
        for _ in 0..self.turns.len() {
            if asked == ASKED_AFTER {
                break;
            }
            let Some(order_id) = self.turns.pop_front() else { break };
            let Some(known) = self.active.get(&order_id) else { continue };
            if !met.iter().any(|order| order.order_id == order_id) {
                asked += 1;
                let path = format!("/orders/{}", encoded(&order_id));
                let answer = client.follow_unless(&path, known.etag.as_deref()).await?;
                if answer.status == 404 {
                    // The order does not exist any more.
                    self.active.remove(&order_id);
                } else if answer.status != 304 {
                    self.note(&answer.read()?, true);
                    self.remember(&order_id, answer.header("etag"));
                }
            }
            if self.active.contains_key(&order_id) {
                self.turns.push_back(order_id);
            }
        }
        Ok(())
    }

    fn remember(&mut self, order_id: &str, etag: Option<&str>) {
        if let Some(known) = self.active.get_mut(order_id) {
            known.etag = etag.map(str::to_owned);
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::order::Status;

    use super::*;

    fn order(order_id: &str, status: Status, second: usize) -> ApiOrder {
        let at = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(second as u64);
        let ended = (!status.is_active()).then_some(at);
        ApiOrder {
            order_id: order_id.into(),
            user_id: "u".into(),
            total_amount: "1.00".into(),
            currency: "EUR".into(),
            status,
            created_at: at,
            started_at: ended,
            finished_at: ended,
            attempts: 1,
            failure: None,
        }
    }

    #[test]
    fn ended_order_that_stays_in_the_list_is_shown_once() {
        let mut seen = Seen::new(Output::plain(false));
        for number in 0..ENDED + 10 {
            seen.note(&order(&format!("o-{number}"), Status::Completed, 1), true);
            seen.note(&order("same", Status::Completed, 1), true);
        }
        let same = seen.lines.iter().filter(|(_, line)| line.contains("same") && line.contains("completed"));
        assert_eq!(same.count(), 1);
    }

    #[test]
    fn order_that_was_forgotten_is_not_shown_again() {
        let mut seen = Seen::new(Output::plain(false));
        let first = order("first", Status::Completed, 50);
        seen.meet(std::slice::from_ref(&first));
        seen.settle(&[order("newest", Status::Pending, 100)], Instant::now());
        (0..ENDED).for_each(|number| seen.note(&order(&format!("o-{number}"), Status::Completed, 1), false));
        seen.lines.clear();
        seen.meet(&[order("late", Status::Completed, 95), first]);
        assert!(seen.lines.iter().all(|(_, line)| line.contains("late")) && seen.lines.len() == 3, "{:?}", seen.lines);
    }

    #[test]
    fn horizon_reaches_the_newest_order_once_no_older_one_can_come() {
        let (mut seen, begun) = (Seen::new(Output::plain(false)), Instant::now());
        let list = [order("o-2", Status::Pending, 100), order("o-1", Status::Pending, 50)];
        let at = |second| Some(OffsetDateTime::UNIX_EPOCH + Duration::from_secs(second));
        seen.settle(&list, begun);
        assert_eq!(seen.horizon, at(90));
        seen.settle(&list, begun + 2 * LATE);
        assert_eq!(seen.horizon, at(100));
        seen.settle(&[order("o-3", Status::Pending, 101)], begun);
        assert_eq!(seen.horizon, at(91));
        // Orders that are older than a full first list are not new.
        seen.floor = at(95);
        seen.settle(&[], begun);
        assert_eq!(seen.horizon, at(95));
    }

    #[test]
    fn oldest_active_orders_are_forgotten() {
        let mut seen = Seen::new(Output::plain(false));
        (0..KEPT).for_each(|number| seen.note(&order(&format!("o-{number}"), Status::Pending, number), true));
        // The oldest order has just been read, and the newest ones are next.
        seen.turns.rotate_left(KEPT / 2);
        (KEPT..KEPT + 5).for_each(|number| seen.note(&order(&format!("o-{number}"), Status::Pending, number), true));
        assert_eq!((seen.active.len(), seen.turns.len()), (KEPT, KEPT));
        for (number, is_known) in [(4, false), (5, true), (KEPT / 2, true), (KEPT + 4, true)] {
            assert_eq!(seen.knows(&format!("o-{number}")), is_known, "{number}");
        }
    }
}
