//! `POST /orders/batch`

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Request};
use axum::http::{Extensions, HeaderMap};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::db::create::{self, CreateRequest, Created};
use shared::order::{NewOrder, Order, Status};
use shared::queue::{Group, Message};
use utoipa::ToSchema;

use super::body::parse;
use super::create::Accepted;
use super::key::Key;
use super::schema::{IdempotencyKeyText, OrderBatchBody};
use super::view::OrderView;
use crate::call::Call;
use crate::caller::Writer;
use crate::problem::{ApiError, FieldError, Problem, Refusals, request_id};
use crate::{Api, json};

/// The most orders of one call.
pub const MAX_ORDERS: usize = 500;
/// The largest body, in bytes. Lambda takes an event, and an answer, of 6,291,556 bytes. The body is a JSON string in the one,
/// and the orders in the other, where each `"` and each `\\` becomes two bytes: so twice this, and 0.5 MB around it, has to fit.
const MAX_BYTES: usize = 2560 * 1024;

/// The results of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderBatchResult {
    /// How many of them are durable.
    accepted: usize,
    /// The result of each order, in the request's order.
    #[schema(inline)]
    results: Vec<OrderResult>,
}

/// The result of an order: the answer that a call with it alone would have had.
#[derive(Debug, Serialize, ToSchema)]
struct OrderResult {
    /// 201: it is durable; 200: it was before; otherwise the problem's.
    #[schema(minimum = 200, maximum = 599)]
    status: u16,
    /// The order, where it is durable; else null.
    order: Option<OrderView>,
    /// What is wrong with it, where it is not; else null.
    problem: Option<Problem>,
}

/// Create many orders.
///
/// Each is accepted or refused by itself, as if it had been sent alone. An `Idempotency-Key` tells a repeat of the batch: it
/// gives the order at each index a key of its own.
#[utoipa::path(
    post, path = "/orders/batch", tag = "orders", security(("token" = ["orders/write"])),
    params(("Idempotency-Key" = inline(Option<IdempotencyKeyText>), Header,
        description = "Tells a repeat of this batch from a new one, where orders have no order_id of the client's")),
    request_body = OrderBatchBody,
    responses(
        (status = 200, body = OrderBatchResult, description = "The result of each order"),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "Not JSON that can be read"),
        (status = 413, body = Problem, content_type = "application/problem+json", description = "More than 2.5 MiB"),
        (status = 415, body = Problem, content_type = "application/problem+json", description = "Not said to be JSON, or compressed"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "Not 1 to 500 orders"),
        Refusals,
    )
)]
pub async fn create_batch(
    api: Call,
    Writer(caller): Writer,
    headers: HeaderMap,
    extensions: Extensions,
    OrderBodies(bodies): OrderBodies,
) -> Result<Json<OrderBatchResult>, ApiError> {
    let key = Key::of(&headers)?;
    let requests = bodies.into_iter().enumerate().map(|(index, body)| {
        let new = body?;
        caller.require_user(&new.user_id)?;
        Ok(CreateRequest::new(new, key.as_ref().map(|key| key.stored(&caller, Some(index)))))
    });
    let outcomes = create_all(&api, requests.collect()).await?;
    enqueue_all(&api, &outcomes).await;
    let request_id = request_id(&extensions);
    let accepted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let result = |(index, outcome)| OrderResult::new(index, outcome, &request_id);
    Ok(Json(OrderBatchResult { accepted, results: outcomes.into_iter().enumerate().map(result).collect() }))
}

/// Creates the orders of the valid requests in one statement. Returns a result for each request, in their order.
async fn create_all(
    api: &Call,
    requests: Vec<Result<CreateRequest, ApiError>>,
) -> Result<Vec<Result<Accepted, ApiError>>, ApiError> {
    let mut valid = Vec::with_capacity(requests.len());
    let checked: Vec<_> = requests.into_iter().map(|request| request.map(|request| valid.push(request))).collect();
    let created = if valid.is_empty() {
        Vec::new()
    } else {
        create::create_all(&api.db, &valid, api.config.cancel_window).await?
    };
    let mut created = created.into_iter();
    let mut next = || {
        let created: Option<Result<Created, _>> = created.next();
        let missing = || ApiError::Internal("an order has no result".into());
        Accepted::try_from(created.ok_or_else(missing)??)
    };
    Ok(checked.into_iter().map(|request| request.and_then(|()| next())).collect())
}

/// Enqueues the pending orders. They are safe without that: the sweeper finds them.
async fn enqueue_all(api: &Call, outcomes: &[Result<Accepted, ApiError>]) {
    let pending = outcomes.iter().flatten().filter(|accepted| accepted.order.status == Status::Pending);
    let message =
        |order: &Order| Message::new(&order.order_id, Some(Group::of(&order.user_id)), api.config.cancel_window);
    let messages: Vec<_> = pending.map(|accepted| message(&accepted.order)).collect();
    let unsent = api.enqueue(&messages).await;
    if unsent > 0 {
        tracing::error!(unsent, "could not enqueue orders of a batch; the sweeper will retry");
    }
}

impl OrderResult {
    fn new(index: usize, outcome: Result<Accepted, ApiError>, request_id: &str) -> Self {
        match outcome {
            Ok(Accepted { order, is_new }) => {
                Self { status: if is_new { 201 } else { 200 }, order: Some(order.into()), problem: None }
            }
            Err(error) => {
                let problem = Problem::new(&error.within(&format!("/orders/{index}")), "/orders/batch", request_id);
                Self { status: problem.status(), order: None, problem: Some(problem) }
            }
        }
    }
}

/// The orders of a body, each valid or with what is wrong with it.
pub struct OrderBodies(Vec<Result<NewOrder, ApiError>>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch<'a> {
    #[serde(borrow)]
    orders: Vec<&'a RawValue>,
}

impl FromRequest<Arc<Api>> for OrderBodies {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<Api>) -> Result<Self, ApiError> {
        let body = json::read(request, MAX_BYTES).await?;
        let Batch { orders } = json::members(&body)?;
        if !(1..=MAX_ORDERS).contains(&orders.len()) {
            let detail = format!("must hold 1 to {MAX_ORDERS} orders");
            return Err(ApiError::Invalid(vec![FieldError { pointer: "#/orders".to_owned(), detail }]));
        }
        Ok(Self(orders.into_iter().map(|order| parse(order.get().as_bytes())).collect()))
    }
}
