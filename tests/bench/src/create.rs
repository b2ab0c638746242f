//! Create: the rate of accepted orders, their latency and their use of the machine, beside the same figures of the replaced
//! service.

use std::sync::Arc;
use std::time::Duration;

use sandbox::Result;
use sandbox::runtime::{Function, Pool};

use crate::baseline::{self, Baseline, CONNECTIONS};
use crate::findings::{Criterion, Findings, Table};
use crate::floor::{self, Protocol};
use crate::front::Front;
use crate::load::{self, Load, Target};
use crate::options::Options;
use crate::plots::{Plot, Series};
use crate::progress::step;
use crate::stats::{count, figure, median, ratio, spread};
use crate::world::World;

/// The number of clients that the targets use.
const USUAL: usize = 64;
const MOST: usize = 1000;
const CLIENTS: [usize; 4] = [1, 16, USUAL, MOST];
/// The names of the rows that targets and plots use.
const OURS: &str = "Ordermill";
const THEIRS: &str = "FastAPI";
const ON_LAMBDA: &str = "FastAPI on Lambda";
const SENDING: &str = "FastAPI on Lambda, sending to SQS";
const LEAST: &str = "the least function: INSERT and send";

/// The measurements of one run. Ratios compare only measurements of the same run.
struct Round {
    /// The rows of the table: the name, the number of clients, and the load.
    loads: Vec<(&'static str, usize, Load)>,
    floor: f64,
    unprepared: f64,
}

impl Round {
    fn of(&self, name: &str, clients: usize) -> &Load {
        let is_it = |row: &&(&str, usize, Load)| (row.0, row.1) == (name, clients);
        self.loads.iter().find(is_it).map(|(.., load)| load).expect("the row was measured")
    }
}

struct Pools {
    api: Arc<Pool>,
    hello: Arc<Pool>,
    least: Arc<Pool>,
    on_lambda: Arc<Pool>,
    sending: Arc<Pool>,
}

pub async fn measure(world: &World) -> Result<Findings> {
    let api = world.pool(world.function("api", &[]), CONNECTIONS).await?;
    let probe = |name| Function { bootstrap: Options::probe(name), ..world.function("api", &[]) };
    let environments = world.options.either(CONNECTIONS, 4);
    let on_lambda = |sends| baseline::function(world, &world.baseline_url(), sends);
    let pools = Pools {
        api,
        hello: world.pool(probe("hello"), CONNECTIONS).await?,
        least: world.pool(probe("least"), CONNECTIONS).await?,
        on_lambda: world.pool(on_lambda(false)?, environments).await?,
        sending: world.pool(on_lambda(true)?, environments).await?,
    };
    let mut rounds = Vec::new();
    for run in 1..=world.options.runs {
        step(&format!("create, run {run}"));
        rounds.push(round(world, &pools).await?);
    }
    Ok(Findings { text: text(&rounds), plots: plots(&rounds)?, criteria: criteria(&rounds) })
}

async fn round(world: &World, Pools { api, hello, least, on_lambda, sending }: &Pools) -> Result<Round> {
    let ours = |pool, clients| load::run_on(world, pool, clients, 1);
    let mut loads = Vec::new();
    for clients in CLIENTS {
        loads.push((OURS, clients, ours(api, clients).await?));
        loads.push((THEIRS, clients, theirs(world, clients, false).await?));
    }
    loads.push((LEAST, USUAL, ours(least, USUAL).await?));
    loads.push((ON_LAMBDA, USUAL, ours(on_lambda, USUAL).await?));
    loads.push((SENDING, USUAL, ours(sending, USUAL).await?));
    let processor = world.pool(world.function("processor", &[("PROCESSING_DELAY_SECONDS", "5")]), 2).await?;
    let processing = world.process(processor, 2);
    let load = ours(api, USUAL).await;
    processing.stop().await;
    loads.push(("Ordermill, orders being processed as well", USUAL, load?));
    loads.push(("FastAPI, orders being processed as well", USUAL, theirs(world, USUAL, true).await?));
    let directly = Target::Direct(Front::new(Arc::clone(hello)));
    let load = load::run(world, directly, USUAL, 1, &hello.process_ids()).await?;
    loads.push(("hello-world, by the Runtime API alone", USUAL, load));
    world.clear().await?;
    let time = world.options.either(Duration::from_secs(3), Duration::from_secs(1));
    let floor = floor::inserts(world, Protocol::Prepared, CONNECTIONS, time).await?;
    Ok(Round { loads, floor, unprepared: floor::inserts(world, Protocol::Extended, CONNECTIONS, time).await? })
}

async fn theirs(world: &World, clients: usize, processing: bool) -> Result<Load> {
    let baseline = Baseline::start(world, processing).await?;
    load::run(world, Target::Http(baseline.address), clients, 1, &[baseline.process_id()]).await
}

/// Returns one figure of each round.
fn each(rounds: &[Round], figure: impl Fn(&Round) -> f64) -> Vec<f64> {
    rounds.iter().map(figure).collect()
}

fn criteria(rounds: &[Round]) -> Vec<Criterion> {
    let of = |name: &str, figure: fn(&Load) -> f64| each(rounds, |round| figure(round.of(name, USUAL)));
    let rate = |load: &Load| load.rate;
    let cpu = |load: &Load| load.used[0];
    let floor = ratio(&of(OURS, rate), &each(rounds, |round| round.floor));
    let least = figure(ratio(&of(LEAST, rate), &each(rounds, |round| round.floor)));
    let unprepared = ratio(&of(OURS, rate), &each(rounds, |round| round.unprepared));
    let ours = rounds.iter().flat_map(|round| &round.loads).filter(|(name, ..)| *name == OURS);
    let errors: usize = ours.map(|(.., load)| load.errors).sum();
    let note = format!(
        "{USUAL} clients; the least function that inserts and sends reaches {least}; ÷ the INSERT that is parsed each time {}; {errors} errors and time-outs",
        figure(unprepared)
    );
    let what = "create throughput, one call at a time, ÷ `pgbench` of the same INSERT, prepared, 16 connections";
    let on_lambda = "CPU of the function a create, one call at a time, ÷ FastAPI on Lambda";
    let times = figure(ratio(&of(OURS, rate), &of(ON_LAMBDA, rate)));
    let sending = figure(ratio(&of(OURS, cpu), &of(SENDING, cpu)));
    let inevitable = figure(ratio(&of(LEAST, cpu), &of(ON_LAMBDA, cpu)));
    let note_on_lambda = format!(
        "{times} times as many orders a second; the least function that inserts and sends takes {inevitable}; where FastAPI sends to SQS as well, {sending}"
    );
    let cpu = ratio(&of(OURS, cpu), &of(ON_LAMBDA, cpu));
    let beside_theirs = |clients, figure: fn(&Load) -> f64| {
        let [ours, theirs] = [OURS, THEIRS].map(|name| each(rounds, |round| figure(round.of(name, clients))));
        ratio(&ours, &theirs)
    };
    let theirs = "FastAPI is one process that serves many calls at once and answers HTTP itself";
    let [usual, most] = [USUAL, MOST].map(|clients| beside_theirs(clients, rate));
    let tail = beside_theirs(MOST, |load| load.percentile(0.99));
    vec![
        Criterion::at_least(what, "≥ 0.5", 0.5, floor, note).before("0.27–0.35, parsed each time"),
        Criterion::at_most(on_lambda, "≤ 1/4", 0.25, cpu, note_on_lambda),
        Criterion::at_least("creates a second with 64 clients ÷ FastAPI", "≥ 4", 4.0, usual, theirs.to_owned()),
        Criterion::at_least("… with 1,000 clients", "≥ 4", 4.0, most, theirs.to_owned()),
        Criterion::at_most("p99 of create with 1,000 clients ÷ FastAPI", "≤ 1/4", 0.25, tail, theirs.to_owned()),
    ]
}

fn text(rounds: &[Round]) -> String {
    let mut table = Table::new(&[
        "",
        "clients",
        "orders/s",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "CPU ms an order",
        "memory KiB an order",
        "PostgreSQL's CPU ms",
        "the driver's CPU ms",
        "errors",
    ]);
    for (index, (name, clients, _)) in rounds[0].loads.iter().enumerate() {
        let loads: Vec<_> = rounds.iter().map(|round| &round.loads[index].2).collect();
        table.row(&row(name, *clients, &loads));
    }
    let floor = spread(&each(rounds, |round| round.floor));
    let unprepared = spread(&each(rounds, |round| round.unprepared));
    format!(
        "{}\n`pgbench` inserts {floor} orders a second with {CONNECTIONS} connections, and {unprepared} where each statement is parsed.\n",
        table.text()
    )
}

fn row(name: &str, clients: usize, loads: &[&Load]) -> Vec<String> {
    let value = |figure: &dyn Fn(&Load) -> f64| loads.iter().map(|load| figure(load)).collect::<Vec<_>>();
    let middle = |of: &dyn Fn(&Load) -> f64| figure(median(&value(of)));
    let percentiles = [0.5, 0.95, 0.99].map(|share| middle(&|load| load.percentile(share)));
    let used = [0, 1, 2, 3].map(|counter: usize| middle(&|load| load.used[counter]));
    let errors: usize = loads.iter().map(|load| load.errors).sum();
    let mut cells = vec![name.to_owned(), clients.to_string(), spread(&value(&|load| load.rate))];
    cells.extend(percentiles.into_iter().chain(used).chain([errors.to_string()]));
    cells
}

fn plots(rounds: &[Round]) -> Result<Vec<(String, String)>> {
    let both = |of: fn(&Load) -> f64| {
        let point = |name, clients| (count(clients), median(&each(rounds, |round| of(round.of(name, clients)))));
        [OURS, THEIRS].map(|name| Series::new(name, CLIENTS.map(|clients| point(name, clients)))).into()
    };
    let (x, rates, tails) = ("clients at once", both(|load| load.rate), both(|load| load.percentile(0.99)));
    let rates = Plot { title: "Orders accepted a second", x, y: "orders/s", series: rates };
    let tails = Plot { title: "p99 of create", x, y: "ms", series: tails };
    Ok(vec![("create-rate".into(), rates.svg()?), ("create-p99".into(), tails.svg()?)])
}
