//! The processor's and the sweeper's statements: claim, reschedule, finish, requeue.
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

use super::history::{MAX_AUTOMATIC, has_room};
use super::orders::order_id;
use super::stats::bucket;
use super::{Db, DbError};
use crate::order::OrderId;

/// The result of claiming a batch. Each order of the batch is in one of the three lists.
#[derive(Debug, Default)]
pub struct Claim {
    /// The fencing token. It proves that the claimed orders are ours until the lease ends.
    pub token: Uuid,
    /// The orders to process now.
    pub claimed: Vec<Claimed>,
    /// The orders that wait, also those that begin to wait now, or that another worker holds; each with the time until it is due.
    pub not_due: Vec<(OrderId, Duration)>,
    /// The orders that have ended or do not exist.
    pub ended: Vec<OrderId>,
}

/// An order that is ours until the lease ends. The work that needs its content reads it.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The order.
    pub order_id: OrderId,
    /// When the order was created.
    pub created_at: OffsetDateTime,
    /// Earlier attempts that ended without an outcome.
    pub attempts: i32,
    /// When work first started, by the database's clock.
    pub started_at: OffsetDateTime,
    /// When it was claimed, by the same clock.
    pub now: OffsetDateTime,
}

/// Claims the due orders among `order_ids` for `lease`. A claim whose lease has run out counts as a failed attempt, so that an order
/// that crashes its worker can't do so for ever.
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
    let active: HashSet<_> =
        claim.claimed.iter().map(|order| &order.order_id).chain(claim.not_due.iter().map(|(id, _)| id)).collect();
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
        WHERE order_id = ANY ($1) AND (claim IS NULL AND due_at <= now() OR claim = $2)
        ORDER BY order_id FOR UPDATE SKIP LOCKED
    ), begun AS (
        UPDATE order_work AS w
        SET started_at = coalesce(w.started_at, now()),
            claim = CASE WHEN w.started_at IS NULL AND $4 > 0 THEN NULL ELSE $2 END,
            due_at = now() + make_interval(secs => CASE WHEN w.started_at IS NULL AND $4 > 0 THEN $4 ELSE $3 END)
        WHERE w.order_id = ANY (ARRAY (SELECT order_id FROM due))
        RETURNING w.order_id, w.created_at, w.attempts, w.started_at, w.due_at, w.claim
    )
    SELECT order_id, created_at, attempts, started_at, now() AS now, claim IS NOT NULL AS is_claimed, false AS has_lapsed,
        extract(epoch FROM due_at - now())::float8 AS due_in_seconds
    FROM begun
    UNION ALL
    SELECT order_id, created_at, attempts, started_at, now(), false, claim IS NOT NULL AND due_at <= now(),
        greatest(0, extract(epoch FROM due_at - now()))::float8
    FROM order_work WHERE order_id = ANY ($1) AND order_id NOT IN (SELECT order_id FROM begun)";

/// Claims orders whose lease has expired, counts the failed attempt and records it.
const CLAIM_LAPSED: &str = "WITH lapsed AS (
        SELECT order_id, claim <> $2 AS is_counted FROM order_work
        WHERE order_id = ANY ($1) AND claim IS NOT NULL AND (due_at <= now() OR claim = $2)
        ORDER BY order_id FOR UPDATE SKIP LOCKED
    ), leased AS (
        UPDATE order_work AS w
        SET claim = $2, due_at = now() + make_interval(secs => $3), attempts = w.attempts + (w.claim <> $2)::int
        WHERE w.order_id = ANY (ARRAY (SELECT order_id FROM lapsed))
        RETURNING w.order_id, w.created_at, w.attempts, w.started_at
    ), recorded AS (
        INSERT INTO order_events (order_id, event, attempt, cause)
        SELECT order_id, 'attempt_failed', attempts, 'the worker ended without an outcome'
        FROM leased WHERE order_id = ANY (ARRAY (SELECT order_id FROM lapsed WHERE is_counted)) AND {room}
    )
    SELECT order_id, created_at, attempts, started_at, now() AS now, true AS is_claimed, false AS has_lapsed,
        0::float8 AS due_in_seconds
    FROM leased
    UNION ALL
    SELECT order_id, created_at, attempts, started_at, now(), false, false,
        greatest(0, extract(epoch FROM due_at - now()))::float8
    FROM order_work WHERE order_id = ANY ($1) AND order_id NOT IN (SELECT order_id FROM leased)";

fn claimed(row: &Row) -> Result<Claimed, DbError> {
    Ok(Claimed {
        order_id: order_id(row)?,
        created_at: row.try_get("created_at")?,
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

fn due_in(row: &Row) -> Result<(OrderId, Duration), DbError> {
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
/// `since_claim` is the time since the claim, for the statistics.
///
/// Conflicts: an order that another worker has claimed or ended since stays unchanged and is not counted.
pub async fn finish(
    db: &Db,
    token: Uuid,
    orders: &[Finish<'_>],
    since_claim: Duration,
) -> Result<HashSet<OrderId>, DbError> {
    let ids: Vec<_> = orders.iter().map(|end| end.order.order_id.as_str()).collect();
    let attempts: Vec<_> = orders.iter().map(|end| end.attempts).collect();
    let failures: Vec<_> = orders.iter().map(|end| end.failure).collect();
    let processing = orders.iter().map(|end| bucket(end.order.now - end.order.started_at + since_claim));
    let queueing = orders.iter().map(|end| bucket(end.order.started_at - end.order.created_at));
    let rows = db
        .query(
            "WITH done AS (
                DELETE FROM order_work AS w
                USING unnest($1, $2, $3, $4, $5) AS ending (order_id, attempts, failure, processing, queueing)
                WHERE w.order_id = ending.order_id AND w.claim = $6
                RETURNING ending.*, w.started_at
            ), ended AS (
                UPDATE orders AS o
                SET started_at = done.started_at, finished_at = now(), attempts = done.attempts, failure = done.failure
                FROM done WHERE o.order_id = done.order_id
                RETURNING o.order_id, o.failure IS NULL AS is_completed, done.processing, done.queueing,
                    extract(epoch FROM o.finished_at - o.started_at)::float8 AS seconds
            ), counted AS (
                INSERT INTO order_outcomes (minute, completed, failed, seconds, processing, queueing)
                SELECT date_trunc('minute', now()),
                    count(*) FILTER (WHERE is_completed), count(*) FILTER (WHERE NOT is_completed),
                    coalesce(sum(seconds) FILTER (WHERE is_completed), 0),
                    coalesce(array_agg(processing) FILTER (WHERE is_completed), '{}'),
                    coalesce(array_agg(queueing) FILTER (WHERE is_completed), '{}')
                FROM ended HAVING count(*) > 0
            )
            SELECT order_id FROM ended",
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

/// Counts the active orders.
pub async fn count(db: &Db) -> Result<i64, DbError> {
    let rows = db.query("SELECT count(*) AS active FROM order_work", &[]).await?;
    Ok(rows.first().map_or(Ok(0), |row| row.try_get("active"))?)
}

/// The time since the most overdue order was due; zero if none is overdue. Sending a message again does not change it.
pub async fn oldest_overdue(db: &Db) -> Result<Duration, DbError> {
    let sql =
        "SELECT coalesce(greatest(0, extract(epoch FROM now() - min(due_at))), 0)::float8 AS seconds FROM order_work";
    let seconds = db.query(sql, &[]).await?.first().map_or(Ok(0.0), |row| row.try_get("seconds"))?;
    Ok(self::seconds(seconds))
}

/// An order whose message must be lost.
#[derive(Debug)]
pub struct Overdue {
    /// Which order.
    pub order_id: OrderId,
    /// Its user; `None` where the order's row is missing, which no statement of ours leads to.
    pub user_id: Option<String>,
}

/// Finds at most `limit` orders whose messages must be lost: overdue by more than `grace`, and not requeued within `grace`.
/// Records that they are requeued now, and counts them. An order whose lease ran out keeps its claim, so that the next claim
/// counts an attempt.
///
/// `order_work` has no user: only these few orders need one, and each create would pay for the column. The statement reads the user
/// of each order by the key of `orders` instead of a join, which could read all orders under misleading statistics.
///
/// Conflicts: the next run finds an order that another statement has locked.
pub async fn requeue_overdue(db: &Db, grace: Duration, limit: i64) -> Result<Vec<Overdue>, DbError> {
    let room = has_room("requeued", MAX_AUTOMATIC);
    let rows = db
        .query(
            &format!(
                "WITH overdue AS (
                SELECT order_id FROM order_work
                WHERE due_at < now() - make_interval(secs => $1)
                    AND (requeued_at IS NULL OR requeued_at < now() - make_interval(secs => $1))
                ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
            ), requeued AS (
                UPDATE order_work SET requeued_at = now() WHERE order_id = ANY (ARRAY (SELECT order_id FROM overdue))
                RETURNING order_id
            ), counted AS (
                INSERT INTO order_outcomes (minute, requeued)
                SELECT date_trunc('minute', now()), count(*) FROM requeued HAVING count(*) > 0
            ), recorded AS (
                INSERT INTO order_events (order_id, event) SELECT order_id, 'requeued' FROM requeued WHERE {room}
            )
            SELECT order_id, (SELECT o.user_id FROM orders AS o WHERE o.order_id = requeued.order_id) AS user_id
            FROM requeued"
            ),
            &[(&grace.as_secs_f64(), Type::FLOAT8), (&limit, Type::INT8)],
        )
        .await?;
    rows.iter().map(|row| Ok(Overdue { order_id: order_id(row)?, user_id: row.try_get("user_id")? })).collect()
}

/// Undoes [`requeue_overdue`] for orders whose messages could not be sent, so that the next run finds them.
///
/// Conflicts: an order that has ended since, or that another statement has locked, is left out: its message did arrive.
pub async fn undo_requeue(db: &Db, order_ids: &[&OrderId]) -> Result<(), DbError> {
    let order_ids: Vec<_> = order_ids.iter().map(|order_id| order_id.as_str()).collect();
    let room = has_room("undone", MAX_AUTOMATIC);
    db.query(
        &format!(
            "WITH held AS (
            SELECT order_id FROM order_work WHERE order_id = ANY ($1) AND requeued_at IS NOT NULL
            FOR UPDATE SKIP LOCKED
        ), undone AS (
            UPDATE order_work SET requeued_at = NULL WHERE order_id = ANY (ARRAY (SELECT order_id FROM held))
            RETURNING order_id
        ), recorded AS (
            INSERT INTO order_events (order_id, event) SELECT order_id, 'requeue_failed' FROM undone WHERE {room}
        )
        INSERT INTO order_outcomes (minute, requeued)
        SELECT date_trunc('minute', now()), -count(*) FROM undone HAVING count(*) > 0"
        ),
        &[(&order_ids, Type::TEXT_ARRAY)],
    )
    .await
    .map(drop)
}
