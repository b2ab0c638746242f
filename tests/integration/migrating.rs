//! The custom resource: its work for CloudFormation's requests, and that it always answers.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use migrate::MigrateConfig;
use sandbox::server::{self, Request, Server};
use serde_json::{Value, json};
use shared::config::{ConfigError, Env};
use shared::deadline::Deadline;
use tests::{NO_DATABASE, World, assert_members};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use uuid::Uuid;

/// The table of the applied migrations.
const HISTORY: &str = "refinery_schema_history";

/// Sends a request like CloudFormation's, and returns the answer.
pub async fn ask(config: Result<MigrateConfig, ConfigError>, request_type: &str) -> Value {
    ask_with(config, request_type, &json!({}), Duration::from_mins(1)).await
}

/// The same with changed members of the event, and with this time limit.
async fn ask_with(
    config: Result<MigrateConfig, ConfigError>,
    request_type: &str,
    changed: &Value,
    within: Duration,
) -> Value {
    let (sender, mut answers) = mpsc::unbounded_channel();
    let server = Server::start(move |request: Request| {
        assert_eq!((request.method().as_str(), request.uri().path()), ("PUT", "/answer"));
        sender.send(request.into_body()).unwrap();
        std::future::ready(Some(server::json(200, "")))
    });
    let server = server.await.unwrap();
    let mut event: Value = serde_json::from_str(include_str!("../events/migrate.json")).unwrap();
    event["RequestType"] = request_type.into();
    event["ResponseURL"] = format!("{}/answer?signature=x", server.url()).into();
    event.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
    let deadline = Deadline::after(within);
    let client = migrate::client().unwrap();
    migrate::handle(&config, &client, serde_json::from_value(event).unwrap(), deadline).await.unwrap();
    serde_json::from_slice(&answers.recv().await.unwrap()).unwrap()
}

/// The status and the reason of an answer.
fn said(answer: &Value) -> String {
    format!("{}: {}", answer["Status"].as_str().unwrap(), answer["Reason"].as_str().unwrap())
}

fn database(world: &World) -> Result<MigrateConfig, ConfigError> {
    MigrateConfig::from_env(&world.owner_env())
}

/// The names of this release's migrations, in order.
pub fn migrations() -> Vec<String> {
    let files = std::fs::read_dir("../shared/migrations").unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<_> = files.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort_by_key(|name| name[1..].split("__").next().unwrap().parse::<u32>().unwrap());
    names
}

/// The reason in the answer of `migrate` after it has applied all of them.
fn all_applied() -> String {
    format!("applied {}", migrations().join(", "))
}

#[tokio::test]
async fn create_and_update_apply_missing_migrations() {
    let world = World::new().await;
    world.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
    let answer = ask(database(&world), "Create").await;
    assert_eq!(said(&answer), format!("SUCCESS: {}", all_applied()));
    let of_the_event = json!({"RequestId": "d2b9d1a4-3d4f-4b0e-9d0c-1f1f1f1f1f1f", "LogicalResourceId": "Migration"});
    assert_members(&answer, &of_the_event);
    let again = ask(database(&world), "Update").await;
    assert_eq!(said(&again), "SUCCESS: the schema is up to date");
    assert_eq!(again["PhysicalResourceId"], answer["PhysicalResourceId"]);
}

#[tokio::test]
async fn migration_confines_the_functions_role() {
    let world = World::new().await;
    world.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
    let role = format!("app_{}", Uuid::new_v4().simple());
    let changed = [("DATABASE_URL", world.owner_url()), ("DATABASE_APP_ROLE", &role)];
    for done in [&all_applied(), "the schema is up to date"] {
        let env = world.variables().chain(changed).collect();
        let answer = ask(MigrateConfig::from_env(&env), "Create").await;
        assert_eq!(answer["Reason"], format!("{done}; the role {role} may read and write rows"), "{answer}");
    }
    // The right on new tables that it has during a migration.
    let of_new_tables = async || world.value::<i64>("SELECT count(*) FROM pg_default_acl").await;
    assert_eq!(of_new_tables().await, 0);
    let _lock = world.lock(HISTORY).await;
    let config = MigrateConfig::from_env(&world.variables().chain(changed).collect());
    ask_with(config, "Update", &json!({}), Duration::from_secs(20)).await;
    assert_eq!(of_new_tables().await, 1);
    let can = "has_column_privilege($1, 'orders', 'failure', 'UPDATE'), has_table_privilege($1, 'orders', 'DELETE')";
    let row = &world.rows(&format!("SELECT {can}"), &[&role]).await[0];
    assert_eq!((row.get(0), row.get(1)), (true, false));
}

#[tokio::test]
async fn delete_leaves_the_data_alone() {
    let world = World::new().await;
    world.create("o-1").await;
    assert_eq!(ask(database(&world), "Delete").await["Status"], "SUCCESS");
    assert_eq!(world.order_count().await, 1);
}

#[tokio::test]
async fn database_that_is_unreachable_or_not_set_is_reported() {
    let world = World::new().await;
    let answer = ask(MigrateConfig::from_env(&world.env_with(NO_DATABASE)), "Create").await;
    let failure = said(&answer);
    assert!(failure.starts_with("FAILED: ") && failure.contains("could not reach the database"), "{failure}");
    let answer = ask(MigrateConfig::from_env(&world.env_with(("DATABASE_URL", ""))), "Update").await;
    assert_eq!(said(&answer), "FAILED: DATABASE_URL: is not set");
}

#[tokio::test]
async fn bad_time_out_is_reported() {
    let env = Env::from_iter([NO_DATABASE, ("DATABASE_TLS", "off"), ("FUNCTION_TIMEOUT_SECONDS", "soon")]);
    let failure = said(&ask(MigrateConfig::from_env(&env), "Create").await);
    assert!(failure.starts_with("FAILED: FUNCTION_TIMEOUT_SECONDS: is not valid"), "{failure}");
}

/// Runs the test above in a process whose environment names a proxy that refuses connections.
#[test]
fn answer_goes_through_no_proxy() {
    let test = ["--exact", "migrating::bad_time_out_is_reported"];
    let proxy = ["HTTP_PROXY", "http_proxy"].map(|name| (name, "http://127.0.0.1:1"));
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args(test).envs(proxy).env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("1 passed"), "{said}");
}

/// The update of a stack from one version of the function to another, each by its ARN, as CloudFormation resolves a version.
fn update(from: &str, to: &str) -> Value {
    let version = |number| json!({"FunctionVersion": format!("arn:aws:lambda:eu-central-1:123456789012:function:migrate:{number}")});
    json!({"OldResourceProperties": version(from), "ResourceProperties": version(to)})
}

#[tokio::test]
async fn roll_back_of_the_stack_succeeds_without_its_database() {
    let world = World::new().await;
    let nowhere = || MigrateConfig::from_env(&world.env_with(NO_DATABASE));
    let within = Duration::from_secs(21);
    let answer = ask_with(nowhere(), "Update", &update("10", "9"), within).await;
    assert_eq!(said(&answer), "SUCCESS: the stack rolls back: kept the schema unchanged");
    for changed in [update("9", "10"), update("9", "9"), update("", "9"), json!({})] {
        assert_eq!(ask_with(nowhere(), "Update", &changed, within).await["Status"], "FAILED", "{changed}");
    }
}

/// Starts a proxy that drops the first two connections and forwards all later ones to the server. Returns its address.
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
async fn database_that_is_reachable_late_is_migrated() {
    let world = World::new().await;
    world.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
    let (login, location) = world.owner_url().split_once('@').unwrap();
    let (server, database) = location.split_once('/').unwrap();
    let late = reached_late(server.parse().unwrap()).await;
    let config = MigrateConfig::from_env(&world.env_with(("DATABASE_URL", &format!("{login}@{late}/{database}"))));
    let answer = ask(config, "Create").await;
    assert_eq!(said(&answer), format!("SUCCESS: {}", all_applied()));
}

#[tokio::test]
async fn migration_out_of_time_leaves_no_statement_behind() {
    let world = World::new().await;
    let _lock = world.lock(HISTORY).await;
    let answer = ask_with(database(&world), "Update", &json!({}), Duration::from_secs(17)).await;
    assert!(said(&answer).starts_with("FAILED: ran out of time, and was rolled back"), "{answer}");
    world.wait_for_locked_out(0).await;
}

#[tokio::test]
async fn migration_tries_again_for_a_lock_that_is_not_free() {
    let world = World::new().await;
    let lock = world.lock(HISTORY).await;
    let unlock = async {
        world.wait_for_locked_out(1).await;
        world.wait_for_locked_out(0).await;
        drop(lock);
    };
    let (answer, ()) = tokio::join!(ask(database(&world), "Update"), unlock);
    assert_eq!(said(&answer), "SUCCESS: the schema is up to date");
}

#[tokio::test]
async fn migration_survives_a_lost_connection_but_no_cancellation() {
    let world = World::new().await;
    for (disturb, expected) in [
        ("pg_terminate_backend", "SUCCESS: the schema is up to date"),
        ("pg_cancel_backend", "FAILED: a migration failed"),
    ] {
        let lock = world.lock(HISTORY).await;
        let disturbed = async {
            world.wait_for_locked_out(1).await;
            let sessions =
                "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'ordermill'";
            world.execute(&format!("SELECT {disturb}(pid) {sessions}")).await;
            drop(lock);
        };
        let (answer, ()) = tokio::join!(ask(database(&world), "Update"), disturbed);
        assert!(said(&answer).starts_with(expected), "{disturb}: {answer}");
    }
}

#[tokio::test]
async fn failed_grant_says_what_was_applied() {
    let world = World::new().await;
    let owner = world.owner_url().split_once("://").unwrap().1.split_once([':', '@']).unwrap().0;
    let env = world.variables().chain([("DATABASE_URL", world.owner_url()), ("DATABASE_APP_ROLE", owner)]).collect();
    let answer = ask(MigrateConfig::from_env(&env), "Update").await;
    let reason = answer["Reason"].as_str().unwrap();
    let expected = format!("the schema is up to date, but the rights of the role {owner} are unchanged: ");
    assert!(reason.starts_with(&expected) && reason.contains("owns the tables"), "{reason}");
    world.create("o-1").await;
}
