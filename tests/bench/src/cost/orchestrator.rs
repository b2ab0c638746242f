//! What could take the queue's place: something that runs an execution for each order, and waits in it.

use serde::Deserialize;

/// The least that an Express workflow is billed for, in GB: 64 MB.
const EXPRESS_GB: f64 = 64.0 / 1024.0;
/// The operations of a durable function for an order at the least: it starts, has a step done, waits, and has another done.
const DURABLE_OPERATIONS: f64 = 4.0;
/// The states of a workflow for an order at the least: it begins the work, waits, and finishes it.
const STATES: f64 = 3.0;

/// Prices of what could take the queue's place, in dollars, of us-east-1.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Alternatives {
    durable_million_operations: f64,
    standard_million_transitions: f64,
    express_million_requests: f64,
    express_gb_second: f64,
}

impl Alternatives {
    /// The services, each with its dollars for a million executions that last so many seconds.
    pub fn dollars(&self, seconds: f64) -> [(&'static str, f64); 3] {
        // An Express workflow is billed for the time that it waits.
        let express = self.express_million_requests + 1e6 * seconds * EXPRESS_GB * self.express_gb_second;
        [
            ("a durable function for each order", DURABLE_OPERATIONS * self.durable_million_operations),
            ("a Standard workflow of Step Functions for each order", STATES * self.standard_million_transitions),
            ("an Express workflow of Step Functions for each order", express),
        ]
    }
}
