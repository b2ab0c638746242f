//! Retention: deletes ended orders.
//!
//! The functions' role may not delete orders. It may call the function `delete_ended_orders` of the migrations, which runs as the
//! owner of the tables and deletes neither active orders nor any that ended within the last day.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::list::Position;
use super::row::order_id;
use super::{DbError, Param, Store, StoreError};

/// The function that deletes, with its arguments' types.
pub(super) const DELETE_ENDED: &str = "delete_ended_orders(timestamptz, text, timestamptz, integer)";

/// The result of a chunk.
#[derive(Debug)]
pub struct Deleted {
    /// The number of orders that were deleted.
    pub orders: u64,
    /// The last order that the chunk has read, deleted or not: the next chunk starts after it. `None` if no order is as old.
    pub last: Option<Position>,
}

impl Store {
    /// Reads the `chunk` oldest orders after a position, 1000 at most, and deletes those among them that ended longer than `age` ago.
    ///
    /// Conflicts: an order that another statement has locked stays.
    pub async fn delete_ended(
        &self,
        age: Duration,
        after: Option<&Position>,
        chunk: i32,
    ) -> Result<Deleted, StoreError> {
        let sql = "SELECT deleted, last_created_at AS created_at, last_order_id AS order_id
            FROM delete_ended_orders(coalesce($1, '-infinity'), $2, now() - make_interval(secs => $3), $4)";
        let params: [Param; 4] = [
            (&after.map(|position| position.created_at), Type::TIMESTAMPTZ),
            (&after.map_or("", |position| position.order_id.as_str()), Type::TEXT),
            (&age.as_secs_f64(), Type::FLOAT8),
            (&chunk, Type::INT4),
        ];
        let rows = self.query("delete ended orders", sql, &params).await?;
        rows.one(deleted)
    }
}

fn deleted(row: &Row) -> Result<Deleted, DbError> {
    let orders: i64 = row.try_get("deleted")?;
    let created_at: Option<OffsetDateTime> = row.try_get("created_at")?;
    let last = created_at.map(|created_at| Ok::<_, DbError>(Position { created_at, order_id: order_id(row)? }));
    Ok(Deleted { orders: orders.unsigned_abs(), last: last.transpose()? })
}
