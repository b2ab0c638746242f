//! Creating orders: one, or those of a batch in one statement.
//!
//! One statement inserts an order and its work, so that neither is there without the other. A unique constraint tells a repeat
//! from a new order; nothing is looked up first.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::orders::{COLUMNS, order};
use super::{Db, DbError};
use crate::error::Chain;
use crate::order::{NewOrder, Order, OrderId, Status};

/// The result of a create.
#[derive(Debug)]
pub enum Created {
    /// The order is new, and durable.
    Inserted(Order),
    /// The same order was created before; this is its present state.
    Replayed(Order),
    /// Another order has this `order_id`.
    IdTaken,
    /// The idempotency key was used for another order.
    KeyReused,
}

/// A request for an order.
#[derive(Debug)]
pub struct CreateRequest {
    order_id: OrderId,
    new: NewOrder,
    key: Option<Vec<u8>>,
}

impl CreateRequest {
    /// A request for this order, which gets an identifier if it has none. `key` tells a repeat of this request from another
    /// one, where the client gave any.
    #[must_use]
    pub fn new(new: NewOrder, key: Option<Vec<u8>>) -> Self {
        let order_id = new.order_id.clone().unwrap_or_else(OrderId::generate);
        Self { order_id, new, key }
    }

    /// The order as it was inserted: the request's content, and the time at which it became durable.
    fn inserted(&self, created_at: OffsetDateTime) -> Order {
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

/// Creates an order that may be worked on once `cancel_window` has passed.
///
/// Conflicts: an order with the same identifier or key makes this a repeat of it, or refuses the request.
pub async fn create(db: &Db, request: &CreateRequest, cancel_window: Duration) -> Result<Created, DbError> {
    if let Some(created_at) = insert(db, request, cancel_window).await? {
        return Ok(Created::Inserted(request.inserted(created_at)));
    }
    let earlier = find_earlier(db, std::slice::from_ref(request)).await?;
    let corrupt = || DbError::Corrupt(format!("order {} is neither new nor there", request.order_id));
    compare(request, &earlier).ok_or_else(corrupt)
}

/// Creates the orders of a batch in one statement, and returns a result for each, in their order. A second order of the same
/// identifier is a repeat of the first, or collides with it. Fails as a whole where the database can't be used now.
///
/// A statement that fails for another reason is repeated order by order, so that no order fails because of another.
pub async fn create_all(
    db: &Db,
    requests: &[CreateRequest],
    cancel_window: Duration,
) -> Result<Vec<Result<Created, DbError>>, DbError> {
    match insert_all(db, requests, cancel_window).await {
        Ok(inserted) => Ok(resolve(db, requests, inserted, cancel_window).await),
        Err(error) if error.is_temporary() => Err(error),
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "could not create a batch in one statement; creating its orders one by one");
            Ok(one_by_one(db, requests, cancel_window).await)
        }
    }
}

/// Builds one result per request: inserted orders are new, the others are looked up. A failed lookup fails only the requests
/// that needed it.
async fn resolve(
    db: &Db,
    requests: &[CreateRequest],
    mut inserted: HashMap<String, OffsetDateTime>,
    cancel_window: Duration,
) -> Vec<Result<Created, DbError>> {
    let earlier = if inserted.len() < requests.len() { find_earlier(db, requests).await } else { Ok(Vec::new()) };
    let mut created = Vec::with_capacity(requests.len());
    for request in requests {
        created.push(match (inserted.remove(request.order_id.as_str()), &earlier) {
            (Some(created_at), _) => Ok(Created::Inserted(request.inserted(created_at))),
            (None, Err(error)) => Err(DbError::Unavailable(Chain(error).to_string().into())),
            (None, Ok(earlier)) => match compare(request, earlier) {
                Some(created) => Ok(created),
                // An earlier request of the same identifier was not inserted, because of its key, and this one was left out.
                None => create(db, request, cancel_window).await,
            },
        });
    }
    created
}

/// Creates one order after the other, until the database can't be used.
async fn one_by_one(db: &Db, requests: &[CreateRequest], cancel_window: Duration) -> Vec<Result<Created, DbError>> {
    let mut created: Vec<Result<Created, DbError>> = Vec::with_capacity(requests.len());
    for request in requests {
        let is_down = matches!(created.last(), Some(Err(error)) if error.is_temporary());
        created.push(if is_down {
            Err(DbError::Unavailable("an earlier order of the batch could not be stored".into()))
        } else {
            create(db, request, cancel_window).await
        });
    }
    created
}

/// Inserts the order and its work. Returns the time of creation, or `None` if the identifier or the key exists.
async fn insert(db: &Db, request: &CreateRequest, cancel_window: Duration) -> Result<Option<OffsetDateTime>, DbError> {
    let CreateRequest { order_id, new, key } = request;
    let rows = db
        .query(
            "WITH inserted AS (
                INSERT INTO orders (order_id, user_id, item_ids, total_amount, idempotency_key)
                VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT DO NOTHING
                RETURNING order_id, created_at
            ), work AS (
                INSERT INTO order_work (order_id, created_at, due_at)
                SELECT order_id, created_at, created_at + make_interval(secs => $6) FROM inserted
            )
            SELECT created_at FROM inserted",
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

/// The statement of [`insert`] for many; for a single order this one takes a tenth longer. It inserts only the first of
/// the orders with the same identifier. It inserts rows in the order of their keys, so that two batches of the same orders can't
/// deadlock.
async fn insert_all(
    db: &Db,
    requests: &[CreateRequest],
    cancel_window: Duration,
) -> Result<HashMap<String, OffsetDateTime>, DbError> {
    let mut seen = HashSet::new();
    let requests: Vec<_> = requests.iter().filter(|request| seen.insert(request.order_id.as_str())).collect();
    let order_ids: Vec<_> = requests.iter().map(|request| request.order_id.as_str()).collect();
    let user_ids: Vec<_> = requests.iter().map(|request| request.new.user_id.as_str()).collect();
    let item_ids: Vec<_> = requests.iter().map(|request| array_literal(request.new.item_ids.as_slice())).collect();
    let amounts: Vec<_> = requests.iter().map(|request| request.new.total_amount.as_decimal()).collect();
    let keys: Vec<_> = requests.iter().map(|request| request.key.as_deref()).collect();
    let rows = db
        .query(
            "WITH inserted AS (
                INSERT INTO orders (order_id, user_id, item_ids, total_amount, idempotency_key)
                SELECT order_id, user_id, item_ids::text[], total_amount, key
                FROM unnest($1, $2, $3, $4, $5) AS request (order_id, user_id, item_ids, total_amount, key)
                ORDER BY key, order_id
                ON CONFLICT DO NOTHING
                RETURNING order_id, created_at
            ), work AS (
                INSERT INTO order_work (order_id, created_at, due_at)
                SELECT order_id, created_at, created_at + make_interval(secs => $6) FROM inserted
            )
            SELECT order_id, created_at FROM inserted",
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

/// An order that was there before, and its idempotency key.
struct Earlier {
    order: Order,
    key: Option<Vec<u8>>,
}

/// Finds the orders that have the identifier or the key of a request.
async fn find_earlier(db: &Db, requests: &[CreateRequest]) -> Result<Vec<Earlier>, DbError> {
    let order_ids: Vec<_> = requests.iter().map(|request| request.order_id.as_str()).collect();
    let keys: Vec<_> = requests.iter().filter_map(|request| request.key.as_deref()).collect();
    // Two lookups by an index each: an OR of the two conditions could be a scan of the table.
    let sql = format!(
        "SELECT {COLUMNS}, idempotency_key FROM order_states WHERE order_id = ANY ($1)
        UNION ALL
        SELECT {COLUMNS}, idempotency_key FROM order_states
        WHERE idempotency_key IS NOT NULL AND idempotency_key = ANY ($2) AND order_id <> ALL ($1)"
    );
    let rows = db.query(&sql, &[(&order_ids, Type::TEXT_ARRAY), (&keys, Type::BYTEA_ARRAY)]).await?;
    rows.iter().map(|row: &Row| Ok(Earlier { order: order(row)?, key: row.try_get("idempotency_key")? })).collect()
}

/// Tells a repeat from a collision by the content of the earlier order. Returns `None` where there is no earlier order.
fn compare(request: &CreateRequest, earlier: &[Earlier]) -> Option<Created> {
    let CreateRequest { order_id, new, key } = request;
    if let Some(Earlier { order, .. }) = earlier.iter().find(|earlier| earlier.order.order_id == *order_id) {
        return Some(match is_same_content(order, new) {
            // No client knows an identifier that we made: the insert was sent twice, because its first answer was lost.
            true if new.order_id.is_none() => Created::Inserted(order.clone()),
            true => Created::Replayed(order.clone()),
            false => Created::IdTaken,
        });
    }
    let Earlier { order, .. } = earlier.iter().find(|earlier| key.is_some() && earlier.key == *key)?;
    // A request with an identifier of its own asks for that order, not for the one that the key was used for.
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
