//! The refusals that calls share, for the OpenAPI document: those of the function, and those of the gateway in front of it. The
//! gateway's have a format of their own, which can't be changed.

use std::collections::BTreeMap;

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder, Schema};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

type Responses = BTreeMap<String, RefOr<Response>>;

/// The refusals of any call.
pub struct RefusalsWithoutToken;

impl IntoResponses for RefusalsWithoutToken {
    fn responses() -> Responses {
        let retry_after = HeaderBuilder::new().description(Some("Seconds, if the function answered")).build();
        let unavailable = by_the_function("The database or the queue is unavailable, or too many calls are running");
        let fault = by_the_function("The service has a fault, or the function ended without an answer");
        BTreeMap::from([
            ("429".to_owned(), by_the_gateway(described("Too many calls a second")).into()),
            ("500".to_owned(), by_the_gateway(fault).into()),
            ("503".to_owned(), by_the_gateway(unavailable).header("Retry-After", retry_after).into()),
        ])
    }
}

/// The refusals of a call that requires a token.
pub struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> Responses {
        let mut responses = RefusalsWithoutToken::responses();
        let scheme = HeaderBuilder::new().description(Some("Bearer")).build();
        let unauthorized = by_the_gateway(by_the_function("No valid token")).header("WWW-Authenticate", scheme);
        responses.extend([
            ("401".to_owned(), unauthorized.into()),
            ("403".to_owned(), by_the_gateway(by_the_function("The token lacks the permission")).into()),
        ]);
        responses
    }
}

/// The refusals of a call on one order.
pub struct RefusalsOfOne;

impl IntoResponses for RefusalsOfOne {
    fn responses() -> Responses {
        let mut responses = Refusals::responses();
        let no_such_order = by_the_function("The order does not exist, or belongs to another user");
        responses.insert("404".to_owned(), no_such_order.into());
        responses
    }
}

/// The refusals of an operator's call with options.
pub struct RefusalsOfOptions;

impl IntoResponses for RefusalsOfOptions {
    fn responses() -> Responses {
        let mut responses = Refusals::responses();
        responses.extend([
            ("400".to_owned(), by_the_function("Malformed JSON").into()),
            ("413".to_owned(), by_the_gateway(by_the_function("More than 1 MiB")).into()),
            ("415".to_owned(), by_the_function("The content type is not JSON in UTF-8, or the body is encoded").into()),
            ("422".to_owned(), by_the_function("Some options are not valid").into()),
        ]);
        responses
    }
}

fn described(description: &str) -> ResponseBuilder {
    ResponseBuilder::new().description(description)
}

fn by_the_function(description: &str) -> ResponseBuilder {
    content(described(description), "application/problem+json", "Problem")
}

fn by_the_gateway(response: ResponseBuilder) -> ResponseBuilder {
    content(response, "application/json", &GatewayRefusal::name())
}

fn content(response: ResponseBuilder, content_type: &str, schema: &str) -> ResponseBuilder {
    response.content(content_type, ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build())
}

/// The body of a refusal by the gateway, before the function sees the call.
pub struct GatewayRefusal;

impl ToSchema for GatewayRefusal {}

impl PartialSchema for GatewayRefusal {
    fn schema() -> RefOr<Schema> {
        let message =
            ObjectBuilder::new().schema_type(Type::String).description(Some("The reason")).examples(["Unauthorized"]);
        ObjectBuilder::new()
            .description(Some("A refusal by the gateway, before the service sees the call."))
            .property("message", message)
            .required("message")
            .into()
    }
}
