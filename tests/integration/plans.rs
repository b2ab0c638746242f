//! No plan depends on statistics: with a million finished orders every statement of the hot path reads its batch and few more
//! rows, under any statistics. `plans/15.txt` has the plans for review.

mod chunks;
mod shapes;

use serde_json::Value;
use tests::World;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::released::record;
use crate::roles::AppRole;
use shapes::Shapes;

/// The numbers of ended orders, of active orders and of orders in a batch. A thousand active orders are so few that a scan of all of
/// them looks cheap.
const ENDED: i64 = 1_000_000;
const ACTIVE: [i64; 2] = [1_000, 20_000];
const BATCH: i64 = 40;
/// The most rows and the most 8 KiB pages that a statement may read for each order of its batch.
const MOST_ROWS: f64 = 20.0;
const MOST_PAGES: f64 = 60.0;

/// The statements of the hot path: the name and the beginning of each, its arguments as SQL, and its number of orders. `IDS` stands
/// for the batch. A beginning may have ` … ` and another part of the statement.
const HOT: [(&str, &str, &str, i64); 17] = [
    (
        "create",
        "WITH inserted AS ( INSERT INTO orders (order_id, user_id, item_ids, total_amount, currency, metadata, process_after, idempotency_key) VALUES",
        "'new', 'alice', ARRAY['book-1'], 59.98, 'EUR', NULL, NULL, NULL, 2",
        1,
    ),
    (
        "create a batch",
        "WITH inserted AS ( INSERT INTO orders (order_id, user_id, item_ids, total_amount, currency, metadata, process_after, idempotency_key) SELECT",
        "ARRAY['n-1', 'n-2'], ARRAY['alice', 'bob'], ARRAY['{a}', '{b}'], ARRAY[1, 2]::numeric[], ARRAY['EUR', 'JPY'], ARRAY[NULL, '{\"a\": \"b\"}'], \
        ARRAY[NULL, now()]::timestamptz[], ARRAY[NULL, '\\x01']::bytea[], 2",
        2,
    ),
    (
        "find earlier orders",
        "SELECT order_id, user_id, item_ids, total_amount, currency, metadata::text AS metadata, process_after, status, created_at, started_at, finished_at, attempts, failure, idempotency_key",
        "IDS, ARRAY['\\x02']::bytea[]",
        BATCH,
    ),
    (
        "get an order",
        "SELECT order_id, user_id, item_ids, total_amount, currency, metadata::text AS metadata, process_after, status, created_at, started_at, finished_at, attempts, failure FROM order_states WHERE order_id",
        "'m-500000', NULL",
        1,
    ),
    ("get a status", "SELECT status,", "'m-500000', NULL", 1),
    (
        "get a history",
        "SELECT s.status, s.created_at, s.started_at, s.finished_at, s.attempts, s.failure, e.at",
        "'m-500000', NULL",
        1,
    ),
    ("claim", "WITH due AS", "IDS, gen_random_uuid(), 30, 5", BATCH),
    ("claim after a lease", "WITH lapsed AS", "IDS, gen_random_uuid(), 30", BATCH),
    (
        "reschedule",
        "UPDATE order_work AS w SET claim = NULL",
        "IDS, array_fill(now(), ARRAY[40]), '00000000-0000-0000-0000-000000000001'",
        BATCH,
    ),
    (
        "reschedule after a failed attempt",
        "WITH rescheduled AS",
        "IDS, array_fill(now(), ARRAY[40]), '00000000-0000-0000-0000-000000000001', array_fill('busy'::text, ARRAY[40])",
        BATCH,
    ),
    (
        "finish",
        "WITH done AS",
        "IDS, array_fill(1, ARRAY[40]), array_fill(NULL::text, ARRAY[40]), array_fill(1::smallint, ARRAY[40]), \
        array_fill(1::smallint, ARRAY[40]), '00000000-0000-0000-0000-000000000001'",
        BATCH,
    ),
    (
        "cancel",
        "WITH held AS ( SELECT order_id FROM order_work WHERE order_id = $1 AND started_at IS NULL",
        "'c-1', NULL, 'olga', NULL",
        1,
    ),
    (
        "finish and keep the ends",
        "WITH done AS … INSERT INTO order_ends",
        "IDS, array_fill(1, ARRAY[40]), array_fill(NULL::text, ARRAY[40]), array_fill(1::smallint, ARRAY[40]), \
        array_fill(1::smallint, ARRAY[40]), '00000000-0000-0000-0000-000000000001'",
        BATCH,
    ),
    ("find ends", "SELECT s.order_id … FROM order_ends AS e JOIN", "ENDED", BATCH),
    ("delete ends", "DELETE FROM order_ends", "ENDED, array_fill(1, ARRAY[40])", BATCH),
    ("find active orders", "SELECT order_id, greatest(", "IDS", BATCH),
    (
        "retry",
        "WITH held AS ( SELECT order_id, started_at, finished_at, attempts, failure FROM orders",
        "IDS, 1, 'olga', NULL",
        BATCH,
    ),
];

/// The beginning of a list's statement with these conditions.
macro_rules! listed {
    ($conditions:literal) => {
        concat!(
            "SELECT s.order_id, s.user_id, s.item_ids, s.total_amount, s.currency, s.metadata::text AS metadata, s.process_after, s.status, s.created_at, s.started_at, s.finished_at, ",
            "s.attempts, s.failure FROM (SELECT order_id, created_at FROM orders ",
            $conditions
        )
    };
}

/// The statements of lists, likewise. A scan reads 10,000 orders, and a page of the others as many as it shows.
const LISTS: [(&str, &str, &str, i64); 6] = [
    (
        "list by identifiers",
        listed!("WHERE order_id = ANY ($7) LIMIT"),
        "NULL, NULL, NULL, 10000, 51, NULL, IDS, NULL, NULL, NULL",
        BATCH,
    ),
    (
        "list a range",
        listed!("WHERE created_at >= $8 AND created_at < $9 ORDER"),
        "NULL, NULL, NULL, 51, 51, NULL, NULL, now() - interval '600000 s', now() - interval '500000 s', NULL",
        51,
    ),
    (
        "page a range",
        listed!("WHERE created_at >= $8 AND (created_at, order_id) < ($2, $3) ORDER"),
        "NULL, now() - interval '550000 s', 'm', 51, 51, NULL, NULL, now() - interval '600000 s', NULL, NULL",
        51,
    ),
    (
        "list a user's range",
        listed!("WHERE user_id = $1 AND created_at >= $8 AND created_at < $9 ORDER"),
        "'user-7', NULL, NULL, 51, 51, NULL, NULL, now() - interval '600000 s', now() - interval '500000 s', NULL",
        51,
    ),
    (
        "list a cause",
        listed!("WHERE failure IS NOT NULL ORDER"),
        "NULL, NULL, NULL, 10000, 51, NULL, NULL, NULL, NULL, 'no such cause'",
        10_000,
    ),
    (
        "list a user's cause",
        listed!(
            "WHERE user_id = $1 ORDER BY created_at DESC, order_id DESC LIMIT $4) AS candidate JOIN order_states AS s USING (order_id) WHERE strpos"
        ),
        "'user-7', NULL, NULL, 10000, 51, NULL, NULL, NULL, NULL, 'no such cause'",
        10_000,
    ),
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
    let (mut read_too_much, mut shapes, mut version) = (Vec::new(), Shapes::default(), String::new());
    for active in ACTIVE {
        // The functions' own role, with the settings of its sessions.
        let role = AppRole::new().await;
        let (world, client) = (&role.world, connect(&role.url()).await);
        fill_in(world, active).await;
        version = world.text("SHOW server_version_num").await;
        for (statistics, sql) in STATISTICS {
            for statement in sql.split("; ") {
                world.execute(statement).await;
            }
            // A list's plan depends on its limit, and so is a custom one.
            let hot_and_lists = [&HOT[..], &LISTS].concat();
            for (mode, statements) in [("custom", &hot_and_lists[..]), ("generic", &HOT)] {
                for &(name, beginning, arguments, orders) in statements {
                    let (beginning, part) = beginning.split_once(" … ").unwrap_or((beginning, ""));
                    let is_it = |sql: String| sql.starts_with(beginning) && sql.contains(part);
                    let statement = recorded.iter().find(|statement| is_it(flat(&statement.sql)));
                    let statement =
                        statement.unwrap_or_else(|| panic!("no recorded statement begins with {beginning}"));
                    let plan = explain(&client, mode, &statement.sql, &statement.types, arguments).await;
                    let (rows, pages) = (rows_read(&plan["Plan"]), pages_read(&plan["Plan"]));
                    #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
                    let orders = orders as f64;
                    let when = format!("{active} active orders, {statistics}, {mode} plan");
                    if rows > MOST_ROWS * orders || pages > MOST_PAGES * orders || searches_again(&plan["Plan"]) {
                        read_too_much.push(format!("{name}: {rows} rows, {pages} pages: {when}"));
                    }
                    shapes.add(name, &plan["Plan"]);
                }
            }
        }
    }
    assert_eq!(read_too_much, [""; 0]);
    shapes.compare(&version);
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Inserts a million finished orders, a twentieth of them failed, active orders of worker 1 whose lease has expired, and a pending one. As
/// many ends as active orders are not announced. There are no statistics, as in a new database.
async fn fill_in(world: &World, active: i64) {
    world
        .execute(&format!(
            "ALTER TABLE order_work SET (autovacuum_enabled = off); ALTER TABLE orders SET (autovacuum_enabled = off);
            INSERT INTO orders (order_id, user_id, item_ids, total_amount, created_at, started_at, finished_at, attempts, failure)
            SELECT 'm-' || i, 'user-' || i % 1000, ARRAY['book-1'], 59.98, at, at, at, 1, CASE i % 20 WHEN 0 THEN 'refused' END
            FROM generate_series(1, {ENDED}) AS i, LATERAL (SELECT now() - i * interval '1 second' AS at) AS moment;
            INSERT INTO orders (order_id, user_id, item_ids, total_amount)
            SELECT 'z-' || i, 'alice', ARRAY['book-1'], 59.98 FROM generate_series(1, {active}) AS i;
            INSERT INTO order_work (order_id, created_at, started_at, due_at, claim)
            SELECT order_id, created_at, created_at, created_at, '00000000-0000-0000-0000-000000000001' FROM orders
            WHERE order_id LIKE 'z-%';
            INSERT INTO orders (order_id, user_id, item_ids, total_amount) VALUES ('c-1', 'alice', ARRAY['book-1'], 59.98);
            INSERT INTO order_work (order_id, created_at, due_at) VALUES ('c-1', now(), now());
            INSERT INTO order_ends (order_id, sequence, ended_at) SELECT 'm-' || i, 1, now() FROM generate_series(1, {active}) AS i"
        ))
        .await;
}

/// Executes a statement, rolls it back and returns its plan. The statement runs twice, because the first run on a connection also
/// reads the catalogue.
async fn explain(client: &Client, mode: &str, sql: &str, types: &[u32], arguments: &str) -> Value {
    let names: Vec<_> =
        types.iter().map(|oid| Type::from_oid(*oid).expect("a type of PostgreSQL's").to_string()).collect();
    let names: Vec<_> =
        names.iter().map(|name| name.strip_prefix('_').map_or(name.clone(), |of| format!("{of}[]"))).collect();
    let ids: Vec<_> = (1..=BATCH).map(|number| format!("'z-{number}'")).collect();
    let ids = format!("ARRAY[{}]", ids.join(", "));
    let arguments = arguments.replace("IDS", &ids).replace("ENDED", &ids.replace("'z-", "'m-"));
    let messages = client
        .simple_query(&format!(
            "SET plan_cache_mode = force_{mode}_plan; PREPARE asked ({}) AS {sql};
            BEGIN; EXECUTE asked ({arguments}); ROLLBACK;
            BEGIN; EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE asked ({arguments}); ROLLBACK; DEALLOCATE asked",
            names.join(", ")
        ))
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let plan = messages.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    serde_json::from_str::<Value>(plan.expect("a plan")).expect("a plan is JSON")[0].clone()
}

/// Whether a plan searches an array of keys more than once: it would search it for each key of a join.
fn searches_again(plan: &Value) -> bool {
    let is_array = plan["Index Cond"].as_str().is_some_and(|condition| condition.contains("ANY"));
    let loops = plan["Actual Loops"].as_f64().unwrap_or(0.0);
    is_array && loops > 1.0 || plan["Plans"].as_array().into_iter().flatten().any(searches_again)
}

/// The rows that the scans and joins of a plan have read, filtered ones included.
fn rows_read(plan: &Value) -> f64 {
    let number = |name: &str| plan[name].as_f64().unwrap_or(0.0);
    let is_scan =
        plan["Relation Name"].is_string() && plan["Node Type"].as_str().is_some_and(|kind| kind.contains("Scan"));
    let dropped = number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
    let own = if is_scan { (number("Actual Rows") + dropped) * number("Actual Loops") } else { 0.0 };
    own + number("Rows Removed by Join Filter") * number("Actual Loops")
        + plan["Plans"].as_array().into_iter().flatten().map(rows_read).sum::<f64>()
}

/// The pages that a plan has read, from memory or disk.
fn pages_read(plan: &Value) -> f64 {
    let number = |name: &str| plan[name].as_f64().unwrap_or(0.0);
    number("Shared Hit Blocks") + number("Shared Read Blocks")
}

fn flat(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}
