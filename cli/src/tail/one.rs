//! Follows one order until it ends. It polls the order's status and its history, as often as the service's `Retry-After` says.

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

/// Shows each change of the order, and says at the end whether some are not recorded. Returns when the order ends; the exit status is 1
/// if it failed.
pub async fn follow(client: &Client<'_>, order_id: &str, interval: Duration, output: Output) -> Result<Exit, Failure> {
    let path = format!("/orders/{}", encoded(order_id));
    let order: ApiOrder = client.follow(&path).await?.read()?;
    let mut shown = 0;
    loop {
        // The status before the history, which is then whole if the order has ended.
        let answer = client.follow(&format!("{path}/status")).await?;
        let status = answer.read::<StatusOnly>()?.status;
        let history: Changes = client.follow(&format!("{path}/history")).await?.read()?;
        for line in history.lines(&order, output).iter().skip(shown) {
            output.say_painted(line);
        }
        shown = shown.max(history.changes.len());
        if !status.is_active() {
            if history.truncated {
                output.complain(&format!("the order {order_id} has so many changes that some are not recorded"));
            }
            return Ok(if status == Status::Failed { Exit::Wrong } else { Exit::Fine });
        }
        let wait = answer.retry_after().unwrap_or_default().max(interval).min(LONGEST_WAIT.max(interval));
        tokio::time::sleep(wait).await;
    }
}
