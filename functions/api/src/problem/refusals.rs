//! The refusals that calls have in common, for the OpenAPI document: those of the function, and those of the gateway in front
//! of it, which has a form of its own that can't be changed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder, Schema};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

type Responses = BTreeMap<String, RefOr<Response>>;

/// What any call may meet.
pub struct RefusalsWithoutToken;

impl IntoResponses for RefusalsWithoutToken {
    fn responses() -> Responses {
        let retry_after = HeaderBuilder::new().description(Some("Seconds, where the function answers")).build();
        let unavailable =
            by_the_gateway(by_the_function("The database is out of reach, or too many calls are under way"));
        BTreeMap::from([
            ("429".to_owned(), by_the_gateway(described("Too many calls a second")).into()),
            ("503".to_owned(), unavailable.header("Retry-After", retry_after).into()),
        ])
    }
}

/// What a call that wants a token may meet.
pub struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> Responses {
        let mut responses = RefusalsWithoutToken::responses();
        responses.extend([
            ("401".to_owned(), by_the_gateway(by_the_function("No valid token")).into()),
            ("403".to_owned(), by_the_gateway(by_the_function("The token does not allow this")).into()),
        ]);
        responses
    }
}

/// The same, and that there is no such order.
pub struct RefusalsOfOne;

impl IntoResponses for RefusalsOfOne {
    fn responses() -> Responses {
        let mut responses = Refusals::responses();
        let no_such_order = by_the_function("There is no such order, or it is not the caller's");
        responses.insert("404".to_owned(), no_such_order.into());
        responses
    }
}

/// What an operator's call with options may meet.
pub struct RefusalsOfOptions;

impl IntoResponses for RefusalsOfOptions {
    fn responses() -> Responses {
        let mut responses = Refusals::responses();
        responses.extend([
            ("400".to_owned(), by_the_function("Not JSON that can be read").into()),
            ("413".to_owned(), by_the_function("More than 1 MiB").into()),
            ("415".to_owned(), by_the_function("Not said to be JSON, or compressed").into()),
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

/// What the gateway refuses a call with before the function sees it.
pub struct GatewayRefusal;

impl ToSchema for GatewayRefusal {
    fn name() -> Cow<'static, str> {
        "GatewayRefusal".into()
    }
}

impl PartialSchema for GatewayRefusal {
    fn schema() -> RefOr<Schema> {
        let message =
            ObjectBuilder::new().schema_type(Type::String).description(Some("Why")).examples(["Unauthorized"]);
        ObjectBuilder::new()
            .description(Some("A refusal of the gateway's own, before the service sees the call."))
            .property("message", message)
            .required("message")
            .into()
    }
}
