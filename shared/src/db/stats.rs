//! Statistics of orders' outcomes. The cost of reading them does not grow with the number of ended orders. [`Store::read_metrics`] also
//! reads all active orders.

mod fold;
mod hours;

pub use hours::{Hour, Hours, MAX_HOURS};

use std::collections::BTreeMap;

use time::OffsetDateTime;
use tokio_postgres::Row;

use super::pause::{Pause, paused};
use super::{DbError, Store, StoreError};
use crate::order::Status;

/// The ratio of the bounds of a bucket.
const GROWTH: f64 = 1.05;
/// The last bucket, which holds all longer times: from 1.05^440 ms, which is 24 days. An order may take a week, and wait for a pause.
const LAST_BUCKET: i16 = 440;

/// The SQL of the newest folded minute. Later minutes are in `order_outcomes`. A clock that was ahead leaves minutes in the future.
const NEWEST_FOLDED: &str = "coalesce((SELECT max(minute) FROM order_stats WHERE minute <= now()), '-infinity')";

/// The SQL of the bucket of a time in seconds: the smallest `n` with `time ≤ 1.05^n ms`, from 0 to 440. The statement that ends an order
/// computes it, because it may be repeated, and then has a later time.
#[must_use]
pub fn bucket(seconds: &str) -> String {
    format!("least(ceil(ln(greatest({seconds} * 1000, 1)) / ln({GROWTH}::float8)), {LAST_BUCKET})::smallint")
}

/// The middle of a bucket in seconds, to the microsecond: at most 2.5 % from any time in it.
fn middle(bucket: i16) -> f64 {
    (GROWTH.powf(f64::from(bucket) - 0.5) * 1000.0).round() / 1e6
}

/// The service's numbers at one moment.
#[derive(Debug)]
pub struct Metrics {
    /// The moment, by the database's clock.
    pub as_of: OffsetDateTime,
    /// Orders in each status. A failed order that an operator retried is not counted as failed.
    pub by_status: BTreeMap<Status, i64>,
    /// The pending orders whose `process_after` is still to come.
    pub scheduled: i64,
    /// Messages that the sweeper sent to replace lost ones, ever.
    pub requeued: i64,
    /// The mean time from `started_at` to `finished_at` of all completed orders, in seconds; `None` before the first.
    pub average_processing_time: Option<f64>,
    /// Times from start to finish of the orders completed within the last hour, and up to ten minutes before.
    pub processing_seconds: Percentiles,
    /// Times to the start of the same orders, from their creation, or from `process_after` if that is later.
    pub queueing_seconds: Percentiles,
    /// The seconds since the most overdue order was due, or since the last pause ended if that is less; 0 if none is overdue, and
    /// while processing is paused.
    pub oldest_overdue_seconds: f64,
    /// The pause of processing; `None` while it runs.
    pub pause: Option<Pause>,
    /// Completed orders for each minute of the last hour, without minutes that have none.
    pub completions_per_minute: Vec<(OffsetDateTime, i64)>,
}

impl Metrics {
    /// All orders that were ever accepted.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.by_status.values().sum()
    }
}

/// Percentiles in seconds; `None` if nothing was counted. They come from a histogram whose buckets are a factor of 1.05 apart, so
/// each is within 2.5 % of the exact one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Percentiles {
    /// The median.
    pub p50: Option<f64>,
    /// The 95th percentile.
    pub p95: Option<f64>,
    /// The 99th percentile.
    pub p99: Option<f64>,
}

impl Store {
    /// Reads the metrics: the active orders from `order_work`, everything else from the statistics. It reads each outcome that is not folded
    /// yet, so busy minutes make it slower. `unnest` is in a list of columns, where it takes half the time that it takes in `FROM`.
    pub async fn read_metrics(&self) -> Result<Metrics, StoreError> {
        let (ends, of_ever) = (each_end(|end| end.to_string()), each_end(|end| format!("ever.{end}")));
        let sums_of_minute = each_end(|end| format!("sum({end})"));
        let sums = each_end(|end| format!("coalesce(sum({end}), 0)::bigint AS {end}"));
        let sql = format!(
            "WITH active AS (
                SELECT count(*) FILTER (WHERE started_at IS NULL) AS pending, count(started_at) AS processing,
                    count(*) FILTER (WHERE started_at IS NULL AND process_after > now()) AS scheduled,
                    min(due_at) AS first_due_at
                FROM order_work
            ), outcome AS MATERIALIZED (
                SELECT minute, {ends}, requeued, seconds, processing, queueing FROM order_outcomes
                WHERE minute > {NEWEST_FOLDED}
            ), by_minute AS (
                SELECT minute, {ends}, requeued, seconds FROM order_stats
                UNION ALL
                SELECT minute, {sums_of_minute}, sum(requeued), sum(seconds) FROM outcome GROUP BY minute
            ), ever AS (
                SELECT {sums}, coalesce(sum(requeued), 0)::bigint AS requeued,
                    (sum(seconds) / nullif(sum(completed), 0))::float8 AS average_processing_time
                FROM by_minute
            ), minutes AS (
                SELECT minute, sum(completed)::bigint AS completed FROM by_minute
                WHERE minute > now() - interval '1 hour' GROUP BY minute HAVING sum(completed) > 0
            ), recent AS (
                SELECT processing, queueing FROM outcome
                WHERE minute >= date_bin('10 minutes', now() - interval '1 hour', 'epoch')
            ), durations AS (
                SELECT bucket, processing, queueing FROM order_durations
                WHERE slot >= date_bin('10 minutes', now() - interval '1 hour', 'epoch')
                UNION ALL
                SELECT unnest(processing), 1, 0 FROM recent
                UNION ALL
                SELECT unnest(queueing), 0, 1 FROM recent
            ), histogram AS (
                SELECT bucket, sum(processing)::bigint AS processing, sum(queueing)::bigint AS queueing
                FROM durations GROUP BY bucket
            )
            SELECT now() AS as_of, active.pending, active.scheduled, active.processing,
                CASE WHEN pause.paused_at IS NULL AND active.first_due_at < now()
                    THEN extract(epoch FROM now() - greatest(active.first_due_at, pause.resumed_at)) ELSE 0
                END::float8 AS oldest_overdue_seconds,
                pause.paused_at, pause.reason, pause.paused_by,
                {of_ever}, ever.requeued, ever.average_processing_time,
                ARRAY(SELECT minute FROM minutes ORDER BY minute) AS minutes,
                ARRAY(SELECT completed FROM minutes ORDER BY minute) AS completions,
                ARRAY(SELECT bucket FROM histogram ORDER BY bucket) AS buckets,
                ARRAY(SELECT processing FROM histogram ORDER BY bucket) AS processing_counts,
                ARRAY(SELECT queueing FROM histogram ORDER BY bucket) AS queueing_counts
            FROM active CROSS JOIN ever LEFT JOIN processing_pause AS pause ON true"
        );
        let rows = self.query("read the metrics", &sql, &[]).await?;
        rows.one(metrics)
    }
}

/// A part of a statement for each column that counts ends, which has the name of their status.
fn each_end(part: impl Fn(Status) -> String) -> String {
    Status::ended().map(part).collect::<Vec<_>>().join(", ")
}

fn metrics(row: &Row) -> Result<Metrics, DbError> {
    let minutes: Vec<OffsetDateTime> = row.try_get("minutes")?;
    let completions: Vec<i64> = row.try_get("completions")?;
    let buckets: Vec<i16> = row.try_get("buckets")?;
    let percentiles = |counts: Vec<i64>| Percentiles::of(&buckets.iter().copied().zip(counts).collect::<Vec<_>>());
    Ok(Metrics {
        as_of: row.try_get("as_of")?,
        by_status: Status::ALL
            .into_iter()
            .map(|status| Ok((status, row.try_get(status.as_str())?)))
            .collect::<Result<_, DbError>>()?,
        scheduled: row.try_get("scheduled")?,
        requeued: row.try_get("requeued")?,
        average_processing_time: row.try_get("average_processing_time")?,
        processing_seconds: percentiles(row.try_get("processing_counts")?),
        queueing_seconds: percentiles(row.try_get("queueing_counts")?),
        oldest_overdue_seconds: row.try_get("oldest_overdue_seconds")?,
        pause: paused(row)?,
        completions_per_minute: minutes.into_iter().zip(completions).collect(),
    })
}

impl Percentiles {
    /// Computes the percentiles from the buckets and their counts, in the buckets' order.
    fn of(counts: &[(i16, i64)]) -> Self {
        let at = |share| quantile(counts, share);
        Self { p50: at(0.50), p95: at(0.95), p99: at(0.99) }
    }
}

/// The middle, in seconds, of the bucket that holds this quantile.
#[expect(clippy::cast_precision_loss, reason = "counts of orders are far below 2^52")]
fn quantile(counts: &[(i16, i64)], share: f64) -> Option<f64> {
    let rank = share * counts.iter().map(|(_, count)| count).sum::<i64>() as f64;
    let mut below = 0;
    let holds_rank = |(_, count): &&(i16, i64)| {
        below += count;
        *count > 0 && below as f64 >= rank
    };
    counts.iter().find(holds_rank).map(|(bucket, _)| middle(*bucket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_histogram_has_no_percentiles() {
        assert_eq!(Percentiles::of(&[]), Percentiles::default());
        assert_eq!(Percentiles::of(&[(7, 0)]), Percentiles::default());
    }

    #[test]
    fn percentile_is_the_middle_of_the_bucket_of_its_rank() {
        // The buckets of 1, 5, 30 and 60 s.
        let percentiles = Percentiles::of(&[(142, 50), (175, 45), (212, 4), (226, 1)]);
        let within = |value: Option<f64>, exact: f64| value.is_some_and(|value| (value / exact - 1.0).abs() <= 0.025);
        assert!(within(percentiles.p50, 1.0) && within(percentiles.p95, 5.0), "{percentiles:?}");
        assert!(within(percentiles.p99, 30.0), "{percentiles:?}");
    }
}
