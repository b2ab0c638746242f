//! The measurements of `make bench` that the simulation uses: the time of an invocation, and the CPU time of PostgreSQL.

use sandbox::Result;
use serde::{Deserialize, Serialize};

use crate::cost::{Billed, Line};

/// The file with the measurements of the last complete run.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/measured.json");

/// The costs in PostgreSQL: CPU time of a statement by its orders, and bytes.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Database {
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

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Times {
    /// The times of the functions, their waits included.
    pub invocations: Billed,
    /// The costs in PostgreSQL.
    pub database: Database,
}

impl Times {
    pub fn read() -> Result<Self> {
        Ok(serde_json::from_str(&std::fs::read_to_string(FILE)?)?)
    }

    /// Changes the measurements in the file.
    pub fn change(change: impl FnOnce(&mut Self)) -> Result<()> {
        let mut times = Self::read()?;
        change(&mut times);
        Ok(std::fs::write(FILE, serde_json::to_string_pretty(&times)? + "\n")?)
    }

    /// The database's part of a create with this many orders, in seconds.
    pub fn create_in_database(&self, orders: f64) -> f64 {
        if orders > 1.0 { seconds(self.database.create_ms, orders) } else { self.database.create_one_ms / 1000.0 }
    }

    /// The database's part of a batch that reschedules `waiting` orders and finishes `ending` orders, in seconds.
    pub fn batch_in_database(&self, waiting: f64, ending: f64) -> f64 {
        let Database { wait_ms, finish_ms, .. } = self.database;
        // A batch with both claims only once. The claim is half of the fixed time for rescheduling.
        let shared = if waiting > 0.0 && ending > 0.0 { wait_ms.fixed / 2.0 / 1000.0 } else { 0.0 };
        seconds(wait_ms, waiting) + seconds(finish_ms, ending) - shared
    }

    /// The function's part of a create, in seconds.
    pub fn create_elsewhere(&self, orders: f64) -> f64 {
        (seconds(self.invocations.create_ms, orders) - self.create_in_database(orders)).max(0.0)
    }

    /// The function's part of a batch, in seconds.
    pub fn batch_elsewhere(&self, waiting: f64, ending: f64) -> f64 {
        let Billed { wait_ms, finish_ms, .. } = self.invocations;
        let (wait, finish) = (seconds(wait_ms, waiting), seconds(finish_ms, ending));
        // A batch with both claims only once.
        let shared = if waiting > 0.0 && ending > 0.0 { wait_ms.fixed.min(finish_ms.fixed) / 1000.0 } else { 0.0 };
        (wait + finish - shared - self.batch_in_database(waiting, ending)).max(0.0)
    }
}

/// The seconds of a line's milliseconds for this many orders; zero for no orders.
fn seconds(line: Line, orders: f64) -> f64 {
    if orders > 0.0 { line.at(orders) / 1000.0 } else { 0.0 }
}
