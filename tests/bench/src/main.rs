//! Measures the performance and the cost of Ordermill, beside the service that it replaces: see docs/performance.md. `bench
//! cost` prints a bill instead, and `bench scaling` simulates growing order rates.

mod account;
mod baseline;
mod client;
mod cold;
mod cost;
mod create;
mod database;
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
mod progress;
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

use sandbox::Result;

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
    let world = World::start(options.clone()).await?;
    let measured = measure(&world).await?;
    report::print(&measured);
    if options.writes() { report::write(&options, &measured) } else { Ok(()) }
}

/// Runs the selected measurements, one after the other.
async fn measure(world: &World) -> Result<Vec<Measured>> {
    let (mut measured, includes) = (Vec::new(), |name| world.options.includes(name));
    if includes("create") {
        measured.push(("create", create::measure(world).await?));
    }
    if includes("cold") {
        measured.push(("cold", cold::measure(world).await?));
    }
    if includes("handler") {
        measured.push(("handler", handler::measure(world).await?));
    }
    if includes("life") {
        let (findings, database) = life::measure(world).await?;
        measured.push(("life", findings));
        if world.options.writes() {
            database.write()?;
        }
    }
    if includes("drain") {
        measured.push(("drain", drain::measure(world).await?));
    }
    if includes("snapshot") {
        measured.push(("snapshot", snapshot::measure(world).await?));
    }
    if includes("flat") {
        measured.push(("flat", flat::measure(world).await?));
    }
    if includes("cost") {
        let (findings, billed) = cost::measure(world).await?;
        if world.options.writes() {
            billed.write()?;
        }
        measured.push(("cost", findings));
    }
    if includes("intake") {
        measured.push(("intake", intake::measure(world).await?));
    }
    if includes("scale") {
        measured.push(("scale", scale::measure(world).await?));
    }
    Ok(measured)
}
