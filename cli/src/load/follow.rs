//! Follows a run's orders to their end with few calls. It lists only the active ones, as often as the service's
//! `Retry-After` says, and reads the ended ones once, at the end.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use shared::order::Status;

use super::run::Run;
use crate::client::Client;
use crate::exit::Failure;
use crate::interrupt::Interrupt;
use crate::orders::{ApiOrder, PAGE, Pages, encoded};

/// The most pages of each active status that one poll reads.
const PAGES: usize = 5;
/// The shortest and the longest wait between two polls.
const WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// How long after an interrupt a run stops reading its orders.
const LAST_READ: Duration = Duration::from_millis(4500);

/// The active orders of a run.
#[derive(Default)]
struct Active {
    count: u32,
    /// One of the orders; its status has a `Retry-After`.
    one: Option<String>,
}

/// Waits until every order has ended, patience is over, or the run is interrupted. Then reads all orders of the run.
pub async fn to_the_end(
    client: &Client<'_>,
    run: &Run,
    accepted: u32,
    patience: Duration,
    bar: &ProgressBar,
    interrupt: &Interrupt,
) -> Result<Vec<ApiOrder>, Failure> {
    tokio::select! {
        waited = wait(client, run, accepted, patience, bar) => waited?,
        () = interrupt.wait() => {}
    }
    tokio::select! {
        found = all(client, run) => found,
        () = interrupt.wait_and(LAST_READ) => {
            Err(Failure::Unreachable("the orders could not be read in time".to_owned()))
        }
    }
}

async fn wait(
    client: &Client<'_>,
    run: &Run,
    accepted: u32,
    patience: Duration,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let end = Instant::now() + patience;
    loop {
        let active = look(client, run).await?;
        bar.set_position(accepted.saturating_sub(active.count).into());
        let Some(one) = active.one.filter(|_| Instant::now() < end) else { return Ok(()) };
        let answer = client.follow(&format!("/orders/{}/status", encoded(&one))).await?;
        tokio::time::sleep(answer.retry_after().unwrap_or_default().clamp(WAIT.0, WAIT.1)).await;
    }
}

async fn look(client: &Client<'_>, run: &Run) -> Result<Active, Failure> {
    let mut active = Active::default();
    for status in [Status::Pending, Status::Processing] {
        let mut pages = Pages::of(client, Some(status), Some(&run.user), PAGE);
        for _ in 0..PAGES {
            let Some(orders) = pages.next().await? else { break };
            for order in orders.into_iter().filter(|order| run.owns(&order.order_id)) {
                active.count += 1;
                active.one = Some(order.order_id);
            }
        }
    }
    Ok(active)
}

/// Reads every order of the run. If its user has other orders too, it stops at the first page without an order of the run, once
/// it has found some: lists are newest first.
async fn all(client: &Client<'_>, run: &Run) -> Result<Vec<ApiOrder>, Failure> {
    let mut found = Vec::new();
    let mut pages = Pages::of(client, None, Some(&run.user), PAGE);
    while let Some(orders) = pages.next().await? {
        let own: Vec<_> = orders.into_iter().filter(|order| run.owns(&order.order_id)).collect();
        if own.is_empty() && !found.is_empty() {
            break;
        }
        found.extend(own);
    }
    Ok(found)
}
