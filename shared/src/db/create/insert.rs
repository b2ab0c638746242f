//! What a create stores. One statement inserts orders and their work, so that neither exists without the other. A unique constraint tells a
//! repeat from a new order, without a lookup first.
//!
//! One order has a statement of its own, because the one for many takes a tenth longer. Both are here, with all that names the fields of an
//! order, so that a new field changes no other file of a create.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::types::Type;

use super::CreateRequest;
use crate::db::row::order_id;
use crate::db::{Param, Store, StoreError};
use crate::order::{NewOrder, Order, OrderId, Status};

impl CreateRequest {
    /// The inserted order: the request's content, and the time at which it became durable.
    pub(super) fn inserted(&self, created_at: OffsetDateTime) -> Order {
        Order {
            order_id: self.order_id.clone(),
            user_id: self.new.user_id.clone(),
            item_ids: self.new.item_ids.clone(),
            total_amount: self.new.total_amount,
            metadata: self.new.metadata.clone(),
            process_after: self.new.process_after,
            status: Status::Pending,
            created_at,
            started_at: None,
            finished_at: None,
            attempts: 0,
            failure: None,
        }
    }
}

/// Whether an earlier order has the content of a request.
pub(super) fn is_same_content(earlier: &Order, new: &NewOrder) -> bool {
    earlier.user_id == new.user_id
        && earlier.item_ids == new.item_ids
        && earlier.total_amount == new.total_amount
        && earlier.metadata == new.metadata
        && earlier.process_after == new.process_after
}

/// The statement that inserts these rows and their work. `$9` is the cancel window in seconds. Returns the inserted orders.
macro_rules! insert {
    ($rows:literal) => {
        concat!(
            "WITH inserted AS (
            INSERT INTO orders (order_id, user_id, item_ids, total_amount, currency, metadata, process_after, idempotency_key)
            ",
            $rows,
            "
            ON CONFLICT DO NOTHING
            RETURNING order_id, created_at, process_after
        ), work AS (
            INSERT INTO order_work (order_id, created_at, due_at, process_after)
            SELECT order_id, created_at, greatest(created_at + make_interval(secs => $9), process_after), process_after
            FROM inserted
        )
        SELECT order_id, created_at FROM inserted"
        )
    };
}

impl Store {
    /// Inserts the order and its work. Returns the time of creation, or `None` if the identifier or the key exists.
    pub(super) async fn insert(
        &self,
        request: &CreateRequest,
        cancel_window: Duration,
    ) -> Result<Option<OffsetDateTime>, StoreError> {
        let CreateRequest { order_id, new, key } = request;
        let sql = insert!("VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8)");
        let params: [Param; 9] = [
            (&order_id.as_str(), Type::TEXT),
            (&new.user_id.as_str(), Type::TEXT),
            (&new.item_ids.as_slice(), Type::TEXT_ARRAY),
            (&new.total_amount.as_decimal(), Type::NUMERIC),
            (&new.total_amount.currency().code(), Type::TEXT),
            (&new.metadata.to_json(), Type::TEXT),
            (&new.process_after, Type::TIMESTAMPTZ),
            (key, Type::BYTEA),
            (&cancel_window.as_secs_f64(), Type::FLOAT8),
        ];
        let rows = self.query("create an order", sql, &params).await?;
        rows.first(|row| Ok(row.try_get("created_at")?))
    }

    /// Inserts many orders and their work. Returns the times of creation, without the orders whose identifier or key exists.
    ///
    /// It inserts only the first of the orders with the same identifier. It inserts rows in the order of their identifiers, so that two
    /// batches of the same orders can't deadlock. Generated identifiers have the order of their requests, and so do the keys of a repeat.
    pub(super) async fn insert_all(
        &self,
        requests: &[CreateRequest],
        cancel_window: Duration,
    ) -> Result<HashMap<OrderId, OffsetDateTime>, StoreError> {
        let mut seen = HashSet::new();
        let requests: Vec<_> = requests.iter().filter(|request| seen.insert(request.order_id.as_str())).collect();
        let order_ids: Vec<_> = requests.iter().map(|request| request.order_id.as_str()).collect();
        let user_ids: Vec<_> = requests.iter().map(|request| request.new.user_id.as_str()).collect();
        let item_ids: Vec<_> = requests.iter().map(|request| array_literal(request.new.item_ids.as_slice())).collect();
        let amounts: Vec<_> = requests.iter().map(|request| request.new.total_amount.as_decimal()).collect();
        let currencies: Vec<_> = requests.iter().map(|request| request.new.total_amount.currency().code()).collect();
        let metadata: Vec<_> = requests.iter().map(|request| request.new.metadata.to_json()).collect();
        let process_after: Vec<_> = requests.iter().map(|request| request.new.process_after).collect();
        let keys: Vec<_> = requests.iter().map(|request| request.key.as_deref()).collect();
        let sql = insert!(
            "SELECT order_id, user_id, item_ids::text[], total_amount, currency, metadata::jsonb, process_after, key
            FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)
                AS request (order_id, user_id, item_ids, total_amount, currency, metadata, process_after, key)
            ORDER BY order_id, key"
        );
        let params: [Param; 9] = [
            (&order_ids, Type::TEXT_ARRAY),
            (&user_ids, Type::TEXT_ARRAY),
            (&item_ids, Type::TEXT_ARRAY),
            (&amounts, Type::NUMERIC_ARRAY),
            (&currencies, Type::TEXT_ARRAY),
            (&metadata, Type::TEXT_ARRAY),
            (&process_after, Type::TIMESTAMPTZ_ARRAY),
            (&keys, Type::BYTEA_ARRAY),
            (&cancel_window.as_secs_f64(), Type::FLOAT8),
        ];
        let rows = self.query("create a batch of orders", sql, &params).await?;
        rows.read(|row| Ok((order_id(row)?, row.try_get("created_at")?)))
    }
}

/// An array as a PostgreSQL literal. The arrays within an array would all need the same length.
fn array_literal(texts: &[String]) -> String {
    let quoted = texts.iter().map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")));
    format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn array_literal_escapes_every_element() {
        let texts = ["a", "", "NULL", "b,c", "\"}\\", "ü {"].map(str::to_owned);
        assert_eq!(array_literal(&texts), r#"{"a","","NULL","b,c","\"}\\","ü {"}"#);
    }
}
