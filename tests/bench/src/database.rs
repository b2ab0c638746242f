//! Writes the database's figures for the simulation in `tests/scaling`: CPU time by the orders of a call or a batch.

use sandbox::Result;
use serde::Serialize;

use crate::cost::Line;
use crate::life::{SIZES, ServerCosts};

/// The file that the simulation reads.
const FILE: &str = "tests/scaling/database.json";

/// `tests/scaling/src/measured.rs` reads the fields and describes them.
#[derive(Serialize)]
struct Database {
    create_one_ms: f64,
    create_ms: Line,
    wait_ms: Line,
    finish_ms: Line,
    bytes_per_order: f64,
    log_bytes_per_order: f64,
}

/// Writes the file.
pub fn write(server: &ServerCosts) -> Result<()> {
    let [create_ms, wait_ms, finish_ms] = [0, 1, 2].map(|step| line(server, step));
    let database = Database {
        create_one_ms: server.cpu_ms[0][0],
        create_ms,
        wait_ms,
        finish_ms,
        bytes_per_order: server.bytes_kept,
        log_bytes_per_order: server.wal_bytes,
    };
    Ok(std::fs::write(FILE, serde_json::to_string_pretty(&database)? + "\n")?)
}

/// The time of a list or a batch, by its size. A create of a single order uses another statement, so it is left out.
fn line(server: &ServerCosts, step: usize) -> Line {
    let first = usize::from(step == 0);
    let sizes = SIZES.into_iter().map(crate::stats::count).zip(server.cpu_ms);
    Line::through(&sizes.skip(first).map(|(size, cpu_ms)| (size, cpu_ms[step] * size)).collect::<Vec<_>>())
}
