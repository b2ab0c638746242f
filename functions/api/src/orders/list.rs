//! `GET /orders`

use axum::Json;
use serde::Serialize;
use shared::db::list::{Filter, OrderPage, Position};
use shared::order::Status;
use shared::timestamp;
use shared::view::OrderView;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::cursor;
use super::selection::check_cause;
use crate::answer_size;
use crate::call::Call;
use crate::caller::Caller;
use crate::problem::{ApiError, Problem, Refusals};
use crate::query::{Parameters, UNKNOWN, at};
use crate::schemas::{CursorParameter, CursorText, LimitParameter, OrderIdsParameter, StatusFilter, TimeParameter};

/// The orders of a page if the client sends no limit.
const DEFAULT_LIMIT: i64 = 50;
/// The largest limit that a client may send.
pub const MAX_LIMIT: i64 = 200;
/// The most identifiers of a query.
pub const MAX_ORDER_IDS: usize = 100;

/// A page of orders.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"orders": [{"order_id": "order-1001", "user_id": "alice", "item_ids": ["book-1", "pen-7"], "total_amount": "59.98",
    "currency": "EUR", "metadata": {}, "process_after": null, "status": "pending", "created_at": "2026-01-05T09:30:00.123456Z", "started_at": null, "finished_at": null, "attempts": 0,
    "failure": null, "next": ["cancel"]}],
    "next_cursor": "064a2f31c8f2b1order-1001"})))]
pub struct OrderList {
    /// The orders, newest first.
    orders: Vec<OrderView>,
    /// The `cursor` of the next page; null at the end.
    #[schema(inline, value_type = Option<CursorText>, required)]
    next_cursor: Option<String>,
}

impl OrderList {
    /// Takes as many orders of the page as an answer can hold, at least one.
    fn new(page: OrderPage) -> Self {
        let (mut orders, mut bytes, mut end) = (Vec::new(), 0, None);
        for order in page.orders {
            let position = Position { created_at: order.created_at, order_id: order.order_id.clone() };
            let view = OrderView::from(order);
            bytes += answer_size::of(&view);
            if bytes > answer_size::MAX_BODY && end.is_some() {
                return Self { orders, next_cursor: end.as_ref().map(cursor::encode) };
            }
            orders.push(view);
            end = Some(position);
        }
        Self { orders, next_cursor: page.next.as_ref().map(cursor::encode) }
    }
}

/// The parameters of the query.
#[derive(Debug, Default)]
struct ListQuery {
    filter: Filter,
    limit: Option<i64>,
}

/// List orders, newest first.
///
/// Callers with `orders/read.all` see all users' orders, others their own. Paging with the cursor neither skips nor repeats an order that
/// existed when the first page was read, even while others are created. With `status` or `cause` each page filters by the state at the time
/// when it is read, so an order whose status changes between two pages or two lists can be missing from both. A page can hold fewer orders
/// than `limit`, or none, and still have a `next_cursor`. Filters can be combined; an order matches all of them.
#[utoipa::path(
    get, path = "/orders", tag = "orders", security(("token" = ["orders/read"])),
    params(
        ("status" = inline(Option<StatusFilter>), Query, description = "Return orders with this status"),
        ("user_id" = Option<String>, Query, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$",
            description = "Return this user's orders"),
        ("order_id" = inline(Option<OrderIdsParameter>), Query,
            description = "Return these orders, as far as they exist; may be repeated, up to 100 times"),
        ("created_from" = inline(Option<TimeParameter>), Query, description = "Return orders created at this time or later"),
        ("created_before" = inline(Option<TimeParameter>), Query, description = "Return orders created before this time"),
        ("cause" = Option<String>, Query, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$",
            description = "Return failed orders whose `failure` contains this text"),
        ("limit" = inline(Option<LimitParameter>), Query, description = "The most orders of the page; 50 if absent",
            example = 10),
        ("cursor" = inline(Option<CursorParameter>), Query, description = "The next_cursor of the previous page"),
    ),
    responses(
        (status = 200, body = OrderList, description = "A page of orders"),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "Malformed query"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "Some parameters are not valid"),
        Refusals,
    )
)]
pub async fn list(
    call: Call,
    caller: Caller,
    query: Result<Parameters, ApiError>,
) -> Result<Json<OrderList>, ApiError> {
    let user = caller.reads_only_for()?;
    let ListQuery { mut filter, limit } = parse(&query?.0)?;
    if let Some(user_id) = &filter.user_id {
        caller.require_reads_for(user_id)?;
    }
    if matches_nothing(&filter) {
        return Ok(Json(OrderList { orders: Vec::new(), next_cursor: None }));
    }
    filter.user_id = user.cloned().or(filter.user_id);
    let page = call.store.list_orders(&filter, limit.unwrap_or(DEFAULT_LIMIT)).await?;
    Ok(Json(OrderList::new(page)))
}

/// Parses the query, or returns all of its errors.
fn parse(pairs: &[(String, String)]) -> Result<ListQuery, ApiError> {
    let mut query = ListQuery::default();
    let mut errors = Vec::new();
    for (index, (name, value)) in pairs.iter().enumerate() {
        let problem = if name != "order_id" && pairs[..index].iter().any(|(earlier, _)| earlier == name) {
            Some("appears more than once".to_owned())
        } else {
            query.set(name, value).err()
        };
        errors.extend(problem.map(|detail| at(name, &detail)));
    }
    if pairs.iter().filter(|(name, _)| name == "order_id").count() > MAX_ORDER_IDS {
        errors.push(at("order_id", "must appear at most 100 times"));
    }
    ApiError::unless_valid(Some(query), errors)
}

/// Whether no order can match: only failed orders have a cause.
fn matches_nothing(filter: &Filter) -> bool {
    filter.cause.is_some() && !matches!(filter.status, None | Some(Status::Failed))
}

impl ListQuery {
    /// The known names. Any other name is an error.
    const NAMES: [&str; 8] =
        ["status", "user_id", "order_id", "created_from", "created_before", "cause", "limit", "cursor"];

    /// Sets a parameter. An empty parameter counts as absent.
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let filter = &mut self.filter;
        match name {
            _ if value.is_empty() && Self::NAMES.contains(&name) => {}
            "status" => filter.status = Some(value.parse().map_err(|invalid| format!("{invalid}"))?),
            "user_id" => filter.user_id = Some(value.parse().map_err(|invalid| format!("{invalid}"))?),
            "order_id" => filter.order_ids.push(value.parse().map_err(|invalid| format!("{invalid}"))?),
            "created_from" => filter.created_from = Some(time(value)?),
            "created_before" => filter.created_before = Some(time(value)?),
            "cause" => filter.cause = Some(check_cause(value).map(|()| value.to_owned())?),
            "limit" => self.limit = Some(limit(value).ok_or("must be a whole number from 1 to 200")?),
            "cursor" => filter.after = Some(cursor::decode(value).ok_or("must be the next_cursor of an earlier page")?),
            _ => return Err(UNKNOWN.to_owned()),
        }
        Ok(())
    }
}

/// Parses a time. A `+` in a query is a space, and behind the date only an offset has one.
fn time(text: &str) -> Result<OffsetDateTime, String> {
    let has_space = text.rfind(' ').is_some_and(|index| index > "2026-01-01".len());
    let advice = if has_space { "; write the + of an offset as %2B" } else { "" };
    timestamp::parse(text).map_err(|rule| format!("{rule}{advice}"))
}

fn limit(text: &str) -> Option<i64> {
    text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(query: &[(&str, &str)]) -> Vec<String> {
        let pairs: Vec<_> = query.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        match parse(&pairs) {
            Err(ApiError::Invalid(errors)) => errors.into_iter().map(|error| error.pointer).collect(),
            _ => vec![],
        }
    }

    #[test]
    fn every_bad_parameter_is_reported_at_once() {
        let query =
            [("status", "done"), ("limit", "0"), ("cursor", "x"), ("user_id", "a\0"), ("sort", ""), ("limit", "1")];
        assert_eq!(complaints(&query), ["?status", "?limit", "?cursor", "?user_id", "?sort", "?limit"]);
        let query = [("order_id", ".."), ("created_from", "today"), ("created_before", "2026-01-01"), ("cause", "a\0")];
        assert_eq!(complaints(&query), ["?order_id", "?created_from", "?created_before", "?cause"]);
    }

    #[test]
    fn only_order_id_may_be_repeated_and_a_hundred_times_at_most() {
        assert_eq!(complaints(&[("order_id", "a"); 100]), [""; 0]);
        assert_eq!(complaints(&[("order_id", "a"); 101]), ["?order_id"]);
        assert_eq!(complaints(&[("order_id", ""); 101]), ["?order_id"]);
        assert_eq!(complaints(&[("cause", "a"), ("cause", "a")]), ["?cause"]);
    }

    #[test]
    fn empty_parameters_count_as_absent() {
        assert_eq!(
            complaints(&[
                ("status", ""),
                ("user_id", ""),
                ("limit", ""),
                ("cursor", ""),
                ("order_id", ""),
                ("cause", ""),
                ("created_from", "")
            ]),
            [""; 0]
        );
    }

    #[test]
    fn plus_that_became_a_space_is_explained() {
        let detail = |time: &str| match parse(&[("created_from".to_owned(), time.to_owned())]) {
            Err(ApiError::Invalid(errors)) => errors[0].detail.clone(),
            other => panic!("{time}: {other:?}"),
        };
        let advice = "write the + of an offset as %2B";
        assert!(detail("2026-01-01T00:00:00 01:00").ends_with(advice));
        assert!(detail("2026-01-01 00:00:00.5 01:00").ends_with(advice));
        for time in ["today", "2026-01-01 01:00", "2026-01-01T00:00:00", "2026-01-01"] {
            assert!(!detail(time).contains('+'), "{time}");
        }
    }

    #[test]
    fn limit_is_one_to_two_hundred() {
        assert_eq!(["1", "200"].map(limit), [Some(1), Some(200)]);
        assert_eq!(["0", "201", "-1", "1.5", "", "99999999999999999999"].map(limit), [None; 6]);
    }
}
