//! Requests to the api.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

/// A GET.
pub fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).expect("a request")
}

/// A POST of JSON.
pub fn post(path: &str, body: &Value) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/json");
    request.body(body.to_string().into()).expect("a request")
}

/// A POST without a body.
pub fn post_empty(path: &str) -> Request<Body> {
    Request::post(path).body(Body::empty()).expect("a request")
}

/// The request with this header, in place of one of the same name.
pub fn with_header(mut request: Request<Body>, name: &'static str, value: &str) -> Request<Body> {
    request.headers_mut().insert(name, value.parse().expect("a header's value"));
    request
}

/// The body of an order of alice's.
pub fn order(order_id: &str) -> Value {
    json!({"order_id": order_id, "user_id": "alice", "item_ids": ["book-1", "pen-7"], "total_amount": "59.98"})
}

/// The same with these members.
pub fn order_with(order_id: &str, members: &Value) -> Value {
    let mut order = order(order_id);
    for (name, value) in members.as_object().expect("an object") {
        order[name] = value.clone();
    }
    order
}
