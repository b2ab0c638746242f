//! All calls of the api, with planted values in their headers, paths and bodies.

use axum::body::Body;
use axum::http::{Method, Request};
use sandbox::runtime::Environment;
use serde_json::{Value, json};

use super::invoke;
use super::planted::*;

/// A request with a token and an idempotency key, as the gateway passes it on.
pub fn request(method: &str, path: &str, body: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let request = request.header("authorization", format!("Bearer {TOKEN}")).header("idempotency-key", IDEMPOTENCY_KEY);
    request.header("cookie", format!("session={TOKEN}")).body(Body::from(body.to_owned())).unwrap()
}

/// Bodies of valid and invalid orders.
fn bodies() -> Vec<String> {
    let good = json!({"order_id": "o-1", "user_id": USER, "item_ids": [ITEM], "total_amount": AMOUNT});
    let broken = |member: &str, value: Value| {
        let mut body = good.clone();
        body[member] = value;
        body.to_string()
    };
    vec![
        good.to_string(),
        good.to_string(),
        broken("user_id", json!(format!("{USER}\u{7}"))),
        broken("user_id", json!("somebody else")),
        broken("item_ids", json!([ITEM, ""])),
        broken("total_amount", json!(format!("{AMOUNT}9"))),
        broken(ITEM, json!(1)),
        format!("{{\"user_id\": \"{USER}\", {ITEM}"),
        format!("\"{ITEM}\""),
        json!({"orders": [good, {"user_id": USER, "item_ids": [ITEM]}]}).to_string(),
        format!("\"{}\"", ITEM.repeat(1_200_000 / ITEM.len())),
    ]
}

/// Makes all calls with all bodies, by an operator, by an ordinary user and without claims.
pub async fn call_all(api: &Environment, answers: &mut String) {
    let mut calls: Vec<(&str, String, String)> = Vec::new();
    for path in ["/orders", "/orders/batch", "/orders/retry", "/dead-letters/redrive", "/orders/o-1"] {
        calls.extend(bodies().into_iter().map(|body| ("POST", path.to_owned(), body)));
    }
    for path in ["o-1", "o-1/status", "none", "o 1", ""] {
        calls.push(("GET", format!("/orders/{}", path.replace(' ', "%20")), String::new()));
    }
    let query = format!("user_id={}&cursor={IDEMPOTENCY_KEY}&token={TOKEN}", USER.replace('@', "%40"));
    for path in ["/orders", "/orders?user_id=planted", &format!("/orders?{query}"), "/metrics", "/healthz", "/nothing"]
    {
        calls.push(("GET", path.to_owned(), String::new()));
    }
    let erase = format!("/users/{}/erase", USER.replace('@', "%40"));
    for path in ["/orders/o-1/cancel", "/orders/o-1/retry", "/orders/retry", "/dead-letters/redrive", &erase] {
        calls.push(("POST", path.to_owned(), "{\"dry_run\": false}".to_owned()));
    }
    for path in ["/orders/retry", "/orders/cancel"] {
        calls.push(("POST", path.to_owned(), json!({"dry_run": false, "user_id": USER}).to_string()));
    }
    calls.push(("POST", "/orders/retry".to_owned(), json!({"dry_run": false, "cause": ITEM}).to_string()));
    calls.push((Method::DELETE.as_str(), "/orders".to_owned(), String::new()));
    for (method, path, body) in calls {
        for claims in [Some(("operator", "orders/admin")), Some(("somebody", "orders/read orders/write")), None] {
            let event = tests::event(claims, request(method, &path, &body)).await;
            answers.push_str(&invoke(api, &event).await);
            answers.push('\n');
        }
    }
}
