//! Cold start: the time from the start of the process to the first `/next`, and to the first accepted order, with a
//! function's share of a CPU.

use std::path::Path;
use std::process::Stdio;

use sandbox::Result;
use sandbox::progress::step;
use sandbox::runtime::{Environment, Function};
use tokio::process::Command;

use crate::baseline::{self, Baseline, python};
use crate::client::Client;
use crate::findings::{Criterion, Findings, Table};
use crate::front::{Answer, event_of};
use crate::load::order;
use crate::options::Options;
use crate::share::Share;
use crate::stats::{figure, median, ms, ratio, spread};
use crate::tls;
use crate::world::World;

/// The template's memory, and the smallest that Lambda offers.
const MEMORY_MB: [u32; 2] = [512, 128];
/// A megabyte as Lambda counts it: its limit of 250 MB is 262,144,000 bytes.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const MB: f64 = 1_048_576.0;
/// The largest size of the zip.
const ZIP_MB: f64 = 4.0;

/// Times from the start of the process, in milliseconds.
#[derive(Default)]
struct Times {
    next: Vec<f64>,
    answer: Vec<f64>,
}

/// The conditions of a start.
struct Start<'a> {
    world: &'a World,
    share: Share,
    /// The file of the authorities that clients trust for TLS to the database.
    authorities: &'a Path,
}

#[derive(Default)]
struct Cold {
    ours: Times,
    hello: Times,
    theirs: Times,
    on_lambda: Times,
    bare: Vec<f64>,
}

pub async fn measure(world: &World) -> Result<Findings> {
    world.clear().await?;
    let authorities = tls::enable(&world.postgres, world.directory.path()).await?;
    let (mut table, mut criteria) = (table(), Vec::new());
    for memory_mb in MEMORY_MB {
        let start = Start { world, share: Share::of(memory_mb), authorities: &authorities };
        let mut cold = Cold::default();
        for run in 1..=world.options.runs {
            step(&format!("cold start at {memory_mb} MB, run {run}"));
            start.all(&mut cold).await?;
        }
        rows(&mut table, memory_mb, &start.share, &cold);
        if memory_mb == MEMORY_MB[0] {
            criteria = of_times(&cold);
        }
    }
    let (size, zip) = zip(world).await?;
    criteria.push(Criterion::at_most(
        "api zip, MB",
        "≤ 4 MB",
        ZIP_MB,
        zip,
        format!("{} bytes; the binary {} MB", figure((zip * MB).round()), figure(size)),
    ));
    Ok(Findings { text: table.text(), plots: Vec::new(), criteria })
}

impl Start<'_> {
    async fn all(&self, cold: &mut Cold) -> Result<()> {
        for _ in 0..self.world.options.either(15, 1) {
            self.function(&self.world.bootstrap("api"), &mut cold.ours).await?;
            self.function(&Options::probe("hello"), &mut cold.hello).await?;
            cold.bare.push(self.bare().await?);
        }
        self.on_lambda(&mut cold.on_lambda).await?;
        self.theirs(&mut cold.theirs).await
    }

    /// Starts `FastAPI` on Lambda. With the smallest share of a CPU it may not start within Lambda's ten seconds.
    async fn on_lambda(&self, times: &mut Times) -> Result<()> {
        let url = by_name(&self.world.baseline_url());
        let url = format!("{url}?sslmode=verify-full&sslrootcert={}", self.authorities.display());
        let function = baseline::function(self.world, &url, false)?;
        let starter = self.share.starter(self.world.directory.path(), "start-on-lambda", &function.bootstrap)?;
        let function = Function { bootstrap: starter.script.clone(), ..function };
        if let Ok(environment) = Environment::start(&function, "fastapi-cold".to_owned()).await {
            times.next.push(ms(starter.elapsed()?));
            first_create(&environment).await?;
            times.answer.push(ms(starter.elapsed()?));
        }
        Ok(())
    }

    /// Starts a function and invokes it once.
    async fn function(&self, program: &Path, times: &mut Times) -> Result<()> {
        let starter = self.share.starter(self.world.directory.path(), "start-function", program)?;
        let (url, authorities) = (by_name(&self.world.database_url()), self.authorities.to_string_lossy());
        let variables =
            [("DATABASE_URL", url.as_str()), ("DATABASE_TLS", "verify-full"), ("DATABASE_CA_FILE", &authorities)];
        let function = Function { bootstrap: starter.script.clone(), ..self.world.function("api", &variables) };
        let environment = Environment::start(&function, "api-cold".to_owned()).await?;
        times.next.push(ms(starter.elapsed()?));
        first_create(&environment).await?;
        times.answer.push(ms(starter.elapsed()?));
        Ok(())
    }

    /// Runs a bare driver's connect, INSERT and send, one after the other.
    async fn bare(&self) -> Result<f64> {
        let starter = self.share.starter(self.world.directory.path(), "start-bare", &Options::probe("bare"))?;
        let mut command = Command::new(&starter.script);
        command
            .env("DATABASE_URL", by_name(&self.world.database_url()))
            .env("DATABASE_CA_FILE", self.authorities)
            .env("SSL_CERT_FILE", "/dev/null")
            .envs(self.world.queues.variables());
        let output = command.stdin(Stdio::null()).output().await?;
        let micros = String::from_utf8_lossy(&output.stdout).trim().parse::<u32>();
        let micros = micros.map_err(|_| String::from_utf8_lossy(&output.stderr).into_owned())?;
        Ok(f64::from(micros) / 1e3)
    }

    async fn theirs(&self, times: &mut Times) -> Result<()> {
        let starter = self.share.starter(self.world.directory.path(), "start-python", &python()?)?;
        let (url, authorities) = (by_name(&self.world.baseline_url()), self.authorities.display());
        let mut command = Command::new(&starter.script);
        command.env("DATABASE_URL", format!("{url}?sslmode=verify-full&sslrootcert={authorities}"));
        // One connection, like an environment.
        let baseline = Baseline::launch(&mut command, 1, true)?;
        baseline.wait_until_ready().await?;
        times.next.push(ms(starter.elapsed()?));
        let status = Client::connect(baseline.address).await?.post("/orders", &order()).await?;
        times.answer.push(ms(starter.elapsed()?));
        if status == 201 { Ok(()) } else { Err(format!("the first create of FastAPI: {status}").into()) }
    }
}

async fn first_create(environment: &Environment) -> Result<()> {
    let event = event_of("POST", "/orders", &order());
    let answer = environment.invoke(event.into()).await.map_err(|error| format!("no answer: {error:?}"))?;
    let answer: Answer<'_> = serde_json::from_slice(&answer)?;
    if matches!(answer.status_code, 200 | 201) { Ok(()) } else { Err(format!("the first create: {answer:?}").into()) }
}

/// The same URL with the host name of the certificate.
fn by_name(url: &str) -> String {
    url.replace("127.0.0.1", tls::HOST)
}

/// The size of the api's binary and of its zip, in MB.
async fn zip(world: &World) -> Result<(f64, f64)> {
    let (binary, zip) = (world.bootstrap("api"), world.directory.path().join("api.zip"));
    let script =
        "import sys, zipfile; zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED).write(sys.argv[2], 'bootstrap')";
    let status = Command::new(python()?).args(["-c", script]).args([&zip, &binary]).status().await?;
    if !status.success() {
        return Err("could not zip the api".into());
    }
    let megabytes = |file: &Path| -> Result<f64> { Ok(f64::from(u32::try_from(std::fs::metadata(file)?.len())?) / MB) };
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
            "cold start to first create answered, ours ÷ FastAPI on Lambda",
            "≤ 1/40",
            1.0 / 40.0,
            median(&cold.ours.answer) / median(&cold.on_lambda.answer),
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
    let on_lambda = &cold.on_lambda;
    let started = |times: &[f64]| if times.is_empty() { "over 10 s".to_owned() } else { spread(times) };
    row("FastAPI on Lambda", started(&on_lambda.next), started(&on_lambda.answer));
    row("FastAPI", spread(&cold.theirs.next), spread(&cold.theirs.answer));
}
