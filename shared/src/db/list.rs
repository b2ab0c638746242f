//! Listing orders, page by page.

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::row::{COLUMNS, Rows, keys, order, order_id_of, qualified};
use super::{DbError, Param, Store, StoreError};
use crate::order::{Order, OrderId, Status, UserId};

/// A filter on the orders of a list.
#[derive(Debug, Default)]
pub struct Filter<'a> {
    /// Orders in this status.
    pub status: Option<Status>,
    /// The orders of this user.
    pub user_id: Option<&'a UserId>,
    /// These orders, a hundred at most.
    pub order_ids: Option<&'a [OrderId]>,
    /// Orders that were created at this time or later.
    pub created_from: Option<OffsetDateTime>,
    /// Orders that were created before this time.
    pub created_before: Option<OffsetDateTime>,
    /// Failed orders whose `failure` contains this text.
    pub cause: Option<&'a str>,
    /// Orders after this position in the list, which runs from newest to oldest.
    pub after: Option<&'a Position>,
}

/// The position of an order in the list. Its time has microseconds, as in PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// When the order was created.
    pub created_at: OffsetDateTime,
    /// The order's identifier, which sorts orders of the same microsecond.
    pub order_id: OrderId,
}

/// A page of a list.
#[derive(Debug)]
pub struct OrderPage {
    /// The newest orders that match the filter.
    pub orders: Vec<Order>,
    /// The position at which the next page begins; `None` at the end of the list.
    pub next: Option<Position>,
}

/// The most orders read for a page whose orders have no index of their own.
const MAX_SCANNED: i64 = 10_000;

/// The statuses whose orders have an index of their own, or are those of `order_work`.
const INDEXES: [(Status, &str); 4] = [
    (Status::Pending, "started_at IS NULL"),
    (Status::Processing, "started_at IS NOT NULL"),
    (Status::Failed, "failure IS NOT NULL"),
    (Status::Cancelled, "cancelled"),
];

impl Store {
    /// Reads the newest `limit` orders that match the filter.
    ///
    /// The work is bounded, however few orders match. Active orders come from `order_work`; failed and cancelled ones have an index.
    /// For completed orders, for one user's orders of one status, and for a cause, this reads the next [`MAX_SCANNED`] orders (for a
    /// cause the next failed ones) and picks the matches. Such a page can hold fewer than `limit` orders, or none, and `next` is the
    /// position to continue from. A range of times bounds the scan of the same index.
    pub async fn list_orders(&self, filter: &Filter<'_>, limit: i64) -> Result<OrderPage, StoreError> {
        let is_scan = filter.is_scan();
        // One order more than `limit` shows whether there is a next page.
        let most = limit + 1;
        let page = format!(
            "SELECT {} FROM ({} LIMIT $4) AS candidate JOIN order_states AS s USING (order_id) {}
        ORDER BY candidate.created_at DESC, candidate.order_id DESC LIMIT $5",
            qualified(COLUMNS),
            filter.candidates(),
            filter.picked(),
        );
        let has_end = is_scan && filter.order_ids.is_none();
        let sql = if has_end { filter.with_end_of_scan(&page) } else { page };
        let rows = filter.query(self, &sql, if is_scan { MAX_SCANNED } else { most }, most).await?;
        let orders: Vec<_> = rows.read(order_or_none)?;
        let mut orders: Vec<_> = orders.into_iter().flatten().collect();
        let has_more = orders.len() > usize::try_from(limit).unwrap_or(usize::MAX);
        orders.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let next = match orders.last() {
            Some(last) if has_more => Some(Position { created_at: last.created_at, order_id: last.order_id.clone() }),
            _ if has_end => rows.one(end_of_scan)?,
            _ => None,
        };
        Ok(OrderPage { orders, next })
    }
}

impl Filter<'_> {
    /// Whether no index holds exactly the list's orders, so that others are read too.
    fn is_scan(&self) -> bool {
        self.status.is_some_and(|status| index(status).is_none())
            || self.status.is_some() && self.user_id.is_some()
            || self.order_ids.is_some()
            || self.cause.is_some()
    }

    /// Picks the matches of a scan.
    fn picked(&self) -> String {
        let by_status = self.status.filter(|_| self.is_scan()).map(|_| "s.status = $6");
        let by_cause = self.cause.map(|_| "strpos(s.failure, $10) > 0");
        all_of(&by_status.into_iter().chain(by_cause).collect::<Vec<_>>())
    }

    /// The end of the range of times, unless the page begins before it anyway. Two upper bounds of one index would make the scan
    /// begin at the first, and read all orders between them.
    fn upper_bound(&self) -> Option<OffsetDateTime> {
        self.created_before.filter(|before| self.after.is_none_or(|after| *before <= after.created_at))
    }

    /// Selects the identifiers of the list, in its order, from the index that has them. Identifiers that the caller names are selected
    /// without an order, so that only the primary key can serve them.
    fn candidates(&self) -> String {
        let is_active = self.status.is_some_and(Status::is_active) && !self.is_scan();
        let table = if is_active { "order_work" } else { "orders" };
        let is_by_cause = self.cause.is_some() && self.user_id.is_none() && self.order_ids.is_none();
        let of_index = if is_by_cause { Some(Status::Failed) } else { self.status.filter(|_| !self.is_scan()) };
        let mut conditions: Vec<_> = of_index.and_then(index).into_iter().collect();
        conditions.extend(self.user_id.map(|_| "user_id = $1"));
        conditions.extend(self.order_ids.map(|_| "order_id = ANY ($7)"));
        conditions.extend(self.created_from.map(|_| "created_at >= $8"));
        conditions.extend(match (self.upper_bound(), self.after) {
            (Some(_), _) => Some("created_at < $9"),
            (None, Some(_)) => Some("(created_at, order_id) < ($2, $3)"),
            (None, None) => None,
        });
        let order = if self.order_ids.is_some() { "" } else { "ORDER BY created_at DESC, order_id DESC" };
        format!("SELECT order_id, created_at FROM {table} {} {order}", all_of(&conditions))
    }

    /// The statement of a page, with the last order of its scan in each row: the next page starts after it. A row without an order
    /// says that no order matches. A second statement would scan other orders, if some were retried in between.
    fn with_end_of_scan(&self, page: &str) -> String {
        format!(
            "WITH page AS MATERIALIZED ({page})
        SELECT page.*, last.created_at AS scanned_created_at, last.order_id AS scanned_order_id
        FROM (SELECT) AS always LEFT JOIN page ON true LEFT JOIN (
            SELECT created_at, order_id FROM ({} OFFSET $4 - 1 LIMIT 1) AS last WHERE (SELECT count(*) FROM page) < $5
        ) AS last ON true
        ORDER BY page.created_at DESC, page.order_id DESC",
            self.candidates()
        )
    }

    async fn query(&self, store: &Store, sql: &str, fourth: i64, fifth: i64) -> Result<Rows, StoreError> {
        let order_ids = self.order_ids.map(keys);
        let params: [Param; 10] = [
            (&self.user_id.map(UserId::as_str), Type::TEXT),
            (&self.after.map(|position| position.created_at), Type::TIMESTAMPTZ),
            (&self.after.map(|position| position.order_id.as_str()), Type::TEXT),
            (&fourth, Type::INT8),
            (&fifth, Type::INT8),
            (&self.status.map(Status::as_str), Type::TEXT),
            (&order_ids, Type::TEXT_ARRAY),
            (&self.created_from, Type::TIMESTAMPTZ),
            (&self.upper_bound(), Type::TIMESTAMPTZ),
            (&self.cause, Type::TEXT),
        ];
        store.query("list orders", sql, &params).await
    }
}

/// The order of a row; `None` in the row of a scan without a match.
fn order_or_none(row: &Row) -> Result<Option<Order>, DbError> {
    let order_id: Option<&str> = row.try_get("order_id")?;
    order_id.map(|_| order(row)).transpose()
}

/// The last order of a scan; `None` if the scan reached the end of the list.
fn end_of_scan(row: &Row) -> Result<Option<Position>, DbError> {
    let created_at: Option<OffsetDateTime> = row.try_get("scanned_created_at")?;
    let position = |created_at| Ok(Position { created_at, order_id: order_id_of(row, "scanned_order_id")? });
    created_at.map(position).transpose()
}

/// The condition that selects the orders of this status alone from an index. Without one they are picked from all orders.
fn index(status: Status) -> Option<&'static str> {
    INDEXES.into_iter().find(|(indexed, _)| *indexed == status).map(|(_, condition)| condition)
}

/// A `WHERE` with all of the conditions; nothing if there are none.
pub(super) fn all_of(conditions: &[&str]) -> String {
    if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) }
}
