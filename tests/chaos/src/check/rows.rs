//! What the database says in the end.

use sandbox::Result;
use tokio_postgres::Client;

/// An order as it is stored.
pub struct Row {
    pub order: String,
    pub status: String,
    pub finished_at: Option<f64>,
    pub failure: Option<String>,
    pub has_work: bool,
}

/// All orders.
pub async fn rows(sql: &Client) -> Result<Vec<Row>> {
    let rows = sql
        .query(
            "SELECT o.order_id, o.status, extract(epoch FROM o.finished_at)::float8 AS finished_at, o.failure,
                w.order_id IS NOT NULL AS has_work
            FROM orders AS o LEFT JOIN order_work AS w USING (order_id)",
            &[],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| Row {
            order: row.get("order_id"),
            status: row.get("status"),
            finished_at: row.get("finished_at"),
            failure: row.get("failure"),
            has_work: row.get("has_work"),
        })
        .collect())
}

/// What `order_stats` adds up to, histograms included, and the same counted over the orders.
pub const RECOUNT: &str = "
    SELECT s.counted, o.recounted FROM (
        SELECT format('%s completed in %s s (histograms: %s and %s), %s failed, %s cancelled',
            coalesce(sum(completed), 0), coalesce(sum(seconds_sum), 0),
            coalesce(sum((SELECT sum(n) FROM unnest(processing_histogram) AS n)), 0),
            coalesce(sum((SELECT sum(n) FROM unnest(queueing_histogram) AS n)), 0),
            coalesce(sum(failed), 0), coalesce(sum(cancelled), 0)) AS counted
        FROM order_stats
    ) AS s, (
        SELECT format('%s completed in %s s (histograms: %s and %s), %s failed, %s cancelled',
            count(*) FILTER (WHERE status = 'completed'),
            coalesce(sum(extract(epoch FROM finished_at - started_at)) FILTER (WHERE status = 'completed'), 0),
            count(*) FILTER (WHERE status = 'completed'), count(*) FILTER (WHERE status = 'completed'),
            count(*) FILTER (WHERE status = 'failed'), count(*) FILTER (WHERE status = 'cancelled')) AS recounted
        FROM orders
    ) AS o";
