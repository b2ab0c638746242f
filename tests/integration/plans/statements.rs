//! The statements of the plans' test, and the states of the statistics that it tries.

/// The arguments of a finish.
const FINISHED: &str = "IDS, array_fill(1, ARRAY[SIZE]), array_fill(NULL::text, ARRAY[SIZE]), WORKER";

/// The statements of the hot path: the name and the beginning of each, its arguments as SQL, and its number of orders, unless it has
/// a batch of them. `IDS` stands for the batch, `ENDED`, `FAILED` and `PENDING` for one of such orders, `SIZE` for its size and `WORKER` for
/// the worker that holds it. After a beginning, each ` … ` is followed by another part of the statement.
pub const HOT: [(&str, &str, &str, Option<i64>); 53] = [
    ("create", "WITH inserted AS … VALUES", "'new', 'alice', ARRAY['a'], 1, 'EUR', NULL, NULL, NULL, 2", Some(1)),
    (
        "create a batch",
        "WITH inserted AS … FROM unnest",
        "ARRAY['n-1', 'n-2'], ARRAY['alice', 'bob'], ARRAY['{a}', '{b}'], ARRAY[1, 2]::numeric[], ARRAY['EUR', 'JPY'], ARRAY[NULL, '{\"a\": \"b\"}'], \
        ARRAY[NULL, now()]::timestamptz[], ARRAY[NULL, '\\x01']::bytea[], 2",
        Some(2),
    ),
    ("find earlier orders", "WITH earlier AS", "IDS, ARRAY['\\x02']::bytea[], ARRAY['alice'], ARRAY[1]", None),
    ("get an order", "SELECT s.order_id, … AS s WHERE s.order_id", "'m-500000', NULL", Some(1)),
    ("get a status", "SELECT status,", "'m-500000', NULL", Some(1)),
    ("get a history", "SELECT s.created_at, s.started_at", "'m-500000', NULL", Some(1)),
    ("get the last cause", "SELECT CASE WHEN event = 'attempt_failed'", "'m-500000'", Some(1)),
    // With the token of the orders it claims them again. With an order that has ended, it also looks for others.
    ("claim", "WITH due AS", "array_append(IDS, 'm-1'), WORKER, 30, 5", None),
    ("claim after a lease", "WITH lapsed AS", "IDS, gen_random_uuid(), 30", None),
    ("reschedule", "UPDATE order_work AS w SET claim = NULL", "IDS, array_fill(now(), ARRAY[SIZE]), WORKER", None),
    (
        "reschedule after a failed attempt",
        "WITH rescheduled AS",
        "IDS, array_fill(now(), ARRAY[SIZE]), WORKER, array_fill('busy'::text, ARRAY[SIZE])",
        None,
    ),
    ("finish", "WITH done AS … RETURNING o.order_id, o.failure", FINISHED, None),
    ("cancel a user's", "WITH held AS … SET cancelled … order_id )", "PENDING, 'alice', 'olga', NULL", Some(40)),
    (
        "cancel and keep the ends",
        "WITH held AS … SET cancelled … retries )",
        "PENDING, 'alice', 'olga', NULL",
        Some(40),
    ),
    ("finish and keep the ends", "WITH done AS … INSERT INTO order_ends", FINISHED, None),
    ("find ends", "SELECT s.order_id … FROM order_ends AS e JOIN", "ENDED", None),
    ("delete ends", "DELETE FROM order_ends", "ENDED, array_fill(1, ARRAY[SIZE])", None),
    ("find old ends", "SELECT order_id, ctid", "0, '(0,0)'", Some(2000)),
    ("find active orders", "SELECT order_id, (SELECT … = order_work", "IDS", None),
    ("mark enqueued", "WITH held AS … SET requeued_at = now()", "IDS", None),
    ("undo a requeue", "WITH held AS … SET requeued_at = NULL", "IDS", None),
    ("retry", "WITH held AS ( SELECT order_id, started_at", "FAILED, 1, 'olga', NULL", None),
    ("cancel many", "WITH held AS … SET cancelled … order_id )", "PENDING, NULL, 'olga', NULL", Some(40)),
    // Lists: a scan reads 2,000 orders, and a page of the others as many as it shows.
    ("list the newest", "SELECT s.order_id, … FROM orders ORDER", "51, 51", Some(51)),
    ("list a large user's newest orders", "SELECT s.order_id, … AND user_id <= $1 ORDER", "'alice', 51, 51", Some(51)),
    ("list a small user's newest orders", "SELECT s.order_id, … AND user_id <= $1 ORDER", "'user-7', 51, 51", Some(51)),
    ("list failed orders", "SELECT s.order_id, … WHERE failure IS NOT NULL ORDER", "51, 51", Some(51)),
    ("list cancelled orders", "SELECT s.order_id, … WHERE cancelled ORDER", "51, 51", Some(51)),
    (
        "page all orders",
        "SELECT s.order_id, … FROM orders WHERE (created_at, order_id) <",
        "now() - interval '500000 s', 'm', 51, 51",
        Some(51),
    ),
    (
        "page failed orders",
        "SELECT s.order_id, … WHERE failure IS NOT NULL AND (created_at, order_id) <",
        "now() - interval '500000 s', 'm', 51, 51",
        Some(51),
    ),
    (
        "page cancelled orders",
        "SELECT s.order_id, … WHERE cancelled AND (created_at, order_id) <",
        "now() - interval '500000 s', 'm', 51, 51",
        Some(51),
    ),
    ("list completed orders", "WITH page AS … FROM orders ORDER", "2000, 'completed', 51", Some(2_000)),
    (
        "list a user's completed orders",
        "WITH page AS … <= $1 ORDER … status =",
        "'shop', 2000, 'completed', 51",
        Some(51),
    ),
    (
        "page completed orders",
        "WITH page AS … FROM orders WHERE (created_at, order_id) <",
        "now() - interval '500000 s', 'm', 2000, 'completed', 51",
        Some(2_000),
    ),
    (
        "page a user's completed orders",
        "WITH page AS … (user_id, created_at, order_id) <",
        "'shop', now() - interval '500000 s', 'm', 2000, 'completed', 51",
        Some(51),
    ),
    (
        "list a user's range of completed orders",
        "WITH page AS … (user_id, created_at) >=",
        "'shop', now() - interval '600000 s', now() - interval '500000 s', 2000, 'completed', 51",
        Some(51),
    ),
    ("list by identifiers", "SELECT s.order_id, … AS named LIMIT", "IDS, 2000, 51", None),
    ("list a user's by identifiers", "SELECT s.order_id, … AS named WHERE user_id", "'alice', IDS, 2000, 51", None),
    (
        "page by identifiers",
        "SELECT s.order_id, … AS named WHERE (created_at, order_id) <",
        "IDS, now(), 'z', 2000, 51",
        None,
    ),
    (
        "list a range by identifiers",
        "SELECT s.order_id, … AS named WHERE (created_at) >= ($2) AND (created_at) <",
        "IDS, now() - interval '1 day', now(), 2000, 'busy', 51",
        None,
    ),
    (
        "page a range by identifiers",
        "SELECT s.order_id, … AS named WHERE (created_at) >= ($2) AND (created_at, order_id) <",
        "IDS, now() - interval '1 day', now(), 'z', 2000, 'busy', 51",
        None,
    ),
    (
        "list a user's range by identifiers",
        "SELECT s.order_id, … AS named WHERE (user_id, created_at) >=",
        "'alice', IDS, now() - interval '1 day', now(), 2000, 'busy', 51",
        None,
    ),
    ("retry a user's by identifiers", "SELECT failure, … OFFSET 0) AS o", "IDS, 'alice', 20", None),
    ("cancel a user's by identifiers", "SELECT count(*) AS matched … order_id = ANY", "'alice', IDS, 1", None),
    (
        "list a range",
        "SELECT s.order_id, … FROM orders WHERE (created_at) >= ($1) AND (created_at) <",
        "now() - interval '600000 s', now() - interval '500000 s', 51, 51",
        Some(51),
    ),
    (
        "page a range",
        "SELECT s.order_id, … FROM orders WHERE (created_at) >= ($1) AND (created_at, order_id) <",
        "now() - interval '600000 s', now() - interval '550000 s', 'm', 51, 51",
        Some(51),
    ),
    (
        "list a range of failed orders",
        "SELECT s.order_id, … failure IS NOT NULL AND (created_at) >= ($1) AND (created_at) <",
        "now() - interval '600000 s', now() - interval '500000 s', 51, 51",
        Some(51),
    ),
    (
        "page a range of failed orders",
        "SELECT s.order_id, … failure IS NOT NULL AND (created_at) >= ($1) AND (created_at, order_id) <",
        "now() - interval '600000 s', now() - interval '550000 s', 'm', 51, 51",
        Some(51),
    ),
    (
        "list a user's range",
        "SELECT s.order_id, … FROM orders WHERE (user_id, created_at) >= ($1, $2) AND (user_id, created_at) <",
        "'user-7', now() - interval '600000 s', now() - interval '500000 s', 51, 51",
        Some(51),
    ),
    (
        "page a user's orders",
        "SELECT s.order_id, … FROM orders WHERE user_id >= $1 AND (user_id, created_at, order_id) <",
        "'user-7', now() - interval '550000 s', 'm', 51, 51",
        Some(51),
    ),
    ("list a cause", "WITH page AS … WHERE failure IS NOT NULL ORDER", "2000, 'no such cause', 51", Some(2_000)),
    (
        "page a cause",
        "WITH page AS … failure IS NOT NULL AND (created_at, order_id) <",
        "now() - interval '500000 s', 'm', 2000, 'no such cause', 51",
        Some(2_000),
    ),
    ("list a user's cause", "WITH page AS … <= $1 ORDER … strpos", "'shop', 2000, 'no such cause', 51", Some(2_000)),
];

/// The statements that have no bound here, each with the reason.
pub const UNBOUNDED: [(&str, &str); 8] = [
    ("SELECT current_setting", "reads no table"),
    ("WITH active AS", "GET /metrics counts the active orders and reads the statistics by minute"),
    ("WITH outcome AS MATERIALIZED", "GET /metrics?hours= reads the statistics by hour"),
    ("SELECT coalesce(extract(epoch FROM now() - min(ended_at))", "reads the ends that are not announced yet"),
    ("UPDATE processing_pause", "changes the only row of its table"),
    ("WITH pause AS", "changes the only row of its table"),
    ("WITH outcome AS ( DELETE", "a test of its own: `fold_beside_a_held_snapshot_reads_no_folded_outcomes`"),
    ("SELECT deleted,", "no plan shows what runs within a function: `rows_of_retention` counts it"),
];

/// The states of the statistics, each with the SQL that creates it.
pub const STATISTICS: [(&str, &str); 8] = [
    ("no statistics", "SELECT"),
    ("fresh statistics", "ANALYZE"),
    (
        "statistics taken while order_work was empty",
        "CREATE TABLE kept AS TABLE order_work; TRUNCATE order_work; ANALYZE; INSERT INTO order_work TABLE kept; DROP TABLE kept",
    ),
    // A vacuum that can't give the empty pages back.
    (
        "order_work vacuumed while it was empty",
        "CREATE TABLE kept AS TABLE order_work; DELETE FROM order_work; VACUUM (TRUNCATE off) order_work; \
        INSERT INTO order_work TABLE kept; DROP TABLE kept",
    ),
    (
        "statistics taken with other identifiers",
        "UPDATE order_work SET order_id = 'a' || order_id; ANALYZE; \
        UPDATE order_work SET order_id = substr(order_id, 2)",
    ),
    (
        "order_ends vacuumed while it was empty",
        "CREATE TABLE kept AS TABLE order_ends; DELETE FROM order_ends; VACUUM (TRUNCATE off) order_ends; \
        INSERT INTO order_ends TABLE kept; DROP TABLE kept",
    ),
    // The other users may have so few, and the user of the batch has many.
    (
        "statistics by which each user has one order",
        "ALTER TABLE orders ALTER user_id SET (n_distinct = -1); ANALYZE orders",
    ),
    (
        "statistics by which all orders have one user",
        "ALTER TABLE orders ALTER user_id SET (n_distinct = 1); ANALYZE orders",
    ),
];
