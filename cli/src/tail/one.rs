//! Follows one order until it ends. It polls the status, the smallest answer, as often as the service's `Retry-After` says, and
//! reads the order and its history after a change.

use std::time::Duration;

use serde::Deserialize;
use shared::order::Status;

use super::history::Changes;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::orders::{ApiOrder, encoded};
use crate::output::Output;

/// The longest wait between two polls: a user can cancel an order that waits for long.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct StatusOnly {
    status: Status,
}

/// Shows each change of the order. Returns when the order ends; the exit status is 1 if it failed.
pub async fn follow(client: &Client<'_>, order_id: &str, interval: Duration, output: Output) -> Result<Exit, Failure> {
    let path = format!("/orders/{}", encoded(order_id));
    let mut shown = 0;
    loop {
        let order: ApiOrder = client.follow(&path).await?.read()?;
        let history: Changes = client.follow(&format!("{path}/history")).await?.read()?;
        for line in history.lines(&order, output).iter().skip(shown) {
            output.say(line);
        }
        shown = shown.max(history.changes.len());
        if !order.status.is_active() {
            return Ok(if order.status == Status::Failed { Exit::Wrong } else { Exit::Fine });
        }
        change(client, &path, order.status, interval).await?;
    }
}

/// Returns once the order has another status than this one.
async fn change(client: &Client<'_>, path: &str, status: Status, interval: Duration) -> Result<(), Failure> {
    loop {
        let answer = client.follow(&format!("{path}/status")).await?;
        let wait = answer.retry_after().unwrap_or_default().max(interval).min(LONGEST_WAIT.max(interval));
        if answer.read::<StatusOnly>()?.status != status {
            return Ok(());
        }
        tokio::time::sleep(wait).await;
    }
}
