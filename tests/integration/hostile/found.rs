//! Regression tests for faults that random calls found once.

use serde_json::{Value, json};
use tests::{World, order, post, with_header};

#[tokio::test]
async fn body_is_an_object_with_whole_numbers_or_options_are_absent() {
    let world = World::new().await;
    for path in ["/orders/retry", "/dead-letters/redrive"] {
        for options in [json!(null), json!({}), json!({"limit": 10.0, "per_second": 1.0})] {
            assert_eq!(world.post(path, &options).await.expect(200)["dry_run"], true, "{path} {options}");
        }
        // serde accepts an array as the values of a struct's fields, which would make the first one `"dry_run": false`.
        for options in [json!([false]), json!([]), json!(false)] {
            world.post(path, &options).await.problem(400);
        }
        for options in [json!({"limit": 1.5}), json!({"limit": 1e300})] {
            world.post(path, &options).await.problem(422);
        }
    }
    for path in ["/orders", "/orders/batch", "/processing/pause", "/processing/resume"] {
        for no_object in [Value::Null, json!([["o-1"]])] {
            let problem = world.post(path, &no_object).await.problem(400);
            assert_eq!(problem["detail"], "The body is not a JSON object.", "{path}");
        }
    }
}

#[tokio::test]
async fn idempotency_key_is_printable_characters_up_to_the_limit() {
    let world = World::new().await;
    for (key, status) in [("a key~", 201), (&"k".repeat(255), 201), (&"k".repeat(256), 422), ("a\tkey", 422), ("", 422)]
    {
        let request = post("/orders", &order(&format!("o-{}", key.len())));
        let answer = world.call(with_header(request, "idempotency-key", key)).await;
        assert_eq!(answer.status, status, "{key:?}");
        if status == 422 {
            assert_eq!(answer.problem(422)["errors"][0]["pointer"], "Idempotency-Key");
        }
    }
    assert_eq!(world.order_count().await, 2);
}

#[tokio::test]
async fn bad_idempotency_key_is_named_beside_the_bad_values() {
    let world = World::new().await;
    let coupons: Value = (0..30).map(|number| (format!("coupon-{number}"), json!(1))).collect();
    for (path, body, second, count) in [
        ("/orders", json!({"user_id": "alice", "item_ids": ["book-1"], "total_amount": "x"}), "#/total_amount", 2),
        ("/orders", coupons, "#/user_id", 20),
        ("/orders/batch", json!({"orders": []}), "#/orders", 2),
        ("/orders/batch", json!({}), "#/orders", 2),
    ] {
        let problem = world.call(with_header(post(path, &body), "idempotency-key", "")).await.problem(422);
        let errors = problem["errors"].as_array().unwrap();
        assert_eq!(
            (&errors[0]["pointer"], &errors[1]["pointer"]),
            (&json!("Idempotency-Key"), &json!(second)),
            "{path}"
        );
        assert_eq!(errors.len(), count, "{path}");
    }
}
