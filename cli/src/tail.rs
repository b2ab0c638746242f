//! `tail`: shows an order's life, or everybody's orders, as it happens, until it is interrupted.

mod all;
mod history;
mod line;
mod one;

use std::time::Duration;

use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::options;
use crate::output::Output;
use crate::place::Place;

/// Follows what is asked for.
pub async fn run(place: &Place, tail: &options::Tail, output: Output) -> Result<Exit, Failure> {
    let client = Client::new(place)?;
    let interval = Duration::from_secs_f64(tail.interval);
    let following = async {
        match &tail.order_id {
            Some(order_id) => one::follow(&client, order_id, interval, output).await,
            None => all::follow(&client, tail, interval, output).await,
        }
    };
    tokio::select! {
        done = following => done,
        _ = tokio::signal::ctrl_c() => Ok(Exit::Fine),
    }
}
