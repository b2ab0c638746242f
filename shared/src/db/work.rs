//! Work on orders as the processor and the sweeper see it: claim, put off, finish, sweep.
//!
//! `order_work.due_at` is when an order next wants attention. A claim moves it to the end of a lease and leaves a random
//! fencing token; whatever comes back with another token changes nothing. Each call is one statement for a whole batch, and
//! what has to wait for rows of `order_work` takes them in key order, before those of `orders`.

use std::collections::HashSet;
use std::time::Duration;

use rust_decimal::Decimal;
use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::orders::order_id;
use super::{Db, DbError};
use crate::order::{Amount, OrderId};

/// What a batch's claim found.
#[derive(Debug, Default)]
pub struct Claim {
    /// Proves, for as long as the lease lasts, that the claimed orders are ours.
    pub token: Uuid,
    /// The orders to work on now.
    pub claimed: Vec<Claimed>,
    /// Those that want nothing yet, because they wait or because somebody else is at work on them, and the time until
    /// they do. What was asked for and is in neither list wants nothing any more.
    pub early: Vec<(OrderId, Duration)>,
}

/// An order that is ours to work on until the lease ends.
#[derive(Debug)]
pub struct Claimed {
    /// Which order.
    pub order_id: OrderId,
    /// Whose it is.
    pub user_id: String,
    /// What was ordered.
    pub item_ids: Vec<String>,
    /// What it costs.
    pub total_amount: Amount,
    /// When it was accepted.
    pub created_at: OffsetDateTime,
    /// How many attempts ended without an outcome before this one.
    pub attempts: i32,
    /// When work on it first began, by the database's clock.
    pub started_at: OffsetDateTime,
    /// When it was claimed, by the same clock.
    pub now: OffsetDateTime,
}

/// Claims for `lease` what is due among `order_ids`. An earlier claim whose lease ran out counts as an attempt, so that
/// an order that crashes its worker cannot do so for ever.
pub async fn claim(db: &Db, order_ids: &[OrderId], lease: Duration) -> Result<Claim, DbError> {
    let order_ids: Vec<_> = order_ids.iter().map(OrderId::as_str).collect();
    let token = Uuid::new_v4();
    let rows = db
        .query(
            "WITH due AS (
                SELECT order_id FROM order_work
                WHERE order_id = ANY ($1) AND (due_at <= now() OR claim = $2)
                ORDER BY order_id FOR UPDATE SKIP LOCKED
            ), leased AS (
                UPDATE order_work AS w
                SET claim = $2, due_at = now() + make_interval(secs => $3), started = true,
                    attempts = attempts + (claim <> $2 IS TRUE)::int
                FROM due WHERE w.order_id = due.order_id
                RETURNING w.order_id, w.attempts
            ), begun AS (
                UPDATE orders AS o SET status = 'processing', started_at = now()
                FROM leased AS l WHERE o.order_id = l.order_id AND o.status = 'pending'
            )
            SELECT w.order_id, o.user_id, o.item_ids, o.total_amount, o.created_at, l.attempts, coalesce(o.started_at, now()) AS started_at, now() AS now,
                greatest(0, extract(epoch FROM w.due_at - now()))::float8 AS due_in_seconds
            FROM order_work AS w JOIN orders AS o USING (order_id) LEFT JOIN leased AS l USING (order_id)
            WHERE w.order_id = ANY ($1)",
            &[(&order_ids, Type::TEXT_ARRAY), (&token, Type::UUID), (&lease.as_secs_f64(), Type::FLOAT8)],
        )
        .await?;
    let mut claim = Claim { token, ..Claim::default() };
    for row in &rows {
        match row.try_get("attempts")? {
            Some(attempts) => claim.claimed.push(claimed(row, attempts)?),
            None => claim.early.push(due_in(row)?),
        }
    }
    Ok(claim)
}

fn claimed(row: &Row, attempts: i32) -> Result<Claimed, DbError> {
    Ok(Claimed {
        order_id: order_id(row)?,
        user_id: row.try_get("user_id")?,
        item_ids: row.try_get("item_ids")?,
        total_amount: row.try_get::<_, Decimal>("total_amount")?.into(),
        created_at: row.try_get("created_at")?,
        attempts,
        started_at: row.try_get("started_at")?,
        now: row.try_get("now")?,
    })
}

/// Those of the orders that are active, and in how much time each falls due.
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
    Ok((order_id(row)?, Duration::from_secs_f64(row.try_get("due_in_seconds")?)))
}

/// An order that goes on later.
#[derive(Debug, Clone, Copy)]
pub struct PutOff<'a> {
    /// Which order.
    pub order_id: &'a OrderId,
    /// When it is due again.
    pub due_at: OffsetDateTime,
    /// Whether an attempt was used up.
    pub counts_as_attempt: bool,
}

/// Gives the lease of each order back until its time has come. What is no longer ours stays as it is.
pub async fn put_off(db: &Db, token: Uuid, orders: &[PutOff<'_>]) -> Result<(), DbError> {
    let ids: Vec<_> = orders.iter().map(|order| order.order_id.as_str()).collect();
    let times: Vec<_> = orders.iter().map(|order| order.due_at).collect();
    let attempts: Vec<_> = orders.iter().map(|order| i32::from(order.counts_as_attempt)).collect();
    db.query(
        "WITH held AS (
            SELECT order_id FROM order_work WHERE order_id = ANY ($1) AND claim = $3 ORDER BY order_id FOR UPDATE
        )
        UPDATE order_work AS w SET claim = NULL, due_at = wanted.due_at, attempts = w.attempts + wanted.attempts
        FROM held JOIN unnest($1, $2, $4) AS wanted (order_id, due_at, attempts) USING (order_id)
        WHERE w.order_id = held.order_id",
        &[
            (&ids, Type::TEXT_ARRAY),
            (&times, Type::TIMESTAMPTZ_ARRAY),
            (&token, Type::UUID),
            (&attempts, Type::INT4_ARRAY),
        ],
    )
    .await
    .map(drop)
}

/// An order that ends.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// Which order.
    pub order_id: &'a OrderId,
    /// Why it failed; none where it is completed.
    pub failure: Option<&'a str>,
}

/// Ends each order, as completed or with the cause of its failure, and counts the outcomes in the same statement.
/// Gives those that were still ours: the others have been taken over, and nothing of them changed.
pub async fn finish(db: &Db, token: Uuid, orders: &[End<'_>], shard: i16) -> Result<HashSet<OrderId>, DbError> {
    let (ids, failures): (Vec<_>, Vec<_>) = orders.iter().map(|end| (end.order_id.as_str(), end.failure)).unzip();
    let rows = db
        .query(
            "WITH held AS (
                SELECT order_id FROM order_work WHERE order_id = ANY ($1) AND claim = $3 ORDER BY order_id FOR UPDATE
            ), done AS (
                DELETE FROM order_work AS w USING held WHERE w.order_id = held.order_id
                RETURNING w.order_id, w.attempts + 1 AS attempts
            ), ended AS (
                UPDATE orders AS o
                SET status = CASE WHEN outcome.failure IS NULL THEN 'completed' ELSE 'failed' END,
                    finished_at = now(), attempts = done.attempts, failure = outcome.failure
                FROM done JOIN unnest($1, $2) AS outcome (order_id, failure) USING (order_id)
                WHERE o.order_id = done.order_id
                RETURNING o.order_id, o.status, o.finished_at - o.started_at AS processing, o.started_at - o.created_at AS queueing
            ), counted AS (
                INSERT INTO order_stats AS s
                    (minute, shard, completed, failed, seconds_sum, processing_histogram, queueing_histogram)
                SELECT date_trunc('minute', now()), $4,
                    count(*) FILTER (WHERE status = 'completed'), count(*) FILTER (WHERE status = 'failed'),
                    coalesce(sum(extract(epoch FROM processing)) FILTER (WHERE status = 'completed'), 0),
                    histogram(array_agg(histogram_bucket(processing)) FILTER (WHERE status = 'completed')),
                    histogram(array_agg(histogram_bucket(queueing)) FILTER (WHERE status = 'completed'))
                FROM ended HAVING count(*) > 0
                ON CONFLICT (minute, shard) DO UPDATE SET
                    completed = s.completed + excluded.completed,
                    failed = s.failed + excluded.failed,
                    seconds_sum = s.seconds_sum + excluded.seconds_sum,
                    processing_histogram = histogram_add(s.processing_histogram, excluded.processing_histogram),
                    queueing_histogram = histogram_add(s.queueing_histogram, excluded.queueing_histogram)
            )
            SELECT order_id FROM ended",
            &[
                (&ids, Type::TEXT_ARRAY),
                (&failures, Type::TEXT_ARRAY),
                (&token, Type::UUID),
                (&shard, Type::INT2),
            ],
        )
        .await?;
    rows.iter().map(order_id).collect()
}

/// How many orders are active.
pub async fn count(db: &Db) -> Result<i64, DbError> {
    let rows = db.query("SELECT count(*) AS active FROM order_work", &[]).await?;
    Ok(rows.first().map_or(Ok(0), |row| row.try_get("active"))?)
}

/// By how much the most overdue order is overdue; nothing where none is.
pub async fn oldest_overdue(db: &Db) -> Result<Duration, DbError> {
    let sql =
        "SELECT coalesce(greatest(0, extract(epoch FROM now() - min(due_at))), 0)::float8 AS seconds FROM order_work";
    let seconds = db.query(sql, &[]).await?.first().map_or(Ok(0.0), |row| row.try_get("seconds"))?;
    Ok(Duration::from_secs_f64(seconds))
}

/// Finds at most `limit` orders that are overdue by more than `grace`, whose messages must be lost, makes them due now, so
/// that no other sweep finds them within another `grace`, and counts them. A claim whose lease ran out stays, to be counted.
pub async fn sweep(db: &Db, grace: Duration, limit: i64) -> Result<Vec<OrderId>, DbError> {
    let rows = db
        .query(
            "WITH overdue AS (
                SELECT order_id FROM order_work WHERE due_at < now() - make_interval(secs => $1)
                ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
            ), swept AS (
                UPDATE order_work AS w SET due_at = now() FROM overdue WHERE w.order_id = overdue.order_id
                RETURNING w.order_id
            ), counted AS (
                INSERT INTO order_stats AS s (minute, shard, rescued)
                SELECT date_trunc('minute', now()), 0, count(*) FROM swept HAVING count(*) > 0
                ON CONFLICT (minute, shard) DO UPDATE SET rescued = s.rescued + excluded.rescued
            )
            SELECT order_id FROM swept",
            &[(&grace.as_secs_f64(), Type::FLOAT8), (&limit, Type::INT8)],
        )
        .await?;
    rows.iter().map(order_id).collect()
}

/// Takes a sweep back for orders that the queue could not be told of, so that the next one finds them.
pub async fn unsweep(db: &Db, order_ids: &[&OrderId], grace: Duration) -> Result<(), DbError> {
    let order_ids: Vec<_> = order_ids.iter().map(|order_id| order_id.as_str()).collect();
    db.query(
        "WITH held AS (
            SELECT order_id FROM order_work
            WHERE order_id = ANY ($1) AND due_at <= now() AND due_at > now() - make_interval(secs => $2)
            ORDER BY order_id FOR UPDATE
        ), unswept AS (
            UPDATE order_work AS w SET due_at = now() - make_interval(secs => $2) FROM held WHERE w.order_id = held.order_id
            RETURNING w.order_id
        )
        INSERT INTO order_stats AS s (minute, shard, rescued)
        SELECT date_trunc('minute', now()), 0, -count(*) FROM unswept HAVING count(*) > 0
        ON CONFLICT (minute, shard) DO UPDATE SET rescued = s.rescued + excluded.rescued",
        &[(&order_ids, Type::TEXT_ARRAY), (&grace.as_secs_f64(), Type::FLOAT8)],
    )
    .await
    .map(drop)
}
