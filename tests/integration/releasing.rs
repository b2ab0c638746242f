//! A release on the deployed stack, its smoke test and its roll-back.

use std::process::Output;
use std::time::Duration;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use tests::Stack;
use tokio::process::Command;
use uuid::Uuid;

async fn smoke_test(url: &str, token: &str) -> Output {
    let mut command = Command::new("../.venv/stack/bin/python");
    command.arg("smoke.py").env("API_URL", url).env("TOKEN", token).env("SMOKE_SECONDS", "360").output().await.unwrap()
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

/// Points the function's alias `live` to this version.
async fn move_alias(lambda: &Client, function: &str, version: &str) {
    let moved = lambda.update_alias().function_name(function).name("live").function_version(version).send();
    moved.await.unwrap();
}

/// The version that serves calls of the alias.
async fn version_in_use(lambda: &Client, function: &str) -> String {
    let call = lambda.invoke().function_name(format!("{function}:live")).payload(Blob::new("\"no event\""));
    call.send().await.unwrap().executed_version.unwrap()
}

/// Publishes a version that differs from the previous one only in its description.
async fn publish(lambda: &Client, function: &str) -> String {
    let described = lambda.update_function_configuration().function_name(function);
    described.description(Uuid::new_v4()).send().await.unwrap();
    lambda.publish_version().function_name(function).send().await.unwrap().version.unwrap()
}

/// Releases the next version of these functions and rolls it back. Returns for each function the version before, the new one,
/// and the one in use after the release.
async fn release_and_roll_back(lambda: &Client, functions: [&str; 2]) -> Vec<[String; 3]> {
    let mut versions = Vec::new();
    for function in functions {
        let (before, next) = (version_in_use(lambda, function).await, publish(lambda, function).await);
        move_alias(lambda, function, &next).await;
        versions.push([before, next, version_in_use(lambda, function).await]);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    for (function, [before, ..]) in functions.iter().zip(&versions) {
        move_alias(lambda, function, before).await;
        assert_eq!(version_in_use(lambda, function).await, *before);
    }
    versions
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn roll_back_of_a_release_loses_no_order() {
    let (stack, run) = (Stack::running(), format!("release-{}", Uuid::new_v4().simple()));
    let functions = ["API_FUNCTION", "PROCESSOR_FUNCTION"].map(|name| stack.get(name));
    let lambda = stack.lambda();
    let (statuses, versions) = tokio::join!(stack.create_many(&run, 300, 8), release_and_roll_back(&lambda, functions));
    assert_eq!(statuses, [201; 300]);
    for [before, next, in_use] in versions {
        assert!(before != next && in_use == next, "{before} {next} {in_use}");
    }
    stack.wait_until_completed(&run, 300).await;
}
