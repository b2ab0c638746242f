//! Serving HTTP behind API Gateway.
//!
//! `lambda_http` assumes a well-formed event and panics otherwise. A client can cause a malformed one: by a `<` or a space in the
//! query, by a path that the gateway decodes, or by a `Host` header that is no host. This module therefore cleans an event
//! before it becomes a request.

use std::convert::Infallible;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use http_body_util::Full;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_http::request::LambdaRequest;
use lambda_http::tower::ServiceExt;
use lambda_http::{Adapter, Error, LambdaEvent, Request, Response};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::lifecycle;

/// The characters that a decoded path can't hold: those that would end it or start an encoded one, and a space. Characters outside of
/// ASCII are encoded too.
const NOT_IN_PATH: &AsciiSet = &CONTROLS.add(b'#').add(b'?').add(b'\\').add(b'%').add(b' ');
const DELIMITERS: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'#').add(b'[').add(b']');
/// The characters that a query can't hold unencoded (RFC 3986, 3.4). `%` is not among them: it starts an encoded byte.
const NOT_IN_QUERY: &AsciiSet = &DELIMITERS.add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

/// Serves calls until the environment ends.
pub async fn serve(router: Router) -> Result<(), Error> {
    let clean =
        |event: LambdaEvent<GatewayEvent>| LambdaEvent { payload: cleaned(event.payload), context: event.context };
    let service = ServiceExt::<Request>::and_then(router, in_memory);
    lifecycle::run(Adapter::from(service).map_request(clean)).await
}

/// Puts the body of an answer into one piece. Concurrent calls may run on several threads and need a body that threads can
/// share. All bodies are in memory already, so reading one can't fail.
async fn in_memory(response: axum::response::Response) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    Ok(Response::from_parts(parts, body.into()))
}

/// An event of the gateway.
///
/// `lambda_http` reads only claims that are strings. A token's claims can have any type, and some gateways pass them on
/// unchanged. This turns those into strings first.
pub struct GatewayEvent(pub ApiGatewayV2httpRequest);

impl<'de> Deserialize<'de> for GatewayEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let event = <&RawValue>::deserialize(deserializer)?.get();
        let read = serde_json::from_str(event).or_else(|_| read_with_text_claims(event));
        // The parser's error quotes the event, which has a token, and the runtime logs this error.
        read.map(Self).map_err(|error| {
            let (kind, column) = (error.classify(), error.column());
            D::Error::custom(format_args!("not an event of an HTTP API ({kind:?} error in column {column})"))
        })
    }
}

fn read_with_text_claims(event: &str) -> serde_json::Result<ApiGatewayV2httpRequest> {
    let mut event: Value = serde_json::from_str(event)?;
    let claims = event.pointer_mut("/requestContext/authorizer/jwt/claims").and_then(Value::as_object_mut);
    if let Some(claims) = claims {
        claims.retain(|_, claim| !claim.is_null());
        claims.values_mut().for_each(|claim| *claim = Value::String(text_of(claim)));
    }
    serde_json::from_str(&event.to_string())
}

/// A claim as API Gateway writes it into an event: a list becomes `[a b]`.
fn text_of(claim: &Value) -> String {
    match claim {
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(text_of).collect::<Vec<_>>().join(" ")),
        other => other.to_string(),
    }
}

/// Cleans an event, so that `lambda_http` can build a request from it.
#[must_use]
pub fn cleaned(GatewayEvent(mut event): GatewayEvent) -> LambdaRequest {
    let path = event.raw_path.take().unwrap_or_default();
    // The gateway has decoded the path. Each character that would end it, or start an encoded one, is therefore part of it. A space is part
    // of it too: a parser would drop it at the end. A second slash stays, so that no route matches, as at the gateway.
    let path = utf8_percent_encode(path.strip_prefix('/').unwrap_or(&path), NOT_IN_PATH).to_string();
    event.raw_path = Some(format!("/{}", with_dots_encoded(&path)));
    event.raw_query_string = event.raw_query_string.map(|query| utf8_percent_encode(&query, NOT_IN_QUERY).to_string());
    // The service does not use its own host or scheme.
    event.headers.remove("host");
    event.headers.remove("x-forwarded-proto");
    event.request_context.domain_name = None;
    LambdaRequest::ApiGatewayV2(event)
}

/// Encodes the path segments `.` and `..` twice, so that no later step removes them. Without the dot, `/orders/./retry` would be
/// `/orders/retry`, which is another route.
fn with_dots_encoded(path: &str) -> String {
    let keep = |segment: &str| {
        if [".", ".."].contains(&segment) { segment.replace('.', "%252E") } else { segment.to_owned() }
    };
    path.split('/').map(keep).collect::<Vec<_>>().join("/")
}

/// The most characters of a path in the log. Those of an order's longest identifier, which is percent-encoded in part, fit.
const MAX_LOGGED: usize = 256;

/// The part of a path that is logged. Anybody can call paths that no route has, and would fill the log with long ones.
#[must_use]
pub fn logged_path(path: &str) -> String {
    path.chars().take(MAX_LOGGED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_has_only_the_start_of_a_long_path() {
        assert_eq!(logged_path("/orders/o-1"), "/orders/o-1");
        assert_eq!(logged_path(&"/ö".repeat(5000)), "/ö".repeat(128));
    }

    fn path_of(path: &str) -> String {
        let event =
            serde_json::json!({"version": "2.0", "rawPath": path, "requestContext": {"http": {"method": "GET"}}});
        let event: GatewayEvent = serde_json::from_str(&event.to_string()).unwrap();
        Request::from(cleaned(event)).uri().path().to_owned()
    }

    #[test]
    fn dot_segments_stay_in_a_path() {
        assert_eq!(path_of("/orders/./retry"), "/orders/%252E/retry");
        assert_eq!(path_of("/orders/x/../retry"), "/orders/x/%252E%252E/retry");
        assert_eq!(path_of("/orders/.../a.b"), "/orders/.../a.b");
    }

    #[test]
    fn extra_slash_stays_in_a_path() {
        assert_eq!(path_of("//healthz"), "//healthz");
        assert_eq!(path_of("///orders//x/"), "///orders//x/");
        assert_eq!(["/", ""].map(path_of), ["/", "/"]);
    }

    #[test]
    fn decoded_path_is_not_decoded_again() {
        assert_eq!(path_of("/users/a%40b/erase"), "/users/a%2540b/erase");
        assert_eq!(path_of("/orders/%2e/retry"), "/orders/%252e/retry");
        assert_eq!(path_of("/orders/a#b?c"), "/orders/a%23b%3Fc");
    }

    #[test]
    fn characters_outside_of_ascii_are_encoded_once() {
        assert_eq!(path_of("/orders/ü\u{85}\n\u{7f}"), "/orders/%C3%BC%C2%85%0A%7F");
    }

    #[test]
    fn claims_of_any_type_are_read_as_text() {
        let claims = serde_json::json!({"sub": "alice", "admin": true, "iat": 7, "nick": null, "scp": ["a", "b"], "x": {"y": 1}});
        let event = serde_json::json!({
            "version": "2.0", "rawPath": "/", "requestContext": {"http": {"method": "GET"}, "authorizer": {"jwt": {"claims": claims}}}
        });
        let GatewayEvent(event) = serde_json::from_str(&event.to_string()).unwrap();
        let mut claims: Vec<_> = event.request_context.authorizer.unwrap().jwt.unwrap().claims.into_iter().collect();
        claims.sort();
        let claims: Vec<_> = claims.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(claims, [("admin", "true"), ("iat", "7"), ("scp", "[a b]"), ("sub", "alice"), ("x", "{\"y\":1}")]);
    }

    #[test]
    fn only_forbidden_characters_are_percent_encoded() {
        let encoded = |query| utf8_percent_encode(query, NOT_IN_QUERY).to_string();
        assert_eq!(encoded("a=1&b=%20+~"), "a=1&b=%20+~");
        assert_eq!(encoded("<a b>\"ü|"), "%3Ca%20b%3E%22%C3%BC%7C");
    }
}
