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

use sandbox::{Result, variable};

use super::{Bill, Deployment, PriceList, Work};
use crate::scaling::measured::Times;

pub fn run() -> Result<()> {
    let (billed, all) = (Times::read()?.invocations, PriceList::read()?);
    let region = variable("REGION")?.unwrap_or_else(|| "us-east-1".to_owned());
    let (orders, delay) = (variable("ORDERS")?.unwrap_or(1e6), variable("DELAY")?.unwrap_or(5.0));
    let is_webhook = variable::<String>("WORK")?.is_some_and(|work| work == "webhook");
    let work = if is_webhook { Work::Webhook } else { Work::Waits(delay) };
    let is_arm = variable::<String>("ARCHITECTURE")?.is_none_or(|architecture| architecture == "arm64");
    let announces = variable::<u32>("EVENTS")?.is_some_and(|events| events > 0);
    let (list, batch) = (variable::<u32>("LIST")?.unwrap_or(1).max(1), variable::<u32>("BATCH")?.unwrap_or(10).max(1));
    let deployment = Deployment { work, list, batch, is_arm, announces };
    let (prices, sleeps) = (all.of(&region)?, Deployment { work: Work::Sleeps(delay), ..deployment });
    println!("{region}, prices of {}, {orders} orders:", all.as_of);
    print(&Bill::of(&billed, prices, &deployment), "as it is", orders);
    print(&Bill::of(&billed, prices, &sleeps), "sleeping in the function", orders);
    for (name, dollars) in all.alternatives.dollars(delay) {
        let orchestrated = Deployment { work: Work::Orchestrated(dollars), ..deployment };
        print(&Bill::of(&billed, prices, &orchestrated), name, orders);
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
