//! Statistics by the hour, for up to 90 days.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::{NEWEST_FOLDED, Percentiles, each_end};
use crate::db::{DbError, Store, StoreError};
use crate::order::Status;

/// The most hours that a reader may request: 90 days.
pub const MAX_HOURS: i32 = 90 * 24;

/// The outcomes of some hours up to now.
#[derive(Debug)]
pub struct Hours {
    /// Each hour with an outcome, oldest first.
    pub outcomes: Vec<Hour>,
    /// Times from start to finish of the orders completed in these hours.
    pub processing_seconds: Percentiles,
    /// Times to the start of the same orders, from their creation, or from `process_after` if that is later.
    pub queueing_seconds: Percentiles,
}

/// The outcomes of one hour.
#[derive(Debug)]
pub struct Hour {
    /// The start of the hour.
    pub hour: OffsetDateTime,
    /// Orders by their status at the end. An operator's retry subtracts an order from the failed ones, so their number may be negative.
    pub ended: BTreeMap<Status, i64>,
}

impl Store {
    /// Reads the outcomes of this hour and of the hours before it, `hours` in all. It reads one row for each hour, one for each hour and
    /// bucket of a duration, and the outcomes that the sweeper has not folded yet.
    pub async fn read_hours(&self, hours: i32) -> Result<Hours, StoreError> {
        let (ends, sums) = (each_end(|end| end.to_string()), each_end(|end| format!("sum({end})::bigint AS {end}")));
        let arrays = each_end(|end| format!("ARRAY(SELECT {end} FROM by_hour ORDER BY hour) AS {end}"));
        let sql = format!(
            "WITH outcome AS MATERIALIZED (
                SELECT date_bin('1 hour', minute, 'epoch') AS hour, {ends}, processing, queueing
                FROM order_outcomes WHERE minute > {NEWEST_FOLDED}
            ), by_hour AS (
                SELECT hour, {sums}
                FROM (
                    SELECT hour, {ends} FROM order_hours
                    WHERE hour > now() - make_interval(hours => $1)
                    UNION ALL
                    SELECT hour, {ends} FROM outcome WHERE hour > now() - make_interval(hours => $1)
                ) AS every
                GROUP BY hour
            ), durations AS (
                SELECT bucket, processing, queueing FROM order_hour_durations WHERE hour > now() - make_interval(hours => $1)
                UNION ALL
                SELECT unnest(processing), 1, 0 FROM outcome WHERE hour > now() - make_interval(hours => $1)
                UNION ALL
                SELECT unnest(queueing), 0, 1 FROM outcome WHERE hour > now() - make_interval(hours => $1)
            ), histogram AS (
                SELECT bucket, sum(processing)::bigint AS processing, sum(queueing)::bigint AS queueing
                FROM durations GROUP BY bucket
            )
            SELECT ARRAY(SELECT hour FROM by_hour ORDER BY hour) AS hours,
                {arrays},
                ARRAY(SELECT bucket FROM histogram ORDER BY bucket) AS buckets,
                ARRAY(SELECT processing FROM histogram ORDER BY bucket) AS processing_counts,
                ARRAY(SELECT queueing FROM histogram ORDER BY bucket) AS queueing_counts"
        );
        let rows = self.query("read the metrics by the hour", &sql, &[(&hours, Type::INT4)]).await?;
        rows.one(outcomes)
    }
}

fn outcomes(row: &Row) -> Result<Hours, DbError> {
    let starts: Vec<OffsetDateTime> = row.try_get("hours")?;
    let counts = |column: &str| row.try_get::<_, Vec<i64>>(column);
    let mut outcomes: Vec<_> = starts.into_iter().map(|hour| Hour { hour, ended: BTreeMap::new() }).collect();
    for status in Status::ended() {
        for (outcome, count) in outcomes.iter_mut().zip(counts(status.as_str())?) {
            outcome.ended.insert(status, count);
        }
    }
    let buckets: Vec<i16> = row.try_get("buckets")?;
    let percentiles = |counts: Vec<i64>| Percentiles::of(&buckets.iter().copied().zip(counts).collect::<Vec<_>>());
    Ok(Hours {
        outcomes,
        processing_seconds: percentiles(counts("processing_counts")?),
        queueing_seconds: percentiles(counts("queueing_counts")?),
    })
}
