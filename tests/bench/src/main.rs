//! Measures the performance and the cost of Ordermill, beside the service that it replaces: see docs/performance.md. `bench
//! cost` prints a bill instead, and `bench scaling` simulates growing order rates.

mod account;
mod baseline;
mod client;
mod cold;
mod cost;
mod create;
mod drain;
mod findings;
mod flat;
mod floor;
mod front;
mod handler;
mod intake;
mod jobs;
mod life;
mod load;
mod options;
mod plots;
mod prepared;
mod report;
mod scale;
mod scaling;
mod server;
mod share;
mod snapshot;
mod stats;
mod tls;
mod world;

use std::process::ExitCode;

use sandbox::{Result, progress};

use options::Options;
use report::Measured;
use scaling::measured::Times;
use world::World;

#[tokio::main]
async fn main() -> ExitCode {
    let result = tokio::select! {
        result = run() => result,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress::clear();
            eprintln!("could not finish the run: {error}");
            let causes = std::iter::successors(error.source(), |cause| cause.source());
            causes.for_each(|cause| eprintln!("  {cause}"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("cost") => return cost::command::run(),
        Some("scaling") => return scaling::write(&Times::read()?),
        _ => {}
    }
    progress::step("starting");
    let options = Options::from_env()?;
    if options.writes() {
        jobs::require_all()?;
    }
    let world = World::start(options.clone()).await?;
    let measured = measure(&world).await?;
    report::print(&measured);
    if options.writes() {
        report::write(&options, &measured)?;
        scaling::write(&Times::read()?)?;
    }
    Ok(())
}

/// All measurements, in the order of a run.
const ALL: [&str; 10] = ["create", "cold", "handler", "life", "drain", "snapshot", "flat", "cost", "intake", "scale"];

/// Runs the selected measurements, one after the other.
async fn measure(world: &World) -> Result<Vec<Measured>> {
    let mut measured = Vec::new();
    for name in ALL.into_iter().filter(|name| world.options.includes(name)) {
        let findings = match name {
            "create" => create::measure(world).await,
            "cold" => cold::measure(world).await,
            "handler" => handler::measure(world).await,
            "life" => life::measure(world).await,
            "drain" => drain::measure(world).await,
            "snapshot" => snapshot::measure(world).await,
            "flat" => flat::measure(world).await,
            "cost" => cost::measure(world).await,
            "intake" => intake::measure(world).await,
            _ => scale::measure(world).await,
        };
        measured.push((name, findings?));
    }
    Ok(measured)
}
