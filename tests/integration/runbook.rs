//! The runbook, docs/operations.md, matches the code: the API answers its calls, and its filters find stored orders.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use axum::body::Body;
use axum::http::{Method, Request};
use sandbox::server::silent;
use serde_json::Value;
use tests::World;

use crate::fulfilling;

const RUNBOOK: &str = include_str!("../../docs/operations.md");

/// A call of the API in the runbook.
#[derive(Debug)]
struct Example {
    method: Method,
    path: String,
    body: Option<Value>,
}

/// The calls of the runbook: `call -X POST "$API_URL/orders/retry" -d '{…}'`, or with a body in `"…"`, which may contain `$filter`.
fn examples() -> Vec<Example> {
    let (_, filter) = RUNBOOK.split_once("\nfilter='").unwrap();
    let filter = filter.split('\'').next().unwrap().replace('"', "\\\"");
    let commands = RUNBOOK.replace("\\\n", "").replace("$filter", &filter);
    let parts: Vec<_> = commands.split("\"$API_URL").collect();
    let read = |pair: &[&str]| {
        let command = pair[0].rsplit(['`', '\n']).next().unwrap();
        let (path, rest) = pair[1].split_once('"').unwrap();
        let body = rest.trim_start().strip_prefix("-d ").map(argument);
        let body = body.map(|body| serde_json::from_str(&body).unwrap_or_else(|error| panic!("{body}: {error}")));
        let is_post = body.is_some() || command.contains("-X POST");
        let method = if is_post { Method::POST } else { Method::GET };
        Example { method, path: path.replace("ORDER_ID", "o-1"), body }
    };
    parts.windows(2).map(read).collect()
}

/// The first argument of a shell's command, which is in quotes.
fn argument(command: &str) -> String {
    let (quote, rest) = command.split_at(1);
    rest.replace("\\\"", "\0").split(quote).next().unwrap().replace('\0', "\"")
}

/// A world with one order that failed because the merchant's endpoint did not answer.
async fn world_with_a_time_out() -> World {
    let (_silent, url) = silent().await.unwrap();
    let limits = [("WEBHOOK_TIMEOUT_SECONDS", "1"), ("MAX_ATTEMPTS", "1")];
    let (world, processor) = fulfilling::world(&url, &limits).await;
    assert_eq!(fulfilling::attempted(&world, &processor).await["status"], "failed");
    world
}

#[tokio::test]
async fn calls_of_the_runbook_succeed_and_find_stored_orders() {
    let world = world_with_a_time_out().await;
    let failure: String = world.value("SELECT failure FROM orders").await;
    let examples = examples();
    assert!(examples.len() > 8, "{examples:?}");
    let by_cause =
        examples.iter().filter(|example| example.body.as_ref().is_some_and(|body| body["cause"].is_string()));
    assert_eq!(by_cause.count(), 2, "{examples:?}");
    for Example { method, path, body } in examples {
        let fail = "DELETE FROM order_work; UPDATE orders SET created_at = '2026-11-23T03:00:00Z', started_at = '2026-11-23T03:00:00Z', \
            finished_at = '2026-11-23T03:00:00Z', failure =";
        world.execute(&format!("{fail} $${failure}$$")).await;
        let request = Request::builder().method(&method).uri(&path).header("content-type", "application/json");
        let text = body.as_ref().map(Value::to_string).unwrap_or_default();
        let answer = world.call(request.body(Body::from(text)).unwrap()).await.expect(200);
        if path == "/orders/retry" {
            assert_eq!(answer["matched"], 1, "{body:?} does not match {failure:?}");
        }
    }
}

/// The action of IAM that a command of the AWS CLI needs, in lower case: most are named alike.
fn right(service: &str, command: &str) -> String {
    match (service, command) {
        // The rights of API Gateway are named after the method of the call.
        ("apigatewayv2", command) => format!("apigateway:{}", command.split('-').next().unwrap()),
        ("logs", "tail") => "logs:filterlogevents".to_owned(),
        ("rds", "generate-db-auth-token") => "rds-db:connect".to_owned(),
        ("deploy", command) => format!("codedeploy:{}", command.replace('-', "")),
        ("service-quotas", command) => format!("servicequotas:{}", command.replace('-', "")),
        (service, command) => format!("{service}:{}", command.replace('-', "")),
    }
}

#[test]
fn rights_of_the_runbook_cover_its_commands() {
    let (_, rights) = RUNBOOK.split_once("## Rights for these commands\n").unwrap();
    let rights = rights.split("\n## ").next().unwrap().to_lowercase();
    let commands = RUNBOOK.split("aws ").skip(1).filter_map(|rest| rest.trim_start().split_once(' '));
    let needed: BTreeSet<_> = commands
        .filter(|(service, _)| *service != "configure")
        .map(|(service, rest)| right(service, rest.split([' ', '\n', '`']).next().unwrap()))
        .filter(|right| !rights.contains(&format!("`{right}`")))
        .collect();
    assert_eq!(needed, BTreeSet::new());
}

#[tokio::test]
async fn restore_of_the_runbook_copies_every_table_of_orders() {
    let tables = "SELECT string_agg(tablename, ',' ORDER BY tablename COLLATE \"C\") FROM pg_tables
        WHERE schemaname = current_schema() AND tablename LIKE 'order%'";
    let world = World::new().await;
    let (_, rest) = RUNBOOK.split_once("-c 'TRUNCATE ").unwrap();
    let mut named: Vec<_> = rest.split('\'').next().unwrap().split(',').map(str::trim).collect();
    named.sort_unstable();
    assert_eq!(named.join(","), world.value::<String>(tables).await);
    let others: String = world.value(&tables.replace("LIKE", "NOT LIKE")).await;
    assert_eq!(others, "processing_pause,refinery_schema_history");
}

/// Stands in for the servers' programs: without the flags that name the server, and with the URL of that host's database instead.
const PROGRAMS: [(&str, &str); 3] = [
    ("aws", "echo token"),
    ("psql", "url=${2}_url; shift 8; exec psql -qX \"${!url}\" \"$@\""),
    ("pg_dump", "url=${2}_url; shift 8; pg_dump \"${!url}\" \"$@\" | eval \"$DAMAGE\""),
];

/// Runs the copy of the section *Restore the database* from one world to another, with a `pg_dump` whose output goes through `damage`.
fn restore(from: &World, to: &World, damage: &str) {
    let (_, rest) = RUNBOOK.split_once("   as_owner() {").unwrap();
    let copy = format!("as_owner() {{{}", rest.split("```").next().unwrap());
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in PROGRAMS {
        let path = directory.path().join(name);
        std::fs::write(&path, format!("#!/bin/bash\nset -o pipefail; unset PGSSLMODE; PATH=${{PATH#*:}}\n{text}\n"))
            .unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
    }
    let path = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap());
    let variables = [("PATH", &*path), ("HOST", "live"), ("RESTORED", "restored"), ("DAMAGE", damage)];
    let urls = [("restored_url", from.owner_url()), ("live_url", to.owner_url())];
    let mut shell = Command::new("bash");
    shell.args(["-c", &copy]).current_dir(&directory).envs(variables).envs(urls);
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{damage}: {output:?}");
}

#[tokio::test]
async fn restore_of_the_runbook_copies_a_whole_dump_or_nothing() {
    let (restored, live) = (World::new().await, World::new().await);
    restored.create("o-restored").await;
    live.create("o-live").await;
    let indexes =
        "SELECT string_agg(indexdef, ';' ORDER BY indexname) FROM pg_indexes WHERE schemaname = current_schema()";
    let before: String = live.value(indexes).await;
    for damage in ["false", "cat; exit 1", "sed -n 1,20p", "sed '/^COPY .*orders /a damage'", "cat"] {
        restore(&restored, &live, damage);
        let expected = if damage == "cat" { "o-restored" } else { "o-live" };
        let found = "SELECT string_agg(order_id, ',') FROM orders JOIN order_work USING (order_id)";
        assert_eq!(live.value::<String>(found).await, expected, "{damage}");
        assert_eq!(live.value::<String>(indexes).await, before, "{damage}");
    }
}

#[tokio::test]
async fn figures_that_the_runbook_names_are_in_the_metrics() {
    let metrics = World::new().await.get("/metrics").await.expect(200);
    let (_, table) = RUNBOOK.split_once("| in `GET /metrics` |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let names: Vec<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    assert!(names.len() >= 5, "{names:?}");
    for name in names {
        assert!(metrics.pointer(&format!("/{}", name.replace('.', "/"))).is_some(), "{name} is not in {metrics}");
    }
}
