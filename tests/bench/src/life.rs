//! The database server's work for an order's whole life (create, claim, wait, claim, finish), one by one and in batches,
//! compared with the floor: one INSERT and one UPDATE by key of the same table.

use std::ops::Range;
use std::time::Duration;

use sandbox::Result;
use sandbox::mapping::messages;
use sandbox::progress::step;
use sandbox::runtime::Pool;
use tokio_postgres::Client;

use crate::cost::Line;
use crate::findings::{Criterion, Findings, Table};
use crate::front::Front;
use crate::scaling::measured::{Database, Times};
use crate::server::Done;
use crate::stats::{count, figure, median, numbers, ratio, spread};
use crate::world::World;
use crate::{flat, floor, load};

/// The sizes of the lists and batches.
const SIZES: [usize; 3] = [1, 10, 100];
/// How long the simulated work takes.
const WAIT: Duration = Duration::from_secs(1);
/// The size of [`SIZES`] that is measured with events too.
const ANNOUNCED: usize = 1;
/// The variable that has the functions announce ends.
const BUS: (&str, &str) = ("EVENT_BUS", "shop");
/// How many finished orders the table holds before the measurement.
const FINISHED: u32 = 100_000;

/// The database server's work for an order, by the steps of its life.
#[derive(Debug, Clone, Copy, Default)]
struct Life {
    /// Create; first claim and reschedule; second claim and finish.
    steps: [Done; 3],
    dead_rows: f64,
}

impl Life {
    fn sum(&self, of: impl Fn(&Done) -> f64) -> f64 {
        self.steps.iter().map(of).sum()
    }
}

/// Runs the measurement. A complete run also writes the simulation's figures.
pub async fn measure(world: &World) -> Result<Findings> {
    world.clear().await?;
    let sql = world.sql().await?;
    step("life, filling in finished orders");
    flat::fill(&sql, 0, world.options.either(FINISHED, FINISHED / 10)).await?;
    // The server logs a whole page at its first change after a checkpoint, so the bytes would depend on the checkpoints.
    set_full_page_writes(world, &sql, "off").await?;
    let (mut lives, mut floors, mut announced) = ([const { Vec::new() }; SIZES.len()], Vec::new(), Vec::new());
    for run in 1..=world.options.runs {
        for (size, lives) in SIZES.into_iter().zip(&mut lives) {
            step(&format!("life, {size} at once, run {run}"));
            lives.push(live(world, &sql, size, world.options.either(2_000, 200), &[]).await?);
        }
        step(&format!("life with events, run {run}"));
        announced.push(live(world, &sql, SIZES[ANNOUNCED], world.options.either(2_000, 200), &[BUS]).await?);
        floors.push(least(world, &sql, world.options.either(2_000, 500)).await?);
    }
    set_full_page_writes(world, &sql, "on").await?;
    step("life, bytes kept");
    let bytes_kept = kept(world, &sql).await?;
    let text = table(&lives, &announced, &floors)
        + &format!("\nAn order that has ended takes {} bytes.\n", figure(bytes_kept));
    let each = |size: usize, of: &dyn Fn(&Life) -> f64| lives[size].iter().map(of).collect::<Vec<_>>();
    let cpu_ms = |size, step: usize| median(&each(size, &|life: &Life| life.steps[step].cpu_ms));
    // The time of a list or a batch, by its size.
    let line = |sizes: Range<usize>, step| {
        let points = sizes.map(|size| (count(SIZES[size]), cpu_ms(size, step) * count(SIZES[size])));
        Line::through(&points.collect::<Vec<_>>())
    };
    let database = Database {
        create_one_ms: cpu_ms(0, 0),
        create_ms: line(1..SIZES.len(), 0), // A create of a single order uses another statement.
        wait_ms: line(0..SIZES.len(), 1),
        finish_ms: line(0..SIZES.len(), 2),
        bytes_per_order: bytes_kept,
        log_bytes_per_order: median(&each(SIZES.len() - 1, &|life| life.sum(|done| done.wal_bytes))),
    };
    if world.options.writes() {
        Times::change(|times| times.database = database)?;
    }
    Ok(Findings { text, criteria: criteria(&lives, &announced, &floors, bytes_kept), ..Findings::default() })
}

/// Runs this many orders through their whole lives, `size` at a time.
async fn live(world: &World, sql: &Client, size: usize, orders: usize, more: &[(&str, &str)]) -> Result<Life> {
    let dead_before = dead_rows(sql).await?;
    let api = Front::new(world.pool(world.function("api", &[]), 1).await?);
    let seconds = WAIT.as_secs().to_string();
    let variables = [&[("PROCESSING_DELAY_SECONDS", seconds.as_str())], more].concat();
    let processor = world.pool(world.function("processor", &variables), 1).await?;
    // Both functions connect before the measurement.
    api.call("GET", "/healthz", "").await?;
    process(&processor, &["an-order-that-is-not-there".to_owned()]).await?;
    let start = Done::until_now(world, sql).await?;
    let mut ids = Vec::with_capacity(orders);
    for batch in numbers(orders, size) {
        ids.extend(create(&api, batch.len()).await?);
    }
    let created = Done::until_now(world, sql).await?;
    process_all(&processor, &ids, size).await?;
    let waiting = Done::until_now(world, sql).await?;
    tokio::time::sleep(WAIT + Duration::from_millis(100)).await;
    let waited = Done::until_now(world, sql).await?;
    process_all(&processor, &ids, size).await?;
    let finished = Done::until_now(world, sql).await?;
    drop((api, processor));
    let left = "SELECT (SELECT count(*) FROM order_work) + (SELECT count(*) FROM order_ends) AS left";
    let left: i64 = sql.query_one(left, &[]).await?.get("left");
    if left > 0 {
        return Err(format!("{left} of {orders} orders are not finished and announced").into());
    }
    world.wait_until_disconnected(sql).await?;
    let many = count(orders);
    Ok(Life {
        steps: [created.since(&start, many), waiting.since(&created, many), finished.since(&waited, many)],
        dead_rows: (dead_rows(sql).await? - dead_before) / many,
    })
}

/// Creates this many orders with one request, and returns their ids.
async fn create(api: &Front, orders: usize) -> Result<Vec<String>> {
    let (path, body) = load::unnamed(orders);
    let answer = api.expect("POST", path, &body).await?;
    let ids: Vec<_> = answer.split(r#""order_id":""#).skip(1).filter_map(|rest| rest.split('"').next()).collect();
    if ids.len() == orders {
        return Ok(ids.into_iter().map(str::to_owned).collect());
    }
    Err(format!("{path}: {answer}").into())
}

async fn process_all(processor: &Pool, ids: &[String], size: usize) -> Result<()> {
    for batch in ids.chunks(size) {
        process(processor, batch).await?;
    }
    Ok(())
}

async fn process(processor: &Pool, ids: &[String]) -> Result<()> {
    let answer = processor.invoke(messages(ids)).await;
    answer.map(drop).map_err(|error| format!("a batch of {}: {error:?}", ids.len()).into())
}

/// Measures the floor: one INSERT and one UPDATE by key.
async fn least(world: &World, sql: &Client, orders: usize) -> Result<Done> {
    let before = Done::until_now(world, sql).await?;
    floor::lives(world, orders).await?;
    Ok(Done::until_now(world, sql).await?.since(&before, count(orders)))
}

/// Measures the bytes on disk of a finished order, its index entries included.
async fn kept(world: &World, sql: &Client) -> Result<f64> {
    world.clear().await?;
    let (size, orders) = (SIZES[SIZES.len() - 1], world.options.either(10_000, 1_000));
    live(world, sql, size, orders, &[]).await?;
    sql.batch_execute("VACUUM orders").await?;
    let bytes = "SELECT pg_total_relation_size('orders')::float8 / count(*) AS bytes FROM orders";
    Ok(sql.query_one(bytes, &[]).await?.try_get("bytes")?)
}

/// How many row versions have died so far.
async fn dead_rows(sql: &Client) -> Result<f64> {
    let dead = "SELECT coalesce(sum(n_tup_upd + n_tup_del), 0)::float8 AS dead FROM pg_stat_user_tables";
    Ok(sql.query_one(dead, &[]).await?.try_get("dead")?)
}

/// Sets whether the server logs whole pages, and waits until all its processes use the setting.
async fn set_full_page_writes(world: &World, sql: &Client, value: &str) -> Result<()> {
    sql.batch_execute(&format!("ALTER SYSTEM SET full_page_writes = {value}")).await?;
    world.postgres.reload(&format!("SELECT current_setting('full_page_writes') = '{value}'")).await?;
    // The checkpointer, which decides for all processes, reads its settings before it runs this.
    Ok(sql.batch_execute("CHECKPOINT").await?)
}

fn table(lives: &[Vec<Life>; SIZES.len()], announced: &[Life], floors: &[Done]) -> String {
    let mut table = Table::new(&[
        "an order's life",
        "server CPU ms",
        "create",
        "begin to wait",
        "finish",
        "WAL bytes",
        "commits",
        "dead rows",
    ]);
    let names = SIZES.map(|size| if size == 1 { "one by one".to_owned() } else { format!("{size} at once") });
    let with_events = (format!("{} at once, announced on a bus", SIZES[ANNOUNCED]), announced);
    for (name, lives) in names.into_iter().zip(lives.iter().map(Vec::as_slice)).chain([with_events]) {
        let each = |of: &dyn Fn(&Life) -> f64| lives.iter().map(of).collect::<Vec<_>>();
        let step = |step: usize| figure(median(&each(&|life| life.steps[step].cpu_ms)));
        table.row(&[
            name,
            spread(&each(&|life| life.sum(|done| done.cpu_ms))),
            step(0),
            step(1),
            step(2),
            figure(median(&each(&|life| life.sum(|done| done.wal_bytes)))),
            figure(median(&each(&|life| life.sum(|done| done.commits)))),
            figure(median(&each(&|life| life.dead_rows))),
        ]);
    }
    let each = |of: &dyn Fn(&Done) -> f64| floors.iter().map(of).collect::<Vec<_>>();
    let [cpu, wal, commits] = [each(&|done| done.cpu_ms), each(&|done| done.wal_bytes), each(&|done| done.commits)];
    let name = "the least: INSERT and UPDATE by key, prepared, `pgbench`".to_owned();
    let none = || "–".to_owned();
    let (wal, commits) = (figure(median(&wal)), figure(median(&commits)));
    table.row(&[name, spread(&cpu), none(), none(), none(), wal, commits, none()]);
    table.text()
}

fn criteria(lives: &[Vec<Life>; SIZES.len()], announced: &[Life], floors: &[Done], bytes_kept: f64) -> Vec<Criterion> {
    let each = |size: usize, of: &dyn Fn(&Life) -> f64| lives[size].iter().map(of).collect::<Vec<_>>();
    let cpu = |size| each(size, &|life| life.sum(|done| done.cpu_ms));
    let wal = |size| median(&each(size, &|life| life.sum(|done| done.wal_bytes)));
    let floor: Vec<_> = floors.iter().map(|done| done.cpu_ms).collect();
    let note = |size| format!("{} ms ÷ {} ms", figure(median(&cpu(size))), figure(median(&floor)));
    let with_events: Vec<_> = announced.iter().map(|life| life.sum(|done| done.cpu_ms)).collect();
    let events_note = format!("{} ms ÷ {} ms", figure(median(&with_events)), figure(median(&cpu(ANNOUNCED))));
    let one = "server CPU of a life, one by one ÷ (INSERT + UPDATE by key, prepared)";
    vec![
        Criterion::at_most(one, "≤ 5", 5.0, ratio(&cpu(0), &floor), note(0)).before("10.3–13.8"),
        Criterion::at_most("… in batches of ten", "≤ 2", 2.0, ratio(&cpu(1), &floor), note(1)).before("2.5"),
        Criterion::at_most(
            "… with events ÷ without, in batches of ten",
            "≤ 1.25",
            1.25,
            ratio(&with_events, &cpu(ANNOUNCED)),
            events_note,
        ),
        Criterion::at_most("WAL bytes an order, life one by one", "≤ 60 %", 0.6 * WAL_ONE, wal(0), String::new())
            .before("3,195"),
        Criterion::at_most("… in batches of ten", "≤ 60 %", 0.6 * WAL_TEN, wal(1), String::new()).before("2,387"),
        Criterion::at_most("bytes kept an order", "≤ 700", 700.0, bytes_kept, String::new()).before("894"),
    ]
}

/// Before; the targets are parts of it.
const WAL_ONE: f64 = 3_195.0;
const WAL_TEN: f64 = 2_387.0;
