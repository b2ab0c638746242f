//! The database server's work: CPU time, write-ahead log and commits.

use sandbox::Result;
use tokio_postgres::Client;

use crate::world::World;

/// The server's total work so far, or its work for an order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Done {
    /// CPU time of all its processes, in milliseconds.
    pub cpu_ms: f64,
    /// Bytes of write-ahead log.
    pub wal_bytes: f64,
    /// Transactions that wrote, by the server's transaction ids.
    pub commits: f64,
}

impl Done {
    /// Reads the counters. The connection must not write.
    pub async fn until_now(world: &World, sql: &Client) -> Result<Self> {
        let counts = "SELECT (pg_current_wal_insert_lsn() - '0/0')::float8 AS wal_bytes,
            pg_snapshot_xmax(pg_current_snapshot())::text::float8 AS commits";
        let row = sql.query_one(counts, &[]).await?;
        Ok(Self {
            cpu_ms: world.server_cpu_ms(),
            wal_bytes: row.try_get("wal_bytes")?,
            commits: row.try_get("commits")?,
        })
    }

    /// The work since `before`, for each of `orders` orders.
    pub fn since(&self, before: &Self, orders: f64) -> Self {
        let each = |after: f64, before: f64| (after - before) / orders;
        Self {
            cpu_ms: each(self.cpu_ms, before.cpu_ms),
            wal_bytes: each(self.wal_bytes, before.wal_bytes),
            commits: each(self.commits, before.commits),
        }
    }
}
