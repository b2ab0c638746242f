//! Flat: the time of each call with more and more finished orders in the table.

use std::sync::Arc;
use std::time::Duration;

use sandbox::Result;
use sandbox::postgres::Postgres;
use sandbox::progress::step;
use sandbox::runtime::Pool;
use tokio::time::Instant;
use tokio_postgres::Client;

use crate::findings::{Criterion, Findings, Table};
use crate::front::Front;
use crate::load::order;
use crate::plots::{Plot, Series};
use crate::prepared;
use crate::stats::{figure, median, ms};
use crate::world::{TABLES, World};

/// The numbers of finished orders.
const SIZES: [u32; 4] = [1_000, 100_000, 1_000_000, 10_000_000];
/// How many of these sizes a quick run measures.
const QUICK_SIZES: usize = 2;
const ACTIVE: usize = 10_000;
/// The time over which the orders are spread.
const SPAN: &str = "7 days";
/// The names of the calls in the tables.
const CALLS: [&str; 7] = [
    "GET /metrics",
    "GET /orders/{id}",
    "GET /orders",
    "GET /orders?user_id=",
    "GET /orders?status=pending",
    "claim and finish of 10",
    "POST /orders",
];

/// How many calls of `GET /metrics` each database gets when two are compared.
const COMPARED: usize = 400;

/// The medians of the calls at one size, in milliseconds.
type Medians = [f64; CALLS.len()];

pub async fn measure(world: &World) -> Result<Findings> {
    world.clear().await?;
    let api = Front::new(world.pool(world.function("api", &[]), 1).await?);
    let processor = world.pool(world.function("processor", &[]), 1).await?;
    let sizes = &SIZES[..world.options.either(SIZES.len(), QUICK_SIZES)];
    let (sql, mut filled, mut medians) = (world.sql().await?, 0, Vec::new());
    for size in sizes {
        step(&format!("flat, filling in up to {size} orders"));
        fill(&sql, filled, *size).await?;
        filled = *size;
        renew_active(world, &sql).await?;
        step(&format!("flat, with {size} orders"));
        medians.push(calls(world, &api, &processor, *size).await?);
    }
    step("flat, beside a small database");
    renew_active(world, &sql).await?;
    let (large, small) = beside_a_small_database(world, &api).await?;
    drop((api, processor));
    sql.batch_execute(&format!("TRUNCATE {TABLES}")).await?;
    let note = format!(
        "{} ms ÷ {} ms, with {} orders; calls of both databases alternate",
        figure(large),
        figure(small),
        figure(f64::from(filled))
    );
    let criterion = Criterion::at_most("`GET /metrics` at 10^7 ÷ at 10^3 orders", "≤ 1.2", 1.2, large / small, note);
    Ok(Findings {
        text: table(sizes, &medians),
        plots: vec![("flat".into(), plot(sizes, &medians)?)],
        criteria: vec![criterion.before("1.29")],
    })
}

/// Removes what earlier calls created or finished, and creates the active orders anew, so that every measurement starts with the same
/// dead rows: none.
async fn renew_active(world: &World, sql: &Client) -> Result<()> {
    sql.batch_execute(
        "DELETE FROM order_work; DELETE FROM orders WHERE finished_at IS NULL OR order_id !~ '^f-'; TRUNCATE order_outcomes",
    )
    .await?;
    prepared::due(world, ACTIVE).await
}

/// The medians of `GET /metrics` with the filled database and with one of the smallest size, in milliseconds. Calls alternate, so that
/// the machine is as fast for both.
async fn beside_a_small_database(world: &World, api: &Front) -> Result<(f64, f64)> {
    let postgres = Postgres::start().await?;
    let sql = postgres.connect().await?;
    fill(&sql, 0, SIZES[0]).await?;
    let url = postgres.app_url(&[postgres.address()]);
    let small_api = Front::new(world.pool(world.function("api", &[("DATABASE_URL", &url)]), 1).await?);
    prepared::all(&small_api, ACTIVE).await?;
    sql.batch_execute("VACUUM ANALYZE orders, order_work").await?;
    let (mut large, mut small) = (Vec::new(), Vec::new());
    for _ in 0..COMPARED {
        for (api, took) in [(api, &mut large), (&small_api, &mut small)] {
            took.push(ms(timed(api, "GET", "/metrics", "").await?));
        }
    }
    Ok((median(&large), median(&small)))
}

/// Adds finished orders, spread evenly over the time, and their statistics.
pub async fn fill(sql: &Client, from: u32, to: u32) -> Result<()> {
    let orders = format!(
        "INSERT INTO orders (order_id, user_id, item_ids, total_amount, created_at, started_at, finished_at, attempts)
        SELECT 'f-' || lpad(n::text, 9, '0'), 'user-' || n % 1000, '{{book-1,pen-7}}', 59.98, t, t + '2 s', t + '7 s', 1
        FROM (
            SELECT n, now() - interval '{SPAN}' * ({to} - n)::float8 / ({to} - {from}) - interval '10 s' AS t
            FROM generate_series({from}, {to} - 1) AS n
        ) AS orders"
    );
    sql.batch_execute(&orders).await?;
    sql.batch_execute("TRUNCATE order_outcomes, order_stats, order_durations, order_hours, order_hour_durations")
        .await?;
    for statement in statistics(to) {
        sql.batch_execute(&statement).await?;
    }
    sql.batch_execute("VACUUM (ANALYZE) orders").await?;
    sql.batch_execute("VACUUM (ANALYZE) order_stats, order_durations").await?;
    Ok(sql.batch_execute("CHECKPOINT").await?)
}

/// Statements that insert the statistics as the sweeper leaves them. `order_stats` has a row for each minute of the last two
/// hours with a completed order, and one for all earlier minutes. `order_durations` has fifty buckets for every ten minutes.
fn statistics(orders: u32) -> [String; 2] {
    let a_minute = format!("floor((back + 1) * {orders}.0 / 10080) - floor(back * {orders}.0 / 10080)");
    [
        format!(
            "INSERT INTO order_stats (minute, completed, failed, cancelled, requeued, seconds)
            SELECT minute, sum(n), 0, 0, 0, sum(n) * 5 FROM (
                SELECT CASE WHEN back > 120 THEN '-infinity' ELSE date_trunc('minute', now()) - back * interval '1 minute' END AS minute,
                    {a_minute} AS n
                FROM generate_series(0, 10079) AS back
            ) AS minutes WHERE n > 0 GROUP BY minute"
        ),
        format!(
            "INSERT INTO order_durations (slot, bucket, processing, queueing)
            SELECT date_bin('10 minutes', now() - back * interval '1 minute', 'epoch') AS slot, bucket,
                sum(({a_minute}) / 50)::bigint, sum(({a_minute}) / 50)::bigint
            FROM generate_series(0, 119) AS back, generate_series(130, 179) AS bucket GROUP BY slot, bucket"
        ),
    ]
}

async fn calls(world: &World, api: &Front, processor: &Arc<Pool>, size: u32) -> Result<Medians> {
    let times = world.options.either(100, 30);
    let mut medians = Medians::default();
    for (index, call) in CALLS.iter().enumerate() {
        let mut took = Vec::new();
        for turn in 0..times {
            took.push(ms(time(api, processor, call, size, turn).await?));
        }
        medians[index] = median(&took[times / 10..]);
    }
    Ok(medians)
}

async fn time(api: &Front, processor: &Arc<Pool>, call: &str, size: u32, turn: usize) -> Result<Duration> {
    let number = fastrand::u32(..size);
    let path = match call {
        "GET /orders/{id}" => format!("/orders/f-{number:09}"),
        "GET /orders?user_id=" => format!("/orders?user_id=user-{}", number % 1000),
        call => call.split(' ').nth(1).unwrap_or_default().to_owned(),
    };
    match call {
        "claim and finish of 10" => {
            let batch = prepared::batch(turn * 10..turn * 10 + 10);
            let begin = Instant::now();
            processor.invoke(batch).await.map_err(|error| format!("{error:?}"))?;
            Ok(begin.elapsed())
        }
        "POST /orders" => timed(api, "POST", &path, &order()).await,
        _ => timed(api, "GET", &path, "").await,
    }
}

/// The time of a call that succeeds.
async fn timed(api: &Front, method: &str, path: &str, body: &str) -> Result<Duration> {
    let begin = Instant::now();
    api.expect(method, path, body).await?;
    Ok(begin.elapsed())
}

fn table(sizes: &[u32], medians: &[Medians]) -> String {
    let head: Vec<_> = sizes.iter().map(|size| figure(f64::from(*size))).collect();
    let head: Vec<_> = std::iter::once("ms, p50").chain(head.iter().map(String::as_str)).collect();
    let mut table = Table::new(&head);
    for (index, call) in CALLS.iter().enumerate() {
        let cells = medians.iter().map(|medians| figure(medians[index]));
        table.row(&std::iter::once(format!("`{call}`")).chain(cells).collect::<Vec<_>>());
    }
    table.text()
}

fn plot(sizes: &[u32], medians: &[Medians]) -> Result<String> {
    let line = |index: usize| {
        let points = sizes.iter().zip(medians).map(|(size, medians)| (f64::from(*size), medians[index]));
        Series::new(CALLS[index], points)
    };
    let series = [0, 1, 5, 6].into_iter().map(line).collect();
    Plot { title: "With more and more finished orders", x: "finished orders", y: "ms, p50", series }.svg()
}
