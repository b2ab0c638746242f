//! Follows a run's orders to their end with few calls. It reads a hundred orders a call by their identifiers, oldest first. It reads
//! an ended order once, and an active one again as often as the service's `Retry-After` says.

use std::ops::Range;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::run::Run;
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
}

/// Waits until each of the first `tried` orders has ended, patience is over, or the run is interrupted. Returns the totals of
/// the orders that it has found, and why it has not read all of them if a read failed.
pub async fn to_the_end(
    client: &Client<'_>,
    run: &Run,
    tried: u32,
    patience: Duration,
    bar: &ProgressBar,
    interrupt: &Interrupt,
) -> (OrderTotals, Option<Failure>) {
    let mut follower =
        Follower { client, run, bar, unread: 0..tried, active: Vec::new(), found: OrderTotals::default() };
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
    (follower.found, read.err())
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
        for order in self.active.drain(..) {
            self.found.add(&order);
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
            self.found.add(order);
        }
        self.bar.set_position(self.found.count().into());
        Ok(())
    }
}
