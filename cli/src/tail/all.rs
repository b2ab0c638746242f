//! Follows all orders. Each poll reads the newest orders up to the first known one. It then reads some of the other active
//! orders one by one, with their tags, so that an unchanged order costs no body.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use shared::order::UserId;

use super::line::{Written, life, line, show};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::options::Tail;
use crate::orders::{ApiOrder, PAGE, Pages, encoded};
use crate::output::Output;

/// The most pages of a poll. If more orders come, it leaves out some.
const PAGES: usize = 5;
/// The most orders that a poll reads one by one.
const ASKED_AFTER: usize = 20;
/// The most active orders to follow; it forgets the oldest.
const KEPT: usize = 10_000;
/// The most ended orders to remember, so that it recognises them in a list.
const ENDED: usize = 2 * PAGE * PAGES;

/// An active order.
struct Known {
    shown: usize,
    etag: Option<String>,
}

/// The state of all followed orders.
struct Seen {
    output: Output,
    /// The lines of this poll that are not written yet.
    lines: Vec<Written>,
    active: HashMap<String, Known>,
    /// The active orders, the next one to read first.
    turns: VecDeque<String>,
    ended: VecDeque<String>,
}

/// Shows the last orders, then every change, until it is interrupted.
pub async fn follow(client: &Client<'_>, tail: &Tail, interval: Duration, output: Output) -> Result<Exit, Failure> {
    let mut seen =
        Seen { output, lines: Vec::new(), active: HashMap::new(), turns: VecDeque::new(), ended: VecDeque::new() };
    let user = tail.user.as_ref().map(UserId::as_str);
    let mut first = Pages::of(client, user, PAGE);
    let orders = first.next().await?.unwrap_or_default();
    for (place, order) in orders.iter().enumerate().rev() {
        seen.note(order, place < tail.last.into());
    }
    loop {
        show(std::mem::take(&mut seen.lines), output);
        tokio::time::sleep(interval).await;
        let newest = newest(client, user, &seen).await?;
        newest.iter().rev().for_each(|order| seen.note(order, true));
        seen.ask_after(client, &newest).await?;
    }
}

/// Reads the newest orders, up to the end of the page with the first known one.
async fn newest(client: &Client<'_>, user: Option<&str>, seen: &Seen) -> Result<Vec<ApiOrder>, Failure> {
    let mut found = Vec::new();
    // A short page is enough if there are few new orders.
    let mut pages = Pages::of(client, user, PAGE / 4);
    for _ in 0..PAGES * 4 {
        let Some(orders) = pages.next().await? else { break };
        let meets_known = orders.iter().any(|order| seen.knows(&order.order_id));
        found.extend(orders);
        if meets_known {
            break;
        }
    }
    Ok(found)
}

impl Seen {
    fn knows(&self, order_id: &str) -> bool {
        self.active.contains_key(order_id) || self.ended.iter().any(|ended| ended == order_id)
    }

    /// Remembers an order, and adds a line for each status that it has reached since. An order does not say when a retry made it
    /// pending again, so that status has no second line.
    fn note(&mut self, order: &ApiOrder, is_shown: bool) {
        let mut before = self.active.get(&order.order_id).map_or(0, |known| known.shown);
        if let Some(place) = self.ended.iter().position(|ended| *ended == order.order_id) {
            if !order.status.is_active() {
                return;
            }
            // An operator has retried it.
            self.ended.remove(place);
            before = 1;
        }
        let life = life(order);
        if is_shown {
            let output = self.output;
            self.lines.extend(life.iter().skip(before).filter_map(|status| line(order, *status, output)));
        }
        if !order.status.is_active() {
            self.active.remove(&order.order_id);
            self.ended.push_back(order.order_id.clone());
            forget(&mut self.ended, ENDED);
        } else if let Some(known) = self.active.get_mut(&order.order_id) {
            known.shown = life.len();
        } else {
            self.active.insert(order.order_id.clone(), Known { shown: life.len(), etag: None });
            self.turns.push_back(order.order_id.clone());
            for let_go in forget(&mut self.turns, KEPT) {
                self.active.remove(&let_go);
            }
        }
    }

    /// Reads some of the active orders that are not in this list.
    async fn ask_after(&mut self, client: &Client<'_>, met: &[ApiOrder]) -> Result<(), Failure> {
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

/// Removes the oldest items above this number, and returns them.
fn forget<T>(queue: &mut VecDeque<T>, most: usize) -> Vec<T> {
    queue.drain(..queue.len().saturating_sub(most)).collect()
}
