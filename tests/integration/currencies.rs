//! Currencies, whose minor units are the decimals of an amount, and metadata.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tests::{World, call_in_process, get, order_with, post};

const SCOPES: &str = "orders/read orders/write orders/admin";

async fn read(world: &World, order_id: &str) -> Value {
    world.get(&format!("/orders/{order_id}")).await.expect(200)
}

#[tokio::test]
async fn amount_has_exactly_the_decimals_of_its_currency() {
    let world = World::new().await;
    let cases = [
        ("euro", json!({"total_amount": 5}), "5.00", "EUR"),
        ("yen", json!({"total_amount": "1200.00", "currency": "JPY"}), "1200", "JPY"),
        ("dinar", json!({"total_amount": 1.505, "currency": "KWD"}), "1.505", "KWD"),
        ("more-dinar", json!({"total_amount": "999999999999.5", "currency": "KWD"}), "999999999999.500", "KWD"),
        ("unit", json!({"total_amount": 0.0001, "currency": "CLF"}), "0.0001", "CLF"),
        ("null", json!({"total_amount": 7, "currency": null}), "7.00", "EUR"),
    ];
    let shown = |order: &Value| (order["total_amount"].clone(), order["currency"].clone());
    for (order_id, more, amount, currency) in &cases {
        let expected = (json!(amount), json!(currency));
        let created = world.post("/orders", &order_with(order_id, more)).await.expect(201);
        assert_eq!((shown(&created), shown(&read(&world, order_id).await)), (expected.clone(), expected), "{order_id}");
    }
    let batch: Vec<_> =
        cases.iter().map(|(order_id, more, ..)| order_with(&format!("batch-{order_id}"), more)).collect();
    let created = world.post("/orders/batch", &json!({"orders": batch})).await.expect(200);
    for (result, (_, _, amount, currency)) in created["results"].as_array().unwrap().iter().zip(&cases) {
        assert_eq!(shown(&result["order"]), (json!(amount), json!(currency)), "{result}");
    }
    let listed = world.get("/orders?limit=200").await.expect(200);
    assert_eq!(listed["orders"].as_array().unwrap().len(), 12);
}

#[tokio::test]
async fn default_currency_is_the_deployments_and_changes_no_order() {
    let world = World::with_orders(&["euro"]).await;
    let api = world.api_with("DEFAULT_CURRENCY", "JPY");
    let call = async |request: Request<Body>| call_in_process(&api, Some(("admin", SCOPES)), request).await;
    let yen = call(post("/orders", &order_with("yen", &json!({"total_amount": 500})))).await.expect(201);
    assert_eq!((&yen["total_amount"], &yen["currency"]), (&json!("500"), &json!("JPY")));
    call(post("/orders", &order_with("o-3", &json!({"total_amount": 5.5})))).await.problem(422);
    let euro = call(get("/orders/euro")).await.expect(200);
    assert_eq!((&euro["total_amount"], &euro["currency"]), (&json!("59.98"), &json!("EUR")));
}

#[tokio::test]
async fn repeat_has_the_same_currency_metadata_and_time() {
    let world = World::new().await;
    let time = "2026-01-01T12:00:00.123456Z";
    let full = json!({"currency": "USD", "metadata": {"b": "2", "a": "1"}, "process_after": time});
    let created = world.post("/orders", &order_with("o-1", &full)).await.expect(201);
    for same in [
        json!({"currency": "USD", "metadata": {"a": "1", "b": "2"}, "process_after": time}),
        json!({"currency": "USD", "metadata": {"b": "2", "a": "1"}, "process_after": "2026-01-01T13:00:00.1234567+01:00"}),
    ] {
        let again = world.post("/orders", &order_with("o-1", &same)).await.expect(200);
        assert_eq!(again, created);
    }
    for other in [
        json!({"metadata": {"b": "2", "a": "1"}, "process_after": time}),
        json!({"currency": "USD", "process_after": time}),
        json!({"currency": "USD", "metadata": {"a": "1"}, "process_after": time}),
        json!({"currency": "USD", "metadata": {"b": "2", "a": "1"}}),
        json!({"currency": "USD", "metadata": {"b": "2", "a": "1"}, "process_after": "2026-01-01T12:00:00Z"}),
    ] {
        world.post("/orders", &order_with("o-1", &other)).await.problem(409);
    }
    world.create("bare").await;
    for same in [json!({"currency": "EUR"}), json!({"metadata": {}}), json!({"metadata": null, "process_after": null})]
    {
        world.post("/orders", &order_with("bare", &same)).await.expect(200);
    }
}

#[tokio::test]
async fn metadata_comes_back_as_it_was_sent() {
    let world = World::new().await;
    let largest: serde_json::Map<_, _> =
        (0..20).map(|index| (format!("{index:ü>40}"), json!("𝄞".repeat(500)))).collect();
    for (order_id, metadata) in [
        ("small", json!({"cart": "77", "gift": "", "note": "two\nlines\t\"and\" \\ \u{1}", "ключ": "значение"})),
        ("large", largest.into()),
        ("none", json!({})),
    ] {
        let more = json!({"metadata": metadata});
        assert_eq!(world.post("/orders", &order_with(order_id, &more)).await.expect(201)["metadata"], metadata);
        let batch = json!({"orders": [order_with(&format!("batch-{order_id}"), &more)]});
        let created = world.post("/orders/batch", &batch).await.expect(200);
        assert_eq!(created["results"][0]["order"]["metadata"], metadata, "{created}");
        for order_id in [order_id, &format!("batch-{order_id}")] {
            assert_eq!(read(&world, order_id).await["metadata"], metadata);
        }
    }
    let stored: i64 = world.value("SELECT count(*) FROM orders WHERE metadata IS NULL AND process_after IS NULL").await;
    assert_eq!(stored, 2, "nothing is stored where there is none");
}
