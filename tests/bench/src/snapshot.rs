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
    step("drain, no snapshot held");
    world.clear().await?;
    let bench = Bench {
        world,
        api: Front::new(world.pool(world.function("api", &[]), 1).await?),
        processor: world.pool(world.function("processor", &[]), 1).await?,
        sweeper: world.pool(world.function("sweeper", &[]), 1).await?,
    };
    let held = world.options.either(Duration::from_mins(5), Duration::from_secs(5));
    let without = bench.part(held / PARTS / 2).await?;
    let mut other = world.sql().await?;
    let snapshot = other.build_transaction().isolation_level(tokio_postgres::IsolationLevel::RepeatableRead);
    let snapshot = snapshot.start().await?;
    snapshot.query("SELECT FROM orders LIMIT 1", &[]).await?;
    let mut parts = Vec::new();
    for part in 1..=PARTS {
        step(&format!("drain, a snapshot held, part {part} of {PARTS}"));
        parts.push(bench.part(held / PARTS).await?);
    }
    snapshot.rollback().await?;
    world.clear().await?;
    Ok(Findings {
        text: table(held, &without, &parts),
        criteria: criteria(held, &without, &parts),
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

fn table(held: Duration, without: &Part, parts: &[Part]) -> String {
    let mut table = Table::new(&["a snapshot held for", "drained/s, batches of 1,000", "`GET /metrics`, ms p50"]);
    let mut row = |name: String, part: &Part| table.row(&[name, figure(part.rate), figure(part.metrics_ms)]);
    row("none held".to_owned(), without);
    for (number, part) in (1..).zip(parts) {
        row(format!("{} s", (held / PARTS * number).as_secs()), part);
    }
    table.text()
}

fn criteria(held: Duration, without: &Part, parts: &[Part]) -> Vec<Criterion> {
    let rates: Vec<_> = parts.iter().map(|part| part.rate / without.rate).collect();
    let last = rates.last().copied().unwrap_or_default();
    let note = format!("held {} s; by its fifths {}", held.as_secs(), each(&rates));
    let metrics: Vec<_> = parts.iter().map(|part| part.metrics_ms / without.metrics_ms).collect();
    let what = "rate of drain under a snapshot held 5 min ÷ without";
    vec![Criterion::at_least(what, "≥ 0.6, flat", 0.6, last, format!("{note}; `/metrics` {}", each(&metrics)))]
}

fn each(ratios: &[f64]) -> String {
    ratios.iter().map(|ratio| figure(*ratio)).collect::<Vec<_>>().join(", ")
}
