//! Create: how many orders are accepted a second and how long each takes, what that costs the machine, and the same of what
//! it replaces.

use std::sync::Arc;
use std::time::Duration;

use sandbox::Result;
use sandbox::runtime::{Function, Pool};

use crate::account::{cpu_ms_of, memory_kib, own_cpu_ms};
use crate::baseline::{Baseline, CONNECTIONS};
use crate::findings::{Criterion, Findings, Table};
use crate::floor;
use crate::front::Front;
use crate::load::{self, Load, Plan, Target};
use crate::options::Options;
use crate::plots::{Plot, Series};
use crate::progress::step;
use crate::stats::{count, figure, median, ratio, spread};
use crate::world::World;

/// How many clients place orders at once.
const CLIENTS: [usize; 4] = [1, 16, 64, 1000];
/// Of these, the one that the targets are about, and the most.
const USUAL: usize = 2;
const MOST: usize = 3;
/// Environments of the functions on Managed Instances, and how many calls each is given at once, of which Lambda allows 1,600.
const MANAGED: (usize, &str) = (2, "64");
/// Connections to the database that these have together.
const MANAGED_CONNECTIONS: usize = 8;
/// How far away a queue of AWS is.
const FAR: Duration = Duration::from_millis(6);

/// What was measured at once, so that ratios are taken of it.
struct Round {
    ours: Vec<Load>,
    managed: Vec<Load>,
    theirs: Vec<Load>,
    direct: Load,
    far: Load,
    hello: Load,
    managed_hello: Load,
    ours_processing: Load,
    theirs_processing: Load,
    floor: f64,
    managed_floor: f64,
}

/// The pools of a run.
struct Pools {
    api: Arc<Pool>,
    managed: Arc<Pool>,
    hello: Arc<Pool>,
    managed_hello: Arc<Pool>,
}

/// Measures.
pub async fn measure(world: &World) -> Result<Findings> {
    let api = world.pool(world.function("api", &[]), CONNECTIONS).await?;
    let mut hello = world.function("api", &[]);
    hello.bootstrap = Options::probe("hello");
    let (environments, at_once) = MANAGED;
    let many = |function: &Function| {
        let at_once = ("AWS_LAMBDA_MAX_CONCURRENCY".to_owned(), at_once.to_owned());
        let variables = function.variables.iter().cloned().chain([at_once]).collect();
        Function { variables, ..function.clone() }
    };
    let managed = world.pool(many(&world.function("api", &[])), environments).await?;
    let managed_hello = world.pool(many(&hello), environments).await?;
    let pools = Pools { api, managed, hello: world.pool(hello, CONNECTIONS).await?, managed_hello };
    let mut rounds = Vec::new();
    for run in 1..=world.options.runs {
        step(&format!("create, run {run}"));
        rounds.push(round(world, &pools).await?);
    }
    Ok(Findings { text: text(&rounds), plots: plots(&rounds)?, criteria: criteria(&rounds) })
}

async fn round(world: &World, Pools { api, managed, hello, managed_hello }: &Pools) -> Result<Round> {
    let (mut ours, mut theirs, mut at_once) = (Vec::new(), Vec::new(), Vec::new());
    for clients in CLIENTS {
        ours.push(ours_with(world, api, clients).await?);
        at_once.push(ours_with(world, managed, clients).await?);
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
        managed: at_once,
        theirs,
        direct,
        far: far?,
        floor: floor::inserts(world, CONNECTIONS, time).await?,
        managed_floor: floor::inserts(world, MANAGED_CONNECTIONS, time).await?,
        managed_hello: ours_with(world, managed_hello, usual).await?,
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

/// One figure of each round.
fn each(rounds: &[Round], figure: impl Fn(&Round) -> f64) -> Vec<f64> {
    rounds.iter().map(figure).collect()
}

fn criteria(rounds: &[Round]) -> Vec<Criterion> {
    let over = |above: &dyn Fn(&Round) -> f64, below: &dyn Fn(&Round) -> f64| {
        ratio(&each(rounds, above), &each(rounds, below))
    };
    let rate = |of: usize| over(&|round| round.managed[of].rate, &|round| round.theirs[of].rate);
    let rate_alone = |of: usize| over(&|round| round.ours[of].rate, &|round| round.theirs[of].rate);
    let cpu = over(&|round| round.managed[USUAL].used[0], &|round| round.theirs[USUAL].used[0]);
    let cpu_alone = over(&|round| round.ours[USUAL].used[0], &|round| round.theirs[USUAL].used[0]);
    let floor = over(&|round| round.managed[USUAL].rate, &|round| round.managed_floor);
    let floor_alone = over(&|round| round.ours[USUAL].rate, &|round| round.floor);
    let p99 = |load: &Load| load.percentile(0.99);
    let tail = over(&|round| p99(&round.managed[MOST]), &|round| p99(&round.theirs[MOST]));
    let tail_alone = over(&|round| p99(&round.ours[MOST]), &|round| p99(&round.theirs[MOST]));
    let loads = rounds.iter().flat_map(|round| round.ours.iter().chain(&round.managed));
    let errors: usize = loads.map(|load| load.errors).sum();
    let least = if errors == 0 { 4.0 } else { f64::INFINITY };
    let alone = |ratio: f64| format!("one call at a time {}", figure(ratio));
    let hello_rate = |of: usize| over(&|round| round.managed_hello.rate, &|round| round.theirs[of].rate);
    let hello_cpu = over(&|round| round.managed_hello.used[0], &|round| round.theirs[USUAL].used[0]);
    let cpus = format!("{}; hello-world {}", alone(cpu_alone), figure(hello_cpu));
    let rates = |of| {
        let hello = figure(hello_rate(of));
        format!("{}; hello-world {hello}; {errors} errors and time-outs", alone(rate_alone(of)))
    };
    let no_error = "≥ 4; no error, no time-out";
    vec![
        Criterion::at_most("CPU an accepted order, ours ÷ FastAPI", "≤ 1/5", 0.2, cpu, cpus),
        Criterion::at_least(
            "orders accepted a second at 64 clients, ours ÷ FastAPI",
            no_error,
            least,
            rate(USUAL),
            rates(USUAL),
        ),
        Criterion::at_least("… at 1,000 clients", no_error, least, rate(MOST), rates(MOST)),
        Criterion::at_least(
            "create throughput, ours ÷ `pgbench` of the same INSERT on as many connections",
            "≥ 0.7",
            0.7,
            floor,
            alone(floor_alone),
        ),
        Criterion::at_most("p99 of create at 1,000 clients, ours ÷ FastAPI", "≤ 1/4", 0.25, tail, alone(tail_alone)),
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
        table.row(&row("Ordermill, many calls at once", *clients, rounds, |round| &round.managed[index]));
        table.row(&row("FastAPI", *clients, rounds, |round| &round.theirs[index]));
    }
    let usual = CLIENTS[USUAL];
    table.row(&row("Ordermill, orders being processed as well", usual, rounds, |round| &round.ours_processing));
    table.row(&row("FastAPI, orders being processed as well", usual, rounds, |round| &round.theirs_processing));
    table.row(&row("Ordermill, the queue 6 ms away", usual, rounds, |round| &round.far));
    table.row(&row("Ordermill, by the Runtime API alone", usual, rounds, |round| &round.direct));
    table.row(&row("hello-world, many calls at once", usual, rounds, |round| &round.managed_hello));
    table.row(&row("hello-world, by the Runtime API alone", usual, rounds, |round| &round.hello));
    let floor = spread(&each(rounds, |round| round.floor));
    let managed_floor = spread(&each(rounds, |round| round.managed_floor));
    format!(
        "{}\n`pgbench` inserts {floor} orders a second with {CONNECTIONS} connections, and {managed_floor} with {MANAGED_CONNECTIONS}.\n",
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
            line("Ordermill, many calls at once", &|round, index| of(&round.managed[index])),
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
