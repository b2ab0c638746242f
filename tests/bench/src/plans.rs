//! The rows that a hot call reads when the statistics of `order_work` mislead: `ANALYZE` saw ids that sort before those of all
//! finished orders, and the table now holds ids that sort after them.

use sandbox::Result;
use tokio_postgres::Client;

use crate::findings::Criterion;
use crate::front::Front;
use crate::prepared;
use crate::stats::{count, figure};
use crate::world::{QUEUE, World};

/// The number of active orders that `ANALYZE` sees.
const BEFORE: usize = 10_000;
/// The numbers of active orders during the calls: few, so that the planner may prefer a full scan, and many.
const AFTER: [usize; 2] = [1_000, 10_000];

/// A measured call.
#[derive(Debug, Clone)]
enum Call {
    /// A call of the api: method, path and number of orders.
    Api(&'static str, &'static str, usize),
    /// A batch for the processor, which claims and finishes it: the orders' numbers.
    Batch(std::ops::Range<usize>),
}

/// Runs the measurement. The table already holds the finished orders `f-…`.
pub async fn measure(world: &World, sql: &Client) -> Result<Criterion> {
    let calls = [
        Call::Batch(0..1),
        Call::Batch(1..11),
        Call::Batch(11..31),
        Call::Api("GET", "/orders/z-31", 1),
        Call::Api("GET", "/orders/z-32/status", 1),
        Call::Api("GET", "/orders/f-000000001", 1),
        Call::Api("POST", "/orders/z-33/cancel", 1),
        Call::Api("POST", "/orders", 1),
        Call::Api("POST", "/orders/batch", 10),
    ];
    let (mut most, mut names) = (0.0_f64, Vec::new());
    for active in AFTER {
        mislead(world, sql, active).await?;
        names.push(format!("with {} active", figure(count(active))));
        for call in &calls {
            let (name, rows) = read(world, sql, call).await?;
            names.push(format!("{name} {}", figure(rows)));
            most = most.max(rows);
        }
    }
    sql.batch_execute("ALTER TABLE order_work RESET (autovacuum_enabled)").await?;
    let what = "rows and index entries read for a row of the batch by any hot call, statistics misleading";
    Ok(Criterion::at_most(what, "≤ 20", 20.0, most, names.join("; ")).before("1,000,068"))
}

async fn mislead(world: &World, sql: &Client, active: usize) -> Result<()> {
    sql.batch_execute("ALTER TABLE order_work SET (autovacuum_enabled = off)").await?;
    sql.batch_execute("DELETE FROM order_work; DELETE FROM orders WHERE order_id !~ '^f-'").await?;
    prepared::named(world, "a", BEFORE).await?;
    sql.batch_execute("ANALYZE orders, order_work").await?;
    sql.batch_execute("DELETE FROM order_work; DELETE FROM orders WHERE order_id ~ '^a-'").await?;
    sql.batch_execute("VACUUM (ANALYZE false) order_work").await?;
    prepared::named(world, "z", active).await
}

/// Makes a call through a new environment. Returns the call's name and the rows that it read for each of its orders.
async fn read(world: &World, sql: &Client, call: &Call) -> Result<(String, f64)> {
    world.wait_until_disconnected(sql).await?;
    let before = reads(sql).await?;
    let (name, orders) = match call {
        Call::Batch(numbers) => {
            let processor = world.pool(world.function("processor", &[]), 1).await?;
            let event = prepared::event(numbers.clone().map(|n| format!("z-{n}")));
            processor.invoke(event).await.map_err(|error| format!("{call:?}: {error:?}"))?;
            (format!("claim and finish of {}", numbers.len()), numbers.len())
        }
        Call::Api(method, path, orders) => {
            let api = Front::new(world.pool(world.function("api", &[]), 1).await?);
            let body = if path.starts_with("/orders/z") { String::new() } else { crate::load::request(*orders).1 };
            let (status, answer) = api.call(method, path, if *method == "GET" { "" } else { &body }).await?;
            if !(200..300).contains(&status) {
                return Err(format!("{method} {path}: {status} {answer}").into());
            }
            (format!("`{method} {path}`"), *orders)
        }
    };
    drop(world.queues.steal(QUEUE, usize::MAX));
    world.wait_until_disconnected(sql).await?;
    Ok((name, (reads(sql).await? - before) / count(orders)))
}

/// The rows and index entries that were read since the server started.
async fn reads(sql: &Client) -> Result<f64> {
    // Otherwise the server would add this connection's own reads during a later call.
    sql.execute("SELECT pg_stat_force_next_flush()", &[]).await?;
    let read = "SELECT ((SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_user_tables)
        + (SELECT coalesce(sum(idx_tup_read), 0) FROM pg_stat_user_indexes))::float8 AS reads";
    Ok(sql.query_one(read, &[]).await?.try_get("reads")?)
}
