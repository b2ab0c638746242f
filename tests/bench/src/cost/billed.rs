//! The billed time and log of an invocation. The functions have the CPU share of their memory, the queue is 6 ms away and the
//! database 1 ms.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use sandbox::Result;
use sandbox::merchant::{Merchant, Reply};
use sandbox::runtime::{Environment, Function, Pool};
use sandbox::wire::{Hook, Moment, Ruling, Wire};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::line::Line;
use crate::baseline;
use crate::findings::Table;
use crate::front::Front;
use crate::load;
use crate::prepared;
use crate::share::Share;
use crate::stats::{count, figure, median, ms};
use crate::world::{World, travel};

/// The template's memory, in MB.
const MEMORY_MB: u32 = 512;
const QUEUE_AWAY: Duration = Duration::from_millis(6);
const DATABASE_AWAY: Duration = Duration::from_millis(1);
/// The bytes that billing adds to each record of a log.
/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html>
pub const RECORD: f64 = 26.0;
/// How long the merchant's endpoint takes.
const WEBHOOK: Duration = Duration::from_millis(200);
/// The sizes of the measured lists and batches. A line is fitted through each.
const LISTS: [u32; 3] = [1, 100, 500];
const BATCHES: [u32; 3] = [10, 100, 500];

/// Billed milliseconds and logged bytes of an invocation, by its number of orders.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Billed {
    /// The api's time, by the orders of a list.
    pub create_ms: Line,
    pub create_log: Line,
    /// The processor's time for rescheduling orders.
    pub wait_ms: Line,
    pub wait_log: Line,
    /// The processor's time for finishing orders.
    pub finish_ms: Line,
    pub finish_log: Line,
    /// The processor's time for calling the merchant and finishing orders.
    pub webhook_ms: Line,
    pub webhook_log: Line,
    /// The time of the api's initialisation.
    #[serde(default)]
    pub api_start_ms: f64,
    /// The time of the processor's initialisation.
    #[serde(default)]
    pub processor_start_ms: f64,
    /// The time of a create by `FastAPI` on Lambda, which sends to SQS as well.
    #[serde(default)]
    pub on_lambda_ms: f64,
    /// The time of its initialisation.
    #[serde(default)]
    pub on_lambda_start_ms: f64,
}

impl Billed {
    pub fn table(&self) -> String {
        let mut table = Table::new(&["an invocation", "billed ms", "… each order", "logged bytes", "… each order"]);
        let mut row = |name: &str, ms: Line, log: Line| {
            table.row(&[name.to_owned(), figure(ms.fixed), figure(ms.each), figure(log.fixed), figure(log.each)]);
        };
        row("the api, by a list's orders", self.create_ms, self.create_log);
        row("the processor, having a batch wait", self.wait_ms, self.wait_log);
        row("… finishing it", self.finish_ms, self.finish_log);
        row("… calling the merchant (200 ms) for each", self.webhook_ms, self.webhook_log);
        let none = || "–".to_owned();
        for (name, ms) in [
            ("the api's start", self.api_start_ms),
            ("the processor's start", self.processor_start_ms),
            ("FastAPI on Lambda, sending to SQS", self.on_lambda_ms),
            ("its start", self.on_lambda_start_ms),
        ] {
            table.row(&[name.to_owned(), figure(ms), none(), none(), none()]);
        }
        table.text()
    }
}

pub async fn measure(world: &World) -> Result<Billed> {
    let merchant = Merchant::start(|_| async {
        travel(WEBHOOK).await;
        Some(Reply::of(200))
    })
    .await?;
    let wire = Wire::start(world.postgres.address(), delaying_hook()).await?;
    let database = world.postgres.app_url(&[wire.address()]);
    let bench = Bench { world, share: Share::of(MEMORY_MB), database };
    world.set_round_trip(QUEUE_AWAY);
    let billed = bench.measure(&merchant.url()).await;
    world.set_round_trip(Duration::ZERO);
    billed
}

struct Bench<'a> {
    world: &'a World,
    share: Share,
    database: String,
}

impl Bench<'_> {
    async fn measure(&self, endpoint: &str) -> Result<Billed> {
        let (create_ms, create_log) = self.create().await?;
        let (wait_ms, wait_log) = self.process("wait", &[("PROCESSING_DELAY_SECONDS", "10")]).await?;
        let (finish_ms, finish_log) = self.process("finish", &[]).await?;
        let webhook = [
            ("WORK", "webhook"),
            ("WEBHOOK_URL", endpoint),
            ("WEBHOOK_SECRET", "a-secret-of-at-least-thirty-two-bytes"),
            ("FUNCTION_TIMEOUT_SECONDS", "25"),
        ];
        let (webhook_ms, webhook_log) = self.process("webhook", &webhook).await?;
        let (api_start_ms, processor_start_ms) = (self.start("api").await?, self.start("processor").await?);
        let (on_lambda_ms, on_lambda_start_ms) = self.on_lambda().await?;
        Ok(Billed {
            create_ms,
            create_log,
            wait_ms,
            wait_log,
            finish_ms,
            finish_log,
            webhook_ms,
            webhook_log,
            api_start_ms,
            processor_start_ms,
            on_lambda_ms,
            on_lambda_start_ms,
        })
    }

    /// The billed milliseconds of a create and of an initialisation of `FastAPI` on Lambda. Its database is not a millisecond away, because
    /// the proxy does not understand all that its driver sends.
    async fn on_lambda(&self) -> Result<(f64, f64)> {
        let function = baseline::function(self.world, &self.world.baseline_url(), true)?;
        let starter = self.share.starter(self.world.directory.path(), "fastapi-billed", &function.bootstrap)?;
        let function = Function { bootstrap: starter.script.clone(), ..function };
        let mut starts = Vec::new();
        for _ in 0..self.world.options.either(3, 1) {
            Environment::start(&function, "fastapi-billed".to_owned()).await?;
            starts.push(ms(starter.elapsed()?).ceil());
        }
        let pool = self.world.pool(function, 1).await?;
        Ok((self.creates(&pool, 1).await?.mean(), median(&starts)))
    }

    /// Creates lists of this many orders, one after the other.
    async fn creates(&self, pool: &Arc<Pool>, list: u32) -> Result<Sample> {
        let (front, mut sample) = (Front::new(Arc::clone(pool)), Sample::default());
        for _ in 0..self.world.options.either(200, 20) {
            let (path, body) = load::request(list as usize);
            let begin = Instant::now();
            front.expect("POST", path, &body).await?;
            sample.add(begin.elapsed());
        }
        Ok(sample)
    }

    /// The billed milliseconds of an initialisation: from the start of the process until it asks for its first event.
    async fn start(&self, function: &str) -> Result<f64> {
        let mut times = Vec::new();
        for _ in 0..self.world.options.either(5, 1) {
            let name = format!("{function}-start");
            let starter = self.share.starter(self.world.directory.path(), &name, &self.world.bootstrap(function))?;
            let function = self.world.function(function, &[("DATABASE_URL", self.database.as_str())]);
            let function = Function { bootstrap: starter.script.clone(), ..function };
            Environment::start(&function, name).await?;
            times.push(ms(starter.elapsed()?).ceil());
        }
        Ok(median(&times))
    }

    async fn create(&self) -> Result<(Line, Line)> {
        let (mut times, mut logs) = (Vec::new(), Vec::new());
        for list in LISTS {
            let (pool, log) = self.pool("api", &format!("create-{list}"), &[]).await?;
            let sample = self.creates(&pool, list).await?;
            sample.points(list, &pool, &log, &mut times, &mut logs).await;
        }
        Ok((Line::through(&times), Line::through(&logs)))
    }

    async fn process(&self, name: &str, variables: &[(&str, &str)]) -> Result<(Line, Line)> {
        let (mut times, mut logs, turns) = (Vec::new(), Vec::new(), self.world.options.either(10, 3));
        let largest = if name == "webhook" { BATCHES[1] } else { BATCHES[2] };
        for batch in BATCHES.into_iter().filter(|batch| *batch <= largest) {
            let (pool, log) = self.pool("processor", &format!("{name}-{batch}"), variables).await?;
            let size = batch as usize;
            self.world.clear().await?;
            prepared::due(self.world, size * turns).await?;
            let mut sample = Sample::default();
            for turn in 0..turns {
                let event = prepared::delivery(self.world, turn * size..(turn + 1) * size);
                let begin = Instant::now();
                pool.invoke(event).await.map_err(|error| format!("{name}, a batch of {batch}: {error:?}"))?;
                sample.add(begin.elapsed());
            }
            sample.points(batch, &pool, &log, &mut times, &mut logs).await;
        }
        Ok((Line::through(&times), Line::through(&logs)))
    }

    /// Starts an environment with its share of the CPU. Returns its pool and the path of its log.
    async fn pool(
        &self,
        function: &str,
        name: &str,
        variables: &[(&str, &str)],
    ) -> Result<(Arc<Pool>, std::path::PathBuf)> {
        let directory = self.world.directory.path();
        let log = directory.join(format!("{name}.log"));
        let starter = self.share.starter(directory, name, &self.world.bootstrap(function))?;
        let variables: Vec<_> = variables.iter().copied().chain([("DATABASE_URL", self.database.as_str())]).collect();
        let function = self.world.function(function, &variables);
        let function = Function { bootstrap: starter.script, log: Some(log.clone()), ..function };
        Ok((self.world.pool(function, 1).await?, log))
    }
}

/// The billed milliseconds of some invocations of one environment. The first invocation may include connecting.
#[derive(Default)]
struct Sample(Vec<f64>);

impl Sample {
    /// Adds an invocation, rounded up: Lambda bills whole milliseconds.
    fn add(&mut self, took: Duration) {
        self.0.push(ms(took).ceil());
    }

    /// The mean without the first invocation.
    fn mean(&self) -> f64 {
        let warm = &self.0[1..];
        warm.iter().sum::<f64>() / count(warm.len())
    }

    /// Adds a point to each line: the mean billed time, and the mean size of the log. Ends the
    /// environment first, so that it writes all its metrics.
    async fn points(
        self,
        orders: u32,
        pool: &Pool,
        log: &Path,
        times: &mut Vec<(f64, f64)>,
        logs: &mut Vec<(f64, f64)>,
    ) {
        for environment in pool.running() {
            environment.terminate();
            environment.exited().await;
        }
        let orders = f64::from(orders);
        times.push((orders, self.mean()));
        logs.push((orders, size(log) / count(self.0.len())));
    }
}

/// The billed bytes of a log.
fn size(log: &Path) -> f64 {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    count(text.len()) + count(text.lines().count()) * RECORD
}

/// A hook that delays every statement before it reaches the database.
fn delaying_hook() -> Hook {
    Arc::new(|moment, _| {
        async move {
            if moment == Moment::Before {
                travel(DATABASE_AWAY).await;
            }
            Ruling::Pass
        }
        .boxed()
    })
}
