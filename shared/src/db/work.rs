//! The processor's statements: claim, reschedule, finish.
//!
//! `order_work.due_at` is when an order next needs attention. A claim moves it to the end of a lease and stores a random fencing
//! token. A later statement with another token changes nothing. Each function is one statement for a whole batch, and locks rows
//! of `order_work` before those of `orders`. A statement that claims skips locked rows, and a statement with a token changes only
//! rows with that token, so that two batches can't deadlock.
//!
//! A statement reads rows by an array of keys, in one scan of the index, or key by key in a join. It never has both conditions on
//! one table: PostgreSQL would search the whole array again for each key of the join.

use std::collections::HashSet;
use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::ends::Announce;
use super::history::{MAX_AUTOMATIC, has_room};
use super::orders::order_id;
use super::stats::bucket;
use super::{Db, DbError};
use crate::order::OrderId;

/// The result of claiming a batch. Each order of the batch is in one of the four lists.
#[derive(Debug, Default)]
pub struct Claim {
    /// The fencing token. It proves that the claimed orders are ours until the lease ends.
    pub token: Uuid,
    /// The orders to process now.
    pub claimed: Vec<Claimed>,
    /// The orders that wait, also those that begin to wait now, or that another worker holds; each with the time until it is due.
    pub not_due: Vec<(OrderId, Duration)>,
    /// The orders that are due, but not claimed, because processing is paused.
    pub paused: Vec<OrderId>,
    /// The orders that have ended or do not exist.
    pub ended: Vec<OrderId>,
}

/// An order that is ours until the lease ends. The work that needs its content reads it.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The order.
    pub order_id: OrderId,
    /// When the order was created, or its `process_after` if that is later: the start of its time in the queue.
    pub ready_at: OffsetDateTime,
    /// Earlier attempts that ended without an outcome.
    pub attempts: i32,
    /// When work first started, by the database's clock.
    pub started_at: OffsetDateTime,
    /// When it was claimed, by the same clock.
    pub now: OffsetDateTime,
}

/// Claims the due orders among `order_ids` for `lease`. A claim whose lease has run out counts as a failed attempt, so that an order
/// that crashes its worker can't do so for ever. While processing is paused, it claims nothing.
///
/// The first claim starts an order. If its work has a `delay`, the order is not claimed then: it waits.
///
/// Conflicts: an order that another worker is claiming at the same time is not due.
pub async fn claim(db: &Db, order_ids: &[OrderId], lease: Duration, delay: Duration) -> Result<Claim, DbError> {
    let mut claim = Claim { token: Uuid::new_v4(), ..Claim::default() };
    let (lease, delay) = (lease.as_secs_f64(), delay.as_secs_f64());
    let token = claim.token;
    let params: [super::Param; 3] = [(&token, Type::UUID), (&lease, Type::FLOAT8), (&delay, Type::FLOAT8)];
    let lapsed = claim_by(db, CLAIM, order_ids, &params, &mut claim).await?;
    // Leases rarely expire. The statement that counts and records them is a second one, so that others don't pay for it.
    if !lapsed.is_empty() {
        let sql = CLAIM_LAPSED.replace("{room}", &has_room("leased", MAX_AUTOMATIC));
        claim_by(db, &sql, &lapsed, &params[..2], &mut claim).await?;
    }
    let claimed = claim.claimed.iter().map(|order| &order.order_id);
    let active: HashSet<_> = claimed.chain(claim.not_due.iter().map(|(id, _)| id)).chain(&claim.paused).collect();
    claim.ended = order_ids.iter().filter(|order_id| !active.contains(order_id)).cloned().collect();
    Ok(claim)
}

/// Adds the orders that the statement claimed, and those that are not due. Returns the orders whose lease has expired.
async fn claim_by(
    db: &Db,
    sql: &str,
    order_ids: &[OrderId],
    params: &[super::Param<'_>],
    claim: &mut Claim,
) -> Result<Vec<OrderId>, DbError> {
    let keys: Vec<_> = order_ids.iter().map(OrderId::as_str).collect();
    let params = [&[(&keys as _, Type::TEXT_ARRAY)], params].concat();
    let mut lapsed = Vec::new();
    for row in &db.query(sql, &params).await? {
        if row.try_get("is_claimed")? {
            claim.claimed.push(claimed(row)?);
        } else if row.try_get("is_paused")? {
            claim.paused.push(order_id(row)?);
        } else if row.try_get("has_lapsed")? {
            lapsed.push(order_id(row)?);
        } else {
            claim.not_due.push(due_in(row)?);
        }
    }
    Ok(lapsed)
}

/// Claims due orders that no worker holds, or starts their delay. Returns orders whose lease has expired as such.
const CLAIM: &str = "WITH due AS (
        SELECT order_id FROM order_work
        WHERE order_id = ANY ($1) AND (claim = $2 OR claim IS NULL AND due_at <= now()
            AND NOT EXISTS (SELECT FROM processing_pause WHERE paused_at IS NOT NULL))
        ORDER BY order_id FOR UPDATE SKIP LOCKED
    ), begun AS (
        UPDATE order_work AS w
        SET started_at = coalesce(w.started_at, now()),
            claim = CASE WHEN w.started_at IS NULL AND $4 > 0 THEN NULL ELSE $2 END,
            due_at = now() + make_interval(secs => CASE WHEN w.started_at IS NULL AND $4 > 0 THEN $4 ELSE $3 END)
        WHERE w.order_id = ANY (ARRAY (SELECT order_id FROM due))
        RETURNING w.order_id, greatest(w.created_at, w.process_after) AS ready_at, w.attempts, w.started_at, w.due_at, w.claim
    )
    SELECT order_id, ready_at, attempts, started_at, now() AS now, claim IS NOT NULL AS is_claimed,
        extract(epoch FROM due_at - now())::float8 AS due_in_seconds, false AS is_paused, false AS has_lapsed
    FROM begun
    UNION ALL
    SELECT order_id, created_at, attempts, started_at, now(), false,
        greatest(0, extract(epoch FROM due_at - now()))::float8,
        due_at <= now() AND EXISTS (SELECT FROM processing_pause WHERE paused_at IS NOT NULL),
        due_at <= now() AND claim IS NOT NULL
    FROM order_work WHERE order_id = ANY ($1) AND order_id NOT IN (SELECT order_id FROM begun)";

/// Claims orders whose lease has expired, counts the failed attempt and records it.
const CLAIM_LAPSED: &str = "WITH lapsed AS (
        SELECT order_id, claim <> $2 AS is_counted FROM order_work
        WHERE order_id = ANY ($1) AND (claim = $2 OR claim IS NOT NULL AND due_at <= now()
            AND NOT EXISTS (SELECT FROM processing_pause WHERE paused_at IS NOT NULL))
        ORDER BY order_id FOR UPDATE SKIP LOCKED
    ), leased AS (
        UPDATE order_work AS w
        SET claim = $2, due_at = now() + make_interval(secs => $3), attempts = w.attempts + (w.claim <> $2)::int
        WHERE w.order_id = ANY (ARRAY (SELECT order_id FROM lapsed))
        RETURNING w.order_id, greatest(w.created_at, w.process_after) AS ready_at, w.attempts, w.started_at
    ), recorded AS (
        INSERT INTO order_events (order_id, event, attempt, cause)
        SELECT order_id, 'attempt_failed', attempts, 'the worker ended without an outcome'
        FROM leased WHERE order_id = ANY (ARRAY (SELECT order_id FROM lapsed WHERE is_counted)) AND {room}
    )
    SELECT order_id, ready_at, attempts, started_at, now() AS now, true AS is_claimed,
        0::float8 AS due_in_seconds, false AS is_paused, false AS has_lapsed
    FROM leased
    UNION ALL
    SELECT order_id, created_at, attempts, started_at, now(), false,
        greatest(0, extract(epoch FROM due_at - now()))::float8,
        due_at <= now() AND EXISTS (SELECT FROM processing_pause WHERE paused_at IS NOT NULL), false
    FROM order_work WHERE order_id = ANY ($1) AND order_id NOT IN (SELECT order_id FROM leased)";

fn claimed(row: &Row) -> Result<Claimed, DbError> {
    Ok(Claimed {
        order_id: order_id(row)?,
        ready_at: row.try_get("ready_at")?,
        attempts: row.try_get("attempts")?,
        started_at: row.try_get("started_at")?,
        now: row.try_get("now")?,
    })
}

/// Finds the active ones among the orders, each with the time until it is due.
pub async fn find_active(db: &Db, order_ids: &[OrderId]) -> Result<Vec<(OrderId, Duration)>, DbError> {
    let order_ids: Vec<_> = order_ids.iter().map(OrderId::as_str).collect();
    let rows = db
        .query(
            "SELECT order_id, greatest(0, extract(epoch FROM due_at - now()))::float8 AS due_in_seconds
            FROM order_work WHERE order_id = ANY ($1)",
            &[(&order_ids, Type::TEXT_ARRAY)],
        )
        .await?;
    rows.iter().map(due_in).collect()
}

pub(super) fn due_in(row: &Row) -> Result<(OrderId, Duration), DbError> {
    Ok((order_id(row)?, seconds(row.try_get("due_in_seconds")?)))
}

/// A time that the database computed. A time out of range becomes zero.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// A claimed order that is due again later.
#[derive(Debug, Clone, Copy)]
pub struct Reschedule<'a> {
    /// The order.
    pub order_id: &'a OrderId,
    /// When it is due again.
    pub due_at: OffsetDateTime,
    /// The cause, if an attempt failed. It then counts as used up.
    pub failed_attempt: Option<&'a str>,
}

/// Ends the lease of each order and sets when it is due again. Records failed attempts in the order's history.
///
/// Conflicts: an order that another worker has claimed since stays unchanged.
pub async fn reschedule(db: &Db, token: Uuid, orders: &[Reschedule<'_>]) -> Result<(), DbError> {
    let ids: Vec<_> = orders.iter().map(|order| order.order_id.as_str()).collect();
    let times: Vec<_> = orders.iter().map(|order| order.due_at).collect();
    let causes: Vec<_> = orders.iter().map(|order| order.failed_attempt).collect();
    let params: [super::Param; 4] = [
        (&ids, Type::TEXT_ARRAY),
        (&times, Type::TIMESTAMPTZ_ARRAY),
        (&token, Type::UUID),
        (&causes, Type::TEXT_ARRAY),
    ];
    // Most batches only wait. They use a statement without the history.
    if causes.iter().all(Option::is_none) {
        return db.query(RESCHEDULE, &params[..3]).await.map(drop);
    }
    let sql = format!("{RESCHEDULE_FAILED} AND {}", has_room("rescheduled", MAX_AUTOMATIC));
    db.query(&sql, &params).await.map(drop)
}

const RESCHEDULE: &str = "UPDATE order_work AS w SET claim = NULL, due_at = later.due_at
    FROM unnest($1, $2) AS later (order_id, due_at)
    WHERE w.order_id = later.order_id AND w.claim = $3";

const RESCHEDULE_FAILED: &str = "WITH rescheduled AS (
        UPDATE order_work AS w
        SET claim = NULL, due_at = later.due_at, attempts = w.attempts + (later.cause IS NOT NULL)::int
        FROM unnest($1, $2, $4) AS later (order_id, due_at, cause)
        WHERE w.order_id = later.order_id AND w.claim = $3
        RETURNING w.order_id, w.attempts, later.cause
    )
    INSERT INTO order_events (order_id, event, attempt, cause)
    SELECT order_id, 'attempt_failed', attempts, cause FROM rescheduled WHERE cause IS NOT NULL";

/// The end of a claimed order.
#[derive(Debug, Clone, Copy)]
pub struct Finish<'a> {
    /// The order.
    pub order: &'a Claimed,
    /// The number of attempts.
    pub attempts: i32,
    /// The cause of its failure; `None` if it completed.
    pub failure: Option<&'a str>,
}

/// Ends each order, as completed or as failed, and counts the outcomes in the same statement. Returns the orders that it ended.
/// `since_claim` is the time since the claim, for the statistics. `announce` says whether the ends are kept for their announcement.
///
/// Conflicts: an order that another worker has claimed or ended since stays unchanged and is not counted.
pub async fn finish(
    db: &Db,
    token: Uuid,
    orders: &[Finish<'_>],
    since_claim: Duration,
    announce: Announce,
) -> Result<HashSet<OrderId>, DbError> {
    let ids: Vec<_> = orders.iter().map(|end| end.order.order_id.as_str()).collect();
    let attempts: Vec<_> = orders.iter().map(|end| end.attempts).collect();
    let failures: Vec<_> = orders.iter().map(|end| end.failure).collect();
    let processing = orders.iter().map(|end| bucket(end.order.now - end.order.started_at + since_claim));
    let queueing = orders.iter().map(|end| bucket(end.order.started_at - end.order.ready_at));
    let rows = db
        .query(
            &format!(
                "WITH done AS (
                DELETE FROM order_work AS w
                USING unnest($1, $2, $3, $4, $5) AS ending (order_id, attempts, failure, processing, queueing)
                WHERE w.order_id = ending.order_id AND w.claim = $6
                RETURNING ending.*, w.started_at
            ), ended AS (
                UPDATE orders AS o
                SET started_at = done.started_at, finished_at = now(), attempts = done.attempts, failure = done.failure
                FROM done WHERE o.order_id = done.order_id
                RETURNING o.order_id{}, o.failure IS NULL AS is_completed, done.processing, done.queueing,
                    extract(epoch FROM o.finished_at - o.started_at)::float8 AS seconds
            ), counted AS (
                INSERT INTO order_outcomes (minute, completed, failed, seconds, processing, queueing)
                SELECT date_trunc('minute', now()),
                    count(*) FILTER (WHERE is_completed), count(*) FILTER (WHERE NOT is_completed),
                    coalesce(sum(seconds) FILTER (WHERE is_completed), 0),
                    coalesce(array_agg(processing) FILTER (WHERE is_completed), '{{}}'),
                    coalesce(array_agg(queueing) FILTER (WHERE is_completed), '{{}}')
                FROM ended HAVING count(*) > 0
            ){}
            SELECT order_id FROM ended",
                announce.only(", o.retries"),
                announce.keep("ended")
            ),
            &[
                (&ids, Type::TEXT_ARRAY),
                (&attempts, Type::INT4_ARRAY),
                (&failures, Type::TEXT_ARRAY),
                (&processing.collect::<Vec<_>>(), Type::INT2_ARRAY),
                (&queueing.collect::<Vec<_>>(), Type::INT2_ARRAY),
                (&token, Type::UUID),
            ],
        )
        .await?;
    rows.iter().map(order_id).collect()
}
