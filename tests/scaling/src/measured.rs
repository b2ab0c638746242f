//! The measurements of `make bench`: the time of an invocation, and the CPU time of PostgreSQL.

use serde::Deserialize;

use crate::Result;

const INVOCATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../bench/measured.json");
const DATABASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/database.json");

/// A time that grows with the orders of an invocation, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
pub struct Line {
    /// What it is without any.
    pub fixed: f64,
    /// What each adds.
    pub each: f64,
}

impl Line {
    /// Seconds with so many orders; none without any.
    pub fn seconds(self, orders: f64) -> f64 {
        if orders > 0.0 { (self.fixed + self.each * orders) / 1000.0 } else { 0.0 }
    }
}

/// How long an invocation takes from event to answer, what it waits for included.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the file's, which have their unit")]
pub struct Invocations {
    /// The api, by the orders of a call.
    pub create_ms: Line,
    /// The processor, having orders wait.
    pub wait_ms: Line,
    /// The processor, finishing orders.
    pub finish_ms: Line,
}

/// What PostgreSQL takes: CPU time of a statement by its orders, and room.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Database {
    /// One order.
    pub create_one_ms: f64,
    /// A list of them.
    pub create_ms: Line,
    /// Claiming a batch and having it wait.
    pub wait_ms: Line,
    /// Claiming it again and finishing it.
    pub finish_ms: Line,
    /// Room for an order that has ended, its rows and its entries in indexes, in bytes.
    pub bytes_per_order: f64,
    /// What an order's life writes to the write-ahead log, in bytes.
    pub log_bytes_per_order: f64,
}

/// Both.
#[derive(Debug, Clone, Copy, Default)]
pub struct Times {
    /// Of the functions.
    pub invocations: Invocations,
    /// Of PostgreSQL.
    pub database: Database,
}

impl Times {
    /// Reads the files.
    pub fn read() -> Result<Self> {
        Ok(Self { invocations: json(INVOCATIONS)?, database: json(DATABASE)? })
    }

    /// The database's part of a call with so many orders, in seconds.
    pub fn create_in_database(&self, orders: f64) -> f64 {
        if orders > 1.0 { self.database.create_ms.seconds(orders) } else { self.database.create_one_ms / 1000.0 }
    }

    /// The database's part of a batch, of which so many begin to wait and so many end, in seconds.
    pub fn batch_in_database(&self, waiting: f64, ending: f64) -> f64 {
        let Database { wait_ms, finish_ms, .. } = self.database;
        // A batch of both claims once, which is half of what having it wait takes for the statements themselves.
        let shared = if waiting > 0.0 && ending > 0.0 { wait_ms.fixed / 2.0 / 1000.0 } else { 0.0 };
        wait_ms.seconds(waiting) + finish_ms.seconds(ending) - shared
    }

    /// The rest of a call, in seconds.
    pub fn create_elsewhere(&self, orders: f64) -> f64 {
        (self.invocations.create_ms.seconds(orders) - self.create_in_database(orders)).max(0.0)
    }

    /// The rest of a batch, in seconds.
    pub fn batch_elsewhere(&self, waiting: f64, ending: f64) -> f64 {
        let Invocations { wait_ms, finish_ms, .. } = self.invocations;
        let (wait, finish) = (wait_ms.seconds(waiting), finish_ms.seconds(ending));
        // A batch of both claims once.
        let shared = if waiting > 0.0 && ending > 0.0 { wait_ms.fixed.min(finish_ms.fixed) / 1000.0 } else { 0.0 };
        (wait + finish - shared - self.batch_in_database(waiting, ending)).max(0.0)
    }
}

fn json<T: serde::de::DeserializeOwned>(file: &str) -> Result<T> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("{file}: {error}").into())
}
