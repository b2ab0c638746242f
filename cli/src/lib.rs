//! Ordermill at the terminal: `doctor` checks a deployment and says how to mend what is wrong, `load` creates orders and
//! follows each to its end, `tail` shows orders as they change.
//!
//! It calls the service as any client does. Only [`doctor`] also reads the database and AWS, if variables give it access, and
//! changes nothing there.

pub mod aws;
pub mod client;
pub mod doctor;
mod exit;
mod http;
pub mod interrupt;
pub mod load;
pub mod options;
mod orders;
pub mod output;
pub mod place;
pub mod tail;
mod token;

use std::ffi::OsString;

pub use exit::Exit;
use options::{Command, Options};
use output::Output;
use place::Place;

/// Runs the command of the options, in this environment.
pub async fn run(options: Options, environment: impl Iterator<Item = (OsString, OsString)>, output: Output) -> Exit {
    let done = match Place::find(&options.target, environment) {
        Ok(place) => match &options.command {
            Command::Doctor => Ok(doctor::run(&place, output).await),
            Command::Load(load) => load::run(&place, load, output).await,
            Command::Tail(tail) => tail::run(&place, tail, output).await,
        },
        Err(problem) => Err(exit::Failure::Usage(problem)),
    };
    done.unwrap_or_else(|failure| {
        output.complain(&failure.to_string());
        failure.exit()
    })
}
