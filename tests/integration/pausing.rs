//! `POST /processing/pause` and `POST /processing/resume`: nothing new starts while processing is paused, and nothing is lost by it.

use std::time::Duration;

use serde_json::{Value, json};
use shared::db::requeue::Slice;
use tests::{World, event, eventually, get, post, post_empty, with_header};

use crate::environments::start_logged;
use crate::metrics;

const GRACE: Duration = Duration::from_mins(3);
const AHEAD: Duration = Duration::from_mins(10);

fn why(reason: &str) -> Value {
    json!({"reason": reason})
}

async fn pause(world: &World) -> Value {
    world.post("/processing/pause", &why("stocktaking")).await.expect(200)["pause"].clone()
}

async fn resume(world: &World) {
    assert_eq!(world.post("/processing/resume", &why("done")).await.expect(200)["pause"], Value::Null);
}

#[tokio::test]
async fn pause_accepts_orders_and_starts_none() {
    let world = World::with_orders(&["before"]).await;
    pause(&world).await;
    world.create("during").await;
    for _ in 0..20 {
        // Acknowledged, and not sent again: no receive is counted.
        world.process(&["before", "during"]).await;
    }
    assert_eq!((world.queue_depth().await, world.dead_letters().await), (2, 0));
    for order_id in ["before", "during"] {
        assert_eq!(world.status(order_id).await, "pending");
    }
    world.post("/orders/during/cancel", &json!({})).await.expect(200);
}

#[tokio::test]
async fn first_sweep_after_a_pause_requeues_what_was_due() {
    let world = World::with_orders(&["o-1"]).await;
    pause(&world).await;
    world.create("o-2").await;
    for _ in 0..2 {
        let message = world.receive().await.unwrap();
        world.process(&[message]).await;
    }
    assert_eq!(world.sweep().await.requeued, 0);
    resume(&world).await;
    world.let_pass(5.0).await;
    world.create("o-3").await;
    assert_eq!(world.sweep().await.requeued, 2, "o-3 has a message, and is not overdue");
    assert_eq!(world.sweep().await.requeued, 0);
    for _ in 0..3 {
        let message = world.receive().await.unwrap();
        world.process(&[message]).await;
    }
    for order_id in ["o-1", "o-2", "o-3"] {
        assert_eq!(world.status(order_id).await, "completed");
    }
}

#[tokio::test]
async fn order_that_falls_due_while_a_resume_commits_is_requeued() {
    let world = World::with_orders(&["o-1"]).await;
    pause(&world).await;
    resume(&world).await;
    world.receive().await.expect("a message");
    world.let_pass(60.0).await;
    // A claim in this moment still sees the pause, and the processor acknowledges the message.
    world.execute("UPDATE order_work SET due_at = (SELECT resumed_at FROM processing_pause) + interval '1 s'").await;
    assert_eq!((world.sweep().await.requeued, world.sweep().await.requeued), (1, 0));
}

#[tokio::test]
async fn requeued_order_is_requeued_again_after_a_pause() {
    let world = World::with_orders(&["o-1"]).await;
    world.let_pass(200.0).await;
    assert_eq!(world.sweep().await.requeued, 1);
    pause(&world).await;
    world.process(&["o-1"]).await;
    resume(&world).await;
    assert_eq!(world.sweep().await.requeued, 1);
}

#[tokio::test]
async fn long_pause_rings_no_overdue_alarm() {
    let world = World::new().await;
    let read = async || world.store().read_slice(Slice::default(), GRACE, AHEAD).await.unwrap();
    let overdue = async || world.get("/metrics").await.expect(200)["oldest_overdue_seconds"].as_f64().unwrap();
    pause(&world).await;
    resume(&world).await;
    world.let_pass(1000.0).await;
    let slice = read().await;
    assert_eq!((slice.oldest, slice.has_late, overdue().await), (Duration::ZERO, false, 0.0), "there are no orders");
    world.create("o-1").await;
    world.let_pass(400.0).await;
    pause(&world).await;
    world.let_pass(4000.0).await;
    let slice = read().await;
    assert_eq!((slice.oldest, slice.has_late, overdue().await), (Duration::ZERO, false, 0.0));
    assert!(slice.paused_for.unwrap() >= Duration::from_secs(4000), "{slice:?}");
    assert_eq!(world.sweep().await.requeued, 0);
    resume(&world).await;
    let slice = read().await;
    assert!(slice.oldest < GRACE && slice.has_late && slice.paused_for.is_none(), "{slice:?}");
    // From here on the order is overdue like any other.
    world.let_pass(300.0).await;
    let since_resume = 300.0..330.0;
    let seconds = overdue().await;
    assert!(since_resume.contains(&seconds), "{seconds}");
    let slice = read().await;
    assert!(since_resume.contains(&slice.oldest.as_secs_f64()), "{slice:?}");
}

#[tokio::test]
async fn attempt_that_has_started_ends_during_a_pause() {
    let world = World::new().await;
    world.create_many(2).await;
    let claim = world.claim(&["o-1"]).await;
    world.claim(&["o-0"]).await;
    pause(&world).await;
    let end = tests::end(&claim.claimed[0], None);
    assert_eq!(world.store().finish(claim.token, &[end]).await.unwrap().len(), 1);
    assert_eq!(world.status("o-1").await, "completed");
    // The worker of the other order has died, and the order waits for the end of the pause.
    world.let_pass(31.0).await;
    world.process(&["o-0"]).await;
    assert_eq!(world.status("o-0").await, "processing");
}

#[tokio::test]
async fn order_that_is_not_due_keeps_its_message_in_a_pause() {
    let world = World::with(&[("CANCEL_WINDOW_SECONDS", "600")]).await;
    world.create("o-1").await;
    pause(&world).await;
    world.process(&["o-1"]).await;
    assert_eq!(world.queue_depth().await, 2);
    resume(&world).await;
    assert_eq!(world.sweep().await.requeued, 0);
}

#[tokio::test]
async fn metrics_show_the_pause_since_its_first_call() {
    let world = World::new().await;
    let metrics = async || world.get("/metrics").await.expect(200);
    let text = async || world.call(with_header(get("/metrics"), "accept", "text/plain")).await.text;
    assert_eq!(metrics().await["pause"], Value::Null);
    assert!(text().await.contains("\nordermill_processing_paused 0\n"));
    let paused = pause(&world).await;
    assert_eq!((&paused["reason"], &paused["by"]), (&json!("stocktaking"), &json!("admin")));
    assert_eq!(metrics().await["pause"], paused);
    assert!(text().await.contains("\nordermill_processing_paused 1\n"));
    let call = post("/processing/pause", &why("still stocktaking"));
    let again = world.call_as("bob", "orders/admin", call).await.expect(200)["pause"].clone();
    assert_eq!((&again["since"], &again["by"]), (&paused["since"], &paused["by"]));
    assert_eq!(again["reason"], "still stocktaking");
    for _ in 0..2 {
        resume(&world).await;
        assert_eq!(metrics().await["pause"], Value::Null);
    }
    assert_ne!(pause(&world).await["since"], paused["since"]);
}

#[tokio::test]
async fn pause_wants_a_reason() {
    let world = World::new().await;
    let long = "x".repeat(501);
    for path in ["/processing/pause", "/processing/resume"] {
        for body in [json!({}), why(""), why("a\u{7}b"), why(&long), json!({"reason": 7})] {
            assert_eq!(world.post(path, &body).await.problem(422)["errors"][0]["pointer"], "#/reason");
        }
        let more = json!({"reason": "a reason", "until": "tomorrow"});
        assert!(world.post(path, &more).await.problem(422)["errors"][0]["pointer"] == "#/until");
        world.call(post_empty(path)).await.problem(415);
        world.post(path, &why(&"ü".repeat(500))).await.expect(200);
    }
    assert_eq!(world.get("/metrics").await.expect(200)["pause"], Value::Null);
}

/// The line of a log that has this text.
async fn line(log: &tempfile::NamedTempFile, text: &str) -> Value {
    eventually(&format!("the log has {text}"), Duration::from_secs(15), async || {
        let log = std::fs::read_to_string(log.path()).unwrap();
        log.lines().find(|line| line.contains(text)).map(|line| serde_json::from_str(line).unwrap())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn pause_is_logged_with_who_and_why_and_measured() {
    let world = World::new().await;
    let log = tempfile::NamedTempFile::new().unwrap();
    let api = start_logged(&world, "ApiFunction", &[], log.path()).await.unwrap();
    for (path, reason) in [("/processing/pause", "the warehouse burns"), ("/processing/resume", "the fire is out")] {
        let call = event(Some(("olga", "orders/admin")), post(path, &why(reason))).await;
        api.invoke(call.to_string().into()).await.unwrap();
    }
    for (message, reason) in [("paused processing", "the warehouse burns"), ("resumed processing", "the fire is out")] {
        let line = line(&log, &format!("\"{message}\"")).await;
        let (fields, span) = (&line["fields"], &line["span"]);
        let facts = (&span["function_version"], &span["cold_start"]);
        assert_eq!(facts, (&json!("$LATEST"), &json!(message == "paused processing")), "{span}");
        assert!(
            ["request_id", "trace_id"].iter().all(|name| span[name].as_str().is_some_and(|id| !id.is_empty())),
            "{span}"
        );
        assert_eq!((&fields["caller"], &fields["reason"]), (&json!("olga"), &json!(reason)), "{fields}");
        assert!(shared::timestamp::parse(fields["since"].as_str().unwrap()).is_ok(), "{fields}");
    }
    pause(&world).await;
    world.create("o-1").await;
    world.let_pass(3700.0).await;
    let sweeper = start_logged(&world, "SweeperFunction", &[], log.path()).await.unwrap();
    sweeper.invoke("{}".into()).await.unwrap();
    metrics::expect(log.path(), "PausedFor", 3700.0..3760.0).await;
}
