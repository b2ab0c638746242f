//! Listing orders, page by page.

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::params::{Params, named, where_all};
use super::row::{COLUMNS, keys, order, order_id_of};
use super::{DbError, Store, StoreError};
use crate::order::{Order, OrderId, Status, UserId};

/// A filter on the orders of a list. An absent criterion matches every order.
#[derive(Debug, Default)]
pub struct Filter {
    /// Orders in this status.
    pub status: Option<Status>,
    /// The orders of this user.
    pub user_id: Option<UserId>,
    /// These orders, a hundred at most. If empty, the filter names none.
    pub order_ids: Vec<OrderId>,
    /// Orders that were created at this time or later.
    pub created_from: Option<OffsetDateTime>,
    /// Orders that were created before this time.
    pub created_before: Option<OffsetDateTime>,
    /// Failed orders whose `failure` contains this text.
    pub cause: Option<String>,
    /// Orders after this position in the list, which runs from newest to oldest.
    pub after: Option<Position>,
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

/// The most orders read for a page whose orders have no index of their own. If none is in memory, each takes the disk two reads, and all
/// together a second or two.
const MAX_SCANNED: i64 = 2_000;

/// The orders that are read for a list: their table, and the condition that selects those of one index.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// Exactly the list's orders, in its order.
    Exact(&'static str, Option<&'static str>),
    /// Other orders too, of `orders`. The list's are picked from the next [`MAX_SCANNED`].
    Scan(Option<&'static str>),
    /// Those that the caller names, by the primary key of `orders`.
    Named(&'a [OrderId]),
}

impl Store {
    /// Reads the newest `limit` orders that match the filter.
    ///
    /// The work is bounded, however few orders match, except in a list of all users' orders by an active status: it reads all active
    /// orders. A list whose orders have no index of their own reads the next `MAX_SCANNED` orders and picks the matches. Such a page can
    /// hold fewer than `limit` orders, or none, and `next` is the position to continue from. A range of times bounds the scan of the same
    /// index.
    pub async fn list_orders(&self, filter: &Filter, limit: i64) -> Result<OrderPage, StoreError> {
        let source = filter.source();
        // One order more than `limit` shows whether there is a next page.
        let (sql, params) = filter.statement(source, limit + 1);
        let rows = self.query("list orders", &sql, &params.all()).await?;
        let orders: Vec<_> = rows.read(order_or_none)?;
        let mut orders: Vec<_> = orders.into_iter().flatten().collect();
        let has_more = orders.len() > usize::try_from(limit).unwrap_or(usize::MAX);
        orders.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let next = match orders.last() {
            Some(last) if has_more => Some(Position { created_at: last.created_at, order_id: last.order_id.clone() }),
            _ if matches!(source, Source::Scan(_)) => rows.one(end_of_scan)?,
            _ => None,
        };
        Ok(OrderPage { orders, next })
    }
}

impl Filter {
    /// Chooses the source of the list.
    fn source(&self) -> Source<'_> {
        if !self.order_ids.is_empty() {
            return Source::Named(&self.order_ids);
        }
        match (&self.user_id, &self.cause, self.status) {
            // All orders, or one user's.
            (_, None, None) => Source::Exact("orders", None),
            // A user's orders of one status or cause have no index of their own.
            (Some(_), ..) => Source::Scan(None),
            (_, Some(_), _) => Source::Scan(Some("failure IS NOT NULL")),
            // `order_work` holds only active orders, and each page reads all of them.
            (.., Some(Status::Pending)) => Source::Exact("order_work", Some("started_at IS NULL")),
            (.., Some(Status::Processing)) => Source::Exact("order_work", Some("started_at IS NOT NULL")),
            (.., Some(Status::Failed)) => Source::Exact("orders", Some("failure IS NOT NULL")),
            (.., Some(Status::Cancelled)) => Source::Exact("orders", Some("cancelled")),
            // Without an index. Most orders are completed, so they have none.
            (.., Some(_)) => Source::Scan(None),
        }
    }

    /// The statement of a page of at most `most` orders, and its parameters.
    ///
    /// A user's orders are a range of the index by user and time, and in its order. `user_id = $1` would be a constant, which the server
    /// drops from the order: by time alone it would read the orders of all users from the newest, if the statistics say that few users
    /// have most of them.
    fn statement<'a>(&'a self, source: Source<'a>, most: i64) -> (String, Params<'a>) {
        let mut params = Params::default();
        let user = self.user_id.as_ref().map(|user_id| params.bind(user_id.as_str(), Type::TEXT));
        let sort_keys: &[&str] =
            if user.is_some() { &["user_id", "created_at", "order_id"] } else { &["created_at", "order_id"] };
        let newest_first = |of: &str| {
            let keys: Vec<_> = sort_keys.iter().map(|key| format!("{of}{key} DESC")).collect();
            format!("ORDER BY {}", keys.join(", "))
        };
        let (table, selected, order, read) = match source {
            Source::Exact(table, selected) => (table.to_owned(), selected, newest_first(""), most),
            Source::Scan(selected) => ("orders".to_owned(), selected, newest_first(""), MAX_SCANNED),
            Source::Named(order_ids) => {
                let order_ids = params.bind(keys(order_ids), Type::TEXT_ARRAY);
                (format!("{} AS named", named("orders", &order_ids)), None, String::new(), MAX_SCANNED)
            }
        };
        let [oldest, newest] = self.bounds(user.as_deref(), &mut params);
        let conditions = where_all([selected.map(str::to_owned), oldest, newest]);
        // The candidates have all keys of their order. Otherwise the page would read all of them, and sort them again.
        let candidates = format!("SELECT {} FROM {table} {conditions} {order}", sort_keys.join(", "));
        let read = params.bind(read, Type::INT8);
        // Orders of an exact source have the status.
        let status = self.status.filter(|_| !matches!(source, Source::Exact(..)));
        let picked = where_all([
            params.when("s.status = ?", status.map(Status::as_str), Type::TEXT),
            params.when("strpos(s.failure, ?) > 0", self.cause.as_deref(), Type::TEXT),
        ]);
        let most = params.bind(most, Type::INT8);
        let page = format!(
            "SELECT {COLUMNS} FROM ({candidates} LIMIT {read}) AS candidate
        JOIN order_states AS s ON s.order_id = ANY (ARRAY[candidate.order_id]) {picked}
        {} LIMIT {most}",
            newest_first("candidate.")
        );
        if !matches!(source, Source::Scan(_)) {
            return (page, params);
        }
        // The last order of the scan is in each row: the next page starts after it. A row without an order says that no order matches.
        // A second statement would scan other orders, if some were retried in between.
        let page_and_end = format!(
            "WITH page AS MATERIALIZED ({page})
        SELECT page.*, last.created_at AS scanned_created_at, last.order_id AS scanned_order_id
        FROM (SELECT) AS always LEFT JOIN page ON true LEFT JOIN (
            SELECT created_at, order_id FROM ({candidates} OFFSET {read} - 1 LIMIT 1) AS last WHERE (SELECT count(*) FROM page) < {most}
        ) AS last ON true
        ORDER BY page.created_at DESC, page.order_id DESC"
        );
        (page_and_end, params)
    }

    /// The conditions that bound the page by time, and by the parameter of its user.
    fn bounds<'a>(&'a self, user: Option<&str>, params: &mut Params<'a>) -> [Option<String>; 2] {
        let bound = |columns: &str, comparison: &str, values: &str| match user {
            Some(user) => format!("(user_id, {columns}) {comparison} ({user}, {values})"),
            None => format!("({columns}) {comparison} ({values})"),
        };
        let oldest = match self.created_from {
            Some(from) => Some(bound("created_at", ">=", &params.bind(from, Type::TIMESTAMPTZ))),
            None => user.map(|user| format!("user_id >= {user}")),
        };
        // The older of the range's end and the position. With both, the scan would begin at the first, and read all orders between them.
        let after =
            self.after.as_ref().filter(|after| self.created_before.is_none_or(|before| before > after.created_at));
        let newest = match (after, self.created_before) {
            (Some(Position { created_at, order_id }), _) => {
                let created_at = params.bind(created_at, Type::TIMESTAMPTZ);
                let order_id = params.bind(order_id.as_str(), Type::TEXT);
                Some(bound("created_at, order_id", "<", &format!("{created_at}, {order_id}")))
            }
            (None, Some(before)) => Some(bound("created_at", "<", &params.bind(before, Type::TIMESTAMPTZ))),
            (None, None) => user.map(|user| format!("user_id <= {user}")),
        };
        [oldest, newest]
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
