//! The access rights: every route of the OpenAPI document with every kind of token, through the gateway and directly to the
//! function. The emulated gateway makes the same checks as AWS's, so that every combination can be tested here.

mod examples;
mod routes;
mod scopes;
mod straight;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::{Issuer, Signature, Stack};
use uuid::Uuid;

use routes::{ADMIN, PAGES, PUBLIC, READ_ALL, Route, WRITE_ALL};

/// The kinds of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bearer {
    Right,
    Backend,
    Administrator,
    Operator,
    Nobody,
    Garbage,
    BadSignature,
    Unsigned,
    SignedWithPublicKey,
    UnknownKey,
    Expired,
    NotYetValid,
    OtherIssuer,
    OtherAudience,
    OtherScopes,
    OtherUser,
}

use Bearer::*;

impl Bearer {
    /// All kinds, the right token first, while an order can still be cancelled.
    const ALL: [Self; 16] = [
        Right,
        Backend,
        Administrator,
        Operator,
        Nobody,
        Garbage,
        BadSignature,
        Unsigned,
        SignedWithPublicKey,
        UnknownKey,
        Expired,
        NotYetValid,
        OtherIssuer,
        OtherAudience,
        OtherScopes,
        OtherUser,
    ];

    /// The expected status of a route for this kind of token.
    fn expected(self, route: &Route) -> u16 {
        match self {
            Right | Administrator | Operator => route.success,
            Backend if route.scopes.contains(READ_ALL) || route.scopes.contains(WRITE_ALL) => route.success,
            Backend | OtherScopes => 403,
            OtherUser => route.of_another_user(),
            _ => 401,
        }
    }

    /// The token of this kind. It is correct except for the property in the kind's name.
    fn token(self, issuer: &Issuer, scope: &str) -> Option<String> {
        let right = issuer.claims("alice", scope);
        let but = |name: &str, value: Value| {
            let mut claims = right.clone();
            claims[name] = value;
            issuer.token(&claims)
        };
        let now = right["iat"].as_u64().unwrap();
        Some(match self {
            Nobody => return None,
            Garbage => "aaaa.bbbb.cccc".to_owned(),
            Right => issuer.token(&right),
            Administrator => but("scope", ADMIN.into()),
            // Another user's, with no operator's scope: a shop's backend, and a member of the operators' group.
            Backend => issuer.token(&issuer.claims("shop", &format!("{READ_ALL} {WRITE_ALL}"))),
            Operator => {
                let mut claims = issuer.claims("olga", "orders/read orders/write");
                claims["cognito:groups"] = json!(["shops", "operators"]);
                issuer.token(&claims)
            }
            OtherScopes => but("scope", other_scopes(scope).into()),
            // All scopes of an ordinary user. No other test creates orders of this user, which its lists would contain.
            OtherUser => issuer.token(&issuer.claims("mallory", "orders/read orders/write")),
            Expired => but("exp", (now - 1).into()),
            NotYetValid => but("nbf", (now + 300).into()),
            OtherIssuer => but("iss", "http://127.0.0.1:1".into()),
            OtherAudience => but("aud", "another-service".into()),
            BadSignature => issuer.token_with(("alg", "RS256"), &right, Signature::Strangers),
            Unsigned => issuer.token_with(("alg", "none"), &right, Signature::Nothing),
            SignedWithPublicKey => issuer.token_with(("alg", "HS256"), &right, Signature::PublicKey),
            UnknownKey => issuer.token_with(("kid", "another"), &right, Signature::Issuers),
        })
    }
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
async fn cell(stack: &Stack, issuer: &Issuer, route: &Route, bearer: Bearer) -> Option<String> {
    let order_id = format!("matrix-{}", Uuid::new_v4().simple());
    route.prepare(stack, &order_id).await;
    let token = bearer.token(issuer, &route.scope);
    let (path, body) = (route.path_of(&order_id), route.body_with(&order_id));
    let answer = stack.call_bearing(route.method.clone(), &path, token.as_deref(), body.as_ref()).await;
    let expected = bearer.expected(route);
    if answer.status != expected || !route.documents(expected) {
        return Some(format!("{route} as {bearer:?}: {} instead of {expected}: {}", answer.status, answer.text));
    }
    let is_allowed = expected == route.success && bearer != OtherUser;
    let was_done = route.was_done(stack, &order_id).await.unwrap_or(is_allowed);
    if was_done != is_allowed || !is_allowed && answer.text.contains("book-1") {
        return Some(format!("{route} as {bearer:?}: done {was_done}, answered {expected}: {}", answer.text));
    }
    None
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn every_route_answers_every_kind_of_token_correctly() {
    let stack = Stack::running();
    let issuer = Issuer::of(&stack);
    let mut wrong = Vec::new();
    for route in routes::with_token() {
        for bearer in Bearer::ALL {
            wrong.extend(cell(&stack, &issuer, &route, bearer).await);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_intended_routes_need_no_token() {
    assert_eq!(routes::without_token(), BTreeSet::from(PUBLIC.map(str::to_owned)));
    assert_eq!(routes::with_token().len(), 15);
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
