//! The custom resource: what it does when CloudFormation asks, and that it always answers.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::put;
use migrate::Config;
use serde_json::{Value, json};
use shared::config::ConfigError;
use shared::deadline::Deadline;
use tests::World;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Asks the way CloudFormation does, at an address that takes the answer, and gives that.
pub async fn ask(config: Result<Config, ConfigError>, request_type: &str) -> Value {
    ask_with(config, request_type, &json!({}), Duration::from_mins(1)).await
}

/// The same, with these parts of the event set otherwise, within this time.
async fn ask_with(config: Result<Config, ConfigError>, request_type: &str, changed: &Value, within: Duration) -> Value {
    let (sender, mut answers) = mpsc::channel::<Bytes>(1);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/answer?signature=x", listener.local_addr().unwrap());
    let take = put(move |body: Bytes| async move { sender.send(body).await.unwrap() });
    tokio::spawn(async { axum::serve(listener, Router::new().route("/answer", take)).await });
    let mut event: Value = serde_json::from_str(include_str!("../events/migrate.json")).unwrap();
    event["RequestType"] = request_type.into();
    event["ResponseURL"] = url.into();
    event.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
    let deadline = Deadline::after(within);
    migrate::handle(&config, serde_json::from_value(event).unwrap(), deadline).await.unwrap();
    serde_json::from_slice(&answers.recv().await.unwrap()).unwrap()
}

fn database(world: &World) -> Result<Config, ConfigError> {
    Config::from_env(&world.owner_env())
}

#[tokio::test]
async fn create_and_update_apply_what_is_missing() {
    let world = World::new().await;
    world.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
    let answer = ask(database(&world), "Create").await;
    assert_eq!((&answer["Status"], &answer["Reason"]), (&json!("SUCCESS"), &json!("applied V1__orders")));
    assert_eq!(
        (&answer["RequestId"], &answer["LogicalResourceId"]),
        (&json!("d2b9d1a4-3d4f-4b0e-9d0c-1f1f1f1f1f1f"), &json!("Migration"))
    );
    let again = ask(database(&world), "Update").await;
    assert_eq!((&again["Status"], &again["Reason"]), (&json!("SUCCESS"), &json!("the schema is up to date")));
    assert_eq!(again["PhysicalResourceId"], answer["PhysicalResourceId"]);
}

#[tokio::test]
async fn the_role_that_the_other_functions_sign_in_as_is_confined_once_the_schema_is_there() {
    let world = World::new().await;
    world.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
    let role = format!("app_{}", Uuid::new_v4().simple());
    let changed = [("DATABASE_URL", world.owner_url()), ("DATABASE_APP_ROLE", &role)];
    for done in ["applied V1__orders", "the schema is up to date"] {
        let env = world.variables().chain(changed).collect();
        let answer = ask(Config::from_env(&env), "Create").await;
        assert_eq!(answer["Reason"], format!("{done}; the role {role} may read and write rows"), "{answer}");
    }
    let can = "has_table_privilege($1, 'orders', 'UPDATE'), has_table_privilege($1, 'orders', 'DELETE')";
    let row = &world.rows(&format!("SELECT {can}"), &[&role]).await[0];
    assert_eq!((row.get(0), row.get(1)), (true, false));
}

#[tokio::test]
async fn delete_leaves_the_data_alone() {
    let world = World::new().await;
    world.place("o-1").await;
    assert_eq!(ask(database(&world), "Delete").await["Status"], "SUCCESS");
    assert_eq!(world.order_count().await, 1);
}

#[tokio::test]
async fn a_database_out_of_reach_is_answered_as_a_failure_with_its_cause() {
    let world = World::new().await;
    let config = Config::from_env(&world.env_with(("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nowhere")));
    let answer = ask(config, "Create").await;
    assert_eq!(answer["Status"], "FAILED");
    assert!(answer["Reason"].as_str().unwrap().contains("out of reach"), "{answer}");
}

/// The update of a stack from one version of the function to another.
fn update(from: &str, to: &str) -> Value {
    json!({"OldResourceProperties": {"FunctionVersion": from}, "ResourceProperties": {"FunctionVersion": to}})
}

#[tokio::test]
async fn a_stack_that_rolls_back_succeeds_without_its_database() {
    let world = World::new().await;
    let nowhere = || Config::from_env(&world.env_with(("DATABASE_URL", "postgres://app@127.0.0.1:1/nowhere")));
    let within = Duration::from_secs(21);
    let answer = ask_with(nowhere(), "Update", &update("10", "9"), within).await;
    assert_eq!(
        (&answer["Status"], &answer["Reason"]),
        (&json!("SUCCESS"), &json!("the stack rolls back: the schema stays as it is"))
    );
    for changed in [update("9", "10"), update("9", "9"), update("", "9"), json!({})] {
        assert_eq!(ask_with(nowhere(), "Update", &changed, within).await["Status"], "FAILED", "{changed}");
    }
}

/// An address by which a server is reached from the third connection on.
async fn reached_late(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for attempt in 1.. {
            let (mut client, _) = listener.accept().await.unwrap();
            if attempt > 2 {
                let mut server = TcpStream::connect(server).await.unwrap();
                tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
            }
        }
    });
    address
}

#[tokio::test]
async fn a_database_that_is_reached_late_is_migrated() {
    let world = World::new().await;
    world.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
    let (login, place) = world.owner_url().split_once('@').unwrap();
    let (server, database) = place.split_once('/').unwrap();
    let late = reached_late(server.parse().unwrap()).await;
    let config = Config::from_env(&world.env_with(("DATABASE_URL", &format!("{login}@{late}/{database}"))));
    let answer = ask(config, "Create").await;
    assert_eq!((&answer["Status"], &answer["Reason"]), (&json!("SUCCESS"), &json!("applied V1__orders")));
}

#[tokio::test]
async fn a_bad_configuration_is_answered_by_the_variables_name() {
    let world = World::new().await;
    let config = Config::from_env(&world.env_with(("DATABASE_URL", "")));
    let answer = ask(config, "Update").await;
    assert_eq!((&answer["Status"], &answer["Reason"]), (&json!("FAILED"), &json!("DATABASE_URL: is not set")));
}
