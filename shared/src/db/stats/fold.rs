//! The fold of past outcomes into the statistics, which the sweeper runs.

use tokio_postgres::types::Type;

use super::{NEWEST_FOLDED, each_end};
use crate::db::{Store, StoreError};

impl Store {
    /// Folds `chunk` rows of the oldest past minutes, and the rest of the last of these minutes. Counts become one row per minute, times one
    /// row per bucket and ten minutes, and everything older than two hours becomes a single row. Adds the same outcomes to the statistics by
    /// the hour, and deletes hours older than 91 days. Returns the number of rows that it folded: fewer than `chunk` if none is left.
    ///
    /// Whole minutes, oldest first: readers of unfolded outcomes begin after the newest folded minute.
    ///
    /// It folds a minute half a minute after its end. No statement of that minute still runs then, since PostgreSQL ends each after 5 s. If
    /// a commit takes longer, readers miss its outcomes until the next fold. A session that holds a snapshot for hours keeps all folded rows
    /// in the index. To skip most of them, this begins an hour before the newest folded minute, while orders end at least every two hours.
    ///
    /// Conflicts: a second run at the same time waits for the first and finds nothing.
    pub async fn fold_statistics(&self, chunk: i64) -> Result<u64, StoreError> {
        let (ends, sums) = (each_end(|end| end.to_string()), each_end(|end| format!("sum({end})")));
        let added = |to: &str| each_end(|end| format!("{end} = {to}.{end} + excluded.{end}"));
        let (added_to_minute, added_to_hour) = (added("s"), added("h"));
        let unfolded = format!("minute >= {NEWEST_FOLDED} - interval '1 hour'");
        let sql = format!(
            "WITH outcome AS (
                DELETE FROM order_outcomes WHERE minute < date_trunc('minute', now() - interval '30 seconds') AND {unfolded}
                    AND minute <= coalesce((SELECT minute FROM order_outcomes WHERE {unfolded} ORDER BY minute OFFSET $1 - 1 LIMIT 1), 'infinity')
                RETURNING minute, {ends}, requeued, seconds, processing, queueing
            ), old AS (
                DELETE FROM order_stats WHERE minute < now() - interval '2 hours' AND minute <> '-infinity'
                RETURNING minute, {ends}, requeued, seconds
            ), by_minute AS (
                SELECT CASE WHEN minute < now() - interval '2 hours' THEN '-infinity' ELSE minute END AS minute,
                    {ends}, requeued, seconds
                FROM (
                    SELECT minute, {ends}, requeued, seconds FROM outcome
                    UNION ALL
                    SELECT minute, {ends}, requeued, seconds FROM old
                ) AS every
            ), counted AS (
                INSERT INTO order_stats AS s (minute, {ends}, requeued, seconds)
                SELECT minute, {sums}, sum(requeued), sum(seconds)
                FROM by_minute GROUP BY minute ORDER BY minute
                ON CONFLICT (minute) DO UPDATE SET
                    {added_to_minute}, requeued = s.requeued + excluded.requeued,
                    seconds = s.seconds + excluded.seconds
            ), forgotten AS (
                DELETE FROM order_durations WHERE slot < now() - interval '2 hours'
            ), durations AS (
                SELECT minute, unnest(processing) AS bucket, 1 AS processing, 0 AS queueing FROM outcome
                UNION ALL
                SELECT minute, unnest(queueing), 0, 1 FROM outcome
            ), timed AS (
                INSERT INTO order_durations AS d (slot, bucket, processing, queueing)
                SELECT date_bin('10 minutes', minute, 'epoch') AS slot, bucket, sum(processing), sum(queueing)
                FROM durations WHERE minute >= now() - interval '2 hours' GROUP BY slot, bucket ORDER BY slot, bucket
                ON CONFLICT (slot, bucket) DO UPDATE SET
                    processing = d.processing + excluded.processing, queueing = d.queueing + excluded.queueing
            ), counted_by_hour AS (
                INSERT INTO order_hours AS h (hour, {ends}, requeued, seconds)
                SELECT date_bin('1 hour', minute, 'epoch') AS hour, {sums}, sum(requeued),
                    sum(seconds)
                FROM outcome WHERE minute >= now() - interval '90 days' GROUP BY hour ORDER BY hour
                ON CONFLICT (hour) DO UPDATE SET
                    {added_to_hour}, requeued = h.requeued + excluded.requeued,
                    seconds = h.seconds + excluded.seconds
            ), timed_by_hour AS (
                INSERT INTO order_hour_durations AS d (hour, bucket, processing, queueing)
                SELECT date_bin('1 hour', minute, 'epoch') AS hour, bucket, sum(processing), sum(queueing)
                FROM durations WHERE minute >= now() - interval '90 days' GROUP BY hour, bucket ORDER BY hour, bucket
                ON CONFLICT (hour, bucket) DO UPDATE SET
                    processing = d.processing + excluded.processing, queueing = d.queueing + excluded.queueing
            ), forgotten_hours AS (
                DELETE FROM order_hours WHERE hour < now() - interval '91 days'
            ), forgotten_hour_durations AS (
                DELETE FROM order_hour_durations WHERE hour < now() - interval '91 days'
            )
            SELECT (SELECT count(*) FROM outcome) + (SELECT count(*) FROM old) AS folded"
        );
        let rows = self.query("fold the statistics", &sql, &[(&chunk, Type::INT8)]).await?;
        rows.value("folded").map(i64::unsigned_abs)
    }
}
