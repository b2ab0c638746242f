//! Follows all orders. Each poll reads the newest orders, back to the horizon. It then reads some of the other active
//! orders one by one, with their tags, so that an unchanged order costs no body.

mod seen;

use std::time::{Duration, Instant};

use shared::order::UserId;

use super::line::show;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::options::Tail;
use crate::orders::{ApiOrder, PAGE, Pages};
use crate::output::Output;
use seen::Seen;

/// The most orders of a poll's list. If more come, it leaves out some.
const LISTED: usize = 5 * PAGE;

/// Shows the last orders, then every change, until it is interrupted.
pub async fn follow(client: &Client<'_>, tail: &Tail, interval: Duration, output: Output) -> Result<Exit, Failure> {
    let mut seen = Seen::new(output);
    let user = tail.user.as_ref().map(UserId::as_str);
    let begun = Instant::now();
    let mut pages = Pages::of(client, user, PAGE);
    let orders = pages.next().await?.unwrap_or_default();
    for (place, order) in orders.iter().enumerate().rev() {
        seen.note(order, place < tail.last.into());
    }
    seen.floor = orders.last().filter(|_| !pages.is_over()).map(|order| order.created_at);
    seen.settle(&orders, begun);
    show(std::mem::take(&mut seen.lines), output);
    loop {
        tokio::time::sleep(interval).await;
        let begun = Instant::now();
        let newest = newest(client, user, &seen).await?;
        if let Some(gap) = seen.gap(&newest) {
            output.complain(&gap);
        }
        seen.recent = newest.iter().filter(|order| Some(order.created_at) > seen.horizon).count();
        seen.meet(&newest);
        seen.settle(&newest, begun);
        show(std::mem::take(&mut seen.lines), output);
        let asked = seen.ask_after(client, &newest).await;
        // Also before an error.
        show(std::mem::take(&mut seen.lines), output);
        asked?;
    }
}

/// Reads the newest orders, back to the horizon.
async fn newest(client: &Client<'_>, user: Option<&str>, seen: &Seen) -> Result<Vec<ApiOrder>, Failure> {
    let mut found = Vec::new();
    // A short page is enough if there are few new orders.
    let mut pages = Pages::of(client, user, if seen.recent < PAGE / 4 { PAGE / 4 } else { PAGE });
    for _ in 0..LISTED / (PAGE / 4) {
        let Some(orders) = pages.next().await? else { break };
        let is_read = orders.last().is_some_and(|oldest| Some(oldest.created_at) <= seen.horizon);
        found.extend(orders);
        if is_read || found.len() >= LISTED {
            break;
        }
    }
    Ok(found)
}
