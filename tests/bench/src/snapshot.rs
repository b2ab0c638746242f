//! Drain and metrics while another transaction holds a snapshot, so that `VACUUM` can't remove dead rows.

use std::time::Duration;

use sandbox::Result;
use sandbox::mapping::messages;
use sandbox::progress::step;
use sandbox::runtime::Pool;
use tokio::time::{Instant, interval};

use crate::findings::{Criterion, Findings, Table};
use crate::front::Front;
use crate::prepared;
use crate::stats::{count, figure, median, ms, numbers};
use crate::world::World;

const BATCH: usize = 1_000;
/// The interval at which a batch is created and drained.
const PACE: Duration = Duration::from_millis(500);
/// The number of parts into which the time is split.
const PARTS: u32 = 5;

struct Part {
    /// Orders drained a second.
    rate: f64,
    /// The median of `GET /metrics`, in milliseconds.
    metrics_ms: f64,
}

pub async fn measure(world: &World) -> Result<Findings> {
    let bench = Bench {
        world,
        api: Front::new(world.pool(world.function("api", &[]), 1).await?),
        processor: world.pool(world.function("processor", &[]), 1).await?,
        sweeper: world.pool(world.function("sweeper", &[]), 1).await?,
    };
    let time = world.options.either(Duration::from_mins(5), Duration::from_secs(5));
    world.clear().await?;
    let without = bench.parts(time, "no snapshot held").await?;
    world.clear().await?;
    let mut other = world.sql().await?;
    let snapshot = other.build_transaction().isolation_level(tokio_postgres::IsolationLevel::RepeatableRead);
    let snapshot = snapshot.start().await?;
    snapshot.query("SELECT FROM orders LIMIT 1", &[]).await?;
    let held = bench.parts(time, "a snapshot held").await?;
    snapshot.rollback().await?;
    world.clear().await?;
    Ok(Findings {
        text: table(time, &without, &held),
        criteria: criteria(time, &without, &held),
        ..Findings::default()
    })
}

struct Bench<'a> {
    world: &'a World,
    api: Front,
    processor: std::sync::Arc<Pool>,
    /// Folds the statistics of past minutes.
    sweeper: std::sync::Arc<Pool>,
}

impl Bench<'_> {
    async fn parts(&self, time: Duration, what: &str) -> Result<Vec<Part>> {
        let mut parts = Vec::new();
        for part in 1..=PARTS {
            step(&format!("drain, {what}, part {part} of {PARTS}"));
            parts.push(self.part(time / PARTS).await?);
        }
        Ok(parts)
    }

    /// Creates and drains batches at a fixed pace for this long, and reads the metrics after each.
    async fn part(&self, time: Duration) -> Result<Part> {
        let (mut rates, mut metrics, begin, mut pace) = (Vec::new(), Vec::new(), Instant::now(), interval(PACE));
        while begin.elapsed() < time {
            pace.tick().await;
            rates.push(self.drain().await?);
            let asked = Instant::now();
            self.api.expect("GET", "/metrics", "").await?;
            metrics.push(ms(asked.elapsed()));
        }
        // About once a minute, as scheduled on AWS.
        self.sweeper.invoke("{}".into()).await.map_err(|error| format!("a sweep: {error:?}"))?;
        Ok(Part { rate: median(&rates), metrics_ms: median(&metrics) })
    }

    /// Creates and drains one batch. Returns the orders drained a second.
    async fn drain(&self) -> Result<f64> {
        let name = format!("snapshot-{}", fastrand::u32(..));
        for list in numbers(BATCH, BATCH / 2) {
            prepared::create(&self.api, &name, list).await?;
        }
        drop(self.world.queues.steal(usize::MAX));
        let event = messages(&(0..BATCH).map(|n| format!("{name}-{n}")).collect::<Vec<_>>());
        let begin = Instant::now();
        self.processor.invoke(event).await.map_err(|error| format!("a batch of {BATCH}: {error:?}"))?;
        Ok(count(BATCH) / begin.elapsed().as_secs_f64())
    }
}

fn table(time: Duration, without: &[Part], held: &[Part]) -> String {
    let rate = "drained/s, batches of 1,000";
    let metrics = "`GET /metrics`, ms p50";
    let mut table = Table::new(&["after", rate, "… with a snapshot held", metrics, "… with a snapshot held"]);
    for (number, (without, held)) in (1..).zip(without.iter().zip(held)) {
        let times = [without.rate, held.rate, without.metrics_ms, held.metrics_ms].map(figure);
        table.row(&[[format!("{} s", (time / PARTS * number).as_secs())].as_slice(), &times].concat());
    }
    table.text()
}

fn criteria(time: Duration, without: &[Part], held: &[Part]) -> Vec<Criterion> {
    let ratios =
        |of: fn(&Part) -> f64| held.iter().zip(without).map(|(held, without)| of(held) / of(without)).collect();
    let (rates, metrics): (Vec<f64>, Vec<f64>) = (ratios(|part| part.rate), ratios(|part| part.metrics_ms));
    let least = rates.iter().copied().fold(f64::INFINITY, f64::min);
    let note = format!("held {} s; by its fifths {}; `/metrics` {}", time.as_secs(), each(&rates), each(&metrics));
    let what = "rate of drain under a snapshot held 5 min ÷ without";
    vec![Criterion::at_least(what, "≥ 0.6, flat", 0.6, least, note)]
}

fn each(ratios: &[f64]) -> String {
    ratios.iter().map(|ratio| figure(*ratio)).collect::<Vec<_>>().join(", ")
}
