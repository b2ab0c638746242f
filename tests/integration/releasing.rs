//! A release, its smoke test and its roll-back, on the deployed stack.

use std::process::Output;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use serde_json::{Value, json};
use tests::{Stack, eventually};
use tokio::process::Command;
use tokio_postgres::NoTls;
use uuid::Uuid;

use crate::lambda::Lambda;

async fn smoke_test(url: &str, token: &str) -> Output {
    let mut command = Command::new("../.venv/stack/bin/python");
    command.arg("smoke.py").env("API_URL", url).env("TOKEN", token).output().await.unwrap()
}

#[tokio::test]
async fn the_smoke_test_passes_on_a_deployment_that_works_and_on_no_other() {
    let stack = Stack::running();
    let (url, token) = (stack.get("API_URL"), stack.get("TOKEN_ALICE"));
    let passed = smoke_test(url, token).await;
    assert!(passed.status.success(), "{passed:?}");
    let said = String::from_utf8(passed.stdout).unwrap();
    assert!(said.ends_with("is completed.\n") && !said.contains(token), "{said}");
    for (url, token) in [(url, "no token"), (&format!("{url}/nothing"), token), ("http://127.0.0.1:1", token)] {
        let failed = smoke_test(url, token).await;
        assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    }
}

/// Places this many orders, some at once; gives the statuses that were answered.
async fn place(stack: &Stack, run: &str, count: usize) -> Vec<u16> {
    let orders = stream::iter(0..count).map(|number| async move {
        let order =
            json!({"order_id": format!("{run}-{number}"), "user_id": "bob", "item_ids": ["a"], "total_amount": 1});
        stack.post_as("TOKEN_BOB", "/orders", &order).await.status
    });
    orders.buffer_unordered(8).collect().await
}

/// Releases the next version of these functions, takes it back, and gives for each which version was in use when.
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
async fn a_release_that_is_rolled_back_while_orders_flow_loses_none() {
    let stack = &Stack::running();
    let run = &format!("release-{}", Uuid::new_v4().simple());
    let functions = ["API_FUNCTION", "PROCESSOR_FUNCTION"].map(|name| stack.get(name));
    let lambda = Lambda::of(stack);
    let (statuses, versions) = tokio::join!(place(stack, run, 300), release_and_roll_back(&lambda, functions));
    assert_eq!(statuses, [201; 300]);
    for [before, next, in_use] in versions {
        assert!(before != next && in_use == next, "{before} {next} {in_use}");
    }
    let (sql, connection) = tokio_postgres::connect(stack.get("DATABASE_URL"), NoTls).await.unwrap();
    tokio::spawn(connection);
    let count =
        "SELECT count(*) FROM order_states WHERE order_id LIKE $1 || '-%' AND status = 'completed' AND attempts = 1";
    eventually("all are completed, each once", Duration::from_mins(2), async || {
        let completed: i64 = sql.query_one(count, &[run]).await.unwrap().get(0);
        (completed == 300).then_some(())
    })
    .await;
}
