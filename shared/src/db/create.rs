//! Creating an order. `batch` creates many in one statement, and `insert` has the statements.

mod batch;
mod insert;

use std::time::Duration;

use insert::is_same_content;
use tokio_postgres::types::Type;

use super::params::named;
use super::row::{COLUMNS, order, order_id_of};
use super::{DbError, Param, Store, StoreError};
use crate::order::{NewOrder, Order, OrderId};

/// The result of a create.
#[derive(Debug)]
pub enum Created {
    /// The order is new and durable.
    Inserted(Order),
    /// The same order existed before; this is its present state.
    Replayed(Order),
    /// Another order has this `order_id`.
    IdTaken,
    /// The idempotency key belongs to another order.
    KeyReused,
}

/// A request to create an order.
#[derive(Debug)]
pub struct CreateRequest {
    order_id: OrderId,
    new: NewOrder,
    key: Option<Vec<u8>>,
}

impl CreateRequest {
    /// A request for this order. An order without an identifier gets one. `key` is the client's idempotency key, if it sent one: it
    /// tells a repeat of this request from a new one.
    #[must_use]
    pub fn new(new: NewOrder, key: Option<Vec<u8>>) -> Self {
        let order_id = new.order_id.clone().unwrap_or_else(OrderId::generate);
        Self { order_id, new, key }
    }
}

impl Store {
    /// Creates an order that is due once `cancel_window` has passed, and not before its `process_after`.
    ///
    /// Conflicts: if an order has the same identifier or key, the request is a repeat of it or is refused.
    pub async fn create(&self, request: &CreateRequest, cancel_window: Duration) -> Result<Created, StoreError> {
        // Retention or an erasure may take the earlier order away between the two statements. The next insert then finds none.
        for _ in 0..2 {
            if let Some(created_at) = self.insert(request, cancel_window).await? {
                return Ok(Created::Inserted(request.inserted(created_at)));
            }
            if let Some(created) = compare(request, &self.find_earlier(&[request]).await?) {
                return Ok(created);
            }
        }
        let gone = format!("order {} was not inserted and does not exist", request.order_id);
        Err(StoreError::new("create an order", DbError::Unavailable(gone.into())))
    }

    /// Finds the orders that have the identifier or the key of a request. It reads the content of an order only if it may be a request's:
    /// it has the user of one, and the number of items of one. It therefore reads no other user's content.
    async fn find_earlier(&self, requests: &[&CreateRequest]) -> Result<Vec<Earlier>, StoreError> {
        let order_ids: Vec<_> = requests.iter().map(|request| request.order_id.as_str()).collect();
        let keys: Vec<_> = requests.iter().filter_map(|request| request.key.as_deref()).collect();
        let user_ids: Vec<_> = requests.iter().map(|request| request.new.user_id.as_str()).collect();
        let items = |request: &&CreateRequest| i32::try_from(request.new.item_ids.as_slice().len()).unwrap_or(i32::MAX);
        let items: Vec<_> = requests.iter().map(items).collect();
        let named = named("order_states", "ARRAY[e.order_id]");
        // Each lookup uses an index. An OR of the two conditions could scan the table.
        let sql = format!(
            "WITH earlier AS (
            SELECT order_id, idempotency_key FROM orders WHERE order_id = ANY ($1)
            UNION ALL
            SELECT order_id, idempotency_key FROM orders
            WHERE idempotency_key IS NOT NULL AND idempotency_key = ANY ($2) AND order_id <> ALL ($1)
        )
        SELECT e.order_id AS earlier_id, e.idempotency_key, s.order_id IS NOT NULL AS is_read, {COLUMNS}
        FROM earlier AS e LEFT JOIN LATERAL {named} AS s ON s.user_id = ANY ($3) AND cardinality(s.item_ids) = ANY ($4)"
        );
        let params: [Param; 4] = [
            (&order_ids, Type::TEXT_ARRAY),
            (&keys, Type::BYTEA_ARRAY),
            (&user_ids, Type::TEXT_ARRAY),
            (&items, Type::INT4_ARRAY),
        ];
        let rows = self.query("find earlier orders", &sql, &params).await?;
        rows.read(|row| {
            let order = row.try_get::<_, bool>("is_read")?.then(|| order(row)).transpose()?;
            Ok(Earlier { order_id: order_id_of(row, "earlier_id")?, order, key: row.try_get("idempotency_key")? })
        })
    }
}

/// An order that existed before, and its idempotency key.
struct Earlier {
    order_id: OrderId,
    /// The order; `None` if it can't be any request's.
    order: Option<Order>,
    key: Option<Vec<u8>>,
}

/// Tells a repeat from a collision by the content of the earlier order. Returns `None` if there is no earlier order.
fn compare(request: &CreateRequest, earlier: &[Earlier]) -> Option<Created> {
    let CreateRequest { order_id, new, key } = request;
    let same = |earlier: &Earlier| earlier.order.as_ref().filter(|order| is_same_content(order, new)).cloned();
    if let Some(earlier) = earlier.iter().find(|earlier| earlier.order_id == *order_id) {
        return Some(match same(earlier) {
            // No client knows a generated identifier, so the insert was sent twice: the answer to the first was lost.
            Some(order) if new.order_id.is_none() => Created::Inserted(order),
            Some(order) => Created::Replayed(order),
            None => Created::IdTaken,
        });
    }
    let earlier = earlier.iter().find(|earlier| key.is_some() && earlier.key == *key)?;
    // A request with its own identifier is for that order, and not for the one that first used the key.
    let repeated = same(earlier).filter(|_| new.order_id.is_none());
    Some(repeated.map_or(Created::KeyReused, Created::Replayed))
}
