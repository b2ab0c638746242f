//! All calls of the api, with planted values in their headers, paths and bodies.

use axum::body::Body;
use axum::http::{Method, Request};
use sandbox::runtime::Environment;
use serde_json::{Value, json};

use super::invoke;
use super::planted::*;
use crate::matrix::routes;

/// A request with a token and an idempotency key, as the gateway passes it on.
pub fn request(method: &str, path: &str, body: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let request = request.header("authorization", format!("Bearer {TOKEN}")).header("idempotency-key", IDEMPOTENCY_KEY);
    request.header("cookie", format!("session={TOKEN}")).body(Body::from(body.to_owned())).unwrap()
}

/// Bodies of valid and invalid orders, and of calls on many orders.
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
        json!({"dry_run": false, "user_id": USER}).to_string(),
        json!({"dry_run": false, "cause": ITEM}).to_string(),
        json!({"dry_run": false}).to_string(),
        String::new(),
    ]
}

/// Calls every route with all bodies, by an operator, by an ordinary user and without claims, and calls that no route answers.
pub async fn call_all(api: &Environment, answers: &mut String) {
    let user = USER.replace('@', "%40");
    let query = format!("/orders?user_id={user}&cursor={IDEMPOTENCY_KEY}&token={TOKEN}");
    let others = ["/orders/none", "/orders/o%201", "/orders/", "/orders?user_id=planted", &query, "/nothing"];
    let mut calls: Vec<_> = others.map(|path| (Method::GET, path.to_owned(), String::new())).into();
    calls.push((Method::DELETE, "/orders".to_owned(), String::new()));
    for route in routes::all() {
        let path = route.path.replace("{order_id}", "o-1").replace("{user_id}", &user);
        let bodies = if route.method == Method::POST { bodies() } else { vec![String::new()] };
        calls.extend(bodies.into_iter().map(|body| (route.method.clone(), path.clone(), body)));
    }
    for (method, path, body) in calls {
        for claims in [Some(("operator", "orders/admin")), Some(("somebody", "orders/read orders/write")), None] {
            let event = tests::event(claims, request(method.as_str(), &path, &body)).await;
            answers.push_str(&invoke(api, &event).await);
            answers.push('\n');
        }
    }
}
