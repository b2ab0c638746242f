//! A missing or malformed variable stops the real binaries at start, with an error that names it.

use std::process::Stdio;

use tests::World;
use tokio::process::Command;

/// Runs the function that `sam build` made, with the world's variables and this change. Asserts that it exits, and returns
/// its output.
async fn start(function: &str, world: &World, changed: (&str, Option<&str>)) -> String {
    let mut command = Command::new(format!("../.aws-sam/build/{function}/bootstrap"));
    command.env_clear().envs(world.variables()).env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1");
    match changed {
        (name, Some(value)) => command.env(name, value),
        (name, None) => command.env_remove(name),
    };
    let ended = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output =
        tokio::time::timeout(std::time::Duration::from_secs(10), ended).await.expect("it exits by itself").unwrap();
    assert!(!output.status.success(), "{function} started in spite of {changed:?}");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[tokio::test]
#[ignore = "needs the built functions: `make test` runs it"]
async fn invalid_variable_stops_the_function_at_start_by_name() {
    let world = World::new().await;
    for (function, variable, value) in [
        ("ApiFunction", "DATABASE_URL", None),
        ("ApiFunction", "DATABASE_AUTH", Some("peer")),
        ("ApiFunction", "QUEUE_URL", None),
        ("ApiFunction", "STAGE", Some("production")),
        ("ApiFunction", "AUTH", Some("maybe")),
        ("ApiFunction", "CANCEL_WINDOW_SECONDS", Some("soon")),
        ("ProcessorFunction", "DLQ_URL", None),
        ("ProcessorFunction", "AWS_REGION", None),
        ("SweeperFunction", "SWEEP_GRACE_SECONDS", Some("10")),
        ("SweeperFunction", "DATABASE_TLS", Some("prefer")),
    ] {
        let output = start(function, &world, (variable, value)).await;
        assert!(output.contains(&format!("{variable}: ")), "{function} did not name {variable}: {output}");
    }
}
