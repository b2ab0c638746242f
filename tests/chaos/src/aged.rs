//! Ended orders of earlier days. Old ones appear all the time, and retention has to delete them while the faults happen. It must keep
//! the young ones.

use std::collections::HashSet;

use sandbox::Result;
use tokio_postgres::Client;

use crate::database::Database;

/// How long the functions keep ended orders, in days: longer than the day that the database keeps them in any case.
pub const RETENTION_DAYS: u32 = 2;
/// How many old orders appear at a time.
const OLD: usize = 20;
/// How many orders are as old, and ended too late to be deleted.
const YOUNG: usize = 1000;

/// Inserts old orders, the `batch`-th of the run. They are in no statistics, because no function ended them.
pub async fn insert_old(database: &Database, batch: usize) -> Result<()> {
    database.query(&insert(&format!("old-{batch}"), OLD, "3 d")).await.map(drop)
}

pub async fn insert_young(database: &Database) -> Result<()> {
    database.query(&insert("young", YOUNG, "36 h")).await.map(drop)
}

fn insert(kind: &str, count: usize, ended: &str) -> String {
    format!(
        "INSERT INTO orders (order_id, user_id, item_ids, total_amount, created_at, started_at, finished_at, attempts)
        SELECT 'aged-{kind}-' || i, 'user-1', '{{a}}', 1, now() - interval '4 d', now() - interval '4 d', now() - interval '{ended}', 1
        FROM generate_series(1, {count}) AS i"
    )
}

/// What retention did wrong.
pub async fn check(sql: &Client) -> Result<Vec<String>> {
    let rows = sql.query("SELECT order_id FROM orders WHERE order_id LIKE 'aged-%'", &[]).await?;
    let left: HashSet<String> = rows.iter().map(|row| row.get(0)).collect();
    let old = left.iter().filter(|order| order.starts_with("aged-old-"));
    let young = (1..=YOUNG).map(|number| format!("aged-young-{number}")).filter(|order| !left.contains(order));
    let kept = old.map(|order| format!("{order}: retention has not deleted it"));
    Ok(kept.chain(young.map(|order| format!("{order}: retention has deleted it too early"))).collect())
}

/// The number of old orders in so many batches.
pub fn old_orders(batches: usize) -> usize {
    batches * OLD
}
