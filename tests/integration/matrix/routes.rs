//! The routes of the OpenAPI document: their requests, their answers and their effects.

use std::collections::BTreeSet;
use std::fmt;

use axum::body::Body;
use axum::http::Request;
use reqwest::Method;
use serde_json::Value;
use tests::{Stack, order};

use super::examples::{example, json_of};

/// The scope that permits everything.
pub const ADMIN: &str = "orders/admin";
/// The scope that reads everything.
pub const READ_ALL: &str = "orders/read.all";
/// The scope that creates and cancels every user's orders.
pub const WRITE_ALL: &str = "orders/write.all";
/// The routes that need no token by design.
pub const PUBLIC: [&str; 1] = ["GET /healthz"];
/// The gateway's other routes, all without a token: the pages, and the default route for unknown paths.
pub const PAGES: [&str; 6] =
    ["GET /dashboard", "GET /dashboard/{proxy+}", "GET /docs", "GET /docs/{proxy+}", "GET /openapi.json", "$default"];

/// Pauses the whole stack.
pub const PAUSE: &str = "/processing/pause";

/// A route.
pub struct Route {
    /// The HTTP method.
    pub method: Method,
    /// The scopes that open it, each alone. The first reaches no further than the caller's own orders, if there is such a scope.
    pub scopes: BTreeSet<String>,
    /// The first of them; empty if the route needs no token.
    pub scope: String,
    /// The status of a successful call: 201 for a create, 200 otherwise.
    pub success: u16,
    /// The operation in the document.
    pub operation: Value,
    pub path: String,
    body: Option<Value>,
    statuses: BTreeSet<u16>,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// The routes that need a token.
pub fn with_token() -> Vec<Route> {
    all().into_iter().filter(|route| !route.scope.is_empty()).collect()
}

/// The routes that need no token, as `GET /path`.
pub fn without_token() -> BTreeSet<String> {
    all().iter().filter(|route| route.scope.is_empty()).map(Route::to_string).collect()
}

/// Every route.
pub fn all() -> Vec<Route> {
    let document = document();
    let routes = operations(&document).map(|(method, path, operation)| {
        let scope = operation["x-required-scopes"][0].as_str().unwrap_or_default().to_owned();
        let statuses: BTreeSet<u16> =
            operation["responses"].as_object().unwrap().keys().map(|status| status.parse().unwrap()).collect();
        let success = if statuses.contains(&201) { 201 } else { 200 };
        let required = Some(&operation["requestBody"]).filter(|body| body["required"] == true);
        let mut body = required.map(|body| example(&document, json_of(body)).expect("a body has an example"));
        let success = if path == PAUSE {
            // A pause would hold the orders of other tests. An administrator's is refused for its reason, which comes after the scope.
            body = Some(serde_json::json!({"reason": ""}));
            422
        } else {
            success
        };
        let scopes = sufficient(&scope);
        Route { method, scopes, scope, success, operation: operation.clone(), path: path.to_owned(), body, statuses }
    });
    routes.collect()
}

/// The scopes that are enough where this one is needed.
fn sufficient(needed: &str) -> BTreeSet<String> {
    if needed.is_empty() {
        return BTreeSet::new();
    }
    let wider = format!("{needed}.all");
    let all = ["orders/read", "orders/write", READ_ALL, WRITE_ALL, ADMIN];
    all.into_iter().filter(|scope| *scope == needed || *scope == wider || *scope == ADMIN).map(str::to_owned).collect()
}

/// The OpenAPI document.
pub fn document() -> Value {
    serde_json::from_str(site::OPENAPI).unwrap()
}

fn operations(document: &Value) -> impl Iterator<Item = (Method, &str, &Value)> {
    document["paths"].as_object().unwrap().iter().flat_map(|(path, operations)| {
        let operations = operations.as_object().unwrap().iter();
        operations.map(|(method, operation)| (method.to_uppercase().parse().unwrap(), path.as_str(), operation))
    })
}

impl Route {
    /// The status for another user's token with the right scope, when the order is alice's.
    pub fn of_another_user(&self) -> u16 {
        match (self.scope.as_str(), self.to_string().as_str()) {
            (ADMIN | READ_ALL, _) => 403,
            (_, path) if path.contains("{order_id}") => 404,
            (_, "POST /orders") => 403,
            // A list shows the caller's own orders, and a batch refuses each order by itself.
            (_, "GET /orders" | "POST /orders/batch") => 200,
            (_, route) => panic!("add the status for another user of {route}"),
        }
    }

    /// Whether the document contains this status for the route.
    pub fn documents(&self, status: u16) -> bool {
        self.statuses.contains(&status)
    }

    /// The path with this order id.
    pub fn path_of(&self, order_id: &str) -> String {
        // Each order of a call on a user has a user of its own.
        let path = self.path.replace("{order_id}", order_id).replace("{user_id}", order_id);
        assert!(!path.contains('{'), "add a value for the parameter of {self}");
        path
    }

    /// The required body with this order id, if the route has one.
    pub fn body_with(&self, order_id: &str) -> Option<Value> {
        let mut body = self.body.clone()?;
        if body["reason"].is_string() {
            return Some(body);
        }
        let order = if body["orders"].is_array() { &mut body["orders"][0] } else { &mut body };
        order["order_id"] = order_id.into();
        Some(body)
    }

    /// The gateway's event for a call of the route, without an authorizer.
    pub async fn event(&self, path_id: &str, body_id: &str) -> Value {
        let body = self.body_with(body_id).map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = Request::builder().method(self.method.as_str()).uri(self.path_of(path_id));
        tests::event(None, request.header("content-type", "application/json").body(body).unwrap()).await
    }

    /// The gateway admits a token that has one of these scopes. Members of the operators' group have an ordinary user's scopes.
    pub fn admitted(&self) -> BTreeSet<String> {
        let ordinary = if self.method == Method::GET { "orders/read" } else { "orders/write" };
        self.scopes.iter().cloned().chain([ordinary.to_owned()]).collect()
    }

    /// Whether the path names an order.
    pub fn takes_an_order(&self) -> bool {
        self.path.contains("{order_id}")
    }

    /// Whether the order has to be a failed one.
    pub fn wants_a_failed_order(&self) -> bool {
        self.path.ends_with("}/retry")
    }

    /// Creates the order that a call needs: alice's, a failed one for a retry, and one of its user for an erasure.
    pub async fn prepare(&self, stack: &Stack, order_id: &str) {
        if self.wants_a_failed_order() {
            fail(stack, order_id, "alice").await;
        } else if self.path.ends_with("/erase") {
            fail(stack, order_id, order_id).await;
        } else if self.takes_an_order() {
            stack.post_as("TOKEN_ALICE", "/orders", &order(order_id)).await.expect(201);
        }
    }

    /// Whether the route's effect on the order happened, or `None` if the route has no effect on it.
    pub async fn was_done(&self, stack: &Stack, order_id: &str) -> Option<bool> {
        let answer = stack.get_as("TOKEN_ADMIN", &format!("/orders/{order_id}/status")).await;
        match (self.method.as_str(), self.path.as_str()) {
            ("POST", "/orders" | "/orders/batch") => Some(answer.status != 404),
            ("POST", "/orders/{order_id}/cancel") => Some(answer.expect(200)["status"] == "cancelled"),
            ("POST", "/orders/{order_id}/retry") => Some(answer.expect(200)["status"] != "failed"),
            ("POST", "/users/{user_id}/erase") => {
                let order = stack.get_as("TOKEN_ADMIN", &format!("/orders/{order_id}")).await.expect(200);
                Some(order["user_id"] != order_id)
            }
            // These are dry runs without `"dry_run": false`. The pause is refused, and the stack is not paused.
            ("GET", _)
            | ("POST", "/orders/cancel" | "/orders/retry" | "/dead-letters/redrive" | PAUSE | "/processing/resume") => {
                None
            }
            _ => panic!("add a check for the effect of {self}"),
        }
    }
}

/// Inserts a failed order with its statistics, because simulated work never fails.
async fn fail(stack: &Stack, order_id: &str, user_id: &str) {
    let sql = tests::connect(stack.get("DATABASE_URL")).await;
    let failed = "
        WITH failed AS (
            INSERT INTO orders (order_id, user_id, item_ids, total_amount, started_at, finished_at, attempts, failure)
            VALUES ($1::text, $2::text, ARRAY['book-1'], 59.98, now(), now(), 1, 'a test failed it') RETURNING finished_at
        )
        INSERT INTO order_outcomes (minute, failed) SELECT date_trunc('minute', finished_at), 1 FROM failed";
    sql.execute(failed, &[&order_id, &user_id]).await.unwrap();
}
