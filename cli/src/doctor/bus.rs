//! Checks the event bus, if the functions announce the ends of orders.

use serde_json::json;

use super::cloud::Cloud;
use super::finding::Finding;
use super::functions::{Function, Functions};

/// The variable that names the bus.
const VARIABLE: &str = "EVENT_BUS";

/// Checks that the processor and the sweeper announce on the same bus, and that it exists. Returns no finding if neither function
/// could be read.
pub async fn examine(cloud: &Cloud, functions: &Functions) -> Vec<Finding> {
    let read = [&functions.processor, &functions.sweeper].into_iter().filter_map(|function| function.as_ref().ok());
    let read: Vec<_> = read.collect();
    let Some(first) = read.first() else { return Vec::new() };
    let mut findings: Vec<_> = read[1..].iter().filter_map(|other| different(first, other)).collect();
    let mut named: Vec<_> = read.iter().filter(|function| function.bus().is_some()).collect();
    named.dedup_by_key(|function| function.bus());
    for function in &named {
        findings.push(exists(cloud, function).await);
    }
    if named.is_empty() {
        findings.push(Finding::ok("bus", VARIABLE, "none: the ends of orders are not announced"));
    }
    findings
}

fn different(one: &Function, other: &Function) -> Option<Finding> {
    let says = |function: &Function| function.bus().unwrap_or("no bus").to_owned();
    let what = format!("it announces on {}, {} on {}", says(other), one.name, says(one));
    let remedy = "set EVENT_BUS of the api, the processor and the sweeper to the same bus: deploy again with EventBus";
    (one.bus() != other.bus()).then(|| Finding::wrong("bus", &other.name, what, remedy))
}

/// Checks that the bus exists. A bus of another account can't be described.
async fn exists(cloud: &Cloud, function: &Function) -> Finding {
    let bus = function.bus().unwrap_or_default();
    let account = |arn: &str| arn.split(':').nth(4).map(str::to_owned);
    let name = match bus.split_once(":event-bus/") {
        Some(_) if account(bus) != account(&function.arn) => {
            let why = "it is another account's; `events` says whether it takes events";
            return Finding::not_checked("bus", bus, why);
        }
        Some((_, name)) => name,
        None => bus,
    };
    match cloud.events("DescribeEventBus", &json!({"Name": name})).await {
        Ok(_) => Finding::ok("bus", bus, "exists"),
        Err(why) if why.contains("does not exist") || why.contains("not found") => {
            let remedy = format!(
                "create it (`aws events create-event-bus --name {name}`), or deploy with the right EventBus; the sweeper then sends the events that wait"
            );
            Finding::wrong("bus", bus, format!("there is no such bus ({VARIABLE}): no event goes out"), remedy)
        }
        Err(why) => Finding::not_checked("bus", bus, why),
    }
}
