//! Random values, the same in each run, for all input from outside: bodies, cursors, claims, events and messages. No input may
//! cause a panic, a refusal has a status of its own, and an accepted value is stored as sent.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use proptest::collection::{hash_map, vec};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use tests::{Answer, World, event, failures, get, handle};

/// Asserts a property of an api for this many random values.
fn assert_property<S: Strategy>(cases: u32, values: S, property: &impl AsyncFn(&World, S::Value)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let world = runtime.block_on(World::new());
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let result = runner.run(&values, |value| {
        runtime.block_on(property(&world, value));
        Ok(())
    });
    result.unwrap_or_else(|found| panic!("{found}"));
}

/// Any text, often with characters that are special to some parser.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        r#"[a-c %/?#&=;:'"\\<>{}\[\],.+|\^`~@\-\x00\x7f\r\n\t]{0,20}"#,
        "[é￿\u{202e}𝄞\u{feff}]{0,5}"
    ]
}

/// Any JSON of limited depth.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            hash_map(text(), inner, 0..6).prop_map(|m| json!(m))
        ]
    })
}

/// A body: often an order with one random member or none, otherwise random JSON or bytes.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let members =
        ["order_id", "user_id", "item_ids", "total_amount", "currency", "metadata", "process_after", "more", ""];
    let members = prop::sample::select(members.to_vec());
    let amounts = prop_oneof![
        r"-?[0-9]{1,14}(\.[0-9]{0,3})?([eE][+-]?[0-9]{1,3})?".prop_map(String::from),
        r#""[0-9]{1,13}(\.[0-9]{1,3})?""#.prop_map(String::from)
    ];
    let order = (members, value(), amounts, "[A-Za-z0-9._:-]{1,20}", vec("\\PC{1,20}", 1..4));
    let order = order.prop_map(|(member, value, amount, order_id, items)| {
        let mut order = json!({"order_id": order_id, "user_id": "alice", "item_ids": items, "total_amount": "AMOUNT"});
        if !member.is_empty() {
            order[member] = value;
        }
        order.to_string().replace("\"AMOUNT\"", &amount).into_bytes()
    });
    prop_oneof![3 => order, 1 => value().prop_map(|value| value.to_string().into_bytes()), 1 => vec(any::<u8>(), 0..200)]
}

/// Calls the api with the event of this request, after a change of the event.
async fn call(world: &World, request: Request<Body>, change: impl FnOnce(&mut Value)) -> Answer {
    let mut event = event(Some(("admin", "orders/admin")), request).await;
    change(&mut event);
    let answer = world.invoke(&event).await;
    answer.unwrap_or_else(|error| panic!("the invocation fails: {error}: {event}"))
}

#[test]
fn any_body_is_refused_or_stored_as_sent() {
    assert_property(400, body(), &async |world: &World, body| {
        use base64::Engine;
        let encoded = base64::prelude::BASE64_STANDARD.encode(&body);
        let post = Request::post("/orders").header("content-type", "application/json").body(Body::empty()).unwrap();
        let answer = call(world, post, |event| {
            event["body"] = encoded.into();
            event["isBase64Encoded"] = true.into();
        });
        let answer = answer.await;
        match answer.status {
            201 => {
                let (sent, kept): (Value, _) = (serde_json::from_slice(&body).unwrap(), answer.json());
                assert_eq!((&kept["user_id"], &kept["item_ids"]), (&sent["user_id"], &sent["item_ids"]));
                let metadata = if sent["metadata"].is_object() { sent["metadata"].clone() } else { json!({}) };
                assert_eq!(kept["metadata"], metadata);
                assert_eq!(world.get(answer.header("location")).await.expect(200), kept);
            }
            status @ (400 | 422) => drop(answer.problem(status)),
            // An id that an earlier case used, with the same content or another.
            200 | 409 => (),
            status => panic!("{status}: {}", String::from_utf8_lossy(&body)),
        }
    });
}

/// Whether `orders/admin` is among the scopes of a claim: separated words, or a list of words if lists are allowed.
fn names_admin(claim: &str, may_be_list: bool) -> bool {
    let list = claim.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).filter(|_| may_be_list);
    let word = |word: &str| word == "orders/admin" || list.is_some() && word == "orders/admin,";
    list.unwrap_or(claim).split(' ').any(word)
}

#[test]
fn admin_scope_alone_makes_an_administrator() {
    let scopes =
        prop_oneof![text(), r"(orders/admin|orders/read|[\[\], x\t]){0,6}", value().prop_map(|v| v.to_string())];
    let claims = (text(), prop::option::of(scopes.clone()), prop::option::of(scopes), hash_map(text(), text(), 0..3));
    assert_property(500, claims, &async |world: &World, (sub, scope, scp, mut others)| {
        others.extend(scope.clone().map(|scope| ("scope".to_owned(), scope)));
        others.extend(scp.clone().map(|scp| ("scp".to_owned(), scp)));
        others.insert("sub".to_owned(), sub);
        let authorizer = json!({"jwt": {"claims": others}});
        let answer = call(world, get("/metrics"), |event| event["requestContext"]["authorizer"] = authorizer).await;
        let is_admin = names_admin(&scope.unwrap_or_default(), false) || names_admin(&scp.unwrap_or_default(), true);
        match answer.status {
            200 => assert!(is_admin, "{others:?}"),
            403 => assert!(!is_admin, "{others:?}"),
            // A subject that can't be a user id identifies no caller.
            _ => drop(answer.problem(401)),
        }
    });
}

#[test]
fn any_call_that_the_gateway_passes_on_is_answered() {
    let methods = prop::sample::select(vec!["GET", "HEAD", "POST", "PUT", "OPTIONS", "TRACE", "PROPFIND", "M-SEARCH"]);
    let order = text().prop_map(|text| format!("/orders/{text}"));
    let paths =
        prop_oneof![text(), order, text().prop_map(|text| format!("/{text}/status")), Just("/orders".to_owned())];
    let cursor = text().prop_map(|text| format!("cursor={text}"));
    let queries = prop_oneof![text(), cursor, "cursor=[0-9a-fA-F]{10,15}[A-Za-z0-9._:-]{0,66}"];
    let names = "host content-type content-length accept idempotency-key if-none-match x-forwarded-proto x-forwarded-host \
        x-forwarded-port transfer-encoding cookie origin expect x-amzn-trace-id";
    let names = prop::sample::select(names.split(' ').collect::<Vec<_>>());
    // The header values that the gateway accepts have no control characters except the tab.
    let headers = hash_map(names, "[ -~\t]{0,20}|[\u{80}-\u{ff}]{0,8}", 0..6);
    let calls = (methods, paths, queries, headers, vec(text(), 0..3), text());
    assert_property(600, calls, &async |world: &World, (method, path, query, headers, cookies, body)| {
        let answer = call(world, get("/"), |event| {
            let http = &mut event["requestContext"]["http"];
            (http["method"], http["path"]) = (method.into(), path.clone().into());
            (event["rawPath"], event["rawQueryString"]) = (path.into(), query.into());
            (event["headers"], event["cookies"], event["body"]) = (json!(headers), json!(cookies), body.into());
        });
        let answer = answer.await;
        assert!(answer.status < 500, "{answer:?}");
    });
}

#[test]
fn any_message_is_an_order_id_or_a_dead_letter() {
    let bodies = vec(prop_oneof![text(), "[A-Za-z0-9._:-]{1,64}", "[A-Za-z0-9._:-]{65,80}"], 1..10);
    assert_property(60, bodies, &async |world: &World, bodies| {
        let before = world.dead_letters().await;
        let response = handle(&world.processor(Duration::ZERO), &bodies).await;
        let readable = |body: &&String| {
            let has_valid_characters = body.chars().all(|c| c.is_ascii_alphanumeric() || "._:-".contains(c));
            (1..=64).contains(&body.len()) && has_valid_characters && ![".", ".."].contains(&body.as_str())
        };
        let unreadable = i64::try_from(bodies.iter().filter(|body| !readable(body)).count()).unwrap();
        let (failed, dead_letters) = (failures(&response).len(), world.dead_letters().await - before);
        assert_eq!(dead_letters + i64::try_from(failed).unwrap(), unreadable, "{bodies:?}");
    });
}
