//! The costs in PostgreSQL, which the simulation in [`crate::scaling`] uses: CPU time of a statement by its orders, and bytes.

use sandbox::Result;
use serde::{Deserialize, Serialize};

use crate::cost::Line;

/// The file with the costs of the last complete run.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/database.json");

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

impl Database {
    pub fn read() -> Result<Self> {
        Ok(serde_json::from_str(&std::fs::read_to_string(FILE)?)?)
    }
    pub fn write(&self) -> Result<()> {
        Ok(std::fs::write(FILE, serde_json::to_string_pretty(self)? + "\n")?)
    }
}
