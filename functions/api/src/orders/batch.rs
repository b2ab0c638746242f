//! `POST /orders/batch`

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::http::{Extensions, HeaderMap};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::db::intake::Wanted;
use shared::order::{NewOrder, Status};
use shared::queue::Wake;
use utoipa::ToSchema;

use super::body::parse;
use super::create::Taken;
use super::key::Key;
use super::schema::{IdempotencyKeyText, OrderBatchBody};
use super::view::OrderView;
use crate::caller::Writer;
use crate::problem::{ApiError, FieldError, Problem, Refusals, request_id};
use crate::{Api, Shared, json};

/// The most orders of one call.
pub const MAX_ORDERS: usize = 500;
/// The largest body, in bytes: well below the 6 MB that Lambda takes, since there it is a string in an event.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// What became of the orders.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderBatchResult {
    /// How many of them are durable.
    accepted: usize,
    /// What became of each, in the order in which they were sent.
    #[schema(inline)]
    results: Vec<OrderResult>,
}

/// What became of an order: what a call with it alone would have been answered.
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

/// Place many orders.
///
/// Each is taken or refused by itself, as if it had been sent alone. An `Idempotency-Key` tells a repeat of the batch: it
/// gives the order at each place a key of its own.
#[utoipa::path(
    post, path = "/orders/batch", tag = "orders", security(("token" = ["orders/write"])),
    params(("Idempotency-Key" = inline(Option<IdempotencyKeyText>), Header,
        description = "Tells a repeat of this batch from a new one, where orders have no order_id of the client's")),
    request_body = OrderBatchBody,
    responses(
        (status = 200, body = OrderBatchResult, description = "What became of each order"),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "Not JSON that can be read"),
        (status = 413, body = Problem, content_type = "application/problem+json", description = "More than 4 MiB"),
        (status = 415, body = Problem, content_type = "application/problem+json", description = "Not said to be JSON"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "Not 1 to 500 orders"),
        Refusals,
    )
)]
pub async fn create_batch(
    State(api): Shared,
    Writer(caller): Writer,
    headers: HeaderMap,
    extensions: Extensions,
    OrderBodies(bodies): OrderBodies,
) -> Result<Json<OrderBatchResult>, ApiError> {
    let key = Key::of(&headers)?;
    let permitted = bodies.into_iter().enumerate().map(|(place, body)| {
        let new = body?;
        caller.require_user(&new.user_id)?;
        Ok(Wanted::new(new, key.as_ref().map(|key| key.stored(&caller, Some(place)))))
    });
    let outcomes = take_all(&api, permitted.collect()).await?;
    announce_all(&api, &outcomes).await;
    let request_id = request_id(&extensions);
    let accepted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let result = |(place, outcome)| OrderResult::new(place, outcome, &request_id);
    Ok(Json(OrderBatchResult { accepted, results: outcomes.into_iter().enumerate().map(result).collect() }))
}

/// Creates what may be created, and gives what became of everything.
async fn take_all(api: &Api, wanted: Vec<Result<Wanted, ApiError>>) -> Result<Vec<Result<Taken, ApiError>>, ApiError> {
    let mut valid = Vec::with_capacity(wanted.len());
    let places: Vec<_> = wanted.into_iter().map(|wanted| wanted.map(|wanted| valid.push(wanted))).collect();
    let created = if valid.is_empty() { Vec::new() } else { api.intake.create_all(&api.db, valid).await };
    let taken: Vec<_> = created.into_iter().map(|created| Taken::try_from(created?)).collect();
    let is_out_of_reach = |taken: &Result<_, _>| matches!(taken, Err(ApiError::Unavailable(_)));
    if !taken.is_empty() && taken.iter().all(is_out_of_reach) {
        // Nothing was taken: the whole of it is to be sent again.
        return taken.into_iter().map(|taken| taken.map(Ok)).collect();
    }
    let mut taken = taken.into_iter();
    let missing = || Err(ApiError::Internal("an order has no outcome".into()));
    Ok(places.into_iter().map(|place| place.and_then(|()| taken.next().unwrap_or_else(missing))).collect())
}

/// Tells the queue of the pending orders. They are safe without that: what the queue does not know, the sweeper finds.
async fn announce_all(api: &Api, outcomes: &[Result<Taken, ApiError>]) {
    let taken = outcomes.iter().flatten().filter(|taken| taken.order.status == Status::Pending);
    let wakes: Vec<_> = taken.map(|taken| Wake::new(&taken.order.order_id, api.config.cancel_window)).collect();
    let unsent = api.queue.send_all(&wakes).await.len();
    if unsent > 0 {
        tracing::error!(unsent, "the queue was not told of orders of a batch; the sweeper will");
    }
}

impl OrderResult {
    fn new(place: usize, outcome: Result<Taken, ApiError>, request_id: &str) -> Self {
        match outcome {
            Ok(Taken { order, is_new }) => {
                Self { status: if is_new { 201 } else { 200 }, order: Some(order.into()), problem: None }
            }
            Err(error) => {
                let problem = Problem::new(&error.within(&format!("/orders/{place}")), "/orders/batch", request_id);
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
