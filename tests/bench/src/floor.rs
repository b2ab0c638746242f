//! The floor: `pgbench` sends the same statements to PostgreSQL, by the same protocol and without the service around them.

use std::process::Stdio;
use std::time::Duration;

use sandbox::Result;
use tokio::process::Command;

use crate::world::World;

/// The statement of `shared/src/db/create/insert.rs`, with a new order each time.
const INSERT: &str = r"\set n random(1, 1000000000000000)
\set user :n % 1000
WITH inserted AS (
    INSERT INTO orders (order_id, user_id, item_ids, total_amount, idempotency_key)
    VALUES ('order-' || :n::text, 'user-' || :user::text, '{book-1,pen-7}', 59.98, NULL)
    ON CONFLICT DO NOTHING
    RETURNING order_id, created_at
), work AS (
    INSERT INTO order_work (order_id, created_at, due_at)
    SELECT order_id, created_at, created_at + make_interval(secs => 0) FROM inserted
)
SELECT created_at FROM inserted;
";

/// The least work that an order's life can cause: the row is inserted, and updated once.
const LIFE: &str = r"\set n random(1, 1000000000000000)
\set user :n % 1000
INSERT INTO orders (order_id, user_id, item_ids, total_amount)
VALUES ('order-' || :n::text, 'user-' || :user::text, '{book-1,pen-7}', 59.98);
UPDATE orders SET started_at = now(), finished_at = now(), attempts = 1
WHERE order_id = 'order-' || :n::text;
";

/// The protocol of `pgbench`.
#[derive(Debug, Clone, Copy)]
pub enum Protocol {
    /// The server parses a statement each time.
    Extended,
    /// The server parses a statement once for each connection.
    Prepared,
}

/// Returns the orders inserted a second by this many connections.
pub async fn inserts(world: &World, protocol: Protocol, connections: usize, time: Duration) -> Result<f64> {
    let seconds = time.as_secs().max(1).to_string();
    pgbench(world, INSERT, protocol, connections, &["-T", &seconds]).await
}

/// Inserts and updates this many orders over one connection, one at a time.
pub async fn lives(world: &World, orders: usize) -> Result<()> {
    pgbench(world, LIFE, Protocol::Prepared, 1, &["-t", &orders.to_string()]).await.map(drop)
}

async fn pgbench(world: &World, script: &str, protocol: Protocol, connections: usize, more: &[&str]) -> Result<f64> {
    let protocol = match protocol {
        Protocol::Extended => "extended",
        Protocol::Prepared => "prepared",
    };
    // pgbench refuses more threads than connections.
    let threads = connections.min(2).to_string();
    let file = world.directory.path().join("pgbench.sql");
    std::fs::write(&file, script)?;
    let mut command = Command::new("pgbench");
    command
        .args(["-n", "-M", protocol, "-j", &threads, "-c", &connections.to_string()])
        .args(more)
        .arg("-f")
        .arg(&file);
    let output = command.arg(world.database_url()).stdin(Stdio::null()).output().await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    rate.ok_or_else(|| format!("pgbench: {}", String::from_utf8_lossy(&output.stderr)).into())
}
