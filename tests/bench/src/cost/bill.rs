//! The cost of a million orders: requests, time and logs, each at its price.

use std::collections::HashMap;

use sandbox::Result;
use serde::Deserialize;
use shared::queue::LONGEST_KEPT;

use super::orchestrator::Alternatives;
use super::{Billed, access_log};

/// Published prices by region, with their date.
const PRICES: &str = include_str!("../../prices.json");
/// How many messages a request to SQS sends, receives or deletes.
const MESSAGES: f64 = 10.0;
/// The share of invocations that start an environment. AWS says that it is under 1 %.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>
const STARTS: f64 = 0.01;
/// How far away the event bus and the database are, in milliseconds: as the queue and the database of the measurement.
const BUS_AWAY: f64 = 6.0;
const DATABASE_AWAY: f64 = 1.0;
/// How many events the processor sends at once: eight calls of ten.
const EVENTS_AT_ONCE: f64 = 80.0;
/// The functions' memory, in GB.
const MEMORY_GB: f64 = 0.5;

/// The prices of all regions, in dollars.
#[derive(Debug, Deserialize)]
pub struct PriceList {
    /// The date of the prices.
    pub as_of: String,
    regions: HashMap<String, Prices>,
    /// What could take the queue's place.
    pub alternatives: Alternatives,
}

impl PriceList {
    pub fn read() -> Result<Self> {
        Ok(serde_json::from_str(PRICES)?)
    }

    pub fn of(&self, region: &str) -> Result<&Prices> {
        self.regions.get(region).ok_or_else(|| format!("there are no prices of {region}").into())
    }
}

/// The prices of a region, in dollars.
#[derive(Debug, Clone, Deserialize)]
pub struct Prices {
    lambda_arm64_gb_second: f64,
    lambda_x86_64_gb_second: f64,
    lambda_million_requests: f64,
    http_api_million_requests: f64,
    sqs_million_requests: f64,
    million_events: f64,
    logs_gb: f64,
}

#[derive(Debug, Clone, Copy)]
pub enum Work {
    /// Wait this many seconds, as an invisible message.
    Waits(f64),
    /// Call an endpoint that takes 200 ms.
    Webhook,
    /// Sleep this many seconds in the function, all orders of a batch at once. The design avoids this.
    Sleeps(f64),
    /// Wait in an execution of its own for each order, in the queue's place. A million executions cost so many dollars.
    Orchestrated(f64),
}

/// The configuration and use of the service that a bill is for.
#[derive(Debug, Clone, Copy)]
pub struct Deployment {
    pub work: Work,
    /// How many orders a request creates.
    pub list: u32,
    /// How many messages a batch of the processor holds.
    pub batch: u32,
    pub is_arm: bool,
    /// Whether each order's end is announced on an event bus.
    pub announces: bool,
}

impl Default for Deployment {
    fn default() -> Self {
        Self { work: Work::Waits(5.0), list: 1, batch: 10, is_arm: true, announces: false }
    }
}

/// Dollars for a million orders, by item.
#[derive(Debug, Clone, Copy)]
pub struct Bill {
    gateway: f64,
    requests: f64,
    time: f64,
    starts: f64,
    queue: f64,
    logs: f64,
    pub events: f64,
}

/// How much a million orders use the processor.
struct Processing {
    invocations: f64,
    billed_ms: f64,
    queue_requests: f64,
    logged: f64,
}

impl Bill {
    /// The bill for a million orders.
    pub fn of(billed: &Billed, prices: &Prices, deployment: &Deployment) -> Self {
        let million = 1e6;
        let (list, processing) = (f64::from(deployment.list), processing(billed, deployment));
        let calls = million / list;
        let starts_ms = STARTS * (calls * billed.api_start_ms + processing.invocations * billed.processor_start_ms);
        let billed_ms = calls * billed.create_ms.at(list) + processing.billed_ms + announcing_ms(deployment);
        let (sends, orchestrator) = match deployment.work {
            Work::Orchestrated(dollars) => (0.0, dollars),
            // A single order is sent by itself; a list's messages go in tens.
            _ if deployment.list == 1 => (million, 0.0),
            _ => (calls * (list / MESSAGES).ceil(), 0.0),
        };
        let invocations = calls + processing.invocations;
        let logged = calls * billed.create_log.at(list) + processing.logged + calls * access_log::bytes();
        let second = if deployment.is_arm { prices.lambda_arm64_gb_second } else { prices.lambda_x86_64_gb_second };
        Self {
            gateway: calls / million * prices.http_api_million_requests,
            requests: invocations / million * prices.lambda_million_requests,
            time: billed_ms / 1e3 * MEMORY_GB * second,
            starts: starts_ms / 1e3 * MEMORY_GB * second,
            queue: (sends + processing.queue_requests) / million * prices.sqs_million_requests + orchestrator,
            logs: logged / 1e9 * prices.logs_gb,
            events: if deployment.announces { prices.million_events } else { 0.0 },
        }
    }

    pub fn total(&self) -> f64 {
        self.gateway + self.requests + self.time + self.starts + self.queue + self.logs + self.events
    }

    /// The head of a table of bills.
    pub fn head() -> [&'static str; 8] {
        [
            "$ a million orders",
            "HTTP API",
            "Lambda requests",
            "Lambda time",
            "starts",
            "SQS, or in its place",
            "logs",
            "in all",
        ]
    }

    pub fn row(&self, name: &str) -> [String; 8] {
        let cell = |dollars: f64| format!("{dollars:.3}");
        let Self { gateway, requests, time, starts, queue, logs, .. } = *self;
        let all = format!("**{:.2}**", self.total());
        [name.to_owned(), cell(gateway), cell(requests), cell(time), cell(starts), cell(queue), cell(logs), all]
    }
}

fn processing(billed: &Billed, deployment: &Deployment) -> Processing {
    let (million, batch) = (1e6, f64::from(deployment.batch));
    let batches = million / batch;
    // A batch of any size is received and deleted ten messages at a time.
    let pass = 2.0 * batches * (batch / MESSAGES).ceil();
    let finish = billed.finish_ms.at(batch);
    match deployment.work {
        Work::Waits(delay) if delay > 0.0 => Processing {
            invocations: 2.0 * batches,
            billed_ms: batches * (billed.wait_ms.at(batch) + finish),
            // The processor makes a kept message invisible, and Lambda does not delete it. Otherwise one sends and the other deletes.
            queue_requests: if delay > LONGEST_KEPT.as_secs_f64() { 2.5 * pass } else { 2.0 * pass },
            logged: batches * (billed.wait_log.at(batch) + billed.finish_log.at(batch)),
        },
        Work::Waits(_) => once(batches, finish, pass, billed.finish_log.at(batch)),
        Work::Sleeps(delay) => once(batches, finish + delay * 1e3, pass, billed.finish_log.at(batch)),
        Work::Orchestrated(..) => Processing {
            invocations: 2.0 * million,
            billed_ms: million * (billed.wait_ms.at(1.0) + billed.finish_ms.at(1.0)),
            queue_requests: 0.0,
            logged: million * (billed.wait_log.at(1.0) + billed.finish_log.at(1.0)),
        },
        Work::Webhook => once(batches, billed.webhook_ms.at(batch), pass, billed.webhook_log.at(batch)),
    }
}

/// The time for announcing a million ends: for each batch, two statements and the calls to the bus.
fn announcing_ms(deployment: &Deployment) -> f64 {
    let batch = f64::from(deployment.batch);
    let of_batch = 2.0 * DATABASE_AWAY + BUS_AWAY * (batch / EVENTS_AT_ONCE).ceil();
    if deployment.announces { 1e6 / batch * of_batch } else { 0.0 }
}

fn once(batches: f64, ms: f64, pass: f64, log: f64) -> Processing {
    Processing { invocations: batches, billed_ms: batches * ms, queue_requests: pass, logged: batches * log }
}

#[cfg(test)]
mod tests {
    use super::super::line::Line;
    use super::*;

    #[test]
    fn bill_equals_a_calculation_by_hand() {
        let (ms, log) = (Line { fixed: 10.0, each: 0.0 }, Line { fixed: 1000.0, each: 0.0 });
        let billed = Billed {
            create_ms: ms,
            wait_ms: ms,
            finish_ms: ms,
            webhook_ms: ms,
            create_log: log,
            wait_log: log,
            finish_log: log,
            webhook_log: log,
            api_start_ms: 20.0,
            processor_start_ms: 30.0,
            ..Billed::default()
        };
        let list = PriceList::read().unwrap();
        let prices = list.of("us-east-1").unwrap();
        let bill_of = |work| Bill::of(&billed, prices, &Deployment { work, ..Deployment::default() });
        let bill = bill_of(Work::Waits(5.0));
        let close = |left: f64, right: f64| (left - right).abs() < 1e-9;
        assert!(close(bill.gateway, 1.0));
        assert!(close(bill.requests, 1.2 * 0.2)); // One invocation to create, two for each ten orders.
        assert!(close(bill.time, 1.2 * 10.0 / 1e3 * 1e6 * 0.5 * 0.000_013_333_4));
        assert!(close(bill.starts, 0.01 * (20.0 + 0.2 * 30.0) / 1e3 * 1e6 * 0.5 * 0.000_013_333_4));
        assert!(close(bill.queue, 1.4 * 0.4)); // One send each; for each ten: receive, make invisible, receive, delete.
        assert!(close(bill_of(Work::Waits(60.0)).queue, 1.5 * 0.4)); // … receive, send, delete, receive, delete.
        assert!(close(bill.logs, (1.2 * 1000.0 + access_log::bytes()) * 1e6 / 1e9 * 0.5));
        let announced = Bill::of(&billed, prices, &Deployment { announces: true, ..Deployment::default() });
        // An event each; and for each ten, two statements and a call.
        assert!(close(announced.total() - bill.total(), 1.0 + 0.1 * 8.0 / 1e3 * 1e6 * 0.5 * 0.000_013_333_4));
        // A million times: four operations; three transitions; a start and five seconds of a sixteenth of a GB.
        let orchestrated = list.alternatives.dollars(5.0).map(|(_, dollars)| bill_of(Work::Orchestrated(dollars)));
        for (bill, expected) in orchestrated.iter().zip([4.0 * 8.0, 3.0 * 25.0, 1.0 + 5.0 / 16.0 * 16.67]) {
            assert!(close(bill.queue, expected) && close(bill.requests, 3.0 * 0.2), "{bill:?}");
        }
    }
}
