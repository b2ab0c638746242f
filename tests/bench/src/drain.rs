//! Drain: how many orders a second one processor finishes when the work takes no time, beside job queues on PostgreSQL;
//! and how late orders finish under a steady load.

use std::sync::Arc;
use std::time::Duration;

use sandbox::progress::step;
use sandbox::runtime::Pool;
use sandbox::{Result, until};
use tokio::time::{Instant, interval};

use crate::account::cpu_ms_of;
use crate::findings::{Criterion, Findings, Table};
use crate::front::Front;
use crate::jobs::{self, Drained, Rival};
use crate::load::order;
use crate::prepared;
use crate::server::Done;
use crate::stats::{count, figure, median, numbers, percentile, ratio, spread};
use crate::world::World;

/// The sizes of the batches, each with the number of orders to drain.
const BATCHES: [(usize, usize); 3] = [(10, 2_000), (100, 10_000), (1000, 20_000)];
/// The index of the size that the target uses.
const LARGEST: usize = 2;
const DELAY: Duration = Duration::from_secs(5);
/// The orders a second while the end-to-end latency is measured.
const STEADY: u32 = 100;

pub async fn measure(world: &World) -> Result<Findings> {
    let processor = world.pool(world.function("processor", &[]), 1).await?;
    let mut ours = [const { Vec::new() }; BATCHES.len()];
    let mut rivals: Vec<(Rival, Vec<Drained>)> =
        jobs::available().into_iter().map(|rival| (rival, Vec::new())).collect();
    for run in 1..=world.options.runs {
        step(&format!("drain, run {run}"));
        for (drained, (batch, orders)) in ours.iter_mut().zip(BATCHES) {
            drained.push(drain(world, &processor, batch, world.options.either(orders, orders / 2)).await?);
        }
        for (rival, drained) in &mut rivals {
            step(&format!("drain, {}, run {run}", rival.name));
            drained.push(rival.drain(world).await?);
        }
    }
    let (late, percentiles) = latency(world).await?;
    let text = table(&ours, &rivals) + &late;
    let criteria = vec![criterion(&rates(&ours[LARGEST]), &rivals)?, percentiles];
    Ok(Findings { text, criteria, ..Findings::default() })
}

fn rates(drained: &[Drained]) -> Vec<f64> {
    drained.iter().map(|drained| drained.rate).collect()
}

fn table(ours: &[Vec<Drained>], rivals: &[(Rival, Vec<Drained>)]) -> String {
    let head =
        ["", "orders/s", "worker CPU ms an order", "server CPU ms an order", "WAL bytes an order", "commits an order"];
    let mut table = Table::new(&head);
    let mut row = |name: String, drained: &[Drained]| {
        let middle = |of: &dyn Fn(&Drained) -> f64| figure(median(&drained.iter().map(of).collect::<Vec<_>>()));
        table.row(&[
            name,
            spread(&rates(drained)),
            middle(&|drained| drained.worker_cpu_ms),
            middle(&|drained| drained.server.cpu_ms),
            middle(&|drained| drained.server.wal_bytes),
            middle(&|drained| drained.server.commits),
        ]);
    };
    for (drained, (batch, _)) in ours.iter().zip(BATCHES) {
        row(format!("Ordermill, one environment, batches of {batch}"), drained);
    }
    for (rival, drained) in rivals {
        row(rival.name.to_owned(), drained);
    }
    table.text()
}

fn criterion(ours: &[f64], rivals: &[(Rival, Vec<Drained>)]) -> Result<Criterion> {
    let what = "drain at batch 1,000, one environment, ours ÷ best job queue with one worker";
    let best = rivals.iter().max_by(|(_, a), (_, b)| median(&rates(a)).total_cmp(&median(&rates(b))));
    let (rival, drained) = best.ok_or("no job queue is there: `make bench` installs them")?;
    let note = format!("the best is {}", rival.name);
    Ok(Criterion::at_least(what, "≥ 1.8", 1.8, ratio(ours, &rates(drained)), note).before("0.96–1.07"))
}

/// Drains orders with one environment.
async fn drain(world: &World, processor: &Arc<Pool>, batch: usize, orders: usize) -> Result<Drained> {
    world.clear().await?;
    prepared::due(world, orders).await?;
    let sql = world.sql().await?;
    let processes: Vec<_> = processor.running().iter().map(|environment| environment.process_id()).collect();
    // AWS's pollers write the events beside the function.
    let events: Vec<_> = numbers(orders, batch).map(prepared::batch).collect();
    let (before, cpu, begin) = (Done::until_now(world, &sql).await?, cpu_ms_of(&processes), Instant::now());
    for event in events {
        processor.invoke(event).await.map_err(|error| format!("a batch of {batch}: {error:?}"))?;
    }
    let (took, cpu, many) = (begin.elapsed(), cpu_ms_of(&processes) - cpu, count(orders));
    let server = Done::until_now(world, &sql).await?.since(&before, many);
    let left: i64 = sql.query_one("SELECT count(*) AS left FROM order_work", &[]).await?.get("left");
    if left > 0 {
        return Err(format!("{left} of {orders} orders are not finished").into());
    }
    Ok(Drained { rate: many / took.as_secs_f64(), worker_cpu_ms: cpu / many, server })
}

/// Measures how long after the end of its delay an order is completed, under a steady load.
async fn latency(world: &World) -> Result<(String, Criterion)> {
    step("drain, end-to-end latency");
    world.clear().await?;
    let seconds = DELAY.as_secs().to_string();
    let api = Front::new(world.pool(world.function("api", &[]), 4).await?);
    let processor = world.pool(world.function("processor", &[("PROCESSING_DELAY_SECONDS", &seconds)]), 4).await?;
    let processing = world.process(processor, 4);
    let mut tick = interval(Duration::from_secs(1) / STEADY);
    let mut creates = tokio::task::JoinSet::new();
    for _ in 0..STEADY * world.options.either(10, 2) {
        tick.tick().await;
        let api = api.clone();
        creates.spawn(async move { api.expect("POST", "/orders", &order()).await });
    }
    creates.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
    let late = finished(world).await?;
    processing.stop().await;
    let off = percentiles(world, &api).await?;
    let [p50, p99] = [0.5, 0.99].map(|share| figure(percentile(&late, share)));
    let text = format!(
        "\nAt {STEADY} orders a second, an order is completed {p50} ms (p50) and {p99} ms (p99) after its {seconds} s are over.\n"
    );
    Ok((text, off))
}

/// Compares the percentiles of `GET /metrics` with the exact ones of the orders.
async fn percentiles(world: &World, api: &Front) -> Result<Criterion> {
    let answer = api.expect("GET", "/metrics", "").await?;
    let metrics: serde_json::Value = serde_json::from_str(&answer)?;
    let exact = "SELECT percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - started_at)::float8) AS worked,
        percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM started_at - created_at)::float8) AS queued
        FROM orders";
    let row = world.sql().await?.query_one(exact, &[]).await?;
    let (mut worst, mut each) = (0.0_f64, Vec::new());
    for (name, column) in [("processing_seconds", "worked"), ("queueing_seconds", "queued")] {
        for (percentile, exact) in ["p50", "p95", "p99"].into_iter().zip(row.try_get::<_, Vec<f64>>(column)?) {
            let reported = metrics[name][percentile].as_f64().ok_or_else(|| format!("GET /metrics: {answer}"))?;
            // The metrics count milliseconds, so a shorter time can't be exact.
            let off = (reported - exact).abs() / exact.max(0.001);
            each.push(format!("{percentile} {} for {}", figure(reported), figure(exact)));
            worst = worst.max(off);
        }
    }
    let (what, note) = ("percentiles of `GET /metrics`, off by", each.join(", ") + " s");
    Ok(Criterion::at_most(what, "≤ 0.025", 0.025, worst, note).before("≤ 0.19"))
}

/// Waits until all orders are finished, and returns by how many milliseconds each was late.
async fn finished(world: &World) -> Result<Vec<f64>> {
    let sql = world.sql().await?;
    let done = async || Ok(sql.query("SELECT FROM order_work LIMIT 1", &[]).await?.is_empty());
    until("all orders are finished", DELAY * 4, done).await?;
    let late = "SELECT extract(epoch FROM finished_at - created_at)::float8 * 1000 AS took FROM orders";
    let rows = sql.query(late, &[]).await?;
    Ok(rows.iter().map(|row| row.get::<_, f64>("took") - DELAY.as_secs_f64() * 1e3).collect())
}
