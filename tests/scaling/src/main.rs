//! Simulates the service at growing order rates, by measured times, to find the limit that it reaches first. Writes the
//! tables of docs/scaling.md.

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

/// A result whose error ends the program.
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
