//! Ordermill at the terminal: `doctor` checks a deployment and says how to mend what is wrong, `load` creates orders and
//! follows each to its end, `tail` shows orders as they change, `export` writes them to a file.
//!
//! It calls the service as any client does. Only [`doctor`] also reads the database and AWS, if variables give it access, and
//! changes nothing there.

pub mod aws;
pub mod client;
pub mod deployment;
pub mod doctor;
mod exit;
pub mod export;
pub mod interrupt;
pub mod load;
pub mod options;
mod orders;
pub mod output;
pub mod tail;
mod token;

use std::ffi::OsString;

use deployment::Deployment;
pub use exit::Exit;
use options::{Command, Options};
use output::Output;

/// Runs the command of the options, in this environment.
pub async fn run(options: Options, environment: impl Iterator<Item = (OsString, OsString)>, output: Output) -> Exit {
    let done = match Deployment::find(&options.target, environment) {
        Ok(deployment) => match &options.command {
            Command::Doctor => Ok(doctor::run(&deployment, output).await),
            Command::Load(load) => load::run(&deployment, load, output).await,
            Command::Export(export) => export::run(&deployment, export, output).await,
            Command::Tail(tail) => tail::run(&deployment, tail, output).await,
        },
        Err(problem) => Err(exit::Failure::Usage(problem)),
    };
    done.unwrap_or_else(|failure| {
        output.complain(&failure.to_string());
        failure.exit()
    })
}
