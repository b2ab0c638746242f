//! What the service does at more and more orders a second, and which limit it meets first: a simulation by measured times, and
//! the tables of docs/scaling.md.

mod limits;
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

fn main() -> ExitCode {
    match Times::read().and_then(|times| report::write(&times)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
