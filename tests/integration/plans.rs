//! No plan depends on statistics: with a million finished orders every statement of the hot path reads its batch and few more
//! rows, under any statistics.

use serde_json::Value;
use tests::World;
use tokio_postgres::types::Type;

use crate::released::record;

/// The numbers of ended orders, of active orders and of orders in a batch. There are many active orders, because the planner
/// may read a few pages of them completely at no higher cost.
const ENDED: i64 = 1_000_000;
const ACTIVE: i64 = 20_000;
const BATCH: i64 = 20;
/// The most rows and the most 8 KiB pages that a statement may read for each order of its batch.
const MOST_ROWS: f64 = 20.0;
const MOST_PAGES: f64 = 60.0;

/// The orders of a chunk of the retention, and the most rows that it may read: each order as it is found, checked and deleted.
const CHUNK: i64 = 500;
const MOST_ROWS_OF_RETENTION: i64 = 4 * CHUNK;

/// The statements of the hot path: the beginning of each, its arguments as SQL, and its number of orders. `IDS` stands for
/// the batch.
const HOT: [(&str, &str, i64); 13] = [
    (
        "WITH inserted AS ( INSERT INTO orders (order_id, user_id, item_ids, total_amount, idempotency_key) VALUES",
        "'new', 'alice', ARRAY['book-1'], 59.98, NULL, 2",
        1,
    ),
    (
        "WITH inserted AS ( INSERT INTO orders (order_id, user_id, item_ids, total_amount, idempotency_key) SELECT",
        "ARRAY['n-1', 'n-2'], ARRAY['alice', 'bob'], ARRAY['{a}', '{b}'], ARRAY[1, 2]::numeric[], ARRAY[NULL, '\\x01']::bytea[], 2",
        2,
    ),
    (
        "SELECT order_id, user_id, item_ids, total_amount, status, created_at, started_at, finished_at, attempts, failure, idempotency_key",
        "IDS, ARRAY['\\x02']::bytea[]",
        BATCH,
    ),
    (
        "SELECT order_id, user_id, item_ids, total_amount, status, created_at, started_at, finished_at, attempts, failure FROM order_states WHERE order_id",
        "'m-500000', NULL",
        1,
    ),
    ("SELECT status,", "'m-500000', NULL", 1),
    ("WITH due AS", "IDS, gen_random_uuid(), 30", BATCH),
    (
        "WITH held AS ( SELECT order_id FROM order_work WHERE order_id = ANY ($1) AND claim = $3",
        "IDS, array_fill(now(), ARRAY[20]), '00000000-0000-0000-0000-000000000001', array_fill(1, ARRAY[20])",
        BATCH,
    ),
    (
        "WITH held AS ( SELECT order_id FROM order_work WHERE order_id = ANY ($1) AND claim = $6",
        "IDS, array_fill(1, ARRAY[20]), array_fill(NULL::text, ARRAY[20]), array_fill(1::smallint, ARRAY[20]), \
        array_fill(1::smallint, ARRAY[20]), '00000000-0000-0000-0000-000000000001'",
        BATCH,
    ),
    ("WITH held AS ( SELECT order_id FROM order_work WHERE order_id = $1 AND started_at IS NULL", "'c-1', NULL", 1),
    ("SELECT order_id, greatest(", "IDS", BATCH),
    ("WITH held AS ( SELECT order_id FROM orders WHERE order_id = ANY ($1) AND failure IS NOT NULL", "IDS, 1", BATCH),
    // The erasure, of a user with a thousand orders.
    ("SELECT count(*) AS active FROM orders WHERE user_id = $1", "'user-7'", 1000),
    ("WITH held AS ( SELECT order_id FROM orders WHERE user_id = $1 AND finished_at", "'user-7', 100", 100),
];

/// The states of the statistics, each with the SQL that creates it.
const STATISTICS: [(&str, &str); 4] = [
    ("no statistics", "SELECT"),
    ("fresh statistics", "ANALYZE"),
    (
        "statistics taken while order_work was empty",
        "CREATE TABLE kept AS TABLE order_work; TRUNCATE order_work; ANALYZE; INSERT INTO order_work TABLE kept; DROP TABLE kept",
    ),
    (
        "statistics taken with other identifiers",
        "UPDATE order_work SET order_id = 'a' || order_id; ANALYZE; \
        UPDATE order_work SET order_id = substr(order_id, 2)",
    ),
];

#[tokio::test]
async fn hot_statements_read_only_their_batch_with_any_statistics() {
    let recorded = record(&World::new().await).await.statements();
    let world = large_world().await;
    let mut read_too_much = Vec::new();
    for (statistics, sql) in STATISTICS {
        for statement in sql.split("; ") {
            world.execute(statement).await;
        }
        let rows = rows_of_retention(&world).await;
        if rows > MOST_ROWS_OF_RETENTION {
            read_too_much.push(format!("{statistics}: {rows} rows for {CHUNK} orders of the retention"));
        }
        for mode in ["force_custom_plan", "force_generic_plan"] {
            for (beginning, arguments, orders) in HOT {
                let statement = recorded.iter().find(|statement| flat(&statement.sql).starts_with(beginning));
                let statement = statement.unwrap_or_else(|| panic!("no recorded statement begins with {beginning}"));
                let plan = explain(&world, mode, &statement.sql, &statement.types, arguments).await;
                let (rows, pages) = (rows_read(&plan["Plan"]), pages_read(&plan["Plan"]));
                #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
                let orders = orders as f64;
                if rows > MOST_ROWS * orders || pages > MOST_PAGES * orders {
                    read_too_much
                        .push(format!("{statistics}, {mode}: {rows} rows, {pages} pages: {}", flat(&statement.sql)));
                }
            }
        }
    }
    assert_eq!(read_too_much, [""; 0]);
}

/// A world with a million finished orders, twenty thousand claimed ones whose lease has expired, and a pending one.
async fn large_world() -> World {
    let world = World::new().await;
    world
        .execute(&format!(
            "ALTER TABLE order_work SET (autovacuum_enabled = off); ALTER TABLE orders SET (autovacuum_enabled = off);
            INSERT INTO orders (order_id, user_id, item_ids, total_amount, created_at, started_at, finished_at, attempts)
            SELECT 'm-' || i, 'user-' || i % 1000, ARRAY['book-1'], 59.98, at, at, at, 1
            FROM generate_series(1, {ENDED}) AS i, LATERAL (SELECT now() - i * interval '1 second' AS at) AS moment;
            INSERT INTO orders (order_id, user_id, item_ids, total_amount)
            SELECT 'z-' || i, 'alice', ARRAY['book-1'], 59.98 FROM generate_series(1, {ACTIVE}) AS i;
            INSERT INTO order_work (order_id, created_at, started_at, due_at, claim)
            SELECT order_id, created_at, created_at, created_at, '00000000-0000-0000-0000-000000000001' FROM orders
            WHERE order_id LIKE 'z-%';
            INSERT INTO orders (order_id, user_id, item_ids, total_amount) VALUES ('c-1', 'alice', ARRAY['book-1'], 59.98);
            INSERT INTO order_work (order_id, created_at, due_at) VALUES ('c-1', now(), now())"
        ))
        .await;
    world
}

/// Executes a statement, rolls it back and returns its plan.
async fn explain(world: &World, mode: &str, sql: &str, types: &[u32], arguments: &str) -> Value {
    let names: Vec<_> =
        types.iter().map(|oid| Type::from_oid(*oid).expect("a type of PostgreSQL's").to_string()).collect();
    let names: Vec<_> =
        names.iter().map(|name| name.strip_prefix('_').map_or(name.clone(), |of| format!("{of}[]"))).collect();
    let ids: Vec<_> = (1..=BATCH).map(|number| format!("'z-{number}'")).collect();
    let arguments = arguments.replace("IDS", &format!("ARRAY[{}]", ids.join(", ")));
    world.execute(&format!("SET plan_cache_mode = {mode}; PREPARE asked ({}) AS {sql}; BEGIN", names.join(", "))).await;
    let plan = world.text(&format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE asked ({arguments})")).await;
    world.execute("ROLLBACK; DEALLOCATE asked").await;
    serde_json::from_str::<Value>(&plan).expect("a plan is JSON")[0].clone()
}

/// The rows that a chunk of the retention reads. No plan shows what runs within a function, so this takes the session's counts
/// from before and after it.
async fn rows_of_retention(world: &World) -> i64 {
    world.execute("BEGIN").await;
    let read = "SELECT sum(seq_tup_read + idx_tup_fetch)::bigint FROM pg_stat_xact_user_tables";
    let before: i64 = world.value(read).await;
    let deleted =
        format!("SELECT deleted FROM delete_ended_orders('-infinity', '', now() - interval '2 days', {CHUNK})");
    assert_eq!(world.value::<i64>(&deleted).await, CHUNK);
    let after: i64 = world.value(read).await;
    world.execute("ROLLBACK").await;
    after - before
}

/// The rows that the scans of a plan have read, filtered ones included.
fn rows_read(plan: &Value) -> f64 {
    let number = |name: &str| plan[name].as_f64().unwrap_or(0.0);
    let is_scan =
        plan["Relation Name"].is_string() && plan["Node Type"].as_str().is_some_and(|kind| kind.contains("Scan"));
    let dropped = number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
    let own = if is_scan { (number("Actual Rows") + dropped) * number("Actual Loops") } else { 0.0 };
    own + plan["Plans"].as_array().into_iter().flatten().map(rows_read).sum::<f64>()
}

/// The pages that a plan has read, from memory or disk.
fn pages_read(plan: &Value) -> f64 {
    let number = |name: &str| plan[name].as_f64().unwrap_or(0.0);
    number("Shared Hit Blocks") + number("Shared Read Blocks")
}

fn flat(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}
