//! Serving HTTP behind API Gateway.
//!
//! What `lambda_http` makes a request of, it takes for well formed, and panics where it is not. A client can send what is
//! not: a `<` or a space in the query, a path that the gateway has decoded, a `Host` header that is no host. So an event is
//! cleaned before it becomes a request.

use std::convert::Infallible;
use std::fmt::Write;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use http_body_util::Full;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_http::request::LambdaRequest;
use lambda_http::tower::ServiceExt;
use lambda_http::{Adapter, Error, LambdaEvent, Request, Response};

use crate::lifecycle;

/// Serves calls until the environment ends.
pub async fn serve(router: Router) -> Result<(), Error> {
    let clean = |event: LambdaEvent<LambdaRequest>| LambdaEvent { payload: cleaned(event.payload), ..event };
    let service = ServiceExt::<Request>::and_then(router, in_memory);
    lifecycle::run(Adapter::from(service).map_request(clean)).await
}

/// The same answer with its body in one piece, which threads may share as several calls at once need it. All bodies are made
/// in memory, so that reading one can't fail.
async fn in_memory(response: axum::response::Response) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    Ok(Response::from_parts(parts, body.into()))
}

/// The same event, such that a request can be made of it.
#[must_use]
pub fn cleaned(event: LambdaRequest) -> LambdaRequest {
    match event {
        LambdaRequest::ApiGatewayV2(event) => LambdaRequest::ApiGatewayV2(cleaned_v2(event)),
        other => other,
    }
}

fn cleaned_v2(mut event: ApiGatewayV2httpRequest) -> ApiGatewayV2httpRequest {
    let path = event.raw_path.take().unwrap_or_default();
    // The gateway decodes the path: what would end it then is part of it.
    let path = encoded(path.trim_start_matches('/'), |c| !matches!(c, '#' | '?' | '\\') && !c.is_control());
    event.raw_path = Some(format!("/{path}"));
    event.raw_query_string = event.raw_query_string.map(|query| encoded(&query, is_query_character));
    // Nothing here asks for its own host or scheme.
    event.headers.remove("host");
    event.headers.remove("x-forwarded-proto");
    event.request_context.domain_name = None;
    event
}

/// The text with every character but the allowed ones percent-encoded.
fn encoded(text: &str, is_allowed: impl Fn(char) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for character in text.chars() {
        if is_allowed(character) {
            encoded.push(character);
        } else {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(encoded, "%{byte:02X}"); // Writing to a string does not fail.
            }
        }
    }
    encoded
}

/// What a query may hold as it is (RFC 3986, 3.4), and `%`, which is taken for the beginning of an encoded byte.
fn is_query_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/?%".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_not_stand_as_it_is_gets_encoded() {
        assert_eq!(encoded("a=1&b=%20+~", is_query_character), "a=1&b=%20+~");
        assert_eq!(encoded("<a b>\"ü|", is_query_character), "%3Ca%20b%3E%22%C3%BC%7C");
    }
}
