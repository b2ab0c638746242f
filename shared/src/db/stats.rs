//! Statistics: what the outcomes add up to, read at a cost that does not grow with the number of orders.

use rust_decimal::Decimal;
use time::OffsetDateTime;
use tokio_postgres::Row;

use super::{Db, DbError};

/// How many writers can count at once without waiting for one another.
const SHARDS: u128 = 8;

/// The shard of `order_stats` that this execution environment counts in: 1 to 8, drawn once at start.
#[must_use]
pub fn draw_shard() -> i16 {
    i16::try_from(uuid::Uuid::new_v4().as_u128() % SHARDS + 1).unwrap_or(1)
}

/// The service in numbers, all of one moment.
#[derive(Debug)]
pub struct Metrics {
    /// The moment, by the database's clock.
    pub as_of: OffsetDateTime,
    /// How many orders are pending.
    pub pending: i64,
    /// How many are being processed.
    pub processing: i64,
    /// How many have been completed, ever.
    pub completed: i64,
    /// How many have failed and were not retried.
    pub failed: i64,
    /// How many have been cancelled, ever.
    pub cancelled: i64,
    /// How often the sweeper told the queue of an order again, ever.
    pub rescued: i64,
    /// From `started_at` to `finished_at` of every completed order, in seconds; none before the first.
    pub average_processing_time: Option<Decimal>,
    /// How long the orders completed within the last hour, and up to ten minutes before, were worked on.
    pub processing_seconds: Percentiles,
    /// How long they had waited before that.
    pub queueing_seconds: Percentiles,
    /// By how many seconds the most overdue order is overdue; 0 where none is.
    pub oldest_overdue_seconds: f64,
    /// Completed orders by the minute they were completed in, within the last hour, minutes without any left out.
    pub completions_per_minute: Vec<(OffsetDateTime, i64)>,
}

impl Metrics {
    /// How many orders have been accepted, ever.
    #[must_use]
    pub const fn total(&self) -> i64 {
        self.pending + self.processing + self.completed + self.failed + self.cancelled
    }
}

/// Percentiles in seconds, none where nothing was counted. They come from a histogram whose buckets are a factor of
/// 2^¼ apart, so each is within 19 % of the exact one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Percentiles {
    /// The median.
    pub p50: Option<f64>,
    /// The 95th percentile.
    pub p95: Option<f64>,
    /// The 99th percentile.
    pub p99: Option<f64>,
}

/// Reads the metrics: the active orders from `order_work`, everything else from `order_stats`.
pub async fn read(db: &Db) -> Result<Metrics, DbError> {
    let rows = db
        .query(
            "WITH active AS (
                SELECT count(*) FILTER (WHERE NOT started) AS pending, count(*) FILTER (WHERE started) AS processing,
                    greatest(0, extract(epoch FROM now() - min(due_at)))::float8 AS oldest_overdue_seconds
                FROM order_work
            ), ended AS (
                SELECT coalesce(sum(completed), 0)::bigint AS completed, coalesce(sum(failed), 0)::bigint AS failed,
                    coalesce(sum(cancelled), 0)::bigint AS cancelled, coalesce(sum(rescued), 0)::bigint AS rescued,
                    (sum(seconds_sum) / nullif(sum(completed), 0))::numeric(20, 6) AS average_processing_time
                FROM order_stats
            ), minutes AS (
                SELECT minute, sum(completed)::bigint AS completed FROM order_stats
                WHERE minute > now() - interval '1 hour' AND completed > 0 GROUP BY minute
            ), buckets AS (
                SELECT i, sum(processing_histogram[i])::bigint AS processing, sum(queueing_histogram[i])::bigint AS queueing
                FROM order_stats, generate_series(1, 100) AS i
                WHERE minute >= date_bin('10 minutes', now() - interval '1 hour', 'epoch') AND processing_histogram <> array_fill(0::bigint, ARRAY[100])
                GROUP BY i
            ), hour AS (
                SELECT (SELECT array_agg(processing ORDER BY i) FROM buckets) AS processing_histogram,
                    (SELECT array_agg(queueing ORDER BY i) FROM buckets) AS queueing_histogram,
                    coalesce(array_agg(minute ORDER BY minute), '{}') AS minutes,
                    coalesce(array_agg(completed ORDER BY minute), '{}') AS completions
                FROM minutes
            )
            SELECT now() AS as_of, active.pending, active.processing, ended.completed, ended.failed, ended.cancelled,
                ended.rescued, ended.average_processing_time, coalesce(active.oldest_overdue_seconds, 0) AS oldest_overdue_seconds,
                hour.processing_histogram, hour.queueing_histogram, hour.minutes, hour.completions
            FROM active, ended, hour",
            &[],
        )
        .await?;
    metrics(rows.first().ok_or_else(|| DbError::Corrupt("no metrics".to_owned()))?)
}

fn metrics(row: &Row) -> Result<Metrics, DbError> {
    let minutes: Vec<OffsetDateTime> = row.try_get("minutes")?;
    let completions: Vec<i64> = row.try_get("completions")?;
    Ok(Metrics {
        as_of: row.try_get("as_of")?,
        pending: row.try_get("pending")?,
        processing: row.try_get("processing")?,
        completed: row.try_get("completed")?,
        failed: row.try_get("failed")?,
        cancelled: row.try_get("cancelled")?,
        rescued: row.try_get("rescued")?,
        average_processing_time: row.try_get("average_processing_time")?,
        processing_seconds: Percentiles::of(
            &row.try_get::<_, Option<Vec<_>>>("processing_histogram")?.unwrap_or_default(),
        ),
        queueing_seconds: Percentiles::of(&row.try_get::<_, Option<Vec<_>>>("queueing_histogram")?.unwrap_or_default()),
        oldest_overdue_seconds: row.try_get("oldest_overdue_seconds")?,
        completions_per_minute: minutes.into_iter().zip(completions).collect(),
    })
}

impl Percentiles {
    /// Reads them off the counts of `histogram_bucket`'s buckets.
    fn of(counts: &[i64]) -> Self {
        let at = |share| quantile(counts, share);
        Self { p50: at(0.50), p95: at(0.95), p99: at(0.99) }
    }
}

/// The value in seconds below which `share` of the counts lie, taken as evenly spread within its bucket.
#[allow(clippy::cast_precision_loss)] // Counts of orders are far below 2^52.
fn quantile(counts: &[i64], share: f64) -> Option<f64> {
    let rank = share * counts.iter().sum::<i64>() as f64;
    let mut below = 0.0;
    for (bucket, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let count = count as f64;
        if below + count >= rank {
            let exponent = (bucket as f64 - 1.0 + (rank - below) / count) / 4.0;
            return Some((exponent.exp2() / 1000.0 * 1e6).round() / 1e6);
        }
        below += count;
    }
    None
}

/// Adds the shards of minutes gone by into one row each, their histograms into one row every ten minutes, which makes the
/// last hour's quick to add up, and everything older than two hours into a single row. Gives how many rows were folded. Two
/// runs at once fold different rows.
pub async fn fold(db: &Db) -> Result<u64, DbError> {
    let rows = db
        .query(
            "WITH old AS (
                SELECT minute, shard FROM order_stats
                WHERE minute <> '-infinity'
                    AND (minute < now() - interval '2 hours' OR minute < now() - interval '5 minutes' AND shard <> 0)
                ORDER BY minute, shard FOR UPDATE SKIP LOCKED
            ), taken AS (
                DELETE FROM order_stats AS s USING old WHERE s.minute = old.minute AND s.shard = old.shard
                RETURNING s.*
            ), placed AS (
                SELECT CASE WHEN minute < now() - interval '2 hours' THEN '-infinity' ELSE minute END AS kept,
                    completed, failed, cancelled, rescued, seconds_sum, NULL::bigint[] AS processing, NULL::bigint[] AS queueing
                FROM taken
                UNION ALL
                SELECT CASE WHEN minute < now() - interval '2 hours' THEN '-infinity'
                        ELSE date_bin('10 minutes', minute, 'epoch') END,
                    0, 0, 0, 0, 0, processing_histogram, queueing_histogram
                FROM taken
            ), folded AS (
                INSERT INTO order_stats AS s
                    (minute, shard, completed, failed, cancelled, rescued, seconds_sum, processing_histogram, queueing_histogram)
                SELECT kept, 0, sum(completed), sum(failed), sum(cancelled), sum(rescued), sum(seconds_sum),
                    coalesce(histogram_sum(processing), array_fill(0::bigint, ARRAY[100])),
                    coalesce(histogram_sum(queueing), array_fill(0::bigint, ARRAY[100]))
                FROM placed GROUP BY kept ORDER BY kept
                ON CONFLICT (minute, shard) DO UPDATE SET
                    completed = s.completed + excluded.completed,
                    failed = s.failed + excluded.failed,
                    cancelled = s.cancelled + excluded.cancelled,
                    rescued = s.rescued + excluded.rescued,
                    seconds_sum = s.seconds_sum + excluded.seconds_sum,
                    processing_histogram = histogram_add(s.processing_histogram, excluded.processing_histogram),
                    queueing_histogram = histogram_add(s.queueing_histogram, excluded.queueing_histogram)
            )
            SELECT count(*) AS folded FROM taken",
            &[],
        )
        .await?;
    let folded: i64 = rows.first().map_or(Ok(0), |row| row.try_get("folded"))?;
    Ok(folded.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100 buckets, all empty but those given.
    fn histogram(filled: &[(usize, i64)]) -> Vec<i64> {
        let mut counts = vec![0; 100];
        for (bucket, count) in filled {
            counts[*bucket] = *count;
        }
        counts
    }

    #[test]
    fn an_empty_histogram_has_no_percentiles() {
        assert_eq!(Percentiles::of(&[]), Percentiles::default());
        assert_eq!(Percentiles::of(&histogram(&[])), Percentiles::default());
    }

    #[test]
    fn percentiles_lie_in_the_bucket_that_holds_their_rank() {
        // Bucket 40 holds (2^9.75, 2^10] ms, bucket 60 (2^14.75, 2^15] ms; both counted from 0 here.
        let percentiles = Percentiles::of(&histogram(&[(40, 90), (60, 10)]));
        let within = |value: Option<f64>, upper: f64| value.is_some_and(|v| v <= upper && v > upper / 1.19);
        assert!(within(percentiles.p50, 1.024), "{percentiles:?}");
        assert!(within(percentiles.p95, 32.768), "{percentiles:?}");
        assert!(within(percentiles.p99, 32.768), "{percentiles:?}");
    }

    #[test]
    fn a_shard_is_one_of_eight() {
        assert!((0..100).map(|_| draw_shard()).all(|shard| (1..=8).contains(&shard)));
    }
}
