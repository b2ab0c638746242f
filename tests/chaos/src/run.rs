//! One run: load and faults, then a time to settle, then the checks.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use sandbox::Result;
use sandbox::progress::step;
use sandbox::queue::ORDERS;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::check::{self, Findings};
use crate::clients::Load;
use crate::options::Options;
use crate::storm::{Storm, courier};
use crate::world::World;
use crate::{chance, clients, report};

/// The share of the time for one kind of fault after the other.
const ONE_BY_ONE: f64 = 0.6;
/// The share for all kinds at once. Clients create orders for longer, to measure the last recoveries.
const MIXED: f64 = 0.32;

/// Runs, and returns whether every check passed.
pub async fn run(options: &Options) -> Result<bool> {
    chance::seed(options.seed);
    println!("==> {} orders within {} s under faults: {}", options.orders, options.load.as_secs(), options.command());
    step("starting");
    let world = World::start(options).await?;
    let processing = world.process(courier(Arc::clone(&world.journal), Arc::clone(&world.faults)));
    let mut beside = JoinSet::new();
    beside.spawn(progress(Arc::clone(&world)));
    beside.spawn(sweep(Arc::clone(&world)));
    beside.spawn(count_connections(Arc::clone(&world)));
    let operators = beside.spawn(clients::retry_failed(Arc::clone(&world)));
    let aging = beside.spawn(age(Arc::clone(&world)));
    let storm = weather(options, &world).await?;
    operators.abort();
    aging.abort();
    let has_settled = check::settle(&world, settling(options)).await?;
    beside.shutdown().await;
    processing.stop().await;
    let findings = check::check(&world, &storm.recoveries()).await?;
    conclude(options, &world, &findings, &storm, has_settled)
}

/// Creates orders while the storm injects its faults.
async fn weather(options: &Options, world: &Arc<World>) -> Result<Arc<Storm>> {
    let (enough, is_enough) = watch::channel(false);
    let load = Load { orders: options.orders, within: options.load, is_enough };
    let load = tokio::spawn(clients::create_all(Arc::clone(world), load));
    let storm = Storm::new(Arc::clone(world), Duration::from_secs(if options.is_short { 1 } else { 5 }));
    storm.one_by_one(options.load.mul_f64(ONE_BY_ONE)).await?;
    storm.mixed(Instant::now() + options.load.mul_f64(MIXED)).await?;
    enough.send_replace(true);
    load.await?;
    Ok(storm)
}

/// How long the last orders may take to end: a sweep, some back-offs and leases, and the backlog.
fn settling(options: &Options) -> Duration {
    Duration::from_secs(options.times.grace * 4) + options.load / 2
}

/// Runs the sweeper on its schedule. A tick is left out while the run before it lasts.
async fn sweep(world: Arc<World>) {
    let mut schedule = interval(Duration::from_secs(world.times.sweep));
    schedule.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        schedule.tick().await;
        world.sweep().await;
    }
}

/// Inserts old orders each second. A batch that a fault keeps from being inserted is left out.
async fn age(world: Arc<World>) {
    loop {
        sleep(Duration::from_secs(1)).await;
        world.age().await;
    }
}

/// How often the connections to the database are counted.
const COUNT: Duration = Duration::from_millis(250);

async fn count_connections(world: Arc<World>) {
    loop {
        sleep(COUNT).await;
        let _ = world.count_connections().await; // It fails while the database is down.
    }
}

fn conclude(options: &Options, world: &World, findings: &Findings, storm: &Storm, has_settled: bool) -> Result<bool> {
    report::print(world, findings, &storm.recoveries());
    if !has_settled {
        println!("WRONG  some orders did not end in time");
    }
    let is_good = has_settled && findings.is_good();
    if is_good {
        report::write(options, world, findings, &storm.recoveries())?;
        println!("==> None lost, none doubled, none stuck, none unannounced");
    } else {
        println!("The functions' logs are in {}", world.keep_logs());
    }
    Ok(is_good)
}

/// Prints the progress: each second on a terminal, and elsewhere now and then.
async fn progress(world: Arc<World>) {
    let is_terminal = std::io::stdout().is_terminal();
    loop {
        sleep(Duration::from_secs(if is_terminal { 1 } else { 15 })).await;
        step(&format!(
            "{} orders accepted, {} faults, {} messages in the queue",
            world.journal.count_accepted(),
            world.faults.count(),
            world.queues.counts(ORDERS).total(),
        ));
    }
}
