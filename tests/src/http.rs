//! Calls, and the answers to them.

use std::collections::HashMap;

use aws_lambda_events::apigw::ApiGatewayV2httpRequestContext;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use lambda_http::request::RequestContext;
use serde_json::{Value, json};
use tower::ServiceExt;

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub text: String,
}

impl Answer {
    /// Reads an HTTP response to its end.
    pub async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.expect("the body is text") }
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// A header's text; empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header is text"))
    }

    /// The body, after a check that the status is this one.
    #[allow(clippy::must_use_candidate, reason = "often only the status matters")]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }

    /// The problem, after a check that it is one of this status.
    #[allow(clippy::must_use_candidate, reason = "often only the status matters")]
    pub fn problem(self, status: u16) -> Value {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.expect(status);
        assert_eq!(problem["status"], status);
        problem
    }
}

/// Calls a router in this process the way the gateway would for a caller with these claims, `(sub, scope)`.
pub async fn call_in_process(router: &Router, claims: Option<(&str, &str)>, mut request: Request<Body>) -> Answer {
    if let Some((sub, scope)) = claims {
        let claims: HashMap<_, _> = [("sub", sub), ("scope", scope)].into();
        let context = json!({"requestId": "test-request", "authorizer": {"jwt": {"claims": claims, "scopes": null}}});
        let context: ApiGatewayV2httpRequestContext = serde_json::from_value(context).expect("a context");
        request.extensions_mut().insert(RequestContext::ApiGatewayV2(context));
    }
    let response = router.clone().oneshot(request).await.expect("a router does not fail");
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("the body can be read");
    let text = String::from_utf8(bytes.to_vec()).expect("the body is text");
    Answer { status: parts.status.as_u16(), headers: parts.headers, text }
}
