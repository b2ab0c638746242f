//! Cold start: from the start of the process to the first `/next`, and to the first order accepted, with the share of a CPU
//! that a function has.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use sandbox::Result;
use sandbox::runtime::{Environment, Function};
use tokio::process::Command;

use crate::baseline::{Baseline, python};
use crate::client::Client;
use crate::findings::{Criterion, Findings, Table};
use crate::front::Front;
use crate::load::order;
use crate::options::Options;
use crate::progress::step;
use crate::share::Share;
use crate::stats::{figure, median, ms, ratio, spread};
use crate::world::{QUEUE, World};

/// The template's, and the least that there is.
const MEMORY_MB: [u32; 2] = [512, 128];
/// The most that Lambda's console shows no upload form for is far more; this is the target.
const ZIP_MB: f64 = 4.0;

/// Times from the start of the process, in milliseconds.
#[derive(Default)]
struct Times {
    next: Vec<f64>,
    answer: Vec<f64>,
}

#[derive(Default)]
struct Cold {
    ours: Times,
    hello: Times,
    theirs: Times,
    bare: Vec<f64>,
}

/// Measures.
pub async fn measure(world: &World) -> Result<Findings> {
    world.clear().await?;
    let (mut table, mut criteria) = (table(), Vec::new());
    for memory_mb in MEMORY_MB {
        let share = Share::of(memory_mb);
        let mut cold = Cold::default();
        for run in 1..=world.options.runs {
            step(&format!("cold start at {memory_mb} MB, run {run}"));
            start_all(world, &share, &mut cold).await?;
        }
        rows(&mut table, memory_mb, &share, &cold);
        if memory_mb == MEMORY_MB[0] {
            criteria = of_times(&cold);
        }
    }
    let (size, zip) = zip(world).await?;
    criteria.push(Criterion::at_most("api zip, MB", "≤ 4 MB", ZIP_MB, zip, format!("the binary {} MB", figure(size))));
    Ok(Findings { text: table.text(), plots: Vec::new(), criteria })
}

async fn start_all(world: &World, share: &Share, cold: &mut Cold) -> Result<()> {
    for _ in 0..world.options.either(3, 1) {
        start(world, share, &world.options.bootstrap("api"), &mut cold.ours).await?;
        start(world, share, &Options::probe("hello"), &mut cold.hello).await?;
        cold.bare.push(start_bare(world, share).await?);
    }
    start_theirs(world, share, &mut cold.theirs).await
}

/// Starts a function, and has it answer once.
async fn start(world: &World, share: &Share, program: &Path, times: &mut Times) -> Result<()> {
    let starter = share.starter(world.directory.path(), "start-function", program)?;
    let function = Function { bootstrap: starter.script.clone(), ..world.function("api", &[]) };
    let environment = Environment::start(&function, "api-cold".to_owned()).await?;
    times.next.push(ms(starter.elapsed()?));
    let event = Front::event_of("POST", "/orders", &order());
    let answer = environment.invoke(event.into()).await.map_err(|error| format!("no answer: {error:?}"))?;
    times.answer.push(ms(starter.elapsed()?));
    let answer: crate::front::Answer<'_> = serde_json::from_slice(&answer)?;
    if answer.status_code == 201 { Ok(()) } else { Err(format!("the first create: {answer:?}").into()) }
}

/// A bare driver's connect, INSERT and send, one after the other.
async fn start_bare(world: &World, share: &Share) -> Result<f64> {
    let starter = share.starter(world.directory.path(), "start-bare", &Options::probe("bare"))?;
    let mut command = Command::new(&starter.script);
    command.env("DATABASE_URL", world.database_url()).env("QUEUE_URL", world.queues.url(QUEUE));
    let output = command.env("AWS_ENDPOINT_URL", world.queues.endpoint()).stdin(Stdio::null()).output().await?;
    let micros = String::from_utf8_lossy(&output.stdout).trim().parse::<u32>();
    let micros = micros.map_err(|_| String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok(f64::from(micros) / 1e3)
}

async fn start_theirs(world: &World, share: &Share, times: &mut Times) -> Result<()> {
    let starter = share.starter(world.directory.path(), "start-python", &python()?)?;
    // As with an environment, one connection.
    let baseline = Baseline::launch(world, &mut Command::new(&starter.script), 1, true)?;
    baseline.listens().await?;
    times.next.push(ms(starter.elapsed()?));
    let status = Client::connect(baseline.address).await?.post("/orders", &order()).await?;
    times.answer.push(ms(starter.elapsed()?));
    if status == 201 { Ok(()) } else { Err(format!("FastAPI's first create: {status}").into()) }
}

/// The size of the api's binary and of its zip, in MB.
async fn zip(world: &World) -> Result<(f64, f64)> {
    let (binary, zip) = (world.options.bootstrap("api"), world.directory.path().join("api.zip"));
    let script =
        "import sys, zipfile; zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED).write(sys.argv[2], 'bootstrap')";
    let status = Command::new(python()?).args(["-c", script]).args([&zip, &binary]).status().await?;
    if !status.success() {
        return Err("the api can't be zipped".into());
    }
    let megabytes =
        |file: &Path| -> Result<f64> { Ok(Duration::from_micros(std::fs::metadata(file)?.len()).as_secs_f64()) };
    Ok((megabytes(&binary)?, megabytes(&zip)?))
}

fn of_times(cold: &Cold) -> Vec<Criterion> {
    let one_by_one = median(&cold.hello.answer) + median(&cold.bare);
    let note = "medians at the CPU share of 512 MB".to_owned();
    vec![
        Criterion::at_most(
            "cold start to first `/next`, ours ÷ hello-world Rust",
            "≤ 3",
            3.0,
            ratio(&cold.ours.next, &cold.hello.next),
            note.clone(),
        ),
        Criterion::at_most(
            "cold start to first create answered, ours ÷ (hello-world's first answer + a bare driver's connect + INSERT + send, one after the other)",
            "≤ 1.3",
            1.3,
            median(&cold.ours.answer) / one_by_one,
            note.clone(),
        ),
        Criterion::at_most(
            "cold start to first create answered, ours ÷ FastAPI's",
            "≤ 1/15",
            1.0 / 15.0,
            median(&cold.ours.answer) / median(&cold.theirs.answer),
            note,
        ),
    ]
}

fn table() -> Table {
    Table::new(&["", "memory MB", "to the first `/next`, or to listening, ms", "to the first create answered, ms"])
}

fn rows(table: &mut Table, memory_mb: u32, share: &Share, cold: &Cold) {
    let memory = if share.is_enforced() { memory_mb.to_string() } else { format!("{memory_mb}, not enforced") };
    let mut row =
        |name: &str, next: String, answer: String| table.row(&[name.to_owned(), memory.clone(), next, answer]);
    row("Ordermill's api", spread(&cold.ours.next), spread(&cold.ours.answer));
    row("hello-world", spread(&cold.hello.next), spread(&cold.hello.answer));
    row("a bare driver: connect, INSERT, send", "–".to_owned(), spread(&cold.bare));
    row("FastAPI", spread(&cold.theirs.next), spread(&cold.theirs.answer));
}
