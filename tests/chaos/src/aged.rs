//! Ended orders of earlier days. Retention has to delete the old ones while the faults happen, and must keep the young ones.

use std::collections::HashSet;

use sandbox::Result;
use tokio_postgres::Client;

/// How long the functions keep ended orders, in days.
pub const RETENTION_DAYS: u32 = 1;
/// How many orders have ended long enough ago to be deleted.
const OLD: usize = 20_000;
/// How many orders are as old, and ended an hour too late to be deleted.
const YOUNG: usize = 1000;

/// Inserts the aged orders. They are in no statistics, because no function ended them.
pub async fn insert(sql: &Client) -> Result<()> {
    let insert = |kind: &str, count: usize, ended: &str| {
        format!(
            "INSERT INTO orders (order_id, user_id, item_ids, total_amount, created_at, started_at, finished_at, attempts)
            SELECT 'aged-{kind}-' || i, 'user-1', '{{a}}', 1, now() - interval '3 d', now() - interval '3 d', now() - interval '{ended}', 1
            FROM generate_series(1, {count}) AS i;"
        )
    };
    Ok(sql.batch_execute(&(insert("old", OLD, "2 d") + &insert("young", YOUNG, "23 h"))).await?)
}

/// The number of old orders that are still there.
pub async fn count_old(sql: &Client) -> Result<i64> {
    Ok(sql.query_one("SELECT count(*) FROM orders WHERE order_id LIKE 'aged-old-%'", &[]).await?.get(0))
}

/// What retention did wrong, and how many orders it deleted.
pub async fn check(sql: &Client) -> Result<(Vec<String>, usize)> {
    let rows = sql.query("SELECT order_id FROM orders WHERE order_id LIKE 'aged-%'", &[]).await?;
    let left: HashSet<String> = rows.iter().map(|row| row.get(0)).collect();
    let old: Vec<_> = left.iter().filter(|order| order.starts_with("aged-old-")).collect();
    let mut wrong: Vec<_> = old.iter().map(|order| format!("{order}: retention has not deleted it")).collect();
    let young = (1..=YOUNG).map(|number| format!("aged-young-{number}")).filter(|order| !left.contains(order));
    wrong.extend(young.map(|order| format!("{order}: retention has deleted it too early")));
    Ok((wrong, OLD - old.len()))
}
