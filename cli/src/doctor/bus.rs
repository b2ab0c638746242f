//! Checks the event bus, if the functions announce the ends of orders.

use aws_sdk_eventbridge::operation::describe_event_bus::DescribeEventBusError;
use shared::events::EVENT_BUS;

use super::finding::Finding;
use super::functions::{Function, Functions, account};
use crate::aws::describe;

/// Checks that the processor and the sweeper announce on the same bus, and that it exists. Returns no finding if neither function
/// could be read.
pub async fn examine(functions: &Functions<'_>) -> Vec<Finding> {
    let read = [&functions.processor, &functions.sweeper].into_iter().filter_map(|function| function.as_ref().ok());
    let read: Vec<_> = read.collect();
    let Some(first) = read.first() else { return Vec::new() };
    let mut findings: Vec<_> = read[1..].iter().filter_map(|other| different(first, other)).collect();
    let mut named: Vec<_> = read.iter().filter(|function| function.bus().is_some()).collect();
    named.dedup_by_key(|function| function.bus());
    for function in &named {
        findings.push(exists(function).await);
    }
    if named.is_empty() {
        findings.push(Finding::ok("bus", EVENT_BUS, "none: the ends of orders are not announced"));
    }
    findings
}

fn different(one: &Function<'_>, other: &Function<'_>) -> Option<Finding> {
    let says = |function: &Function<'_>| function.bus().unwrap_or("no bus").to_owned();
    let what = format!("it announces on {}, {} on {}", says(other), one.name, says(one));
    let remedy = "set EVENT_BUS of the api, the processor and the sweeper to the same bus: deploy again with EventBus";
    (one.bus() != other.bus()).then(|| Finding::wrong("bus", &other.name, what, remedy))
}

/// Checks that the bus exists. A bus of another account can't be described.
async fn exists(function: &Function<'_>) -> Finding {
    let bus = function.bus().unwrap_or_default();
    let name = match bus.split_once(":event-bus/") {
        Some(_) if account(bus) != function.account() => {
            let why =
                "it is another account's; look there whether it exists: EventBridge drops the events of a missing bus";
            return Finding::not_checked("bus", bus, why);
        }
        Some((_, name)) => name,
        None => bus,
    };
    let is_missing = DescribeEventBusError::is_resource_not_found_exception;
    match function.services.events.describe_event_bus().name(name).send().await {
        Ok(_) => Finding::ok("bus", bus, "exists"),
        Err(error) if error.as_service_error().is_some_and(is_missing) => {
            let remedy = format!(
                "create it (`aws events create-event-bus --name {name}`), or deploy with the right EventBus; the sweeper then sends the events that wait"
            );
            Finding::wrong("bus", bus, format!("there is no such bus ({EVENT_BUS}): no event goes out"), remedy)
        }
        Err(error) => Finding::not_checked("bus", bus, describe(&error)),
    }
}
