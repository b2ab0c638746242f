//! The access rights: every route of the OpenAPI document with every kind of token, through the gateway and directly to the
//! function. The emulated gateway makes the same checks as AWS's, so that every combination can be tested here.

mod examples;
pub mod routes;
mod scopes;
mod straight;

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Issuer, Signature, Stack, World, post, post_empty};
use uuid::Uuid;

use routes::{ADMIN, PAGES, PUBLIC, READ_ALL, Route, WRITE_ALL};

/// A kind of token: its name, the token, and the status of a call with it.
type Bearer = (&'static str, Option<String>, u16);

/// Another user with an ordinary user's scopes. No other test creates orders of this user, which its lists would contain.
const OTHER_USER: &str = "mallory";

/// All kinds of tokens, the right one first, while an order can still be cancelled. Each is correct but for what its name says.
fn bearers(issuer: &Issuer, route: &Route) -> Vec<Bearer> {
    let right = issuer.claims("alice", &route.scope);
    let but = |name: &str, value: Value| {
        let mut claims = right.clone();
        claims[name] = value;
        Some(issuer.token(&claims))
    };
    let forged = |header, signature| Some(issuer.token_with(header, &right, signature));
    let now = right["iat"].as_u64().unwrap();
    let backend = issuer.claims("shop", &format!("{READ_ALL} {WRITE_ALL}"));
    let of_backend = [READ_ALL, WRITE_ALL].iter().any(|scope| route.scopes.contains(*scope));
    let mut operator = issuer.claims("olga", "orders/read orders/write");
    operator["cognito:groups"] = json!(["shops", "operators"]);
    let other_user = issuer.claims(OTHER_USER, "orders/read orders/write");
    vec![
        ("the right one", Some(issuer.token(&right)), route.success),
        ("a backend", Some(issuer.token(&backend)), if of_backend { route.success } else { 403 }),
        ("an administrator", but("scope", ADMIN.into()), route.success),
        ("a member of the operators' group", Some(issuer.token(&operator)), route.success),
        ("nobody", None, 401),
        ("garbage", Some("aaaa.bbbb.cccc".to_owned()), 401),
        ("a stranger's signature", forged(("alg", "RS256"), Signature::Strangers), 401),
        ("no signature", forged(("alg", "none"), Signature::Nothing), 401),
        ("the public key's signature", forged(("alg", "HS256"), Signature::PublicKey), 401),
        ("an unknown key", forged(("kid", "another"), Signature::Issuers), 401),
        ("expired", but("exp", (now - 1).into()), 401),
        ("not yet valid", but("nbf", (now + 300).into()), 401),
        ("another issuer", but("iss", "http://127.0.0.1:1".into()), 401),
        ("another audience", but("aud", "another-service".into()), 401),
        ("other scopes", but("scope", other_scopes(&route.scope).into()), 403),
        (OTHER_USER, Some(issuer.token(&other_user)), route.of_another_user()),
    ]
}

/// Every scope but those that suffice, `orders/admin` among them; and some that resemble the one that is needed.
fn other_scopes(needed: &str) -> String {
    let known = ["orders/read", "orders/write", READ_ALL, WRITE_ALL];
    let known = known
        .into_iter()
        .filter(|scope| needed == ADMIN || scope.trim_end_matches(".all") != needed.trim_end_matches(".all"));
    let resembling = [format!("{needed}er"), format!("x{needed}"), format!("x,{needed}"), "orders".to_owned()];
    known.map(str::to_owned).chain(resembling).collect::<Vec<_>>().join(" ")
}

/// Calls a route with this kind of token, for an order of alice's. Returns a description of a wrong answer or a wrong effect.
async fn cell(stack: &Stack, route: &Route, (name, token, expected): Bearer) -> Option<String> {
    let order_id = format!("matrix-{}", Uuid::new_v4().simple());
    route.prepare(stack, &order_id).await;
    let (path, body) = (route.path_of(&order_id), route.body_with(&order_id));
    let answer = stack.call_bearing(route.method.clone(), &path, token.as_deref(), body.as_ref()).await;
    if answer.status != expected || !route.documents(expected) {
        return Some(format!("{route} as {name}: {} instead of {expected}: {}", answer.status, answer.text));
    }
    let is_allowed = expected == route.success && name != OTHER_USER;
    let was_done = route.was_done(stack, &order_id).await.unwrap_or(is_allowed);
    let is_wrong = was_done != is_allowed || !is_allowed && answer.text.contains("book-1");
    is_wrong.then(|| format!("{route} as {name}: done {was_done}, answered {expected}: {}", answer.text))
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn every_route_answers_every_kind_of_token_correctly() {
    let stack = Stack::running();
    let issuer = Issuer::of(&stack);
    let mut wrong = Vec::new();
    for route in routes::with_token() {
        for bearer in bearers(&issuer, &route) {
            wrong.extend(cell(&stack, &route, bearer).await);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_intended_routes_need_no_token() {
    assert_eq!(routes::without_token(), BTreeSet::from(PUBLIC.map(str::to_owned)));
}

#[tokio::test]
async fn no_post_route_ignores_a_query_parameter() {
    let world = World::new().await;
    world.create("o-1").await;
    for route in routes::all().iter().filter(|route| route.method == Method::POST) {
        for (query, names) in [("dry_run=true", vec!["?dry_run"]), ("user_id=x&user_id=", vec!["?user_id"; 2])] {
            let path = format!("{}?{query}", route.path_of("o-1"));
            let request = route.body_with("o-2").map_or_else(|| post_empty(&path), |body| post(&path, &body));
            let problem = world.call(request).await.problem(422);
            let errors = names.iter().map(|name| json!({"pointer": name, "detail": "is not a parameter of this call"}));
            assert_eq!(problem["errors"], errors.collect::<Value>(), "{route}");
        }
    }
    assert_eq!((world.order_count().await, world.status("o-1").await.as_str()), (1, "pending"));
}

/// The gateway's routes. A route with authorisation has a set of scopes; a token needs one of them.
async fn deployed_routes(stack: &Stack) -> BTreeSet<(String, Option<BTreeSet<String>>)> {
    let api_id = stack.get("API_URL").rsplit('/').next().unwrap();
    let url = format!("{}/v2/apis/{api_id}/routes", stack.get("AWS_ENDPOINT_URL"));
    let listed: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    let read = |route: &Value| {
        let scopes = route["authorizationScopes"].as_array().into_iter().flatten();
        let scopes: BTreeSet<_> = scopes.map(|scope| scope.as_str().unwrap().to_owned()).collect();
        (route["routeKey"].as_str().unwrap().to_owned(), (route["authorizationType"] == "JWT").then_some(scopes))
    };
    listed["items"].as_array().unwrap().iter().map(read).collect()
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn gateway_has_only_the_documented_routes_and_the_pages() {
    let open = PUBLIC.iter().chain(&PAGES).map(|route| ((*route).to_owned(), None));
    let guarded = routes::with_token().into_iter().map(|route| (route.to_string(), Some(route.admitted())));
    // Each GET route has a HEAD route too (RFC 9110, 9.3.2).
    let with_heads = open.chain(guarded).flat_map(|(route, scopes)| {
        let head = route.strip_prefix("GET ").map(|path| (format!("HEAD {path}"), scopes.clone()));
        head.into_iter().chain([(route, scopes)])
    });
    assert_eq!(deployed_routes(&Stack::running()).await, with_heads.collect());
}
