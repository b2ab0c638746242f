//! Statistics by the hour, for up to 90 days.

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::Percentiles;
use crate::db::{DbError, Store, StoreError};

/// The most hours that a reader may request: 90 days.
pub const MAX_HOURS: i32 = 90 * 24;

/// The outcomes of some hours up to now.
#[derive(Debug)]
pub struct Hours {
    /// Each hour with an outcome, oldest first.
    pub outcomes: Vec<Hour>,
    /// Times from start to finish of the orders completed in these hours.
    pub processing_seconds: Percentiles,
    /// Times from creation to start of the same orders.
    pub queueing_seconds: Percentiles,
}

/// The outcomes of one hour.
#[derive(Debug)]
pub struct Hour {
    /// The start of the hour.
    pub hour: OffsetDateTime,
    /// Completed orders.
    pub completed: i64,
    /// Failed orders, less the orders that an operator retried during the hour, so the number may be negative.
    pub failed: i64,
    /// Cancelled orders.
    pub cancelled: i64,
}

impl Store {
    /// Reads the outcomes of this hour and of the hours before it, `hours` in all. It reads one row for each hour, one for each hour and
    /// bucket of a duration, and the outcomes that the sweeper has not folded yet.
    pub async fn read_hours(&self, hours: i32) -> Result<Hours, StoreError> {
        let sql = "WITH outcome AS MATERIALIZED (
                SELECT date_bin('1 hour', minute, 'epoch') AS hour, completed, failed, cancelled, processing, queueing
                FROM order_outcomes WHERE minute > coalesce((SELECT max(minute) FROM order_stats), '-infinity')
            ), by_hour AS (
                SELECT hour, sum(completed)::bigint AS completed, sum(failed)::bigint AS failed, sum(cancelled)::bigint AS cancelled
                FROM (
                    SELECT hour, completed, failed, cancelled FROM order_hours
                    WHERE hour > now() - make_interval(hours => $1)
                    UNION ALL
                    SELECT hour, completed, failed, cancelled FROM outcome WHERE hour > now() - make_interval(hours => $1)
                ) AS every
                GROUP BY hour
            ), durations AS (
                SELECT bucket, processing, queueing FROM order_hour_durations WHERE hour > now() - make_interval(hours => $1)
                UNION ALL
                SELECT bucket, 1, 0 FROM outcome, unnest(processing) AS bucket WHERE hour > now() - make_interval(hours => $1)
                UNION ALL
                SELECT bucket, 0, 1 FROM outcome, unnest(queueing) AS bucket WHERE hour > now() - make_interval(hours => $1)
            ), histogram AS (
                SELECT bucket, sum(processing)::bigint AS processing, sum(queueing)::bigint AS queueing
                FROM durations GROUP BY bucket
            )
            SELECT ARRAY(SELECT hour FROM by_hour ORDER BY hour) AS hours,
                ARRAY(SELECT completed FROM by_hour ORDER BY hour) AS completed,
                ARRAY(SELECT failed FROM by_hour ORDER BY hour) AS failed,
                ARRAY(SELECT cancelled FROM by_hour ORDER BY hour) AS cancelled,
                ARRAY(SELECT bucket FROM histogram ORDER BY bucket) AS buckets,
                ARRAY(SELECT processing FROM histogram ORDER BY bucket) AS processing_counts,
                ARRAY(SELECT queueing FROM histogram ORDER BY bucket) AS queueing_counts";
        let rows = self.query("read the metrics by the hour", sql, &[(&hours, Type::INT4)]).await?;
        rows.one(outcomes)
    }
}

fn outcomes(row: &Row) -> Result<Hours, DbError> {
    let starts: Vec<OffsetDateTime> = row.try_get("hours")?;
    let counts = |column: &str| row.try_get::<_, Vec<i64>>(column);
    let (completed, failed, cancelled) = (counts("completed")?, counts("failed")?, counts("cancelled")?);
    let counted = completed.into_iter().zip(failed).zip(cancelled);
    let hour = |(hour, ((completed, failed), cancelled))| Hour { hour, completed, failed, cancelled };
    let buckets: Vec<i16> = row.try_get("buckets")?;
    let percentiles = |counts: Vec<i64>| Percentiles::of(&buckets.iter().copied().zip(counts).collect::<Vec<_>>());
    Ok(Hours {
        outcomes: starts.into_iter().zip(counted).map(hour).collect(),
        processing_seconds: percentiles(counts("processing_counts")?),
        queueing_seconds: percentiles(counts("queueing_counts")?),
    })
}
