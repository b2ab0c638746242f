//! A world's database: created, queried and changed past the functions.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use reqwest::Url;
use sandbox::wire::{Hook, Wire};
use shared::config::Env;
use shared::db::claim::Claim;
use shared::db::role::grant;
use shared::db::{DbConfig, schema};
use shared::deadline::Deadline;
use tokio::sync::OnceCell;
use tokio_postgres::types::ToSql;
use tokio_postgres::{NoTls, Row};
use uuid::Uuid;

use super::{PATIENCE, World};
use crate::{Stack, eventually, until};

/// The name of the database with all migrations that the others are copied from. Each process migrates it once.
static TEMPLATE: OnceCell<String> = OnceCell::const_new();

/// The functions' statements that wait for a lock, as a part of a SQL statement.
pub const LOCKED_OUT: &str = "FROM pg_stat_activity JOIN pg_locks USING (pid)
    WHERE datname = current_database() AND application_name = 'ordermill' AND waitstart IS NOT NULL";

impl World {
    /// Inserts orders of alice's, `o-1` and so on, past the functions. A column's value is a SQL expression of the number `i`.
    /// An order without `finished_at` is active, and due at its `process_after` or its creation.
    pub async fn insert(&self, count: usize, columns: &[(&str, &str)]) {
        let own = [("order_id", "'o-' || i"), ("user_id", "'alice'"), ("item_ids", "'{a}'"), ("total_amount", "1")];
        let values: BTreeMap<_, _> = own.into_iter().chain(columns.iter().copied()).collect();
        let (names, values): (Vec<_>, Vec<_>) = values.into_iter().unzip();
        self.execute(&format!(
            "WITH inserted AS (
                INSERT INTO orders ({}) SELECT {} FROM generate_series(1, {count}) AS i RETURNING *
            ) INSERT INTO order_work (order_id, created_at, due_at, process_after)
            SELECT order_id, created_at, coalesce(process_after, created_at), process_after FROM inserted
            WHERE finished_at IS NULL",
            names.join(", "),
            values.join(", ")
        ))
        .await;
    }

    /// The same with completed orders, which were created and ended this long ago.
    pub async fn insert_ended(&self, count: usize, ago: &str, columns: &[(&str, &str)]) {
        let at = format!("now() - interval '{ago}'");
        let ended = [("created_at", &*at), ("started_at", &at), ("finished_at", &at), ("attempts", "1")];
        self.insert(count, &[&ended, columns].concat()).await;
    }

    /// Claims these orders for 30 seconds, as a worker does.
    pub async fn claim(&self, order_ids: &[&str]) -> Claim {
        let order_ids: Vec<_> = order_ids.iter().map(|id| id.parse().expect("an order's identifier")).collect();
        let claim = self.store().claim(&order_ids, Duration::from_secs(30), Duration::ZERO, 12).await;
        claim.expect("the orders can be claimed")
    }

    /// Starts a proxy in front of the database's server. Returns it, and the owner's URL that leads through it.
    pub async fn behind_a_proxy(&self, hook: Hook) -> (Wire, Url) {
        let mut url: Url = self.owner_url().parse().expect("a URL");
        let server = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), url.port().expect("a port"));
        let wire = Wire::start(server, hook).await.expect("the proxy starts");
        url.set_port(Some(wire.address().port())).expect("a URL with a port");
        (wire, url)
    }

    /// Creates a database role with the rights of the functions, and returns its name.
    pub async fn create_app_role(&self) -> String {
        let role = format!("app_{}", Uuid::new_v4().simple());
        let config = DbConfig::from_env(&self.owner_env()).expect("a database");
        let name = role.parse().expect("the name of a role");
        grant(&config, &name, Deadline::after(PATIENCE)).await.expect("the rights can be granted");
        role
    }

    /// Runs a query and returns its rows.
    pub async fn rows(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Vec<Row> {
        self.sql.query(sql, params).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    /// Runs a query and returns its only value.
    pub async fn value<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, sql: &str) -> T {
        self.sql.query_one(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
    }

    /// Runs one or more statements.
    pub async fn execute(&self, sql: &str) {
        self.sql.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Runs one or more statements that may fail.
    pub async fn try_execute(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        self.sql.batch_execute(sql).await
    }

    /// Waits until PostgreSQL, which counts with a delay, has counted `expected` updates of a table. Returns the number of
    /// updates and how many of them were HOT.
    pub async fn update_counts(&self, table: &str, expected: i64) -> (i64, i64) {
        let sql = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = $1";
        eventually(&format!("{expected} updates of {table}"), Duration::from_secs(20), async || {
            let rows = self.rows(sql, &[&table]).await;
            let (updates, hot): (i64, i64) = (rows[0].get(0), rows[0].get(1));
            (updates >= expected).then_some((updates, hot))
        })
        .await
    }

    /// The number of orders in the database.
    pub async fn order_count(&self) -> i64 {
        self.value("SELECT count(*) FROM orders").await
    }

    /// Waits until so many of the functions' statements wait for a lock.
    pub async fn wait_for_locked_out(&self, expected: i64) {
        let sql = format!("SELECT count(*) {LOCKED_OUT}");
        let holds = async || self.value::<i64>(&sql).await == expected;
        until("the expected statements wait for a lock", Duration::from_secs(10), holds).await;
    }

    /// Locks a table in another session, until that commits or ends.
    pub async fn lock(&self, table: &str) -> tokio_postgres::Client {
        let session = connect(&self.owner_url).await;
        let lock = session.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await;
        lock.expect("the table can be locked");
        session
    }

    /// Terminates the functions' connections, like a restart of the server, and waits for their end. Returns their number.
    pub async fn cut_connections(&self) -> i64 {
        let terminate = "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'ordermill'";
        self.value(terminate).await
    }

    /// The status of an order in the database.
    pub async fn status(&self, order_id: &str) -> String {
        let rows = self.rows("SELECT status FROM order_states WHERE order_id = $1", &[&order_id]).await;
        rows.first().expect("the order exists").get(0)
    }

    /// The count of `completed`, `failed`, `cancelled` or `requeued` orders in the statistics.
    pub async fn counted(&self, outcome: &str) -> i64 {
        let sql = format!(
            "SELECT coalesce(sum({outcome}), 0)::bigint
            FROM (SELECT {outcome} FROM order_stats UNION ALL SELECT {outcome} FROM order_outcomes) AS every"
        );
        self.value(&sql).await
    }

    /// The seconds until an order is due.
    pub async fn due_in(&self, order_id: &str) -> f64 {
        let sql =
            format!("SELECT extract(epoch FROM due_at - now())::float8 FROM order_work WHERE order_id = '{order_id}'");
        self.value(&sql).await
    }

    /// Asserts that the `Retry-After` of an order's status is the time until it is due, in whole seconds.
    pub async fn assert_retry_after_is_due_time(&self, order_id: &str) {
        let latest = self.due_in(order_id).await.ceil();
        let answer = self.get(&format!("/orders/{order_id}/status")).await;
        let earliest = self.due_in(order_id).await.ceil();
        let shown: f64 = answer.header("retry-after").parse().expect("a number");
        assert!((earliest..=latest).contains(&shown), "{order_id}: {shown}, {earliest} to {latest}");
    }

    /// Simulates that time passes: moves all times of the orders and their work into the past.
    pub async fn let_pass(&self, seconds: f64) {
        self.execute(&format!(
            "UPDATE order_work SET created_at = created_at - make_interval(secs => {seconds}),
                started_at = started_at - make_interval(secs => {seconds}),
                requeued_at = requeued_at - make_interval(secs => {seconds}),
                process_after = process_after - make_interval(secs => {seconds}),
                due_at = due_at - make_interval(secs => {seconds});
            UPDATE order_events SET at = at - make_interval(secs => {seconds}),
                started_at = started_at - make_interval(secs => {seconds}),
                finished_at = finished_at - make_interval(secs => {seconds});
            UPDATE orders SET created_at = created_at - make_interval(secs => {seconds}),
                started_at = started_at - make_interval(secs => {seconds}),
                process_after = process_after - make_interval(secs => {seconds});
            UPDATE order_ends SET ended_at = ended_at - make_interval(secs => {seconds});
            UPDATE processing_pause SET paused_at = paused_at - make_interval(secs => {seconds}),
                resumed_at = resumed_at - make_interval(secs => {seconds})"
        ))
        .await;
    }
}

/// Connects to a database.
pub async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("PostgreSQL answers");
    tokio::spawn(connection);
    client
}

/// Creates a database with all migrations on the stack's server, and returns its URL.
pub(super) async fn create(stack: &Stack) -> String {
    copy(stack, TEMPLATE.get_or_init(|| migrate_template(stack)).await).await
}

/// Creates a copy of the database of this name, and returns its URL.
pub(super) async fn copy(stack: &Stack, original: &str) -> String {
    create_from(stack, &format!("test_{}", Uuid::new_v4().simple()), original).await
}

/// Creates a database with all migrations, runs this SQL in it, and returns its name.
pub(super) async fn fill(stack: &Stack, sql: &str) -> String {
    let url = create(stack).await;
    connect(&url).await.batch_execute(sql).await.expect("the database can be filled");
    let (_, name) = url.rsplit_once('/').expect("a URL with a database");
    wait_until_unused(stack, name).await;
    name.to_owned()
}

async fn migrate_template(stack: &Stack) -> String {
    let name = format!("migrated_{}", Uuid::new_v4().simple());
    let url = create_from(stack, &name, "template1").await;
    let env = Env::from_iter([("STAGE", "dev"), ("DATABASE_URL", url.as_str()), ("DATABASE_TLS", "off")]);
    let config = DbConfig::from_env(&env).expect("a database");
    schema::migrate(&config, Deadline::after(PATIENCE)).await.expect("the schema can be applied");
    wait_until_unused(stack, &name).await;
    name
}

/// Waits for the end of the database's sessions, because PostgreSQL copies only a database that no session uses.
async fn wait_until_unused(stack: &Stack, name: &str) {
    let admin = connect(stack.get("DATABASE_URL")).await;
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'";
    let sessions = async || admin.query_one(sessions, &[&name]).await.expect("PostgreSQL answers").get::<_, i64>(0);
    until("the end of the database's sessions", PATIENCE, async || sessions().await == 0).await;
}

async fn create_from(stack: &Stack, name: &str, template: &str) -> String {
    let (server, _) = stack.get("DATABASE_URL").rsplit_once('/').expect("a URL with a database");
    let admin = connect(stack.get("DATABASE_URL")).await;
    let sql = format!("CREATE DATABASE {name} TEMPLATE {template}");
    admin.batch_execute(&sql).await.expect("a database can be created");
    format!("{server}/{name}")
}
