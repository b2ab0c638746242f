//! Scale-out: create and drain with more and more environments, and which processes use the machine's CPU time.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use sandbox::Result;
use sandbox::progress::step;
use tokio::time::Instant;

use crate::findings::{Findings, Table};
use crate::front::Front;
use crate::load::{self, Target};
use crate::plots::{Plot, Series};
use crate::prepared;
use crate::stats::{count, figure, median, spread};
use crate::world::World;

/// The numbers of environments.
const ENVIRONMENTS: [usize; 4] = [1, 2, 4, 8];
/// The size of a drained batch.
const BATCH: usize = 100;

/// The figures for one number of environments, run by run.
#[derive(Default)]
struct Scaled {
    created: Vec<f64>,
    drained: Vec<f64>,
    /// The CPU time of the creates, in percent of one CPU: the function's, the database's, the driver's.
    shares: [Vec<f64>; 3],
}

pub async fn measure(world: &World) -> Result<Findings> {
    let mut all: [Scaled; ENVIRONMENTS.len()] = std::array::from_fn(|_| Scaled::default());
    for run in 1..=world.options.runs.min(3) {
        for (environments, scaled) in ENVIRONMENTS.into_iter().zip(&mut all) {
            step(&format!("scale-out, {environments} environments, run {run}"));
            create(world, environments, scaled).await?;
            scaled.drained.push(drain(world, environments).await?);
        }
    }
    let created =
        ENVIRONMENTS.iter().zip(&all).map(|(environments, scaled)| (count(*environments), median(&scaled.created)));
    let drained =
        ENVIRONMENTS.iter().zip(&all).map(|(environments, scaled)| (count(*environments), median(&scaled.drained)));
    let series = vec![Series::new("created", created), Series::new("drained, by 100", drained)];
    let plot = Plot { title: "More environments", x: "environments", y: "orders/s", series }.svg()?;
    Ok(Findings { text: table(&all), plots: vec![("scale".into(), plot)], ..Findings::default() })
}

async fn create(world: &World, environments: usize, scaled: &mut Scaled) -> Result<()> {
    let api = world.pool(world.function("api", &[]), environments).await?;
    let (processes, target) = (api.process_ids(), Target::Direct(Front::new(api)));
    let load = load::run(world, target, environments * 2, 1, &processes).await?;
    let [function, _, database, driver] = load.used;
    scaled.created.push(load.rate);
    for (share, used) in scaled.shares.iter_mut().zip([function, database, driver]) {
        share.push(used * load.rate / 10.0); // Milliseconds a second, as a percentage of one CPU.
    }
    Ok(())
}

async fn drain(world: &World, environments: usize) -> Result<f64> {
    let orders = world.options.either(20_000, 5_000);
    world.clear().await?;
    prepared::due(world, orders).await?;
    let processor = world.pool(world.function("processor", &[]), environments).await?;
    let begin = Instant::now();
    let batches = (0..orders).step_by(BATCH).map(|first| {
        let processor = Arc::clone(&processor);
        async move { processor.invoke(prepared::batch(first..first + BATCH)).await }
    });
    try_join_all(batches).await.map_err(|error| format!("a batch: {error:?}"))?;
    Ok(count(orders) / begin.elapsed().max(Duration::from_millis(1)).as_secs_f64())
}

fn table(all: &[Scaled]) -> String {
    let mut table = Table::new(&[
        "environments",
        "created/s",
        "drained/s, batches of 100",
        "CPU of the function %",
        "of PostgreSQL's connections %",
        "of the driver %",
    ]);
    for (environments, scaled) in ENVIRONMENTS.iter().zip(all) {
        let shares = scaled.shares.iter().map(|share| figure(median(share)));
        let cells = [environments.to_string(), spread(&scaled.created), spread(&scaled.drained)];
        table.row(&cells.into_iter().chain(shares).collect::<Vec<_>>());
    }
    table.text()
}
