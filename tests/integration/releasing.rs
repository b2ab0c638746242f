//! A release on the deployed stack, its smoke test and its roll-back.

use std::process::Output;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use serde_json::{Value, json};
use tests::{Stack, connect, eventually};
use tokio::process::Command;
use uuid::Uuid;

use crate::lambda::Lambda;

async fn smoke_test(url: &str, token: &str) -> Output {
    let mut command = Command::new("../.venv/stack/bin/python");
    command.arg("smoke.py").env("API_URL", url).env("TOKEN", token).output().await.unwrap()
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn smoke_test_passes_only_on_a_working_deployment() {
    let stack = Stack::running();
    let (url, token) = (stack.get("API_URL"), stack.get("TOKEN_ALICE"));
    let passed = smoke_test(url, token).await;
    assert!(passed.status.success(), "{passed:?}");
    let output = String::from_utf8(passed.stdout).unwrap();
    assert!(output.ends_with("is completed.\n") && !output.contains(token), "{output}");
    for (url, token) in [(url, "no token"), (&format!("{url}/nothing"), token), ("http://127.0.0.1:1", token)] {
        let failed = smoke_test(url, token).await;
        assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    }
}

/// Creates this many orders, eight at a time. Returns the statuses of the answers.
async fn create_orders(stack: &Stack, run: &str, count: usize) -> Vec<u16> {
    let orders = stream::iter(0..count).map(|number| async move {
        let order =
            json!({"order_id": format!("{run}-{number}"), "user_id": "bob", "item_ids": ["a"], "total_amount": 1});
        stack.post_as("TOKEN_BOB", "/orders", &order).await.status
    });
    orders.buffer_unordered(8).collect().await
}

/// Releases the next version of these functions and rolls it back. Returns for each function the version before, the new one,
/// and the one in use after the release.
async fn release_and_roll_back(lambda: &Lambda, functions: [&str; 2]) -> Vec<[Value; 3]> {
    let mut versions = Vec::new();
    for function in functions {
        let before = lambda.version_in_use(function).await;
        let next = lambda.publish(function, &Uuid::new_v4().to_string()).await;
        lambda.move_alias(function, &next).await;
        versions.push([before, next, lambda.version_in_use(function).await]);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    for (function, [before, ..]) in functions.iter().zip(&versions) {
        lambda.move_alias(function, before).await;
        assert_eq!(lambda.version_in_use(function).await, *before);
    }
    versions
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn roll_back_of_a_release_loses_no_order() {
    let stack = &Stack::running();
    let run = &format!("release-{}", Uuid::new_v4().simple());
    let functions = ["API_FUNCTION", "PROCESSOR_FUNCTION"].map(|name| stack.get(name));
    let lambda = Lambda::of(stack);
    let (statuses, versions) = tokio::join!(create_orders(stack, run, 300), release_and_roll_back(&lambda, functions));
    assert_eq!(statuses, [201; 300]);
    for [before, next, in_use] in versions {
        assert!(before != next && in_use == next, "{before} {next} {in_use}");
    }
    let sql = connect(stack.get("DATABASE_URL")).await;
    let count =
        "SELECT count(*) FROM order_states WHERE order_id LIKE $1 || '-%' AND status = 'completed' AND attempts = 1";
    eventually("all are completed, each once", Duration::from_mins(2), async || {
        let completed: i64 = sql.query_one(count, &[run]).await.unwrap().get(0);
        (completed == 300).then_some(())
    })
    .await;
}
