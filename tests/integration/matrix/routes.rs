//! The routes of the OpenAPI document: what each takes, answers and does.

use std::collections::BTreeSet;
use std::fmt;

use reqwest::Method;
use serde_json::Value;
use tests::{Stack, order};

/// The scope that may do everything.
pub const ADMIN: &str = "orders/admin";
/// The scope that reads everything.
pub const READ_ALL: &str = "orders/read.all";
/// The scope that places and cancels every user's orders.
pub const WRITE_ALL: &str = "orders/write.all";
/// The routes that need no token. One that is public by mistake is not among them.
pub const PUBLIC: [&str; 1] = ["GET /healthz"];
/// What the gateway serves besides the document's routes, without a token: the pages, and who answers whatever has no route.
pub const PAGES: [&str; 6] =
    ["GET /dashboard", "GET /dashboard/{proxy+}", "GET /docs", "GET /docs/{proxy+}", "GET /openapi.json", "$default"];

/// A route that wants a token.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The scopes that open it, each alone. The first reaches no further than the caller's own orders, if there is such a scope.
    pub scopes: BTreeSet<String>,
    /// The first of them.
    pub scope: String,
    /// The status of an answer when all is well, the lowest where there are several; a creation's is 201.
    pub success: u16,
    path: String,
    body: Option<Value>,
    statuses: BTreeSet<u16>,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// The routes that want a token.
pub fn with_token() -> Vec<Route> {
    let document = document();
    let guarded = operations(&document).filter_map(|(method, path, operation)| {
        let scope = operation["security"][0]["token"][0].as_str()?.to_owned();
        let alternatives = operation["security"].as_array().unwrap().iter();
        let scopes = alternatives.map(|token| token["token"][0].as_str().unwrap().to_owned()).collect();
        let statuses: BTreeSet<u16> =
            operation["responses"].as_object().unwrap().keys().map(|status| status.parse().unwrap()).collect();
        let success = if statuses.contains(&201) { 201 } else { 200 };
        let body = example(&document, operation);
        Some(Route { method, scopes, scope, success, path: path.to_owned(), body, statuses })
    });
    guarded.collect()
}

/// The routes that want none, as `GET /path`.
pub fn without_token() -> BTreeSet<String> {
    let document = document();
    let open = operations(&document).filter(|(_, _, operation)| operation["security"][0]["token"][0].is_null());
    open.map(|(method, path, _)| format!("{method} {path}")).collect()
}

fn document() -> Value {
    serde_json::from_str(site::OPENAPI).unwrap()
}

fn operations(document: &Value) -> impl Iterator<Item = (Method, &str, &Value)> {
    document["paths"].as_object().unwrap().iter().flat_map(|(path, operations)| {
        let operations = operations.as_object().unwrap().iter();
        operations.map(|(method, operation)| (method.to_uppercase().parse().unwrap(), path.as_str(), operation))
    })
}

/// The example of the body that an operation takes, if it wants one.
fn example(document: &Value, operation: &Value) -> Option<Value> {
    let content = &operation["requestBody"];
    if content["required"] != true {
        return None;
    }
    let schema = content["content"]["application/json"]["schema"]["$ref"].as_str().unwrap();
    let schema = document.pointer(schema.trim_start_matches('#')).unwrap();
    let example = schema["examples"][0].clone();
    assert!(example.is_object(), "{} needs an example of its body", operation["operationId"]);
    Some(example)
}

impl Route {
    /// What another user's token, with the right scope, is answered where the order is alice's.
    pub fn of_another_user(&self) -> u16 {
        match (self.scope.as_str(), self.to_string().as_str()) {
            (ADMIN | READ_ALL, _) => 403,
            (_, path) if path.contains("{order_id}") => 404,
            (_, "POST /orders") => 403,
            // A list shows bob's own, and a batch says of each order in it that it is refused.
            (_, "GET /orders" | "POST /orders/batch") => 200,
            (_, route) => panic!("say what another user is answered at {route}"),
        }
    }

    /// Whether the document says that this may be answered.
    pub fn documents(&self, status: u16) -> bool {
        self.statuses.contains(&status)
    }

    /// The path with the order that it speaks of.
    pub fn path_of(&self, order_id: &str) -> String {
        let path = self.path.replace("{order_id}", order_id);
        assert!(!path.contains('{'), "say what stands for the parameter of {self}");
        path
    }

    /// The body, if there has to be one, which speaks of this order.
    pub fn body_with(&self, order_id: &str) -> Option<Value> {
        let mut body = self.body.clone()?;
        let order = if body["orders"].is_array() { &mut body["orders"][0] } else { &mut body };
        order["order_id"] = order_id.into();
        Some(body)
    }

    /// The gateway admits a token that has one of these scopes. Members of the operators' group have an ordinary user's scopes.
    pub fn admitted(&self) -> BTreeSet<String> {
        let ordinary = if self.method == Method::GET { "orders/read" } else { "orders/write" };
        self.scopes.iter().cloned().chain([ordinary.to_owned()]).collect()
    }

    /// Whether the path names an order.
    pub fn takes_an_order(&self) -> bool {
        self.path.contains('{')
    }

    /// Whether the order has to be a failed one.
    pub fn wants_a_failed_order(&self) -> bool {
        self.path.ends_with("}/retry")
    }

    /// Makes the order that a call needs: alice's, and a failed one for who retries it.
    pub async fn prepare(&self, stack: &Stack, order_id: &str) {
        if self.wants_a_failed_order() {
            fail(stack, order_id).await;
        } else if self.takes_an_order() {
            stack.post_as("TOKEN_ALICE", "/orders", &order(order_id)).await.expect(201);
        }
    }

    /// Whether what the route does was done to the order; nothing where it does nothing to it.
    pub async fn was_done(&self, stack: &Stack, order_id: &str) -> Option<bool> {
        let answer = stack.get_as("TOKEN_ADMIN", &format!("/orders/{order_id}/status")).await;
        match (self.method.as_str(), self.path.as_str()) {
            ("POST", "/orders" | "/orders/batch") => Some(answer.status != 404),
            ("POST", "/orders/{order_id}/cancel") => Some(answer.expect(200)["status"] == "cancelled"),
            ("POST", "/orders/{order_id}/retry") => Some(answer.expect(200)["status"] != "failed"),
            // Without `"dry_run": false` they only count.
            ("GET", _) | ("POST", "/orders/cancel" | "/orders/retry" | "/dead-letters/redrive") => None,
            _ => panic!("say how it is seen that {self} did something"),
        }
    }
}

/// An order that has failed, which the simulated work never makes, and its part of the statistics.
async fn fail(stack: &Stack, order_id: &str) {
    let (sql, connection) = tokio_postgres::connect(stack.get("DATABASE_URL"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let failed = "
        WITH failed AS (
            INSERT INTO orders (order_id, user_id, item_ids, total_amount, started_at, finished_at, attempts, failure)
            VALUES ($1::text, 'alice', ARRAY['book-1'], 59.98, now(), now(), 1, 'a test failed it') RETURNING finished_at
        )
        INSERT INTO order_outcomes (minute, failed) SELECT date_trunc('minute', finished_at), 1 FROM failed";
    sql.execute(failed, &[&order_id]).await.unwrap();
}
