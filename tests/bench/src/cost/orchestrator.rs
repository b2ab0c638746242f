//! What could take the queue's place: something that runs an execution for each order, and waits in it.

use serde::Deserialize;

/// The least that an Express workflow is billed for, in GB: 64 MB.
const EXPRESS_GB: f64 = 64.0 / 1024.0;
/// The operations of a durable function for an order at the least: it starts, has a step done, waits, and has another done.
const DURABLE_OPERATIONS: f64 = 4.0;
/// The states of a workflow for an order at the least: it begins the work, waits, and finishes it.
const STATES: f64 = 3.0;

/// Prices of what could take the queue's place, in dollars, of us-east-1.
#[derive(Debug, Clone, Deserialize)]
pub struct Alternatives {
    durable_million_operations: f64,
    standard_million_transitions: f64,
    express_million_requests: f64,
    express_gb_second: f64,
}

/// A service that takes the queue's place.
#[derive(Debug, Clone, Copy)]
pub enum Orchestrator {
    /// A durable function of Lambda.
    DurableFunction,
    /// A Standard workflow of Step Functions.
    StandardWorkflow,
    /// An Express workflow of Step Functions, which is billed for the time that it waits.
    ExpressWorkflow,
}

impl Orchestrator {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::DurableFunction, Self::StandardWorkflow, Self::ExpressWorkflow];

    /// Its name in a table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DurableFunction => "a durable function for each order",
            Self::StandardWorkflow => "a Standard workflow of Step Functions for each order",
            Self::ExpressWorkflow => "an Express workflow of Step Functions for each order",
        }
    }

    /// Dollars a million executions that last so many seconds.
    #[must_use]
    pub fn dollars(self, prices: &Alternatives, seconds: f64) -> f64 {
        match self {
            Self::DurableFunction => DURABLE_OPERATIONS * prices.durable_million_operations,
            Self::StandardWorkflow => STATES * prices.standard_million_transitions,
            Self::ExpressWorkflow => {
                prices.express_million_requests + 1e6 * seconds * EXPRESS_GB * prices.express_gb_second
            }
        }
    }
}
