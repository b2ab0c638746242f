//! Currencies, whose minor units are the decimals of an amount, and metadata.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tests::{World, assert_members, call_in_process, get, order_with, post};

const SCOPES: &str = "orders/read orders/write orders/admin";

/// Orders with these members, alone and in a batch, have those members.
#[tokio::test]
async fn amount_has_its_currencys_decimals_and_metadata_is_as_sent() {
    let world = World::new().await;
    let amounts = [
        (json!({"total_amount": 5}), "5.00", "EUR"),
        (json!({"total_amount": "1200.00", "currency": "JPY"}), "1200", "JPY"),
        (json!({"total_amount": 1.505, "currency": "KWD"}), "1.505", "KWD"),
        (json!({"total_amount": "999999999999.5", "currency": "KWD"}), "999999999999.500", "KWD"),
        (json!({"total_amount": 0.0001, "currency": "CLF"}), "0.0001", "CLF"),
        (json!({"total_amount": 7, "currency": null}), "7.00", "EUR"),
    ];
    let amounts = amounts
        .map(|(more, amount, currency)| (more, json!({"total_amount": amount, "currency": currency, "metadata": {}})));
    let largest: Value = (0..20).map(|index| (format!("{index:ü>40}"), json!("𝄞".repeat(500)))).collect();
    let metadata = [
        json!({"cart": "77", "gift": "", "note": "two\nlines\t\"and\" \\ \u{1}", "ключ": "значение"}),
        largest,
        json!({}),
    ];
    let metadata = metadata.map(|metadata| json!({"metadata": metadata})).map(|more| (more.clone(), more));
    let cases = [&amounts[..], &metadata].concat();
    let orders = |prefix: &str| -> Vec<_> {
        cases.iter().enumerate().map(|(index, (more, _))| order_with(&format!("{prefix}-{index}"), more)).collect()
    };
    let batch = world.post("/orders/batch", &json!({"orders": orders("batch")})).await.expect(200);
    for (index, ((_, expected), order)) in cases.iter().zip(orders("alone")).enumerate() {
        let alone = world.post("/orders", &order).await.expect(201);
        for created in [&alone, &batch["results"][index]["order"]] {
            assert_members(created, expected);
            let path = format!("/orders/{}", created["order_id"].as_str().unwrap());
            assert_eq!(&world.get(&path).await.expect(200), created);
        }
    }
    let listed = world.get("/orders?limit=200").await.expect(200);
    assert_eq!(listed["orders"].as_array().unwrap().len(), 18);
    let bare: i64 = world.value("SELECT count(*) FROM orders WHERE metadata IS NULL AND process_after IS NULL").await;
    assert_eq!(bare, 14, "nothing is stored where there is none");
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
