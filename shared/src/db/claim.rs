//! Claiming: the first of the processor's statements.
//!
//! `order_work.due_at` is when an order next needs attention. A claim moves it to the end of a lease and stores a random fencing
//! token. A later statement with another token changes nothing ([`super::finish`]).
//!
//! The work therefore holds no lock, and no part has to notice that a worker died: its orders fall due by themselves, and the next
//! delivery of their messages claims them. The price is an attempt, because nothing tells a crash from work that had an effect, and two
//! minutes, because SQS keeps the messages invisible for so long.
//!
//! A batch is claimed by one statement. Orders whose lease has expired take a second one, which counts the attempt and records it, so that
//! other batches don't pay for that. A row that another statement has locked is skipped, and its order counts as not due: waiting for the
//! lock would hold up the whole batch. The record of an expired lease does wait for a statement that locks the order itself, such as an
//! erasure. A claim writes one new version of each row, on the same page. A later statement that reads the page removes the old one once
//! the page is more than half full, unless an open transaction may still see it.

use std::collections::HashSet;
use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::history::is_recorded;
use super::pause::IS_PAUSED;
use super::row::{keys, order_id, seconds};
use super::{DbError, Param, Store, StoreError};
use crate::order::OrderId;

/// The fencing token of a claim. It proves that the claimed orders are ours until the lease ends.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClaimToken(pub(super) Uuid);

/// The result of claiming a batch. Each order of the batch is in one of the lists.
#[derive(Debug, Default)]
pub struct Claim {
    /// The token for the statements that end the lease.
    pub token: ClaimToken,
    /// The orders to process now.
    pub claimed: Vec<Claimed>,
    /// The orders that are not due, each with the time until it is: those that wait (some since this claim), and those that another worker
    /// holds. The time is zero for an order that is left to a later claim.
    pub not_due: Vec<(OrderId, Duration)>,
    /// The orders that are due, but not claimed, because processing is paused.
    pub paused: Vec<OrderId>,
    /// The orders that have ended or do not exist.
    pub ended: Vec<OrderId>,
    /// The orders whose lease has expired and whose claim failed, with the error.
    pub not_reclaimed: Option<(Vec<OrderId>, StoreError)>,
}

/// An order that is ours until the lease ends. The work that needs its content reads it.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The order.
    pub order_id: OrderId,
    /// The attempts that are used up: they failed, or their worker crashed.
    pub attempts: i32,
    /// When work first started, by the database's clock.
    pub started_at: OffsetDateTime,
    /// When it was claimed, by the same clock.
    pub claimed_at: OffsetDateTime,
}

impl Store {
    /// Claims the due orders among `order_ids` for `lease`. An expired lease counts as a failed attempt, so that an order that crashes its
    /// worker can't do so for ever. If one of the orders whose lease has expired had used up an attempt before, only half of them are claimed.
    /// One that begins the last of `max_attempts` is claimed without others whose lease has expired. While processing is paused, none is.
    ///
    /// The first claim starts an order. If its work has a `delay`, the order is not claimed then: it waits.
    ///
    /// Conflicts: an order that another worker is claiming at the same time is not due.
    pub async fn claim(
        &self,
        order_ids: &[OrderId],
        lease: Duration,
        delay: Duration,
        max_attempts: i32,
    ) -> Result<Claim, StoreError> {
        let mut claim = Claim { token: ClaimToken(Uuid::new_v4()), ..Claim::default() };
        let (lease, delay) = (lease.as_secs_f64(), delay.as_secs_f64());
        let ClaimToken(token) = claim.token;
        let params: [Param; 3] = [(&token, Type::UUID), (&lease, Type::FLOAT8), (&delay, Type::FLOAT8)];
        let mut lapsed = self.claim_by(&claim_due(), order_ids, &params, &mut claim).await?;
        lapsed.sort_by_key(|(_, attempts)| *attempts);
        let later = lapsed.split_off(reclaimed_together(&lapsed, max_attempts));
        claim.not_due.extend(later.into_iter().map(|(order_id, _)| (order_id, Duration::ZERO)));
        let lapsed: Vec<_> = lapsed.into_iter().map(|(order_id, _)| order_id).collect();
        // Leases rarely expire. The statement that counts and records them is a second one, so that others don't pay for it.
        if !lapsed.is_empty() {
            // The orders of the first statement are claimed already. They would lose an attempt if this error were returned instead.
            if let Err(error) = self.claim_by(&claim_lapsed(), &lapsed, &params[..2], &mut claim).await {
                claim.not_reclaimed = Some((lapsed, error));
            }
        }
        let claimed = claim.claimed.iter().map(|order| &order.order_id);
        let not_reclaimed = claim.not_reclaimed.iter().flat_map(|(order_ids, _)| order_ids);
        let not_due = claim.not_due.iter().map(|(order_id, _)| order_id);
        let active: HashSet<_> = claimed.chain(not_due).chain(&claim.paused).chain(not_reclaimed).collect();
        claim.ended = order_ids.iter().filter(|order_id| !active.contains(order_id)).cloned().collect();
        Ok(claim)
    }

    /// Executes a statement of the claim and adds each order to its list of `claim`. Returns those that have no list: the orders whose
    /// lease has expired, each with its attempts until then.
    async fn claim_by(
        &self,
        sql: &str,
        order_ids: &[OrderId],
        params: &[Param<'_>],
        claim: &mut Claim,
    ) -> Result<Vec<(OrderId, i32)>, StoreError> {
        let keys = keys(order_ids);
        let params = [&[(&keys as _, Type::TEXT_ARRAY)], params].concat();
        let mut lapsed = Vec::new();
        let rows = self.query("claim orders", sql, &params).await?;
        rows.read(|row| {
            match row.try_get("outcome")? {
                "claimed" => claim.claimed.push(claimed(row)?),
                "paused" => claim.paused.push(order_id(row)?),
                "lapsed" => lapsed.push((order_id(row)?, row.try_get("attempts")?)),
                "not_due" => claim.not_due.push((order_id(row)?, seconds(row.try_get("due_in_seconds")?))),
                outcome => return Err(DbError::Corrupt(format!("no claim has the outcome {outcome}"))),
            }
            Ok(())
        })
        .map(|()| lapsed)
    }
}

/// How many of these orders, the least attempts first, are claimed together after their lease has expired. The lapse itself uses up an
/// attempt.
///
/// Orders without another attempt fail and do no work. One of the others may crash its worker each time: the half with the fewest attempts
/// is claimed alone, so the healthy orders are separated from the bad one. An order begins its last attempt without the others,
/// because the halves may need more attempts than there are.
fn reclaimed_together(lapsed: &[(OrderId, i32)], max_attempts: i32) -> usize {
    let used: Vec<_> = lapsed.iter().map(|(_, before)| before + 1).collect();
    if used.iter().all(|used| *used >= max_attempts) {
        return used.len();
    }
    let has_crashed_before = used.iter().any(|used| *used > 1);
    let half = if has_crashed_before { used.len().div_ceil(2) } else { used.len() };
    let begins_last = |used: &i32| used + 1 >= max_attempts;
    used.iter().take(half).take_while(|used| !begins_last(used)).count().max(1)
}

/// Claims due orders that no worker holds, or starts their delay. Returns orders whose lease has expired as such. If every order was due,
/// it does not look for others. A row has this claim's own token (`claim = $2`) if the statement is sent again because its answer was lost.
///
/// `$1` the orders, `$2` the token, `$3` the lease, `$4` the delay, both in seconds.
fn claim_due() -> String {
    format!(
        "WITH due AS (
        SELECT order_id FROM order_work
        WHERE order_id = ANY ($1) AND (claim = $2 OR claim IS NULL AND due_at <= now() AND NOT {IS_PAUSED})
        ORDER BY order_id FOR UPDATE SKIP LOCKED
    ), begun AS (
        UPDATE order_work AS w
        SET started_at = coalesce(w.started_at, now()),
            claim = CASE WHEN w.started_at IS NULL AND $4 > 0 THEN NULL ELSE $2 END,
            due_at = now() + make_interval(secs => CASE WHEN w.started_at IS NULL AND $4 > 0 THEN $4 ELSE $3 END)
        WHERE w.order_id = ANY (ARRAY (SELECT order_id FROM due))
        RETURNING w.order_id, w.attempts, w.started_at, w.due_at, w.claim
    )
    SELECT CASE WHEN claim IS NULL THEN 'not_due' ELSE 'claimed' END AS outcome, order_id, attempts, started_at, now() AS claimed_at,
        extract(epoch FROM due_at - now())::float8 AS due_in_seconds
    FROM begun
    UNION ALL
    SELECT CASE WHEN due_at > now() THEN 'not_due' WHEN {IS_PAUSED} THEN 'paused' WHEN claim IS NOT NULL THEN 'lapsed' ELSE 'not_due' END,
        order_id, attempts, NULL, NULL, greatest(0, extract(epoch FROM due_at - now()))::float8
    FROM order_work
    WHERE (SELECT count(*) FROM begun) < cardinality($1) AND order_id = ANY ($1) AND order_id NOT IN (SELECT order_id FROM begun)"
    )
}

/// Claims orders whose lease has expired, counts the failed attempt and records it. The parameters are the first three of [`claim_due`].
fn claim_lapsed() -> String {
    format!(
        "WITH lapsed AS (
        SELECT order_id, claim <> $2 AS is_counted FROM order_work
        WHERE order_id = ANY ($1) AND (claim = $2 OR claim IS NOT NULL AND due_at <= now() AND NOT {IS_PAUSED})
        ORDER BY order_id FOR UPDATE SKIP LOCKED
    ), leased AS (
        UPDATE order_work AS w
        SET claim = $2, due_at = now() + make_interval(secs => $3), attempts = w.attempts + (w.claim <> $2)::int
        WHERE w.order_id = ANY (ARRAY (SELECT order_id FROM lapsed))
        RETURNING w.order_id, w.attempts, w.started_at
    ), recorded AS (
        INSERT INTO order_events (order_id, event, attempt, cause)
        SELECT order_id, 'attempt_failed', attempts, 'the worker ended without an outcome'
        FROM leased WHERE order_id = ANY (ARRAY (SELECT order_id FROM lapsed WHERE is_counted)) AND {}
    )
    SELECT 'claimed' AS outcome, order_id, attempts, started_at, now() AS claimed_at, 0::float8 AS due_in_seconds FROM leased
    UNION ALL
    SELECT CASE WHEN due_at <= now() AND {IS_PAUSED} THEN 'paused' ELSE 'not_due' END,
        order_id, attempts, NULL, NULL, greatest(0, extract(epoch FROM due_at - now()))::float8
    FROM order_work WHERE order_id = ANY ($1) AND order_id NOT IN (SELECT order_id FROM leased)",
        is_recorded("leased")
    )
}

fn claimed(row: &Row) -> Result<Claimed, DbError> {
    Ok(Claimed {
        order_id: order_id(row)?,
        attempts: row.try_get("attempts")?,
        started_at: row.try_get("started_at")?,
        claimed_at: row.try_get("claimed_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lapsed_orders_are_reclaimed_by_their_attempts() {
        let together = |attempts: &[i32], max_attempts| {
            let lapsed: Vec<_> = attempts.iter().map(|attempts| ("o".parse().unwrap(), *attempts)).collect();
            reclaimed_together(&lapsed, max_attempts)
        };
        assert_eq!([together(&[], 12), together(&[0; 10], 12)], [0, 10], "none has crashed before");
        assert_eq!([together(&[1; 10], 12), together(&[0, 0, 0, 0, 5], 12)], [5, 3], "half of them");
        assert_eq!([together(&[0; 10], 2), together(&[0, 10, 10, 10], 12)], [1, 1], "the last attempt is begun alone");
        assert_eq!([together(&[0; 10], 1), together(&[11; 10], 12)], [10, 10], "no attempt is left");
        assert_eq!(together(&[0, 11, 11, 11], 12), 1, "the others come later");
    }
}
