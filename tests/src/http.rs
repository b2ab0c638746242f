//! Calls of a router in this process, answers, and lists of orders.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use sandbox::gateway::{self, Claims};
use serde_json::Value;
use shared::gateway::{GatewayEvent, cleaned};
use tower::ServiceExt;

/// An answer with its whole body.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
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
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// A header's value, or an empty string.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header is text"))
    }

    /// Asserts the status and returns the body as JSON.
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }

    /// Asserts that the answer is a problem with this status, and returns it.
    pub fn problem(self, status: u16) -> Value {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.expect(status);
        assert_eq!(problem["status"], status);
        problem
    }
}

/// Asserts that a JSON object has these members. It may have more.
#[track_caller]
pub fn assert_members(object: &Value, expected: &Value) {
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&object[name], value, "{name}: {object}");
    }
}

/// Calls a router in this process with the gateway's event for the request. The caller has these claims, `(sub, scope)`, or
/// the event has no authorizer.
pub async fn call_in_process(router: &Router, claims: Option<(&str, &str)>, request: Request<Body>) -> Answer {
    invoke(router, &event(claims, request).await).await.expect("the event is a gateway's")
}

/// Invokes a router in this process with any event. Fails if the event is not a gateway's.
pub async fn invoke(router: &Router, event: &Value) -> Result<Answer, serde_json::Error> {
    let event: GatewayEvent = serde_json::from_str(&event.to_string())?;
    let request: lambda_http::Request = cleaned(event).into();
    let response = router.clone().oneshot(request).await.expect("a router does not fail");
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("the body can be read");
    let text = String::from_utf8(bytes.to_vec()).expect("the body is text");
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, text })
}

/// The gateway's event for a request.
pub async fn event(claims: Option<(&str, &str)>, request: Request<Body>) -> Value {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("the body can be read");
    let header = |name: &axum::http::HeaderName| {
        Some((name.as_str().to_owned(), parts.headers.get(name)?.to_str().ok()?.into()))
    };
    let body = String::from_utf8(body.to_vec()).expect("the body is text");
    let claims = claims.map(|(sub, scope)| Claims { sub, scope });
    let mut event = gateway::event(parts.method.as_str(), &parts.uri.to_string(), claims, Some(body));
    event["headers"] = Value::Object(parts.headers.keys().filter_map(header).collect());
    event["requestContext"]["requestId"] = "test-request".into();
    event
}

/// The order ids on a page.
pub fn ids(page: &Value) -> Vec<String> {
    let orders = page["orders"].as_array().expect("a page of orders");
    orders.iter().map(|order| order["order_id"].as_str().expect("an id").to_owned()).collect()
}

/// Reads all pages of `/orders` with this query by their cursors, and returns the order ids. `read` returns the page of a path.
pub async fn walk(query: &str, mut read: impl AsyncFnMut(&str) -> Value) -> Vec<String> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = read(&format!("/orders?{query}{cursor}")).await;
        seen.extend(ids(&page));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return seen,
        }
    }
}
