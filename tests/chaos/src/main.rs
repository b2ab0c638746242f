//! Creates orders while every fault is injected, and checks afterwards that no order was lost, processed twice, left
//! unfinished or not announced: see docs/reliability.md.

mod aged;
mod chance;
mod check;
mod clients;
mod clock;
mod database;
mod faults;
mod hooks;
mod journal;
mod options;
mod receiver;
mod report;
mod run;
mod storm;
mod world;

use std::process::ExitCode;

use options::Options;

#[tokio::main]
async fn main() -> ExitCode {
    let run = async { run::run(&Options::from_env()?).await };
    let result = tokio::select! {
        result = run => result,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("could not finish the run: {error}");
            ExitCode::from(2)
        }
    }
}
