//! The calls that others receive, only for the OpenAPI document: the merchant's endpoint from `processor`, and a shop's endpoint from
//! `EventBridge`.

use std::collections::BTreeMap;

use shared::events::Detail;
use shared::view::Notice;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::{RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, OpenApi};

/// The webhooks of the document, by their names.
#[derive(OpenApi)]
#[openapi(paths(fulfil, end))]
pub struct Webhooks;

/// Fulfil an order.
///
/// With `WORK=webhook` the processor calls the merchant's endpoint for each order, and the answer decides the order's next step. An order
/// can come more than once, with the same `Idempotency-Key`: act once. The content of the answer does not matter.
#[utoipa::path(
    post, path = "fulfilOrder", security(()),
    params(
        ("Idempotency-Key" = String, Header, description = "The order's identifier: the same in each call for the order", example = "order-1001"),
        ("Ordermill-Attempt" = i32, Header, description = "The number of the attempt", minimum = 1, example = 1),
        ("webhook-id" = String, Header, description = "The order's identifier, with `~` for each dot", example = "order-1001"),
        ("webhook-timestamp" = i64, Header, description = "The time of the call, in seconds since 1970", example = 1_795_495_225),
        ("webhook-signature" = String, Header, example = "v1,gt/sTJq0ZfiJpcMFug+NoXLpYxdEV3cAMDrUYmZPsOY=",
            description = "The signature by Standard Webhooks, or two during a rotation of the secret, separated by a space"),
    ),
    request_body = Notice,
    responses(AnswersOfMerchant)
)]
#[expect(dead_code, reason = "the attribute makes the path of the document from it")]
fn fulfil() {}

/// Take note that an order has ended.
///
/// A rule of yours on the event bus calls your endpoint with the `detail` of each event. An event can come more than once, with the same
/// `event_id`. Other targets of a rule get the same content.
#[utoipa::path(
    post, path = "orderEnded", security(()),
    request_body = Detail,
    responses(
        (status = "2XX", description = "The endpoint has taken the event"),
        (status = "default", description = "EventBridge repeats the call after 401, 407, 409, 429 and 5xx, for a day. After any other status, and after the day, it puts the event into the target's dead-letter queue, or drops it if there is none"),
    )
)]
#[expect(dead_code, reason = "the attribute makes the path of the document from it")]
fn end() {}

/// The statuses after which the processor calls the merchant's endpoint again. A test compares them with what it does.
const RETRIED: [&str; 9] = ["401", "403", "404", "408", "409", "423", "425", "429", "5XX"];

struct AnswersOfMerchant;

impl IntoResponses for AnswersOfMerchant {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let described = |text: &str| ResponseBuilder::new().description(text);
        let later = |text: &str| {
            let seconds_or_date = "Seconds or an HTTP date: a second at least, a day at most";
            described(text).header("Retry-After", HeaderBuilder::new().description(Some(seconds_or_date)).build())
        };
        let retried = RETRIED.map(|status| (status, later("The order is retried after a back-off")));
        let others = [
            ("202", later("The order waits, and then the endpoint gets another call")),
            ("2XX", described("The order is completed")),
            ("default", described("The order fails, with the status as its cause")),
        ];
        let all = retried.into_iter().chain(others);
        all.map(|(status, response)| (status.to_owned(), response.build().into())).collect()
    }
}
