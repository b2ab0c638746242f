//! The previous release runs on the schema of this one: during a gradual release, and after a roll-back.

pub mod recorder;
pub mod replay;

use std::fs::read_to_string;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use processor::{Outcome, Simulated, Work};
use serde_json::{Value, json};
use shared::config::Env;
use shared::db::Store;
use shared::db::claim::Claimed;
use shared::deadline::Deadline;
use sweeper::Sweeper;
use tests::{NO_AWS, World, call_in_process, get, handle, order, order_with, post, processor, store};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::sleep;

use crate::plans::flat;
use crate::roles::AppRole;
use crate::walls::files;
use recorder::Recording;

/// All statements of the last release. `RECORD_RELEASE=1` records them anew for each release.
const RELEASED: &str = include_str!("released/statements.json");

/// Work of 0.4 s that fails for one order, waits for another and retries a third.
struct FailOne;

impl Work for FailOne {
    async fn run(&self, order: &Claimed, _: &Store, _: Deadline) -> Outcome {
        sleep(Duration::from_millis(400)).await;
        match order.order_id.as_str() {
            "o-2" => Outcome::Fail("refused".to_owned()),
            "o-5" => Outcome::Wait(None),
            "o-6" => Outcome::Retry { cause: "busy".to_owned(), after: None },
            _ => Outcome::Complete,
        }
    }
}

async fn call(api: &Router, request: Request<Body>) -> Value {
    let scopes = "orders/read orders/write orders/admin";
    call_in_process(api, Some(("admin", scopes)), request).await.json()
}

/// Makes all reading calls with all parameters that change their statements.
async fn read_everything(api: &Router) {
    let cursor = call(api, get("/orders?limit=2")).await["next_cursor"].as_str().unwrap().to_owned();
    for query in ["", "status=pending", "status=processing", "status=completed", "status=failed", "status=cancelled"] {
        for more in ["", "&user_id=alice", &format!("&cursor={cursor}"), &format!("&user_id=alice&cursor={cursor}")] {
            call(api, get(&format!("/orders?{query}{more}"))).await;
        }
    }
    let range = "created_from=2020-01-01T00:00:00Z&created_before=2100-01-01T00:00:00Z";
    let ids = "order_id=o-1&order_id=o-2";
    for query in
        [range, ids, "cause=refused", &format!("{range}&status=failed"), &format!("{range}&{ids}&cause=refused")]
    {
        for more in ["", "&user_id=alice", &format!("&cursor={cursor}")] {
            call(api, get(&format!("/orders?{query}{more}"))).await;
        }
    }
    for path in
        ["/orders/o-1", "/orders/o-1/status", "/orders/o-1/history", "/metrics", "/metrics?hours=24", "/healthz"]
    {
        call(api, get(path)).await;
    }
}

async fn create_and_cancel(api: &Router) {
    for id in ["o-1", "o-2", "o-3", "o-4", "o-1"] {
        call(api, post("/orders", &order(id))).await;
    }
    call(api, post("/orders/batch", &json!({"orders": [order("o-4"), order("o-5"), order("o-6")]}))).await;
    call(api, post("/orders/o-4/cancel", &json!({}))).await;
    call(api, post("/orders", &order_with("o-7", &json!({"user_id": "carol"})))).await;
    call(api, post("/orders/cancel", &json!({"created_before": "2020-01-01T00:00:00Z"}))).await;
    call(api, post("/orders/cancel", &json!({"dry_run": false, "user_id": "carol"}))).await;
    call(api, post("/orders/cancel", &json!({"order_ids": ["o-1"], "user_id": "carol"}))).await;
}

/// Processes orders: a wait, a worker that crashes, a message for an order in progress, ends, a failure, and an operator's retries.
async fn process(api: &Router, env: &Env, world: &World) {
    // The delay is over when the recording is replayed.
    let waiting = processor(env, Simulated { delay: Duration::from_micros(1) });
    handle(&waiting, &["o-1", "o-2", "o-3"]).await;
    world.let_pass(10.0).await;
    store(env).claim(&["o-6".parse().unwrap()], Duration::from_secs(1), Duration::ZERO, 12).await.unwrap();
    world.let_pass(10.0).await;
    let refusing = processor(env, FailOne);
    handle(&refusing, &["o-6"]).await;
    call(api, post("/orders", &order("o-8"))).await;
    world.execute("UPDATE order_work SET attempts = 12 WHERE order_id = 'o-8'").await;
    handle(&refusing, &["o-8"]).await;
    tokio::join!(handle(&refusing, &["o-1", "o-2", "o-5"]), async {
        sleep(Duration::from_millis(200)).await;
        handle(&waiting, &["o-1"]).await;
    });
    read_everything(api).await;
    let ranges = json!({"created_from": "2020-01-01T00:00:00Z", "created_before": "2020-01-02T00:00:00Z"});
    let named = json!({"order_ids": ["o-2"], "user_id": "alice"});
    for options in [named, json!({"dry_run": false, "user_id": "alice", "cause": "refused"}), ranges] {
        call(api, post("/orders/retry", &options)).await;
    }
    world.let_pass(10.0).await;
    handle(&refusing, &["o-2"]).await;
    call(api, post("/orders/o-2/retry", &json!({}))).await;
    call(api, post("/users/bob/erase", &json!({}))).await;
    world.send_dead_letter("o-6").await;
    call(api, post("/dead-letters/redrive", &json!({"dry_run": false}))).await;
}

async fn pause_and_resume(api: &Router) {
    for path in ["/processing/pause", "/processing/resume"] {
        call(api, post(path, &json!({"reason": "a test"}))).await;
    }
}

fn sweeper(world: &World, url: &str, more: &[(&str, &str)]) -> Sweeper {
    let variables = world.variables().chain([("DATABASE_URL", url)]).chain(more.iter().copied());
    Sweeper::from_env(&variables.collect()).unwrap()
}

/// Creates two orders that are due in half an hour, and sweeps without a queue and with it.
async fn schedule(api: &Router, url: &str, world: &World) {
    for id in ["later-1", "later-2"] {
        let time = OffsetDateTime::now_utc() + Duration::from_mins(30);
        let more = json!({"process_after": time.format(&Rfc3339).unwrap(), "currency": "JPY", "total_amount": 500, "metadata": {"cart": "77"}});
        call(api, post("/orders", &order_with(id, &more))).await;
    }
    world.let_pass(1500.0).await;
    for more in [&[NO_AWS][..], &[]] {
        sweeper(world, url, more).sweep().await.unwrap();
    }
}

/// Runs two sweeps, the second without a queue.
async fn sweep(url: &str, world: &World) {
    world.let_pass(300.0).await;
    let retention = ("RETENTION_DAYS", "1");
    for more in [&[retention][..], &[retention, NO_AWS]] {
        sweeper(world, url, more).sweep().await.unwrap();
        world.let_pass(300.0).await;
    }
}

/// Ends orders in a deployment with an event bus: announces some of the ends, and has the sweeper announce the others.
async fn announce(url: &str, world: &World) {
    let env: Env = world.variables().chain([("DATABASE_URL", url), ("EVENT_BUS", "default")]).collect();
    let api = world.api_with_env(&env);
    for (id, user) in [("e-1", "alice"), ("e-2", "alice"), ("e-3", "erin")] {
        call(&api, post("/orders", &order_with(id, &json!({"user_id": user})))).await;
    }
    call(&api, post("/orders/e-1/cancel", &json!({}))).await;
    call(&api, post("/orders/cancel", &json!({"dry_run": false, "user_id": "erin"}))).await;
    handle(&processor(&env, Simulated { delay: Duration::ZERO }), &["e-1", "e-2"]).await;
    call(&api, get("/metrics")).await;
    call(&api, post("/users/bob/erase", &json!({}))).await;
    world.let_pass(40.0).await;
    // One, or more if the bus was too slow for the processor.
    assert_ne!(Sweeper::from_env(&env).unwrap().sweep().await.unwrap().events, 0);
}

/// Records all statements of the functions in this world.
pub async fn record(world: &World) -> Recording {
    let (recording, recorded) = Recording::start(world).await;
    let env = world.env_with(("DATABASE_URL", recorded.as_str()));
    let api = world.api_with_env(&env);
    create_and_cancel(&api).await;
    process(&api, &env, world).await;
    pause_and_resume(&api).await;
    Box::pin(schedule(&api, recorded.as_str(), world)).await;
    Box::pin(sweep(recorded.as_str(), world)).await;
    Box::pin(announce(recorded.as_str(), world)).await;
    recording
}

/// The texts of a source that begin like a statement, each up to its first variable part.
fn beginnings(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap().replace("\\\n", "");
    let is_sql = |text: &&str| ["SELECT ", "WITH ", "UPDATE ", "DELETE "].iter().any(|word| text.starts_with(word));
    code.split(['"', '{']).filter(is_sql).map(flat).collect()
}

#[tokio::test]
async fn recording_of_a_release_contains_every_statement() {
    let world = World::new().await;
    let statements = record(&world).await.statements();
    // Those of migrations and of the CLI are no function's.
    let others = ["inspect.rs", "role.rs", "schema.rs"];
    let sources = files(Path::new("../shared/src/db"));
    let sources = sources.into_iter().filter(|path| !others.iter().any(|name| path.ends_with(name)));
    let written: Vec<_> = sources.flat_map(|path| beginnings(&read_to_string(path).unwrap())).collect();
    let recorded: Vec<_> = statements.iter().map(|statement| flat(&statement.sql)).collect();
    let missing: Vec<_> = written.iter().filter(|sql| !recorded.iter().any(|text| text.contains(*sql))).collect();
    assert!(written.len() > 30 && missing.is_empty(), "not recorded: {missing:#?}");
    if std::env::var_os("RECORD_RELEASE").is_some() {
        let json = replay::to_json(&world, &statements).await;
        std::fs::write("integration/released/statements.json", json).unwrap();
    }
}

#[tokio::test]
async fn schema_accepts_the_statements_of_the_last_release() {
    let released = serde_json::from_str(RELEASED).unwrap();
    assert_eq!(replay::differences(&AppRole::new().await.url(), &released).await, [""; 0]);
}

#[tokio::test]
async fn additive_migration_keeps_the_last_release_working() {
    let released = serde_json::from_str(RELEASED).unwrap();
    let world = World::new().await;
    let migration =
        "ALTER TABLE orders ADD COLUMN of_the_next text NOT NULL DEFAULT 'web', ADD COLUMN of_the_next_too text;
        CREATE TABLE orders_of_the_next (order_id text PRIMARY KEY);
        CREATE INDEX orders_by_the_next ON orders (of_the_next)";
    world.execute(migration).await;
    assert_eq!(replay::differences(world.owner_url(), &released).await, [""; 0]);
}

/// The rules for migrations allow a wider type. The server then refuses statements that were prepared before, and the functions' role
/// needs its rights on the replaced view before the migration's grant.
#[tokio::test]
async fn open_connections_survive_a_wider_type() {
    let role = AppRole::new().await;
    role.world.create("o-1").await;
    let api = role.world.api_with("DATABASE_URL", &role.url());
    let read = async || call(&api, get("/orders/o-1")).await;
    let before = (read().await, read().await);
    role.prepare().await;
    let migration = "DO $$ DECLARE states text := pg_get_viewdef('order_states'); BEGIN
            DROP VIEW order_states;
            ALTER TABLE orders ALTER total_amount TYPE numeric(20, 4);
            EXECUTE 'CREATE VIEW order_states AS ' || states;
        END $$";
    role.world.execute(migration).await;
    assert_eq!(before.0["status"], "pending");
    assert_eq!((read().await, read().await), before);
}

#[tokio::test]
async fn breaking_migration_is_noticed() {
    let released = serde_json::from_str(RELEASED).unwrap();
    for migration in [
        "ALTER TABLE orders DROP COLUMN failure CASCADE",
        "ALTER TABLE order_work RENAME COLUMN due_at TO next_at",
        "ALTER TABLE order_stats RENAME TO order_statistics",
        "ALTER TABLE orders ADD COLUMN of_the_next text NOT NULL",
        "ALTER DOMAIN amount ADD CONSTRAINT whole CHECK (VALUE = trunc(VALUE))",
        "ALTER TABLE orders ADD CONSTRAINT large CHECK (total_amount > 1000)",
        "ALTER TABLE orders ADD CONSTRAINT kept CHECK (NOT cancelled)",
        "DROP VIEW order_states",
    ] {
        let world = World::new().await;
        world.execute(migration).await;
        assert!(!replay::differences(world.owner_url(), &released).await.is_empty(), "{migration} went unnoticed");
    }
}
