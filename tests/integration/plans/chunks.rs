//! No plan depends on statistics: among a million orders, operators' calls and the retention read only their chunk, and the sweeper only
//! its slice of the active orders.

use tests::connect;
use tokio_postgres::{Client, IsolationLevel};

use super::{MANY, STATISTICS, excess, execute_each, filled, recorded_statements};
use crate::roles::AppRole;

/// The orders of a chunk, more than the retention's, and the most rows that it may read: each order as it is found, checked and deleted.
const CHUNK: i64 = 500;
const MOST_ROWS: i64 = 4 * CHUNK;

/// Another user with many ended orders.
const LARGE_USER: &str =
    "INSERT INTO orders (order_id, user_id, item_ids, total_amount, created_at, started_at, finished_at, attempts)
    SELECT 'l-' || i, 'large', ARRAY['book-1'], 1, at, at, at, 1
    FROM generate_series(1, 100000) AS i, LATERAL (SELECT now() - i * interval '1 second' AS at) AS moment";

/// The arguments of a slice of a hundred pages. Each holds some sixty active orders.
const SLICE: &str = "'(100,0)', '(200,0)'";

/// The arguments of a page of active orders.
const PAGE: &str = "now(), 'z', 51, 51";

/// The statements of an erasure, for a user with a thousand orders and for the large one, of a retry of the orders of an hour, of
/// cancels, of lists of active orders, and of a sweep: the beginning of each, its arguments, and the most rows and
/// pages. `SLICE` stands for one.
pub const CHUNKS: [(&str, &str, f64, f64); 21] = [
    (COUNT, "'user-7', 1000", 1_000.0, 2_000.0),
    (COUNT, "'large', 1000", 42_000.0, 90_000.0),
    (COUNT_WITH_ENDS, "'user-7', 1000", 2_000.0, 6_000.0),
    (COUNT_WITH_ENDS, "'large', 1000", 102_000.0, 180_000.0),
    ("WITH held AS … NOT EXISTS (SELECT FROM order_ends", "'user-7', 100", 600.0, 6_000.0),
    ("WITH held AS … s.order_id = ANY (ARRAY[orders.order_id])) ORDER BY user_id", "'user-7', 100", 500.0, 6_000.0),
    ("SELECT EXISTS (SELECT FROM orders WHERE user_id = $1)", "'user-7'", 1.0, 10.0),
    ("SELECT failure, … matched FROM orders … AND user_id", "'shop', 'refused', 20", 51_000.0, 60_000.0),
    (
        "SELECT failure, … matched FROM orders … AND created_at",
        "now() - interval '2 h', now() - interval '1 h', 20",
        200.0,
        500.0,
    ),
    ("SELECT count(*) AS matched … user_id = $1 LIMIT", "'large', 1", 21_000.0, 5_000.0),
    ("SELECT count(*) AS matched … AND created_at < $1 LIMIT", "now(), 1", 21_000.0, 5_000.0),
    ("SELECT order_id FROM order_work AS w CROSS", "'alice', 100", 21_000.0, 5_000.0),
    ("SELECT order_id FROM orders AS o WHERE failure", "'shop', 'refused', 100", 51_000.0, 60_000.0),
    ("SELECT s.order_id, … FROM order_work WHERE started_at IS NULL ORDER", "51, 51", 21_000.0, 5_000.0),
    ("SELECT s.order_id, … FROM order_work WHERE started_at IS NULL AND (", PAGE, 21_000.0, 5_000.0),
    ("SELECT s.order_id, … FROM order_work WHERE started_at IS NOT NULL ORDER", "51, 51", 21_000.0, 5_000.0),
    ("SELECT s.order_id, … FROM order_work WHERE started_at IS NOT NULL AND (", PAGE, 21_000.0, 5_000.0),
    ("SELECT extract(epoch FROM now() - paused_at)", "SLICE, 180, 600", 7_000.0, 150.0),
    ("WITH chosen AS ( SELECT order_id FROM order_work", "SLICE, 0, 100", 8_000.0, 6_000.0),
    ("SELECT order_id, (SELECT … = scheduled", "SLICE, 600, 100", 7_000.0, 600.0),
    ("SELECT order_id, ctid::text AS place FROM order_ends", "0, '(20,0)'", 2_000.0, 40.0),
];

const COUNT: &str = "WITH newest AS ( SELECT finished_at IS NULL AS is_active";
const COUNT_WITH_ENDS: &str = "WITH newest AS ( SELECT finished_at IS NULL OR";

#[tokio::test]
async fn calls_of_operators_read_only_their_chunk_of_orders() {
    let recorded = recorded_statements().await;
    let role = filled(MANY).await;
    let client = connect(&role.url()).await;
    role.world.execute(LARGE_USER).await;
    let mut read_too_much = Vec::new();
    for (statistics, sql) in STATISTICS {
        execute_each(&role.world, sql).await;
        let rows = rows_of_retention(&client).await;
        if rows > MOST_ROWS {
            read_too_much.push(format!("retention: {rows} rows: {statistics}"));
        }
        for (beginning, arguments, most_rows, most_pages) in CHUNKS {
            let arguments = arguments.replace("SLICE", SLICE);
            let excess = excess(&client, &recorded, beginning, &arguments, (most_rows, most_pages)).await;
            read_too_much.extend(excess.into_iter().map(|what| format!("{beginning}: {what}: {statistics}")));
        }
    }
    assert_eq!(read_too_much, [""; 0]);
}

/// A session that holds a snapshot keeps folded outcomes in the index.
#[tokio::test]
async fn fold_beside_a_held_snapshot_reads_no_folded_outcomes() {
    let recorded = recorded_statements().await;
    let role = AppRole::new().await;
    let mut holder = connect(role.world.owner_url()).await;
    let holds = holder.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().await.unwrap();
    holds.batch_execute("SELECT FROM orders").await.unwrap();
    for (minutes, rows) in [(120, 50_000), (30, 10)] {
        let sql = format!(
            "INSERT INTO order_outcomes (minute, completed)
            SELECT date_trunc('minute', now()) - interval '{minutes} minutes', 1 FROM generate_series(1, {rows})"
        );
        role.world.execute(&sql).await;
        assert_eq!(role.world.store().fold_statistics(rows).await.unwrap(), rows.unsigned_abs());
    }
    let client = connect(&role.url()).await;
    let fold = "WITH outcome AS ( DELETE FROM order_outcomes";
    let nothing_to_fold = ["generic", "custom"].map(|mode| format!("a part changes no row, {mode} plan"));
    assert_eq!(excess(&client, &recorded, fold, "1000", (100.0, 200.0)).await, nothing_to_fold);
    drop(holds);
}

/// The rows that a chunk of the retention reads. No plan shows what runs within a function, so this takes the session's counts
/// from before and after it.
async fn rows_of_retention(client: &Client) -> i64 {
    client.batch_execute("BEGIN").await.unwrap();
    let read = "SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::bigint FROM pg_stat_xact_user_tables";
    let before: i64 = client.query_one(read, &[]).await.unwrap().get(0);
    let delete =
        format!("SELECT deleted FROM delete_ended_orders('-infinity', '', now() - interval '2 days', {CHUNK})");
    let deleted: i64 = client.query_one(&delete, &[]).await.unwrap().get(0);
    let after: i64 = client.query_one(read, &[]).await.unwrap().get(0);
    client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(deleted, CHUNK);
    after - before
}
