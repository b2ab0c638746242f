//! `POST /orders/batch`

use std::borrow::Cow;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Request};
use axum::http::{Extensions, HeaderMap};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::db::create::{CreateRequest, Created};
use shared::order::{Currency, NewOrder, Status};
use shared::view::OrderView;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::body::{NewOrderBody, example, parse};
use super::create::{Accepted, accept, first_message};
use super::key::Key;
use crate::call::Call;
use crate::caller::Writer;
use crate::problem::{ApiError, GatewayRefusal, Problem, Refusals, request_id};
use crate::schemas::IdempotencyKeyText;
use crate::{Api, json};

/// The most orders of one call.
pub const MAX_ORDERS: usize = 500;
/// The largest body, in bytes. Lambda accepts events and answers of 6,291,556 bytes. The event holds the body, and the answer the
/// orders, as a JSON string that spends two bytes on each `"` and each `\\`. Twice this size and 0.5 MB must therefore fit.
const MAX_BYTES: usize = 2560 * 1024;

/// The results of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"accepted": 1, "results": [{"status": 201, "problem": null, "order":
    {"order_id": "order-1001", "user_id": "alice", "item_ids": ["book-1", "pen-7"], "total_amount": "59.98",
    "currency": "EUR", "metadata": {}, "process_after": null, "status": "pending", "created_at": "2026-01-05T09:30:00.123456Z", "started_at": null, "finished_at": null, "attempts": 0,
    "failure": null, "next": ["cancel"]}}]})))]
pub struct OrderBatchResult {
    /// The number of durable orders.
    accepted: usize,
    /// The result of each order, in the request's order.
    #[schema(inline)]
    results: Vec<OrderResult>,
}

/// The result of an order: the answer of `POST /orders` to this order alone, or 422 for an element that is no object.
#[derive(Debug, Serialize, ToSchema)]
struct OrderResult {
    /// 201: the order is new and durable; 200: it existed before; any other: the problem's status.
    #[schema(minimum = 200, maximum = 599)]
    status: u16,
    /// The durable order, else null.
    #[schema(required)]
    order: Option<OrderView>,
    /// The problem of a refused order, else null.
    #[schema(required)]
    problem: Option<Problem>,
}

/// Create many orders.
///
/// Each order is accepted or refused separately, as if it were the only one. An `Idempotency-Key` identifies a repeat of the batch:
/// it gives the order at each index a key of its own. If some orders got 500 or 503, send the whole batch again with the same key.
#[utoipa::path(
    post, path = "/orders/batch", tag = "orders", security(("token" = ["orders/write"])),
    params(("Idempotency-Key" = inline(Option<IdempotencyKeyText>), Header,
        description = "Identifies a repeat of this batch if its orders have no order_id")),
    request_body = OrderBatchBody,
    responses(
        (status = 200, body = OrderBatchResult, description = "The result of each order"),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "Malformed JSON"),
        (status = 413, description = "More than 2.5 MiB", content((Problem = "application/problem+json"), (GatewayRefusal = "application/json"))),
        (status = 415, body = Problem, content_type = "application/problem+json", description = "The content type is not JSON in UTF-8, or the body is encoded"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "Not 1 to 500 orders, or the call has query parameters"),
        Refusals,
    )
)]
pub async fn create_batch(
    call: Call,
    Writer(caller): Writer,
    headers: HeaderMap,
    extensions: Extensions,
    OrderBodies(bodies): OrderBodies,
) -> Result<Json<OrderBatchResult>, ApiError> {
    let key = Key::of(&headers)?;
    let requests = bodies.into_iter().enumerate().map(|(index, body)| {
        let new = body?;
        caller.require_writes_for(&new.user_id)?;
        Ok(CreateRequest::new(new, key.as_ref().map(|key| key.stored(&caller, Some(index)))))
    });
    let outcomes = create_all(&call, requests.collect()).await?;
    enqueue_all(&call, &outcomes).await;
    let request_id = request_id(&extensions);
    let accepted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let result = |(index, outcome)| OrderResult::new(index, outcome, &request_id);
    Ok(Json(OrderBatchResult { accepted, results: outcomes.into_iter().enumerate().map(result).collect() }))
}

/// Creates the valid orders. Returns one result per request, in their order. Fails as a whole if the database is unavailable.
async fn create_all(
    call: &Call,
    requests: Vec<Result<CreateRequest, ApiError>>,
) -> Result<Vec<Result<Accepted, ApiError>>, ApiError> {
    let mut valid = Vec::with_capacity(requests.len());
    let checked: Vec<_> = requests.into_iter().map(|request| request.map(|request| valid.push(request))).collect();
    let created = if valid.is_empty() {
        Vec::new()
    } else {
        call.store.create_all(&valid, call.api.config.cancel_window).await?
    };
    let mut created = created.into_iter();
    let mut next = || {
        let created: Option<Result<Created, _>> = created.next();
        let missing = || ApiError::Internal("an order has no result".into());
        accept(created.ok_or_else(missing)??)
    };
    Ok(checked.into_iter().map(|request| request.and_then(|()| next())).collect())
}

/// Enqueues the pending orders. If that fails, the sweeper enqueues them later.
async fn enqueue_all(call: &Call, outcomes: &[Result<Accepted, ApiError>]) {
    let pending = outcomes.iter().flatten().filter(|accepted| accepted.order.status == Status::Pending);
    let messages: Vec<_> = pending.filter_map(|accepted| first_message(call, &accepted.order)).collect();
    let unsent = call.enqueue(&messages).await;
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

/// The orders of a body, each valid or with its errors.
pub struct OrderBodies(Vec<Result<NewOrder, ApiError>>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchBody<'a> {
    #[serde(borrow)]
    orders: Vec<&'a RawValue>,
}

impl FromRequest<Arc<Api>> for OrderBodies {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, ApiError> {
        let bad_key = Key::of(request.headers()).err();
        let body = json::read(request, MAX_BYTES).await?;
        let orders = elements(&body).map_err(|error| error.beside(bad_key))?;
        let currency = api.config.default_currency;
        Ok(Self(orders.into_iter().map(|order| parse_element(order.get(), currency)).collect()))
    }
}

/// The elements of the batch, each still JSON text.
fn elements(body: &[u8]) -> Result<Vec<&RawValue>, ApiError> {
    let BatchBody { orders } = json::members(body)?;
    if (1..=MAX_ORDERS).contains(&orders.len()) {
        Ok(orders)
    } else {
        Err(ApiError::invalid("#/orders", format!("must hold 1 to {MAX_ORDERS} orders")))
    }
}

/// Parses an order of the batch. The problem of one that is no object names the order, not the body.
fn parse_element(order: &str, default_currency: Currency) -> Result<NewOrder, ApiError> {
    if order.starts_with('{') {
        parse(order.as_bytes(), default_currency)
    } else {
        Err(ApiError::invalid("#", "must be an object"))
    }
}

/// The body of `POST /orders/batch`.
pub struct OrderBatchBody;

impl ToSchema for OrderBatchBody {
    fn name() -> Cow<'static, str> {
        "OrderBatch".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((NewOrderBody::name().into(), NewOrderBody::schema()));
        NewOrderBody::schemas(schemas);
    }
}

impl PartialSchema for OrderBatchBody {
    fn schema() -> RefOr<Schema> {
        let order = Ref::from_schema_name(NewOrderBody::name());
        let orders = ArrayBuilder::new().items(order).min_items(Some(1)).max_items(Some(MAX_ORDERS));
        let description = "The orders. Each is accepted or refused separately: a bad one has its problem in its place of the results, \
            and the call is answered 200";
        ObjectBuilder::new()
            .property("orders", orders.description(Some(description)))
            .required("orders")
            .additional_properties(Some(AdditionalProperties::FreeForm(false)))
            .examples([serde_json::json!({"orders": [example()]})])
            .into()
    }
}
