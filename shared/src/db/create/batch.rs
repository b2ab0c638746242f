//! Creating a batch: one statement for all of its orders, and a result for each.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::types::Type;

use super::{CreateRequest, Created, compare};
use crate::db::row::order_id;
use crate::db::{DbError, Param, Store, StoreError};
use crate::error::Chain;
use crate::order::OrderId;

/// The most earlier orders that are read at once: 500 items of 128 characters make one as large as 256 KB.
const LOOKED_UP: usize = 50;

impl Store {
    /// Creates the orders of a batch in one statement. Returns one result per request, in their order. The second of two orders with
    /// the same identifier is a repeat of the first, or collides with it. Fails as a whole if the database is unavailable.
    ///
    /// If the statement fails for another reason, this creates the orders one by one, so that no order fails because of another.
    ///
    /// Conflicts: as for [`Self::create`], for each order by itself.
    pub async fn create_all(
        &self,
        requests: &[CreateRequest],
        cancel_window: Duration,
    ) -> Result<Vec<Result<Created, StoreError>>, StoreError> {
        match self.insert_all(requests, cancel_window).await {
            Ok(inserted) => Ok(self.resolve(requests, inserted, cancel_window).await),
            Err(error) if error.is_temporary() => Err(error),
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "could not create a batch in one statement; creating its orders one by one");
                Ok(self.one_by_one(requests, cancel_window).await)
            }
        }
    }

    /// The statement of `Self::insert` for many orders; for one order it takes a tenth longer. It inserts only the first of the orders
    /// with the same identifier. It inserts rows in the order of their identifiers, so that two batches of the same orders can't
    /// deadlock. Generated identifiers have the order of their requests, and so do the keys of a repeat.
    async fn insert_all(
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
        let sql = "WITH inserted AS (
                INSERT INTO orders (order_id, user_id, item_ids, total_amount, currency, metadata, process_after, idempotency_key)
                SELECT order_id, user_id, item_ids::text[], total_amount, currency, metadata::jsonb, process_after, key
                FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)
                    AS request (order_id, user_id, item_ids, total_amount, currency, metadata, process_after, key)
                ORDER BY order_id, key
                ON CONFLICT DO NOTHING
                RETURNING order_id, created_at, process_after
            ), work AS (
                INSERT INTO order_work (order_id, created_at, due_at, process_after)
                SELECT order_id, created_at, greatest(created_at + make_interval(secs => $9), process_after), process_after
                FROM inserted
            )
            SELECT order_id, created_at FROM inserted";
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

    /// Builds one result per request: inserted orders are new, the others are looked up. A failed lookup fails only the requests that
    /// needed it.
    async fn resolve(
        &self,
        requests: &[CreateRequest],
        mut inserted: HashMap<OrderId, OffsetDateTime>,
        cancel_window: Duration,
    ) -> Vec<Result<Created, StoreError>> {
        let mut created: Vec<_> = requests
            .iter()
            .map(|request| inserted.remove(&request.order_id).map(|at| Ok(Created::Inserted(request.inserted(at)))))
            .collect();
        let missing: Vec<_> = (0..requests.len()).filter(|index| created[*index].is_none()).collect();
        // Part by part, because an earlier order can be much larger than the request that it is compared with.
        for part in missing.chunks(LOOKED_UP) {
            let earlier = self.find_earlier(&part.iter().map(|index| &requests[*index]).collect::<Vec<_>>()).await;
            for &index in part {
                let request = &requests[index];
                created[index] = Some(match &earlier {
                    Err(error) => Err(error.again()),
                    Ok(earlier) => match compare(request, earlier) {
                        Some(created) => Ok(created),
                        // An earlier request with the same identifier stood for both, and its key kept it from being inserted.
                        None => self.create(request, cancel_window).await,
                    },
                });
            }
        }
        created.into_iter().flatten().collect()
    }

    /// Creates one order after the other, until the database is unavailable.
    async fn one_by_one(
        &self,
        requests: &[CreateRequest],
        cancel_window: Duration,
    ) -> Vec<Result<Created, StoreError>> {
        let mut created: Vec<Result<Created, StoreError>> = Vec::with_capacity(requests.len());
        for request in requests {
            let is_down = matches!(created.last(), Some(Err(error)) if error.is_temporary());
            created.push(if is_down {
                Err(StoreError::new(
                    "create an order",
                    DbError::Unavailable("an earlier order of the batch could not be stored".into()),
                ))
            } else {
                self.create(request, cancel_window).await
            });
        }
        created
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
