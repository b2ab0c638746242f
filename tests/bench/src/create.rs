//! Create: the rate of accepted orders, their latency and their use of the machine, beside the same figures of the replaced
//! service.

use std::sync::Arc;
use std::time::Duration;

use sandbox::Result;
use sandbox::runtime::Pool;

use crate::account::{cpu_ms_of, memory_kib, own_cpu_ms};
use crate::baseline::{self, Baseline, CONNECTIONS};
use crate::findings::{Criterion, Findings, Table};
use crate::floor::{self, Protocol};
use crate::front::Front;
use crate::load::{self, Load, Plan, Target};
use crate::options::Options;
use crate::plots::{Plot, Series};
use crate::progress::step;
use crate::stats::{count, figure, median, ratio, spread};
use crate::world::World;

/// The numbers of simultaneous clients.
const CLIENTS: [usize; 4] = [1, 16, 64, 1000];
/// The index of the client count that the target uses.
const USUAL: usize = 2;
/// The round trip to a queue of AWS.
const FAR: Duration = Duration::from_millis(6);

/// The measurements of one run. Ratios compare only measurements of the same run.
struct Round {
    ours: Vec<Load>,
    theirs: Vec<Load>,
    on_lambda: Load,
    sending: Load,
    direct: Load,
    far: Load,
    hello: Load,
    ours_processing: Load,
    theirs_processing: Load,
    floor: f64,
    unprepared: f64,
}

/// The pools of a run.
struct Pools {
    api: Arc<Pool>,
    hello: Arc<Pool>,
    on_lambda: Arc<Pool>,
    sending: Arc<Pool>,
}

/// Runs the measurement.
pub async fn measure(world: &World) -> Result<Findings> {
    let api = world.pool(world.function("api", &[]), CONNECTIONS).await?;
    let mut hello = world.function("api", &[]);
    hello.bootstrap = Options::probe("hello");
    let environments = world.options.either(CONNECTIONS, 4);
    let on_lambda = |sends| baseline::function(world, &world.baseline_url(), sends);
    let pools = Pools {
        api,
        hello: world.pool(hello, CONNECTIONS).await?,
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

async fn round(world: &World, Pools { api, hello, on_lambda, sending }: &Pools) -> Result<Round> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for clients in CLIENTS {
        ours.push(ours_with(world, api, clients).await?);
        theirs.push(theirs_with(world, clients, false).await?);
    }
    let usual = CLIENTS[USUAL];
    let direct = load_on(world, Target::Direct(Front::new(Arc::clone(api))), usual, api).await?;
    world.set_round_trip(FAR);
    let far = ours_with(world, api, usual).await;
    world.set_round_trip(Duration::ZERO);
    world.clear().await?;
    let time = world.options.either(Duration::from_secs(3), Duration::from_secs(1));
    Ok(Round {
        ours,
        theirs,
        on_lambda: ours_with(world, on_lambda, usual).await?,
        sending: ours_with(world, sending, usual).await?,
        direct,
        far: far?,
        floor: floor::inserts(world, Protocol::Prepared, CONNECTIONS, time).await?,
        unprepared: floor::inserts(world, Protocol::Extended, CONNECTIONS, time).await?,
        hello: load_on(world, Target::Direct(Front::new(Arc::clone(hello))), usual, hello).await?,
        ours_processing: ours_processing(world, api, usual).await?,
        theirs_processing: theirs_with(world, usual, true).await?,
    })
}

async fn ours_with(world: &World, api: &Arc<Pool>, clients: usize) -> Result<Load> {
    let server = Front::new(Arc::clone(api)).serve().await?;
    load_on(world, Target::Http(server.address()), clients, api).await
}

async fn ours_processing(world: &World, api: &Arc<Pool>, clients: usize) -> Result<Load> {
    let processor = world.pool(world.function("processor", &[("PROCESSING_DELAY_SECONDS", "5")]), 2).await?;
    let processing = world.process(processor, 2);
    let load = ours_with(world, api, clients).await;
    processing.stop().await;
    load
}

async fn load_on(world: &World, target: Target, clients: usize, pool: &Arc<Pool>) -> Result<Load> {
    let processes: Vec<_> = pool.running().iter().map(|environment| environment.process_id()).collect();
    run(world, target, clients, &processes).await
}

async fn theirs_with(world: &World, clients: usize, processing: bool) -> Result<Load> {
    let baseline = Baseline::start(world, processing).await?;
    run(world, Target::Http(baseline.address), clients, &[baseline.process_id()]).await
}

async fn run(world: &World, target: Target, clients: usize, processes: &[i32]) -> Result<Load> {
    world.clear().await?;
    let (warm_up, time) = world.options.load();
    let plan = Plan { target, clients, warm_up, time, list: 1 };
    load::run(&plan, || {
        let memory = processes.iter().map(|process| memory_kib(*process)).sum();
        vec![cpu_ms_of(processes), memory, world.database_cpu_ms(), own_cpu_ms()]
    })
    .await
}

/// Returns one figure of each round.
fn each(rounds: &[Round], figure: impl Fn(&Round) -> f64) -> Vec<f64> {
    rounds.iter().map(figure).collect()
}

fn criteria(rounds: &[Round]) -> Vec<Criterion> {
    let over = |above: &dyn Fn(&Round) -> f64, below: &dyn Fn(&Round) -> f64| {
        ratio(&each(rounds, above), &each(rounds, below))
    };
    let floor = over(&|round| round.ours[USUAL].rate, &|round| round.floor);
    let errors: usize = rounds.iter().flat_map(|round| &round.ours).map(|load| load.errors).sum();
    let unprepared = over(&|round| round.ours[USUAL].rate, &|round| round.unprepared);
    let note = format!(
        "{} clients; ÷ the INSERT that is parsed each time {}; {errors} errors and time-outs",
        CLIENTS[USUAL],
        figure(unprepared)
    );
    let what = "create throughput, one call at a time, ÷ `pgbench` of the same INSERT, prepared, 16 connections";
    let cpu = over(&|round| round.ours[USUAL].used[0], &|round| round.on_lambda.used[0]);
    let rate = over(&|round| round.ours[USUAL].rate, &|round| round.on_lambda.rate);
    let (on_lambda, times) = ("CPU of the function a create, one call at a time, ÷ FastAPI on Lambda", figure(rate));
    let sending = figure(over(&|round| round.ours[USUAL].used[0], &|round| round.sending.used[0]));
    let note_on_lambda = format!("{times} times as many orders a second; where it sends to SQS as well, {sending}");
    vec![
        Criterion::at_least(what, "≥ 0.5", 0.5, floor, note).before("0.27–0.35, parsed each time"),
        Criterion::at_most(on_lambda, "≤ 1/4", 0.25, cpu, note_on_lambda),
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
    for (index, clients) in CLIENTS.iter().enumerate() {
        table.row(&row("Ordermill", *clients, rounds, |round| &round.ours[index]));
        table.row(&row("FastAPI", *clients, rounds, |round| &round.theirs[index]));
    }
    let usual = CLIENTS[USUAL];
    table.row(&row("FastAPI on Lambda", usual, rounds, |round| &round.on_lambda));
    table.row(&row("FastAPI on Lambda, sending to SQS", usual, rounds, |round| &round.sending));
    table.row(&row("Ordermill, orders being processed as well", usual, rounds, |round| &round.ours_processing));
    table.row(&row("FastAPI, orders being processed as well", usual, rounds, |round| &round.theirs_processing));
    table.row(&row("Ordermill, the queue 6 ms away", usual, rounds, |round| &round.far));
    table.row(&row("Ordermill, by the Runtime API alone", usual, rounds, |round| &round.direct));
    table.row(&row("hello-world, by the Runtime API alone", usual, rounds, |round| &round.hello));
    let floor = spread(&each(rounds, |round| round.floor));
    let unprepared = spread(&each(rounds, |round| round.unprepared));
    format!(
        "{}\n`pgbench` inserts {floor} orders a second with {CONNECTIONS} connections, and {unprepared} where each statement is parsed.\n",
        table.text()
    )
}

fn row(name: &str, clients: usize, rounds: &[Round], of: impl Fn(&Round) -> &Load) -> Vec<String> {
    let value = |figure: &dyn Fn(&Load) -> f64| each(rounds, |round| figure(of(round)));
    let middle = |of: &dyn Fn(&Load) -> f64| figure(median(&value(of)));
    let errors: usize = rounds.iter().map(|round| of(round).errors).sum();
    vec![
        name.to_owned(),
        clients.to_string(),
        spread(&value(&|load| load.rate)),
        middle(&|load| load.percentile(0.5)),
        middle(&|load| load.percentile(0.95)),
        middle(&|load| load.percentile(0.99)),
        middle(&|load| load.used[0]),
        middle(&|load| load.used[1]),
        middle(&|load| load.used[2]),
        middle(&|load| load.used[3]),
        errors.to_string(),
    ]
}

fn plots(rounds: &[Round]) -> Result<Vec<(String, String)>> {
    let both = |of: &dyn Fn(&Load) -> f64| -> Vec<Series> {
        let line = |name: &str, loads: &dyn Fn(&Round, usize) -> f64| {
            let point = |index: usize| median(&each(rounds, |round| loads(round, index)));
            Series::new(name, CLIENTS.iter().enumerate().map(|(index, clients)| (count(*clients), point(index))))
        };
        vec![
            line("Ordermill", &|round, index| of(&round.ours[index])),
            line("FastAPI", &|round, index| of(&round.theirs[index])),
        ]
    };
    let rates = Plot {
        title: "Orders accepted a second",
        x: "clients at once",
        y: "orders/s",
        series: both(&|load| load.rate),
    };
    let tails =
        Plot { title: "p99 of create", x: "clients at once", y: "ms", series: both(&|load| load.percentile(0.99)) };
    Ok(vec![("create-rate".into(), rates.svg()?), ("create-p99".into(), tails.svg()?)])
}
