//! `GET /orders`

use axum::Json;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use serde::Serialize;
use shared::db::orders::{self, Filter, Position};
use shared::order::{Status, UserId};
use utoipa::ToSchema;

use super::cursor;
use super::schema::CursorText;
use super::view::OrderView;
use crate::call::Call;
use crate::caller::{Caller, Scope};
use crate::problem::{ApiError, FieldError, Problem, Refusals};

/// How many orders a page holds where the client does not say.
const DEFAULT_LIMIT: i64 = 50;
/// The most it may ask for.
const MAX_LIMIT: i64 = 200;

/// A page of orders.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderList {
    /// The orders, newest first.
    orders: Vec<OrderView>,
    /// What to pass as `cursor` for the next page; null at the end.
    #[schema(inline, value_type = Option<CursorText>)]
    next_cursor: Option<String>,
}

/// What a client asks for.
#[derive(Debug, Default)]
struct Asked {
    status: Option<Status>,
    user_id: Option<UserId>,
    limit: Option<i64>,
    after: Option<Position>,
}

/// List orders, newest first.
///
/// Administrators see everybody's, others their own. Paging with the cursor neither skips nor repeats an order that was
/// there when the first page was read, however many are placed meanwhile.
#[utoipa::path(
    get, path = "/orders", tag = "orders", security(("token" = ["orders/read"])),
    params(
        ("status" = inline(Option<super::view::StatusName>), Query, description = "Only orders in this state"),
        ("user_id" = Option<String>, Query, min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$",
            description = "Only this user's orders"),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 200, description = "How many at most; 50 unless told"),
        ("cursor" = inline(Option<CursorText>), Query, description = "The next_cursor of the page before"),
    ),
    responses(
        (status = 200, body = OrderList, description = "A page of orders"),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "Not a query that can be read"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "Some parameters are not valid"),
        Refusals,
    )
)]
pub async fn list(
    api: Call,
    caller: Caller,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Json<OrderList>, ApiError> {
    caller.require(Scope::Read)?;
    let Query(pairs) = query.map_err(|_| ApiError::Malformed("The query can't be read.".to_owned()))?;
    let asked = parse(&pairs)?;
    if let Some(user_id) = &asked.user_id {
        caller.require_user(user_id)?;
    }
    let user_id = caller.tenant().or(asked.user_id.as_ref());
    let filter = Filter { status: asked.status, user_id, after: asked.after.as_ref() };
    let limit = asked.limit.unwrap_or(DEFAULT_LIMIT);
    let page = orders::list(&api.db, &filter, limit).await?;
    let next_cursor = page.next.as_ref().map(cursor::encode);
    Ok(Json(OrderList { orders: page.orders.into_iter().map(OrderView::from).collect(), next_cursor }))
}

/// Reads the query, or says everything that is wrong with it.
fn parse(pairs: &[(String, String)]) -> Result<Asked, ApiError> {
    let mut asked = Asked::default();
    let mut errors = Vec::new();
    for (index, (name, value)) in pairs.iter().enumerate() {
        let problem = if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
            Some("is given twice".to_owned())
        } else {
            asked.set(name, value).err()
        };
        errors.extend(problem.map(|detail| FieldError { pointer: format!("?{name}"), detail }));
    }
    if errors.is_empty() { Ok(asked) } else { Err(ApiError::Invalid(errors)) }
}

impl Asked {
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "status" => self.status = Some(value.parse().map_err(|invalid| format!("{invalid}"))?),
            "user_id" => self.user_id = Some(value.parse().map_err(|invalid| format!("{invalid}"))?),
            "limit" => self.limit = Some(limit(value).ok_or("must be a whole number from 1 to 200")?),
            "cursor" => self.after = Some(cursor::decode(value).ok_or("must be the next_cursor of an earlier page")?),
            _ => return Err("is not a parameter of this call".to_owned()),
        }
        Ok(())
    }
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
    fn every_bad_parameter_is_named_at_once() {
        let query =
            [("status", "done"), ("limit", "0"), ("cursor", "x"), ("user_id", ""), ("sort", "up"), ("limit", "1")];
        assert_eq!(complaints(&query), ["?status", "?limit", "?cursor", "?user_id", "?sort", "?limit"]);
    }

    #[test]
    fn a_limit_is_one_to_two_hundred() {
        assert_eq!(["1", "200"].map(limit), [Some(1), Some(200)]);
        assert_eq!(["0", "201", "-1", "1.5", "", "99999999999999999999"].map(limit), [None; 6]);
    }
}
