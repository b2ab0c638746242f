//! Each scope alone, on the caller's own order and on another user's: the function's answers, without the gateway.

use serde_json::{Value, json};
use tests::{World, invoke};
use uuid::Uuid;

use super::routes::{self, Route};

/// The scopes that a token may have, and the group of operators instead of one.
const SCOPES: [&str; 6] =
    ["orders/read", "orders/write", "orders/read.all", "orders/write.all", "orders/admin", "group operators"];

/// The status of a call on alice's order by a caller with this scope alone, alice herself or another.
fn expected(route: &Route, scope: &str, is_own: bool) -> u16 {
    let suffices = route.scopes.contains(scope) || scope == "group operators";
    let reaches_all = ["orders/read.all", "orders/write.all", "orders/admin", "group operators"].contains(&scope);
    match suffices {
        false => 403,
        true if is_own || reaches_all => route.success,
        true => route.of_another_user(),
    }
}

/// The claims of a caller with this scope alone, or with the group and an ordinary user's scopes.
fn claims(sub: &str, scope: &str) -> Value {
    match scope.strip_prefix("group ") {
        Some(group) => json!({"sub": sub, "scope": "orders/read orders/write", "cognito:groups": format!("[{group}]")}),
        None => json!({"sub": sub, "scope": scope}),
    }
}

#[tokio::test]
async fn each_scope_alone_opens_its_routes_and_no_other() {
    let world = World::new().await;
    let api = world.api_with("ADMIN_GROUP", "operators");
    let mut wrong = Vec::new();
    for route in routes::with_token() {
        for (scope, is_own) in SCOPES.into_iter().flat_map(|scope| [(scope, true), (scope, false)]) {
            let order_id = format!("scopes-{}", Uuid::new_v4().simple());
            if route.takes_an_order() {
                world.create(&order_id).await;
            }
            if route.wants_a_failed_order() {
                world.refuse(&[&order_id], "a test failed it").await;
            }
            let mut event = route.event(&order_id, &order_id).await;
            let sub = if is_own { "alice" } else { "mallory" };
            event["requestContext"]["authorizer"] = json!({"jwt": {"claims": claims(sub, scope)}});
            let answer = invoke(&api, &event).await.unwrap();
            let expected = expected(&route, scope, is_own);
            if answer.status != expected {
                wrong.push(format!(
                    "{route} with {scope} as {sub}: {} instead of {expected}: {}",
                    answer.status, answer.text
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
