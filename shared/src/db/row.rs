//! The rows of a statement, and the readers of the columns that several statements share.

use std::time::Duration;

use rust_decimal::Decimal;
use tokio_postgres::Row;
use tokio_postgres::types::FromSqlOwned;

use super::{DbError, StoreError};
use crate::error::Chain;
use crate::order::{Amount, Currency, ItemIds, Metadata, Order, OrderId, Status, UserId};

/// The rows of a statement. The errors of reading them name the statement.
pub(super) struct Rows {
    statement: &'static str,
    rows: Vec<Row>,
}

impl Rows {
    pub fn new(statement: &'static str, rows: Vec<Row>) -> Self {
        Self { statement, rows }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Reads each row.
    pub fn read<T, C: FromIterator<T>>(&self, read: impl FnMut(&Row) -> Result<T, DbError>) -> Result<C, StoreError> {
        self.named(self.rows.iter().map(read).collect())
    }

    /// Reads each row, and leaves out those that can't be read, so that one of them does not hold up the others.
    pub fn readable<T>(&self, mut read: impl FnMut(&Row) -> Result<T, DbError>) -> Vec<T> {
        let read = |row: &Row| {
            let order_id = row.try_get::<_, &str>("order_id").unwrap_or_default();
            let log = |error: &DbError| {
                tracing::error!(order.id = order_id, statement = self.statement, error = %Chain(error), "could not read a row; it is left out");
            };
            read(row).inspect_err(log).ok()
        };
        self.rows.iter().filter_map(read).collect()
    }

    /// Reads the first row; `None` if there is no row.
    pub fn first<T>(&self, read: impl FnOnce(&Row) -> Result<T, DbError>) -> Result<Option<T>, StoreError> {
        self.named(self.rows.first().map(read).transpose())
    }

    /// Reads the row of a statement that always returns one.
    pub fn one<T>(&self, read: impl FnOnce(&Row) -> Result<T, DbError>) -> Result<T, StoreError> {
        let missing = || DbError::Corrupt("the statement returned no row".to_owned());
        self.named(self.rows.first().ok_or_else(missing).and_then(read))
    }

    /// Reads one column of the row of a statement that always returns one.
    pub fn value<T: FromSqlOwned>(&self, column: &str) -> Result<T, StoreError> {
        self.one(|row| Ok(row.try_get(column)?))
    }

    fn named<T>(&self, result: Result<T, DbError>) -> Result<T, StoreError> {
        result.map_err(|cause| StoreError::new(self.statement, cause))
    }
}

/// The identifiers as the parameter of a statement.
pub(super) fn keys(order_ids: &[OrderId]) -> Vec<&str> {
    order_ids.iter().map(OrderId::as_str).collect()
}

/// The columns of an order's content. An erasure alone changes it: the user and the metadata.
macro_rules! content {
    () => {
        "s.order_id, s.user_id, s.item_ids, s.total_amount, s.currency, s.metadata::text AS metadata, s.process_after"
    };
}
/// The columns of `order_states AS s` with an order's content.
pub(super) const CONTENT: &str = content!();
/// The columns of `order_states AS s` that [`order`] reads.
pub(super) const COLUMNS: &str =
    concat!(content!(), ", s.status, s.created_at, s.started_at, s.finished_at, s.attempts, s.failure");

pub(super) fn order(row: &Row) -> Result<Order, DbError> {
    Ok(Order {
        order_id: order_id(row)?,
        user_id: UserId::stored(row.try_get("user_id")?),
        item_ids: ItemIds::stored(row.try_get("item_ids")?),
        total_amount: amount(row)?,
        metadata: metadata(row)?,
        process_after: row.try_get("process_after")?,
        status: status(row)?,
        created_at: row.try_get("created_at")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
        attempts: row.try_get("attempts")?,
        failure: row.try_get("failure")?,
    })
}

fn amount(row: &Row) -> Result<Amount, DbError> {
    let code: &str = row.try_get("currency")?;
    let currency = Currency::stored(code).ok_or_else(|| DbError::Corrupt(format!("currency {code}")))?;
    Ok(Amount::stored(row.try_get::<_, Decimal>("total_amount")?, currency))
}

fn metadata(row: &Row) -> Result<Metadata, DbError> {
    Metadata::stored(row.try_get("metadata")?)
        .ok_or_else(|| DbError::Corrupt("metadata is no object of strings".to_owned()))
}

pub(super) fn status(row: &Row) -> Result<Status, DbError> {
    let text: &str = row.try_get("status")?;
    text.parse().map_err(|_| DbError::Corrupt(format!("status {text}")))
}

pub(super) fn order_id(row: &Row) -> Result<OrderId, DbError> {
    order_id_of(row, "order_id")
}

pub(super) fn order_id_of(row: &Row, column: &str) -> Result<OrderId, DbError> {
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|_| DbError::Corrupt(format!("{column} {text}")))
}

/// A time that the database computed. A time out of range becomes zero.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
