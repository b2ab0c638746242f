//! The sweeper's statements: how overdue orders are, and which of them get another message.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::types::Type;

use super::active::{ToEnqueue, user_of};
use super::history::is_recorded;
use super::pause::IS_PAUSED;
use super::row::seconds;
use super::schedule::lacks_message;
use super::{Param, Store, StoreError};
use crate::order::OrderId;

/// A part of `order_work` on disk, by its pages of 8 KiB. A statement of a sweep reads one slice, so its time does not grow with the
/// number of active orders. Most services have a single slice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Slice {
    first_page: u32,
}

impl Slice {
    /// The pages of a slice: 32 MiB, 130,000 orders to 270,000, by the length of their identifiers. A db.t4g.micro without burst credit
    /// reads 11 MB a second, and so a slice in three seconds.
    const PAGES: u32 = 4_096;
    /// The condition that a row is in a slice. The parameters are those of [`Self::bounds`].
    pub(super) const HOLDS_ROW: &str = "ctid >= $1::text::tid AND ctid < $2::text::tid";

    /// The next slice of a table of this many pages. The first one follows the last one.
    #[must_use]
    pub fn next(self, pages: u32) -> Self {
        let first_page = self.first_page.saturating_add(Self::PAGES);
        if first_page < pages { Self { first_page } } else { Self::default() }
    }

    pub(super) fn bounds(self) -> [String; 2] {
        [self.first_page, self.first_page.saturating_add(Self::PAGES)].map(|page| format!("({page},0)"))
    }
}

/// How many orders more than its limit [`Store::requeue_overdue`] chooses, because statements of the processor may hold some locked. If they
/// hold more, as with batches of thousands, the next run requeues the others.
const SPARE: i64 = 1000;

/// How long the commit of a resume is expected to take at most, in seconds. Until then, claims leave orders that fall due to the pause, and
/// the processor acknowledges their messages. PostgreSQL does not limit a commit: after a longer one, such orders wait for the grace period.
const COMMIT_OF_RESUME: u32 = 5;

/// The condition that an order is late: overdue for so long that its message may be lost. `grace` is the parameter with the grace period in
/// seconds.
fn is_late(grace: &str) -> String {
    let threshold = |margin: u32| {
        format!(
            "greatest(now() - make_interval(secs => {grace}), \
                (SELECT resumed_at + make_interval(secs => {margin}) FROM processing_pause))"
        )
    };
    format!(
        "due_at < least(now(), {}) AND (requeued_at IS NULL OR requeued_at < {})",
        threshold(COMMIT_OF_RESUME),
        threshold(0)
    )
}

impl Store {
    /// Reads how overdue the orders of a slice are, how many should have a message, and whether scheduled ones fall due within `ahead`.
    pub async fn read_slice(&self, slice: Slice, grace: Duration, ahead: Duration) -> Result<SliceFacts, StoreError> {
        let (is_late, lacks_message, in_slice) = (is_late("$3"), lacks_message(), Slice::HOLDS_ROW);
        let sql = format!(
            "SELECT extract(epoch FROM now() - paused_at)::float8 AS paused_seconds,
            CASE WHEN paused_at IS NULL AND first_due_at < now()
                THEN extract(epoch FROM now() - greatest(first_due_at, resumed_at)) ELSE 0 END::float8 AS overdue_seconds,
            first_due_at, paused_at IS NULL AND has_late IS TRUE AS has_late,
            paused_at IS NULL AND has_scheduled IS TRUE AS has_scheduled,
            expected_messages, pg_relation_size('order_work') / current_setting('block_size')::bigint AS pages
        FROM (
            SELECT min(due_at) AS first_due_at, count(*) FILTER (WHERE ({lacks_message}) IS NOT TRUE) AS expected_messages,
                bool_or({is_late}) AS has_late,
                bool_or({lacks_message} AND due_at < now() + make_interval(secs => $4)) AS has_scheduled
            FROM order_work WHERE {in_slice}
        ) AS active LEFT JOIN processing_pause ON true"
        );
        let [first, end] = slice.bounds();
        let params: [Param; 4] = [
            (&first, Type::TEXT),
            (&end, Type::TEXT),
            (&grace.as_secs_f64(), Type::FLOAT8),
            (&ahead.as_secs_f64(), Type::FLOAT8),
        ];
        let rows = self.query("find overdue orders", &sql, &params).await?;
        rows.one(|row| {
            Ok(SliceFacts {
                first_due_at: row.try_get("first_due_at")?,
                oldest: seconds(row.try_get("overdue_seconds")?),
                has_late: row.try_get("has_late")?,
                has_scheduled: row.try_get("has_scheduled")?,
                paused_for: row.try_get::<_, Option<f64>>("paused_seconds")?.map(seconds),
                expected_messages: row.try_get("expected_messages")?,
                pages: u32::try_from(row.try_get::<_, i64>("pages")?).unwrap_or(u32::MAX),
            })
        })
    }

    /// Marks at most `limit` late orders of a slice as requeued, the most overdue first. The caller sends the messages. Late orders are
    /// overdue by more than `grace`, and not requeued within `grace`. An order that was due before the last pause ended, or
    /// `COMMIT_OF_RESUME` later, may have lost its message to the pause: for such an order, the end of the pause counts instead of `grace`.
    /// Finds none while processing is paused.
    ///
    /// Records that they are requeued now, and counts them. If the answer gets lost, they wait for another grace period. An order whose
    /// lease ran out keeps its claim, so that the next claim counts an attempt.
    ///
    /// Conflicts: an order that another statement has locked is left out; others take its place, `SPARE` at most. The orders are chosen
    /// before they are locked, because PostgreSQL sorts all overdue orders of the slice if the same subquery locks them.
    pub async fn requeue_overdue(
        &self,
        slice: Slice,
        grace: Duration,
        limit: i64,
    ) -> Result<Vec<ToEnqueue>, StoreError> {
        let (is_recorded, is_late, in_slice) = (is_recorded("requeued"), is_late("$3"), Slice::HOLDS_ROW);
        let sql = format!(
            "WITH chosen AS (
                SELECT order_id FROM order_work
                WHERE {in_slice} AND {is_late} AND NOT {IS_PAUSED}
                ORDER BY due_at LIMIT $4 + {SPARE}
            ), overdue AS (
                SELECT order_id FROM order_work WHERE order_id = ANY (ARRAY (SELECT order_id FROM chosen)) AND {is_late}
                ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED
            ), requeued AS (
                UPDATE order_work SET requeued_at = now() WHERE order_id = ANY (ARRAY (SELECT order_id FROM overdue))
                RETURNING order_id
            ), counted AS (
                INSERT INTO order_outcomes (minute, requeued)
                SELECT date_trunc('minute', now()), count(*) FROM requeued HAVING count(*) > 0
            ), recorded AS (
                INSERT INTO order_events (order_id, event) SELECT order_id, 'requeued' FROM requeued WHERE {is_recorded}
            )
            SELECT order_id, {}, 0::float8 AS due_in_seconds FROM requeued",
            user_of("requeued")
        );
        let [first, end] = slice.bounds();
        let params: [Param; 4] =
            [(&first, Type::TEXT), (&end, Type::TEXT), (&grace.as_secs_f64(), Type::FLOAT8), (&limit, Type::INT8)];
        let rows = self.query("requeue overdue orders", &sql, &params).await?;
        rows.read(ToEnqueue::read)
    }

    /// Undoes [`Self::requeue_overdue`] for orders whose messages could not be sent, so that the next run finds them.
    ///
    /// Conflicts: an order that has ended since, or that another statement has locked, is left out: its message did arrive.
    pub async fn undo_requeue(&self, order_ids: &[&OrderId]) -> Result<(), StoreError> {
        let order_ids: Vec<_> = order_ids.iter().map(|order_id| order_id.as_str()).collect();
        let is_recorded = is_recorded("undone");
        let sql = format!(
            "WITH held AS (
            SELECT order_id FROM order_work WHERE order_id = ANY ($1) AND requeued_at IS NOT NULL
            FOR UPDATE SKIP LOCKED
        ), undone AS (
            UPDATE order_work SET requeued_at = NULL WHERE order_id = ANY (ARRAY (SELECT order_id FROM held))
            RETURNING order_id
        ), recorded AS (
            INSERT INTO order_events (order_id, event) SELECT order_id, 'requeue_failed' FROM undone WHERE {is_recorded}
        )
        INSERT INTO order_outcomes (minute, requeued)
        SELECT date_trunc('minute', now()), -count(*) FROM undone HAVING count(*) > 0"
        );
        self.query("undo a requeue", &sql, &[(&order_ids, Type::TEXT_ARRAY)]).await.map(drop)
    }
}

/// The facts that a sweep needs of a slice before it requeues orders.
#[derive(Debug)]
pub struct SliceFacts {
    /// The earliest time at which an order is due, was due or, while a worker holds it, will be due again; `None` without orders.
    pub first_due_at: Option<OffsetDateTime>,
    /// The time since the most overdue order was due, or since the last pause ended if that is shorter; zero if no order is overdue,
    /// or while processing is paused. Sending a message again does not change it.
    pub oldest: Duration,
    /// Whether [`Store::requeue_overdue`] has orders to consider.
    pub has_late: bool,
    /// Whether [`Store::find_scheduled`] has orders to consider.
    pub has_scheduled: bool,
    /// The time since processing was paused; `None` while it runs.
    pub paused_for: Option<Duration>,
    /// The number of orders that should have a message: all but those whose message the sweeper has still to send.
    pub expected_messages: i64,
    /// The pages of the whole table, for [`Slice::next`].
    pub pages: u32,
}
