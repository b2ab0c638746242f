//! The database's part of the simulation in `tests/scaling`: CPU time by the orders of a call or a batch.

use sandbox::Result;
use serde::Serialize;

use crate::cost::Line;
use crate::life::{SIZES, Server};

/// The file that the simulation reads.
const FILE: &str = "tests/scaling/database.json";

/// The fields are described where they are read: `tests/scaling/src/measured.rs`.
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
pub fn write(server: &Server) -> Result<()> {
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

/// A list's or a batch's time: of a single order there is another statement for a create.
fn line(server: &Server, step: usize) -> Line {
    let first = usize::from(step == 0);
    let sizes = SIZES.into_iter().map(crate::stats::count).zip(server.cpu_ms);
    Line::through(&sizes.skip(first).map(|(size, cpu_ms)| (size, cpu_ms[step] * size)).collect::<Vec<_>>())
}
