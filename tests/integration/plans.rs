//! No plan depends on statistics: with a million finished orders every statement of the hot path reads its batch and few more
//! rows, under any statistics.

mod chunks;
mod statements;

use std::collections::BTreeSet;

use sandbox::wire::Query;
use serde_json::Value;
use tests::{World, connect};
use tokio::sync::OnceCell;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::released::record;
use crate::roles::AppRole;
use chunks::CHUNKS;
use statements::{HOT, STATISTICS, UNBOUNDED};

/// The numbers of ended orders, of active orders and of orders in a batch. A thousand active orders are so few that a scan of all of
/// them looks cheap. A batch has a thousand at most.
const ENDED: i64 = 1_000_000;
const FEW: i64 = 1_000;
const MANY: i64 = 20_000;
const BATCHES: [i64; 2] = [40, 1_000];
/// The most rows and the most 8 KiB pages that a statement may read for each order of its batch.
const MOST_ROWS: f64 = 20.0;
const MOST_PAGES: f64 = 60.0;
/// The claim of the active orders.
const WORKER: &str = "'00000000-0000-0000-0000-000000000001'";

#[tokio::test]
async fn hot_statements_read_only_their_batch_with_any_statistics() {
    let recorded = recorded_statements().await;
    let (beside_few, beside_many) = tokio::join!(excesses(&recorded, FEW), excesses(&recorded, MANY));
    assert_eq!([beside_few, beside_many].concat(), [""; 0]);
}

/// Describes each plan of the hot path that reads too much beside this many active orders.
async fn excesses(recorded: &[Query], active: i64) -> Vec<String> {
    let mut read_too_much = Vec::new();
    // The functions' own role, with the settings of its sessions.
    let role = filled(active).await;
    let client = connect(&role.url()).await;
    for (statistics, sql) in STATISTICS {
        execute_each(&role.world, sql).await;
        for &(name, beginning, arguments, orders) in &HOT {
            for orders in orders.map_or(BATCHES.to_vec(), |orders| vec![orders]) {
                #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
                let most = (MOST_ROWS * orders as f64, MOST_PAGES * orders as f64);
                let excess = excess(&client, recorded, beginning, &of_batch(arguments, orders), most).await;
                let when = format!("{orders} of {active} active orders, {statistics}");
                read_too_much.extend(excess.into_iter().map(|what| format!("{name}: {what}: {when}")));
            }
        }
        // The statements insert events and are rolled back. Later statements would read these dead rows.
        role.world.execute("VACUUM order_events").await;
    }
    read_too_much
}

#[tokio::test]
async fn each_recorded_statement_has_a_bound_or_a_reason() {
    let recorded = recorded_statements().await;
    let hot = HOT.iter().map(|(_, beginning, ..)| *beginning);
    let chunks = CHUNKS.iter().map(|(beginning, ..)| *beginning);
    let unbounded = UNBOUNDED.iter().map(|(beginning, _)| *beginning);
    let listed: Vec<_> = hot.chain(chunks).chain(unbounded).collect();
    let is_listed = |sql: &str| listed.iter().any(|beginning| begins(sql, beginning));
    let unlisted: Vec<_> = recorded.iter().map(|statement| &statement.sql).filter(|sql| !is_listed(sql)).collect();
    assert_eq!(unlisted, [""; 0]);
    let is_recorded = |beginning: &str| recorded.iter().any(|statement| begins(&statement.sql, beginning));
    let gone: Vec<_> = listed.iter().filter(|beginning| !is_recorded(beginning)).collect();
    assert!(gone.is_empty(), "listed and not recorded: {gone:?}");
    for (beginning, _) in UNBOUNDED {
        let statements: BTreeSet<_> =
            recorded.iter().map(|statement| &statement.sql).filter(|sql| begins(sql, beginning)).collect();
        assert_eq!(statements.len(), 1, "{beginning} is the reason for {statements:?}");
    }
}

/// All statements of the functions, each in one line.
async fn recorded_statements() -> Vec<Query> {
    let recorded = record(&World::new().await).await.statements();
    recorded.into_iter().map(|statement| Query { sql: flat(&statement.sql), ..statement }).collect()
}

/// Whether a statement begins so. After the beginning, each ` … ` is followed by another part of the statement.
fn begins(sql: &str, beginning: &str) -> bool {
    let mut parts = beginning.split(" … ");
    parts.next().is_some_and(|start| sql.starts_with(start)) && parts.all(|part| sql.contains(part))
}

/// Executes statements one by one, because a vacuum runs in no transaction.
async fn execute_each(world: &World, sql: &str) {
    for statement in sql.split("; ") {
        world.execute(statement).await;
    }
}

/// Executes the recorded statement of this beginning. Describes each plan that reads more than these rows and pages, or searches again,
/// and each with a part that changes no row: it then proves nothing about that part.
async fn excess(
    client: &Client,
    recorded: &[Query],
    beginning: &str,
    arguments: &str,
    (most_rows, most_pages): (f64, f64),
) -> Vec<String> {
    let named: Vec<_> = recorded.iter().filter(|statement| begins(&statement.sql, beginning)).collect();
    let [statement, others @ ..] = named.as_slice() else { panic!("no recorded statement begins with {beginning}") };
    assert!(others.iter().all(|other| other.sql == statement.sql), "{beginning} is not of one statement");
    let mut found = Vec::new();
    // The role has generic plans. A role that existed before may lack that setting.
    for mode in ["generic", "custom"] {
        let plan = explain(client, mode, statement, arguments, most_pages <= MOST_PAGES).await;
        let (rows, pages) = (rows_read(&plan), pages_read(&plan));
        if rows > most_rows || pages > most_pages || any_part(&plan, searches_again) {
            found.push(format!("{rows} rows, {pages} pages, {mode} plan"));
        }
        if any_part(&plan, locks_by_place) {
            found.push(format!("a bitmap scan, {mode} plan"));
        }
        if any_part(&plan, changes_nothing) {
            found.push(format!("a part changes no row, {mode} plan"));
        }
    }
    found
}

/// The name of the database with a million finished orders, half of them of one user and a twentieth of them failed, and without
/// statistics, as in a new one.
static ENDED_ORDERS: OnceCell<String> = OnceCell::const_new();

/// A copy of that database with these active orders of worker 1 whose lease has expired, half of them requeued, and forty pending ones.
/// Each of them and one ended order have two events. As many ends as active orders are not announced.
async fn filled(active: i64) -> AppRole {
    let fill = || async {
        let sql = format!(
            "ALTER TABLE order_work SET (autovacuum_enabled = off); ALTER TABLE orders SET (autovacuum_enabled = off);
            ALTER TABLE order_events SET (autovacuum_enabled = off);
            INSERT INTO orders (order_id, user_id, item_ids, total_amount, created_at, started_at, finished_at, attempts, failure)
            SELECT 'm-' || i, CASE i % 2 WHEN 0 THEN 'shop' ELSE 'user-' || i % 1000 END, ARRAY['book-1'], 59.98, at, at, at, 1, CASE i % 20 WHEN 0 THEN 'refused' END
            FROM generate_series(1, {ENDED}) AS i, LATERAL (SELECT now() - i * interval '1 second' AS at) AS moment"
        );
        World::fill_database(&sql).await
    };
    let role = AppRole::of(World::copy_of(ENDED_ORDERS.get_or_init(fill).await).await).await;
    let sql = format!(
        "INSERT INTO orders (order_id, user_id, item_ids, total_amount, created_at)
        SELECT 'z-' || i, 'alice', ARRAY['book-1'], 59.98, now() - i * interval '1 ms' FROM generate_series(1, {active}) AS i;
        INSERT INTO order_work (order_id, created_at, started_at, due_at, claim, requeued_at)
        SELECT order_id, created_at, created_at, created_at, {WORKER}, CASE right(order_id, 1)::int % 2 WHEN 0 THEN created_at END FROM orders
        WHERE order_id LIKE 'z-%';
        INSERT INTO orders (order_id, user_id, item_ids, total_amount)
        SELECT 'c-' || i, 'alice', ARRAY['book-1'], 59.98 FROM generate_series(1, 40) AS i;
        INSERT INTO order_work (order_id, created_at, due_at) SELECT order_id, now(), now() FROM orders WHERE order_id LIKE 'c-%';
        INSERT INTO order_events (order_id, event, attempt, cause)
        SELECT order_id, event, 1, 'busy' FROM (SELECT order_id FROM order_work UNION ALL VALUES ('m-500000')) AS of_batch, unnest(ARRAY['attempt_failed', 'requeued']) AS event;
        INSERT INTO order_ends (order_id, sequence, ended_at) SELECT 'm-' || i, 1, now() - i * interval '1 ms' FROM generate_series(1, {active}) AS i"
    );
    role.world.execute(&sql).await;
    role
}

/// The arguments for a batch of this size.
fn of_batch(arguments: &str, size: i64) -> String {
    let ids = |prefix: &str, step: i64| {
        let ids: Vec<_> = (1..=size).map(|number| format!("'{prefix}-{}'", number * step)).collect();
        format!("ARRAY[{}]", ids.join(", "))
    };
    let named = [("IDS", ids("z", 1)), ("ENDED", ids("m", 1)), ("FAILED", ids("m", 20)), ("PENDING", ids("c", 1))];
    let arguments = arguments.replace("SIZE", &size.to_string()).replace("WORKER", WORKER);
    named.iter().fold(arguments, |arguments, (name, ids)| arguments.replace(name, ids))
}

/// Executes a statement, rolls it back and returns its plan. It is planned before, because that reads the catalogue. With `runs_before` it also
/// runs before, because its first run on a connection reads a little more of it. It gets a minute: the tests bound the reads, and other tests on
/// the machine slow them down.
async fn explain(client: &Client, mode: &str, statement: &Query, arguments: &str, runs_before: bool) -> Value {
    let Query { sql, types, .. } = statement;
    let plan = if runs_before { "" } else { "EXPLAIN" };
    let names: Vec<_> =
        types.iter().map(|oid| Type::from_oid(*oid).expect("a type of PostgreSQL's").to_string()).collect();
    let names: Vec<_> =
        names.iter().map(|name| name.strip_prefix('_').map_or(name.clone(), |of| format!("{of}[]"))).collect();
    let messages = client
        .simple_query(&format!(
            "SET statement_timeout = '1min'; SET plan_cache_mode = force_{mode}_plan; PREPARE asked ({}) AS {sql};
            BEGIN; {plan} EXECUTE asked ({arguments}); ROLLBACK; BEGIN; EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE asked ({arguments}); ROLLBACK; DEALLOCATE asked",
            names.join(", ")
        ))
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let plan = messages.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    serde_json::from_str::<Value>(plan.expect("a plan")).expect("a plan is JSON")[0]["Plan"].take()
}

/// The parts of a plan.
fn parts(plan: &Value) -> impl Iterator<Item = &Value> {
    plan["Plans"].as_array().into_iter().flatten()
}

/// Whether this holds for a plan or for any part of it.
fn any_part(plan: &Value, holds: fn(&Value) -> bool) -> bool {
    holds(plan) || parts(plan).any(|part| any_part(part, holds))
}

/// Whether a part searches an array of keys more than once: it would search it for each key of a join. The array of one key, in
/// which a join looks it up, is none.
fn searches_again(part: &Value) -> bool {
    let is_array = |condition: &str| condition.contains("ANY") && !condition.contains("ARRAY[");
    part["Index Cond"].as_str().is_some_and(is_array) && part["Actual Loops"].as_f64().unwrap_or(0.0) > 1.0
}

/// Whether a part reads the rows of a table by their place: two statements on the same orders that lock them so can deadlock.
fn locks_by_place(part: &Value) -> bool {
    part["Node Type"] == "Bitmap Heap Scan"
}

/// Whether a part that changes rows gets none.
fn changes_nothing(part: &Value) -> bool {
    let gets_none = |rows: &Value| rows["Parent Relationship"] == "Outer" && rows["Actual Rows"] == 0.0;
    part["Node Type"] == "ModifyTable" && parts(part).any(gets_none)
}

/// The rows that the scans and joins of a plan have read, filtered ones included.
fn rows_read(plan: &Value) -> f64 {
    let number = |name: &str| plan[name].as_f64().unwrap_or(0.0);
    let is_scan =
        plan["Relation Name"].is_string() && plan["Node Type"].as_str().is_some_and(|kind| kind.contains("Scan"));
    let dropped = number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
    let own = if is_scan { (number("Actual Rows") + dropped) * number("Actual Loops") } else { 0.0 };
    own + number("Rows Removed by Join Filter") * number("Actual Loops") + parts(plan).map(rows_read).sum::<f64>()
}

/// The pages that a plan has read, from memory or disk.
fn pages_read(plan: &Value) -> f64 {
    let number = |name: &str| plan[name].as_f64().unwrap_or(0.0);
    number("Shared Hit Blocks") + number("Shared Read Blocks")
}

/// The statement in one line.
pub fn flat(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}
