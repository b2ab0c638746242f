//! Reads the final state from the database.

use sandbox::Result;
use serde::Deserialize;
use shared::db::stats::bucket;
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

/// Returns the totals of the statistics, and the same totals counted over the orders. Those of a histogram are its entries and the sum
/// of their buckets.
pub fn recount() -> String {
    let processing = bucket("extract(epoch FROM finished_at - started_at)::float8");
    let queueing = bucket("extract(epoch FROM started_at - greatest(created_at, process_after))::float8");
    format!(
        "WITH by_minute AS (
            SELECT completed, failed, cancelled, seconds FROM order_stats
            UNION ALL SELECT completed, failed, cancelled, seconds FROM order_outcomes
        ), histogram AS (
            SELECT bucket, processing, queueing FROM order_durations
            UNION ALL SELECT bucket, 1, 0 FROM order_outcomes, unnest(processing) AS bucket
            UNION ALL SELECT bucket, 0, 1 FROM order_outcomes, unnest(queueing) AS bucket
        ), completed AS (
            SELECT {processing} AS processing, {queueing} AS queueing FROM order_states
            WHERE status = 'completed' AND order_id NOT LIKE 'aged-%'
        )
        SELECT s.counted || h.histograms AS counted, o.recounted || c.histograms AS recounted FROM (
            SELECT format('%s completed in %s s, %s failed, %s cancelled', coalesce(sum(completed), 0),
                round(coalesce(sum(seconds), 0)::numeric, 1), coalesce(sum(failed), 0), coalesce(sum(cancelled), 0)) AS counted
            FROM by_minute
        ) AS s, (
            SELECT format('; %s entries of %s, %s of %s', sum(processing), sum(bucket * processing),
                sum(queueing), sum(bucket * queueing)) AS histograms
            FROM histogram
        ) AS h, (
            SELECT format('%s completed in %s s, %s failed, %s cancelled', count(*) FILTER (WHERE status = 'completed'),
                round(coalesce(sum(extract(epoch FROM finished_at - started_at)) FILTER (WHERE status = 'completed'), 0), 1),
                count(*) FILTER (WHERE status = 'failed'), count(*) FILTER (WHERE status = 'cancelled')) AS recounted
            FROM order_states WHERE order_id NOT LIKE 'aged-%'
        ) AS o, (
            SELECT format('; %1$s entries of %2$s, %1$s of %3$s', count(*), sum(processing), sum(queueing)) AS histograms
            FROM completed
        ) AS c"
    )
}
