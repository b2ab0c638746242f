//! `tail`: shows an order, or all orders, as they change, until it is interrupted.

mod all;
mod history;
mod line;
mod one;

use crate::client::Client;
use crate::deployment::Deployment;
use crate::exit::{Exit, Failure};
use crate::options;
use crate::output::Output;

/// Follows one order or all orders.
pub async fn run(deployment: &Deployment, tail: &options::Tail, output: Output) -> Result<Exit, Failure> {
    let client = Client::new(deployment)?.notifying(move |line| output.complain(line)).patient();
    let interval = tail.interval;
    let following = async {
        match &tail.order_id {
            Some(order_id) => one::follow(&client, order_id.as_str(), interval, output).await,
            None => all::follow(&client, tail, interval, output).await,
        }
    };
    tokio::select! {
        done = following => done,
        _ = tokio::signal::ctrl_c() => Ok(Exit::Fine),
    }
}
