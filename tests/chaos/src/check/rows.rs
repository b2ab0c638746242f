//! Reads the final state from the database.

use sandbox::Result;
use serde::Deserialize;
use tokio_postgres::Client;

#[derive(Deserialize)]
pub struct Row {
    pub order: String,
    pub status: String,
    /// When work on it began, in seconds since 1970.
    pub started_at: Option<f64>,
    pub finished_at: Option<f64>,
    pub failure: Option<String>,
    pub has_work: bool,
    /// Whether work began before its `process_after`.
    pub is_early: bool,
    /// How often it has ended.
    pub ends: i32,
}

/// All orders that clients created.
pub async fn rows(sql: &Client) -> Result<Vec<Row>> {
    let rows = sql
        .query(
            "SELECT to_jsonb(found)::text FROM (
                SELECT o.order_id AS order, o.status, extract(epoch FROM o.started_at) AS started_at,
                    extract(epoch FROM o.finished_at) AS finished_at, o.failure,
                    w.order_id IS NOT NULL AS has_work, o.started_at < o.process_after IS TRUE AS is_early,
                    coalesce(r.retries, 0) + 1 AS ends
                FROM order_states AS o JOIN orders AS r USING (order_id) LEFT JOIN order_work AS w USING (order_id)
                WHERE o.order_id NOT LIKE 'aged-%'
            ) AS found",
            &[],
        )
        .await?;
    rows.iter().map(|row| Ok(serde_json::from_str(row.get(0))?)).collect()
}

/// Returns the totals of the statistics, histograms included, and the same totals counted over the orders.
pub const RECOUNT: &str = "
    WITH by_minute AS (
        SELECT completed, failed, cancelled, seconds FROM order_stats
        UNION ALL SELECT completed, failed, cancelled, seconds FROM order_outcomes
    ), histogram AS (
        SELECT processing, queueing FROM order_durations
        UNION ALL SELECT cardinality(processing), cardinality(queueing) FROM order_outcomes
    )
    SELECT s.counted || h.histograms AS counted, o.recounted FROM (
        SELECT format('%s completed in %s s, %s failed, %s cancelled', coalesce(sum(completed), 0),
            round(coalesce(sum(seconds), 0)::numeric, 1), coalesce(sum(failed), 0), coalesce(sum(cancelled), 0)) AS counted
        FROM by_minute
    ) AS s, (
        SELECT format(' (histograms: %s and %s)', coalesce(sum(processing), 0), coalesce(sum(queueing), 0)) AS histograms
        FROM histogram
    ) AS h, (
        SELECT format('%1$s completed in %2$s s, %3$s failed, %4$s cancelled (histograms: %1$s and %1$s)',
            count(*) FILTER (WHERE status = 'completed'),
            round(coalesce(sum(extract(epoch FROM finished_at - started_at)) FILTER (WHERE status = 'completed'), 0), 1),
            count(*) FILTER (WHERE status = 'failed'), count(*) FILTER (WHERE status = 'cancelled')) AS recounted
        FROM order_states WHERE order_id NOT LIKE 'aged-%'
    ) AS o";
