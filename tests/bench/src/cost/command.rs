//! `make cost`: the cost of a number of orders, by the measurements of the last complete run.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `ORDERS` | how many orders | 1000000 |
//! | `LIST` | how many orders a request creates, up to 500 | 1 |
//! | `DELAY` | how long the simulated work takes, in seconds | 5 |
//! | `WORK` | `simulated`, or `webhook`: an endpoint that takes 200 ms | `simulated` |
//! | `BATCH` | how many messages a batch of the processor holds | 10 |
//! | `REGION` | `us-east-1` or `eu-central-1` | `us-east-1` |
//! | `EVENTS` | 1: each order's end is announced on an event bus | |
//! | `ARCHITECTURE` | `arm64` or `x86_64` | `arm64` |

use std::str::FromStr;

use sandbox::Result;

use super::{Bill, Billed, Deployment, Prices, Work};

/// Prints the bill.
pub fn run() -> Result<()> {
    let billed = Billed::read()?;
    let region = value("REGION", "us-east-1".to_owned())?;
    let (orders, delay): (f64, f64) = (value("ORDERS", 1e6)?, value("DELAY", 5.0)?);
    let work = match value("WORK", "simulated".to_owned())?.as_str() {
        "webhook" => Work::Webhook,
        _ => Work::Waits(delay),
    };
    let is_arm = value("ARCHITECTURE", "arm64".to_owned())? == "arm64";
    let announces = value("EVENTS", 0)? > 0;
    let (list, batch) = (value("LIST", 1)?.max(1), value("BATCH", 10)?.max(1));
    let deployment = Deployment { work, list, batch, is_arm, announces };
    let (prices, sleeps) = (Prices::of(&region)?, Deployment { work: Work::Sleeps(delay), ..deployment });
    println!("{region}, prices of {}, {orders} orders:", Prices::as_of()?);
    print(&Bill::of(&billed, &prices, &deployment), "as it is", orders);
    print(&Bill::of(&billed, &prices, &sleeps), "sleeping in the function", orders);
    for (name, dollars) in prices.alternatives.dollars(delay) {
        let orchestrated = Deployment { work: Work::Orchestrated(dollars), ..deployment };
        print(&Bill::of(&billed, &prices, &orchestrated), name, orders);
    }
    Ok(())
}

fn print(bill: &Bill, name: &str, orders: f64) {
    let [_, gateway, requests, time, starts, queue, logs, _] = bill.row(name);
    println!(
        "  {name}: ${:.4}\n    a million: ${:.2} (HTTP API {gateway}, Lambda requests {requests}, Lambda time {time}, starts {starts}, SQS or in its place {queue}, logs {logs}, events {:.3})",
        bill.total() * orders / 1e6,
        bill.total(),
        bill.events,
    );
}

fn value<T: FromStr>(name: &str, default: T) -> Result<T> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => text.parse().map_err(|_| format!("{name}: {text} is not a valid value").into()),
        _ => Ok(default),
    }
}
