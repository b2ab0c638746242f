//! No plan depends on statistics: with a million finished orders every statement of the hot path reads rows of its batch and
//! few more, whatever the planner believes of the tables.

use serde_json::Value;
use tests::World;
use tokio_postgres::types::Type;

use crate::released::record;

/// How many orders have ended, are active, and are in a batch. With a few pages of active orders the planner reads them all,
/// which costs no more than the batch's own.
const ENDED: i64 = 1_000_000;
const ACTIVE: i64 = 20_000;
const BATCH: i64 = 20;
/// The most rows and the most 8 KiB pages that a statement may read for each order of its batch.
const MOST_ROWS: f64 = 20.0;
const MOST_PAGES: f64 = 60.0;

/// Statements of the hot path: the beginning of each, its arguments as SQL, and how many orders it is about. `IDS` stands
/// for the batch.
const HOT: [(&str, &str, i64); 14] = [
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
    ("WITH lapsed AS", "IDS, gen_random_uuid(), 30", BATCH),
    (
        "WITH held AS ( SELECT order_id FROM order_work WHERE order_id = ANY ($1) AND claim = $3",
        "IDS, array_fill(now(), ARRAY[20]), '00000000-0000-0000-0000-000000000001'",
        BATCH,
    ),
    (
        "WITH held AS ( SELECT order_id FROM order_work WHERE claim = $3 AND order_id = ANY ($1)",
        "IDS, array_fill(now(), ARRAY[20]), '00000000-0000-0000-0000-000000000001', array_fill('busy'::text, ARRAY[20])",
        BATCH,
    ),
    (
        "SELECT s.order_id, s.user_id, s.item_ids, s.total_amount, s.status, s.created_at, s.started_at, s.finished_at, s.attempts, s.failure, e.at",
        "'m-500000', NULL",
        1,
    ),
    (
        "WITH held AS ( SELECT order_id FROM order_work WHERE order_id = ANY ($1) AND claim = $6",
        "IDS, array_fill(1, ARRAY[20]), array_fill(NULL::text, ARRAY[20]), array_fill(1::smallint, ARRAY[20]), \
        array_fill(1::smallint, ARRAY[20]), '00000000-0000-0000-0000-000000000001'",
        BATCH,
    ),
    (
        "WITH held AS ( SELECT order_id FROM order_work WHERE order_id = $1 AND started_at IS NULL",
        "'c-1', NULL, 'olga', NULL",
        1,
    ),
    ("SELECT order_id, greatest(", "IDS", BATCH),
    (
        "WITH held AS ( SELECT order_id, started_at, finished_at, attempts, failure FROM orders",
        "IDS, 1, 'olga', NULL",
        BATCH,
    ),
];

/// The beginning of a list's statement with these conditions.
macro_rules! listed {
    ($conditions:literal) => {
        concat!(
            "SELECT s.order_id, s.user_id, s.item_ids, s.total_amount, s.status, s.created_at, s.started_at, s.finished_at, ",
            "s.attempts, s.failure FROM (SELECT order_id, created_at FROM orders ",
            $conditions
        )
    };
}

/// Statements of lists, likewise. A scan reads 10,000 orders, and a page of the others as many as it shows.
const LISTS: [(&str, &str, i64); 6] = [
    (listed!("WHERE order_id = ANY ($7) LIMIT"), "NULL, NULL, NULL, 10000, 51, NULL, IDS, NULL, NULL, NULL", BATCH),
    (
        listed!("WHERE created_at >= $8 AND created_at < $9 ORDER"),
        "NULL, NULL, NULL, 51, 51, NULL, NULL, now() - interval '600000 s', now() - interval '500000 s', NULL",
        51,
    ),
    (
        listed!("WHERE created_at >= $8 AND (created_at, order_id) < ($2, $3) ORDER"),
        "NULL, now() - interval '550000 s', 'm', 51, 51, NULL, NULL, now() - interval '600000 s', NULL, NULL",
        51,
    ),
    (
        listed!("WHERE user_id = $1 AND created_at >= $8 AND created_at < $9 ORDER"),
        "'user-7', NULL, NULL, 51, 51, NULL, NULL, now() - interval '600000 s', now() - interval '500000 s', NULL",
        51,
    ),
    (
        listed!("WHERE failure IS NOT NULL ORDER"),
        "NULL, NULL, NULL, 10000, 51, NULL, NULL, NULL, NULL, 'no such cause'",
        10_000,
    ),
    (
        listed!(
            "WHERE user_id = $1 ORDER BY created_at DESC, order_id DESC LIMIT $4) AS candidate JOIN order_states AS s USING (order_id) WHERE strpos"
        ),
        "'user-7', NULL, NULL, 10000, 51, NULL, NULL, NULL, NULL, 'no such cause'",
        10_000,
    ),
];

/// What the planner is made to believe, each by the SQL that makes it so.
const BELIEFS: [(&str, &str); 4] = [
    ("no statistics, which nothing has taken yet", "SELECT"),
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
async fn hot_statements_read_their_batch_whatever_the_statistics() {
    let said = record(&World::new().await).await.statements();
    let world = large_world().await;
    let mut read_too_much = Vec::new();
    for (belief, sql) in BELIEFS {
        for statement in sql.split("; ") {
            world.execute(statement).await;
        }
        // A list's plan depends on its limit, and so is a custom one.
        let hot_and_lists = [&HOT[..], &LISTS].concat();
        for (mode, statements) in [("force_custom_plan", &hot_and_lists[..]), ("force_generic_plan", &HOT)] {
            for &(beginning, arguments, orders) in statements {
                let statement = said.iter().find(|said| flat(&said.sql).starts_with(beginning));
                let statement = statement.unwrap_or_else(|| panic!("nothing said begins with {beginning}"));
                let plan = explain(&world, mode, &statement.sql, &statement.types, arguments).await;
                let (rows, pages) = (rows_read(&plan["Plan"]), pages_read(&plan["Plan"]));
                #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
                let orders = orders as f64;
                if rows > MOST_ROWS * orders || pages > MOST_PAGES * orders {
                    read_too_much
                        .push(format!("{belief}, {mode}: {rows} rows, {pages} pages: {}", flat(&statement.sql)));
                }
            }
        }
    }
    assert_eq!(read_too_much, [""; 0]);
}

/// A world with a million finished orders, a twentieth of them failed, and twenty thousand active ones that worker 1 has claimed and whose lease is over; and one
/// that is pending.
async fn large_world() -> World {
    let world = World::new().await;
    world
        .execute(&format!(
            "ALTER TABLE order_work SET (autovacuum_enabled = off); ALTER TABLE orders SET (autovacuum_enabled = off);
            INSERT INTO orders (order_id, user_id, item_ids, total_amount, created_at, started_at, finished_at, attempts, failure)
            SELECT 'm-' || i, 'user-' || i % 1000, ARRAY['book-1'], 59.98, at, at, at, 1, CASE i % 20 WHEN 0 THEN 'refused' END
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

/// The plan of a statement that is carried out, and taken back.
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

/// The rows that the scans of a plan have read, those that they dropped included.
fn rows_read(plan: &Value) -> f64 {
    let number = |name: &str| plan[name].as_f64().unwrap_or(0.0);
    let is_scan =
        plan["Relation Name"].is_string() && plan["Node Type"].as_str().is_some_and(|kind| kind.contains("Scan"));
    let dropped = number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
    let own = if is_scan { (number("Actual Rows") + dropped) * number("Actual Loops") } else { 0.0 };
    own + plan["Plans"].as_array().into_iter().flatten().map(rows_read).sum::<f64>()
}

/// The pages that a plan has read, from memory or not.
fn pages_read(plan: &Value) -> f64 {
    let number = |name: &str| plan[name].as_f64().unwrap_or(0.0);
    number("Shared Hit Blocks") + number("Shared Read Blocks")
}

fn flat(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}
