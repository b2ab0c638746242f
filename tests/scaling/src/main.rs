//! What the service does at more and more orders a second, and which limit it meets first: a simulation by measured times, and
//! the tables of docs/scaling.md. `scaling measure` measures what PostgreSQL takes for an order, on the stack that is up.

mod limits;
mod measure;
mod measured;
mod outcome;
mod report;
mod setup;
mod simulation;
mod stations;

use std::error::Error;
use std::process::ExitCode;

use measured::Times;

/// What can't be gone on with.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        None => Times::read().and_then(|times| report::write(&times)),
        Some("measure") => measure::run().await,
        Some(_) => Err("usage: scaling [measure]".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
