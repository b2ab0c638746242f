//! Reads the measurements of `make bench`: the time of an invocation, and the CPU time of PostgreSQL.

use serde::Deserialize;

use crate::Result;

const INVOCATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../bench/measured.json");
const DATABASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/database.json");

/// A time that grows linearly with the orders of an invocation, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
pub struct Line {
    /// The time for no orders.
    pub fixed: f64,
    /// The increase for each order.
    pub each: f64,
}

impl Line {
    /// The seconds for this many orders; zero for no orders.
    pub fn seconds(self, orders: f64) -> f64 {
        if orders > 0.0 { (self.fixed + self.each * orders) / 1000.0 } else { 0.0 }
    }
}

/// How long an invocation takes from event to answer, its waits included.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names are those of the file, which end with the unit")]
pub struct Invocations {
    /// The api's time, by the orders of a call.
    pub create_ms: Line,
    /// The processor's time for rescheduling orders.
    pub wait_ms: Line,
    /// The processor's time for finishing orders.
    pub finish_ms: Line,
}

/// The costs in PostgreSQL: CPU time of a statement by its orders, and bytes.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Database {
    /// Creating a single order.
    pub create_one_ms: f64,
    /// Creating a list of orders.
    pub create_ms: Line,
    /// Claiming and rescheduling a batch.
    pub wait_ms: Line,
    /// Claiming and finishing a batch.
    pub finish_ms: Line,
    /// The bytes on disk of a finished order, its index entries included.
    pub bytes_per_order: f64,
    /// The bytes of write-ahead log for an order's whole life.
    pub log_bytes_per_order: f64,
}

/// All measured times.
#[derive(Debug, Clone, Copy, Default)]
pub struct Times {
    /// The times of the functions.
    pub invocations: Invocations,
    /// The costs in PostgreSQL.
    pub database: Database,
}

impl Times {
    /// Reads both files.
    pub fn read() -> Result<Self> {
        Ok(Self { invocations: json(INVOCATIONS)?, database: json(DATABASE)? })
    }

    /// The database's part of a create with this many orders, in seconds.
    pub fn create_in_database(&self, orders: f64) -> f64 {
        if orders > 1.0 { self.database.create_ms.seconds(orders) } else { self.database.create_one_ms / 1000.0 }
    }

    /// The database's part of a batch that reschedules `waiting` orders and finishes `ending` orders, in seconds.
    pub fn batch_in_database(&self, waiting: f64, ending: f64) -> f64 {
        let Database { wait_ms, finish_ms, .. } = self.database;
        // A batch with both claims only once. The claim is half of the fixed time for rescheduling.
        let shared = if waiting > 0.0 && ending > 0.0 { wait_ms.fixed / 2.0 / 1000.0 } else { 0.0 };
        wait_ms.seconds(waiting) + finish_ms.seconds(ending) - shared
    }

    /// The function's part of a create, in seconds.
    pub fn create_elsewhere(&self, orders: f64) -> f64 {
        (self.invocations.create_ms.seconds(orders) - self.create_in_database(orders)).max(0.0)
    }

    /// The function's part of a batch, in seconds.
    pub fn batch_elsewhere(&self, waiting: f64, ending: f64) -> f64 {
        let Invocations { wait_ms, finish_ms, .. } = self.invocations;
        let (wait, finish) = (wait_ms.seconds(waiting), finish_ms.seconds(ending));
        // A batch with both claims only once.
        let shared = if waiting > 0.0 && ending > 0.0 { wait_ms.fixed.min(finish_ms.fixed) / 1000.0 } else { 0.0 };
        (wait + finish - shared - self.batch_in_database(waiting, ending)).max(0.0)
    }
}

fn json<T: serde::de::DeserializeOwned>(file: &str) -> Result<T> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("{file}: {error}").into())
}
