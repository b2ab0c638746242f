//! Drain: how many orders a second one processor finishes when the work takes no time, beside job queues on PostgreSQL and the
//! same statements by hand; and how much later than it should an order is finished.

use std::sync::Arc;
use std::time::Duration;

use sandbox::Result;
use sandbox::runtime::Pool;
use tokio::time::{Instant, interval};

use crate::account::cpu_ms_of;
use crate::baseline::CONNECTIONS;
use crate::findings::{Criterion, Findings, Table};
use crate::front::Front;
use crate::jobs::{self, Rival};
use crate::load::order;
use crate::progress::step;
use crate::stats::{count, figure, median, percentile, ratio, spread};
use crate::world::World;
use crate::{floor, prepared};

/// How many orders a batch holds, and how many orders there are then.
const BATCHES: [(usize, usize); 3] = [(10, 2_000), (100, 10_000), (1000, 20_000)];
/// The last of these is what the target is about.
const LARGEST: usize = 2;
const DELAY: Duration = Duration::from_secs(5);
/// Orders a second that the end-to-end latency is measured at.
const STEADY: u32 = 100;

/// Measures.
pub async fn measure(world: &World) -> Result<Findings> {
    let processor = world.pool(world.function("processor", &[]), 1).await?;
    let (mut rates, mut cpu) = ([const { Vec::new() }; 3], [const { Vec::new() }; 3]);
    let mut rivals: Vec<(Rival, Vec<f64>)> = jobs::available().into_iter().map(|rival| (rival, Vec::new())).collect();
    let mut by_hand = Vec::new();
    for run in 1..=world.options.runs {
        step(&format!("drain, run {run}"));
        for (index, (batch, orders)) in BATCHES.into_iter().enumerate() {
            let (rate, cpu_ms) = drain(world, &processor, batch, world.options.either(orders, orders / 2)).await?;
            rates[index].push(rate);
            cpu[index].push(cpu_ms);
        }
        for (rival, rates) in &mut rivals {
            rates.push(rival.drain(world, rival.orders).await?);
        }
        by_hand.push(finish_by_hand(world).await?);
    }
    let (late, mut table) = (latency(world).await?, Table::new(&["", "orders/s", "CPU ms an order"]));
    for (index, (batch, _)) in BATCHES.into_iter().enumerate() {
        let name = format!("Ordermill, one environment, batches of {batch}");
        table.row(&[name, spread(&rates[index]), figure(median(&cpu[index]))]);
    }
    for (rival, rates) in &rivals {
        table.row(&[rival.name.to_owned(), spread(rates), "–".to_owned()]);
    }
    table.row(&[format!("the same statements by hand, {CONNECTIONS} connections"), spread(&by_hand), "–".to_owned()]);
    Ok(Findings {
        text: table.text() + &late,
        criteria: vec![criterion(&rates[LARGEST], &rivals)],
        ..Findings::default()
    })
}

fn criterion(ours: &[f64], rivals: &[(Rival, Vec<f64>)]) -> Criterion {
    let (what, target) = ("drain at batch 1,000, one environment, ours ÷ best job queue with one worker", "≥ 2");
    let best = rivals.iter().max_by(|(_, a), (_, b)| median(a).total_cmp(&median(b)));
    match best {
        Some((rival, rates)) => {
            Criterion::at_least(what, target, 2.0, ratio(ours, rates), format!("the best is {}", rival.name))
        }
        None => Criterion::unmeasured(what, target, "npm is not there, or not what it installs"),
    }
}

/// Orders finished a second, and the CPU time that the processor used for each.
async fn drain(world: &World, processor: &Arc<Pool>, batch: usize, orders: usize) -> Result<(f64, f64)> {
    world.clear().await?;
    prepared::due(world, orders).await?;
    let processes: Vec<_> = processor.running().iter().map(|environment| environment.process_id()).collect();
    let (begin, cpu) = (Instant::now(), cpu_ms_of(&processes));
    for first in (0..orders).step_by(batch) {
        let event = prepared::batch(first..orders.min(first + batch));
        processor.invoke(event).await.map_err(|error| format!("a batch of {batch}: {error:?}"))?;
    }
    let (took, cpu) = (begin.elapsed(), cpu_ms_of(&processes) - cpu);
    let left: i64 = world.sql().await?.query_one("SELECT count(*) AS left FROM order_work", &[]).await?.get("left");
    if left > 0 {
        return Err(format!("{left} of {orders} orders are not finished").into());
    }
    Ok((count(orders) / took.as_secs_f64(), cpu / count(orders)))
}

async fn finish_by_hand(world: &World) -> Result<f64> {
    let each = world.options.either(250, 100);
    world.clear().await?;
    prepared::due(world, each * CONNECTIONS).await?;
    floor::finishes(world, CONNECTIONS, each).await
}

/// How much later than its delay is over an order is finished, placed by one who places them steadily.
async fn latency(world: &World) -> Result<String> {
    step("drain, end-to-end latency");
    world.clear().await?;
    let seconds = DELAY.as_secs().to_string();
    let api = Front::new(world.pool(world.function("api", &[]), 4).await?);
    let processor = world.pool(world.function("processor", &[("PROCESSING_DELAY_SECONDS", &seconds)]), 4).await?;
    let processing = world.process(processor, 4);
    let mut tick = interval(Duration::from_secs(1) / STEADY);
    let mut placing = tokio::task::JoinSet::new();
    for _ in 0..STEADY * world.options.either(10, 2) {
        tick.tick().await;
        let api = api.clone();
        placing.spawn(async move { api.call("POST", "/orders", &order()).await });
    }
    placing.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
    let late = finished(world).await?;
    processing.stop().await;
    let [p50, p99] = [0.5, 0.99].map(|share| figure(percentile(&late, share)));
    Ok(format!(
        "\nAt {STEADY} orders a second, an order is completed {p50} ms (p50) and {p99} ms (p99) after its {seconds} s are over.\n"
    ))
}

/// Waits until all orders are finished, and gives by how many milliseconds each was late.
async fn finished(world: &World) -> Result<Vec<f64>> {
    let sql = world.sql().await?;
    let end = Instant::now() + DELAY * 4;
    while !sql.query("SELECT FROM order_work LIMIT 1", &[]).await?.is_empty() {
        if Instant::now() > end {
            return Err("not all orders are finished in time".into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let late = "SELECT extract(epoch FROM finished_at - created_at)::float8 * 1000 AS took FROM orders";
    let rows = sql.query(late, &[]).await?;
    Ok(rows.iter().map(|row| row.get::<_, f64>("took") - DELAY.as_secs_f64() * 1e3).collect())
}
