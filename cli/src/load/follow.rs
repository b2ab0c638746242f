//! Follows a run's orders to their end with few calls. It reads a hundred orders a call by their identifiers, oldest first. It reads
//! an ended order once, and an active one again as often as the service's `Retry-After` says.

use std::collections::HashSet;
use std::ops::Range;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::run::Run;
use super::send::Sent;
use super::totals::OrderTotals;
use crate::client::Client;
use crate::exit::Failure;
use crate::interrupt::Interrupt;
use crate::orders::{ApiOrder, PAGE, Page, encoded};

/// How many orders a call reads: the most that a list takes by their identifiers.
const ORDERS: usize = 100;
/// The shortest and the longest wait until an active order is read again.
const WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// How long after an interrupt a run stops reading its orders. It reports within five seconds, also on a busy machine.
const LAST_READ: Duration = Duration::from_secs(4);

/// The orders of a run, as far as they have been read.
struct Follower<'a> {
    client: &'a Client<'a>,
    run: &'a Run,
    bar: &'a ProgressBar,
    /// The numbers of the orders that have not been read.
    unread: Range<u32>,
    /// The orders that were active when they were read, newest first.
    active: Vec<ApiOrder>,
    /// The totals of the orders that will not be read again.
    found: OrderTotals,
    /// The numbers of the accepted orders that were not found.
    missing: HashSet<u32>,
}

/// Waits until each order that was sent has ended, patience is over, or the run is interrupted. Returns the totals of the orders that it
/// has found, how many accepted ones it has not, and why it has not read all of them if a read failed.
pub async fn to_the_end(
    client: &Client<'_>,
    run: &Run,
    sent: &Sent,
    patience: Duration,
    bar: &ProgressBar,
    interrupt: &Interrupt,
) -> (OrderTotals, usize, Option<Failure>) {
    let mut follower = Follower {
        client,
        run,
        bar,
        unread: 0..sent.tried,
        active: Vec::new(),
        found: OrderTotals::default(),
        missing: sent.accepted.clone(),
    };
    let mut read = tokio::select! {
        read = follower.read_all(Instant::now() + patience) => read,
        () = interrupt.wait() => Ok(()),
    };
    if read.is_ok() {
        read = tokio::select! {
            read = follower.read_all(Instant::now()) => read,
            () = interrupt.wait_and(LAST_READ) => {
                Err(Failure::Unreachable("the orders could not be read in time".to_owned()))
            }
        };
    }
    follower.give_up_waiting();
    (follower.found, follower.missing.len(), read.err())
}

impl Follower<'_> {
    /// Reads all orders, and waits for the active ones until `end`. It can be dropped and called again.
    async fn read_all(&mut self, end: Instant) -> Result<(), Failure> {
        while !self.active.is_empty() || !self.unread.is_empty() {
            self.read_some().await?;
            if Instant::now() >= end {
                self.give_up_waiting();
            } else if let Some(oldest) = self.active.last() {
                let answer = self.client.follow(&format!("/orders/{}/status", encoded(&oldest.order_id))).await?;
                tokio::time::sleep(answer.retry_after().unwrap_or_default().clamp(WAIT.0, WAIT.1)).await;
            }
        }
        Ok(())
    }

    /// Counts the active orders as they are.
    fn give_up_waiting(&mut self) {
        for order in std::mem::take(&mut self.active) {
            self.count(&order);
        }
    }

    fn count(&mut self, order: &ApiOrder) {
        self.found.add(order);
        if let Some(number) = self.run.number(&order.order_id) {
            self.missing.remove(&number);
        }
    }

    /// Reads the active orders again, and as many others as fit into the call.
    async fn read_some(&mut self) -> Result<(), Failure> {
        // A server that is not Ordermill may send more orders than the call names.
        let others = ORDERS.saturating_sub(self.active.len());
        let ids = self.active.iter().map(|order| order.order_id.clone());
        let ids = ids.chain(self.unread.clone().take(others).map(|number| self.run.order_id(number)));
        let path = ids.fold(format!("/orders?limit={PAGE}"), |path, id| format!("{path}&order_id={}", encoded(&id)));
        let page: Page = self.client.follow(&path).await?.read()?;
        self.unread.by_ref().take(others).for_each(drop);
        let (active, ended): (Vec<_>, Vec<_>) = page.orders.into_iter().partition(|order| order.status.is_active());
        self.active = active;
        for order in &ended {
            self.count(order);
        }
        self.bar.set_position(self.found.count().into());
        Ok(())
    }
}
