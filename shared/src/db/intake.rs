//! Orders as they come in: one, or many in one statement, of one request or of many at the same time.
//!
//! The order and its work are born together, and a unique constraint, not a look beforehand, tells a repeat from a new one.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::orders::{COLUMNS, EVERY, order};
use super::{Db, DbError, QUERY_TIMEOUT};
use crate::error::Chain;
use crate::gather::Gather;
use crate::order::{NewOrder, Order, OrderId, Status};

/// What became of a create.
#[derive(Debug)]
pub enum Created {
    /// The order is new, and durable.
    New(Order),
    /// The same order was created before, and this is how it stands.
    Replayed(Order),
    /// Another order has this `order_id`.
    IdTaken,
    /// The idempotency key was used for another order.
    KeyReused,
}

/// A request for an order.
#[derive(Debug)]
pub struct Wanted {
    order_id: OrderId,
    new: NewOrder,
    key: Option<Vec<u8>>,
}

impl Wanted {
    /// A request for this order, which gets an identifier if it has none. `key` is what tells a repeat of this request from
    /// another one, where the client gave any.
    #[must_use]
    pub fn new(new: NewOrder, key: Option<Vec<u8>>) -> Self {
        let order_id = new.order_id.clone().unwrap_or_else(OrderId::generate);
        Self { order_id, new, key }
    }

    /// The new order, which is all that was asked for and the time it became durable.
    fn born(&self, created_at: OffsetDateTime) -> Order {
        Order {
            order_id: self.order_id.clone(),
            user_id: self.new.user_id.as_str().to_owned(),
            item_ids: self.new.item_ids.as_slice().to_vec(),
            total_amount: self.new.total_amount,
            status: Status::Pending,
            created_at,
            started_at: None,
            finished_at: None,
            attempts: 0,
            failure: None,
        }
    }
}

/// The most orders of one statement.
const MOST_TOGETHER: usize = 100;

/// Creates orders, those of many calls together.
pub struct Intake {
    cancel_window: Duration,
    gather: Gather<Wanted, Result<Created, DbError>>,
}

impl Intake {
    /// An intake of orders that may be worked on once `cancel_window` has passed.
    #[must_use]
    pub const fn new(cancel_window: Duration) -> Self {
        Self { cancel_window, gather: Gather::new(MOST_TOGETHER) }
    }

    /// Creates an order, within the time that a statement has.
    pub async fn create(&self, db: &Db, wanted: Wanted) -> Result<Created, DbError> {
        let created = self.gather.submit(wanted, |wanted| create_each(db, wanted, self.cancel_window));
        let created = timeout(QUERY_TIMEOUT, created).await.ok().flatten();
        created.unwrap_or_else(|| Err(out_of_reach("the statement took too long")))
    }

    /// Creates the orders of one call in one statement, and gives what became of each, in their order. A second order of the
    /// same identifier is a repeat of the first, or collides with it.
    pub async fn create_all(&self, db: &Db, wanted: Vec<Wanted>) -> Vec<Result<Created, DbError>> {
        create_each(db, wanted, self.cancel_window).await
    }
}

/// In one statement, if that works; else one after the other, so that none fails for another's sake, by a deadlock say.
async fn create_each(db: &Db, wanted: Vec<Wanted>, cancel_window: Duration) -> Vec<Result<Created, DbError>> {
    if wanted.len() == 1 {
        return one_by_one(db, &wanted, cancel_window).await;
    }
    match insert_all(db, &wanted, cancel_window).await {
        Ok(born) => settle(db, &wanted, born, cancel_window).await,
        Err(DbError::Unavailable(error)) => wanted.iter().map(|_| Err(out_of_reach(&error.to_string()))).collect(),
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "orders can't be created together; one after the other");
            one_by_one(db, &wanted, cancel_window).await
        }
    }
}

/// What became of orders of which these were born, whatever becomes of the look for the others.
async fn settle(
    db: &Db,
    wanted: &[Wanted],
    mut born: HashMap<String, OffsetDateTime>,
    cancel_window: Duration,
) -> Vec<Result<Created, DbError>> {
    let earlier = if born.len() < wanted.len() { find_earlier(db, wanted).await } else { Ok(Vec::new()) };
    let mut created = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        created.push(match (born.remove(wanted.order_id.as_str()), &earlier) {
            (Some(created_at), _) => Ok(Created::New(wanted.born(created_at))),
            (None, Err(error)) => Err(out_of_reach(&error.to_string())),
            (None, Ok(earlier)) => match judge(wanted, earlier) {
                Some(created) => Ok(created),
                // The first of its identifier did not go in, for its key's sake, and this one was not tried.
                None => create(db, wanted, cancel_window).await,
            },
        });
    }
    created
}

/// One after the other, until the database is out of reach.
async fn one_by_one(db: &Db, wanted: &[Wanted], cancel_window: Duration) -> Vec<Result<Created, DbError>> {
    let mut created: Vec<Result<Created, DbError>> = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        let is_gone = matches!(created.last(), Some(Err(DbError::Unavailable(_))));
        created.push(if is_gone {
            Err(out_of_reach("it was before"))
        } else {
            create(db, wanted, cancel_window).await
        });
    }
    created
}

fn out_of_reach(why: &str) -> DbError {
    DbError::Unavailable(why.to_owned().into())
}

async fn create(db: &Db, wanted: &Wanted, cancel_window: Duration) -> Result<Created, DbError> {
    if let Some(created_at) = insert(db, wanted, cancel_window).await? {
        return Ok(Created::New(wanted.born(created_at)));
    }
    let earlier = find_earlier(db, std::slice::from_ref(wanted)).await?;
    let corrupt = || DbError::Corrupt(format!("order {} is neither new nor there", wanted.order_id));
    judge(wanted, &earlier).ok_or_else(corrupt)
}

/// Gives when the order was created; nothing where the id or the key is taken.
async fn insert(db: &Db, wanted: &Wanted, cancel_window: Duration) -> Result<Option<OffsetDateTime>, DbError> {
    let Wanted { order_id, new, key } = wanted;
    let rows = db
        .query(
            "WITH born AS (
                INSERT INTO orders (order_id, user_id, item_ids, total_amount, idempotency_key)
                VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT DO NOTHING
                RETURNING order_id, created_at
            ), work AS (
                INSERT INTO order_work (order_id, created_at, due_at)
                SELECT order_id, created_at, created_at + make_interval(secs => $6) FROM born
            )
            SELECT created_at FROM born",
            &[
                (&order_id.as_str(), Type::TEXT),
                (&new.user_id.as_str(), Type::TEXT),
                (&new.item_ids.as_slice(), Type::TEXT_ARRAY),
                (&new.total_amount.as_decimal(), Type::NUMERIC),
                (key, Type::BYTEA),
                (&cancel_window.as_secs_f64(), Type::FLOAT8),
            ],
        )
        .await?;
    rows.first().map(|row| Ok(row.try_get("created_at")?)).transpose()
}

/// The statement of [`insert`] for many. That one is not this with a single row, because this takes a tenth longer for it.
/// Of orders with the same identifier only the first goes in. Rows go in in the order of their keys, so that two batches of
/// the same orders can't deadlock.
async fn insert_all(
    db: &Db,
    wanted: &[Wanted],
    cancel_window: Duration,
) -> Result<HashMap<String, OffsetDateTime>, DbError> {
    let mut seen = HashSet::new();
    let wanted: Vec<_> = wanted.iter().filter(|wanted| seen.insert(wanted.order_id.as_str())).collect();
    let order_ids: Vec<_> = wanted.iter().map(|wanted| wanted.order_id.as_str()).collect();
    let user_ids: Vec<_> = wanted.iter().map(|wanted| wanted.new.user_id.as_str()).collect();
    let item_ids: Vec<_> = wanted.iter().map(|wanted| array_literal(wanted.new.item_ids.as_slice())).collect();
    let amounts: Vec<_> = wanted.iter().map(|wanted| wanted.new.total_amount.as_decimal()).collect();
    let keys: Vec<_> = wanted.iter().map(|wanted| wanted.key.as_deref()).collect();
    let rows = db
        .query(
            "WITH born AS (
                INSERT INTO orders (order_id, user_id, item_ids, total_amount, idempotency_key)
                SELECT order_id, user_id, item_ids::text[], total_amount, key
                FROM unnest($1, $2, $3, $4, $5) AS wanted (order_id, user_id, item_ids, total_amount, key)
                ORDER BY key, order_id
                ON CONFLICT DO NOTHING
                RETURNING order_id, created_at
            ), work AS (
                INSERT INTO order_work (order_id, created_at, due_at)
                SELECT order_id, created_at, created_at + make_interval(secs => $6) FROM born
            )
            SELECT order_id, created_at FROM born",
            &[
                (&order_ids, Type::TEXT_ARRAY),
                (&user_ids, Type::TEXT_ARRAY),
                (&item_ids, Type::TEXT_ARRAY),
                (&amounts, Type::NUMERIC_ARRAY),
                (&keys, Type::BYTEA_ARRAY),
                (&cancel_window.as_secs_f64(), Type::FLOAT8),
            ],
        )
        .await?;
    rows.iter().map(|row| Ok((row.try_get("order_id")?, row.try_get("created_at")?))).collect()
}

/// An array as PostgreSQL writes it, since arrays in an array must all be of one length.
fn array_literal(texts: &[String]) -> String {
    let quoted = texts.iter().map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")));
    format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
}

/// An order that stood in the way, and its idempotency key.
struct Earlier {
    order: Order,
    key: Option<Vec<u8>>,
}

/// The orders that have the identifier or the key of one that is wanted.
async fn find_earlier(db: &Db, wanted: &[Wanted]) -> Result<Vec<Earlier>, DbError> {
    let order_ids: Vec<_> = wanted.iter().map(|wanted| wanted.order_id.as_str()).collect();
    let keys: Vec<_> = wanted.iter().filter_map(|wanted| wanted.key.as_deref()).collect();
    let sql = format!(
        "SELECT {COLUMNS}, o.idempotency_key FROM {EVERY}
        WHERE o.order_id = ANY ($1) OR o.idempotency_key = ANY ($2)"
    );
    let rows = db.query(&sql, &[(&order_ids, Type::TEXT_ARRAY), (&keys, Type::BYTEA_ARRAY)]).await?;
    rows.iter().map(|row: &Row| Ok(Earlier { order: order(row)?, key: row.try_get("idempotency_key")? })).collect()
}

/// Tells a repeat from a collision, by the content of the order that was there before; nothing where there was none.
fn judge(wanted: &Wanted, earlier: &[Earlier]) -> Option<Created> {
    let Wanted { order_id, new, key } = wanted;
    if let Some(Earlier { order, .. }) = earlier.iter().find(|earlier| earlier.order.order_id == *order_id) {
        return Some(match is_same_content(order, new) {
            // An id that we made is known to nobody else: the insert was sent twice, because its first answer got lost.
            true if new.order_id.is_none() => Created::New(order.clone()),
            true => Created::Replayed(order.clone()),
            false => Created::IdTaken,
        });
    }
    let Earlier { order, .. } = earlier.iter().find(|earlier| key.is_some() && earlier.key == *key)?;
    // With an id of its own a request asks for that order, and not for the one the key was used for.
    let is_repeat = new.order_id.is_none() && is_same_content(order, new);
    Some(if is_repeat { Created::Replayed(order.clone()) } else { Created::KeyReused })
}

fn is_same_content(earlier: &Order, new: &NewOrder) -> bool {
    earlier.user_id == new.user_id.as_str()
        && earlier.item_ids == new.item_ids.as_slice()
        && earlier.total_amount == new.total_amount
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_written_so_that_nothing_in_it_can_end_it() {
        let texts = ["a", "", "NULL", "b,c", "\"}\\", "ü {"].map(str::to_owned);
        assert_eq!(array_literal(&texts), r#"{"a","","NULL","b,c","\"}\\","ü {"}"#);
    }
}
