//! `GET /metrics`: every number equals a recount of the orders.

use std::collections::BTreeSet;
use std::time::Duration;

use processor::Outcome;
use serde_json::{Value, json};
use shared::db::stats;
use tests::{NO_AWS, OutcomeBy, World, assert_members, call_in_process, end, get, handle, until, with_header};

/// Orders in every state: two pending, one processing, six completed, two failed, one cancelled.
async fn busy_world() -> World {
    let world = World::new().await;
    let ended = ["ok-1", "ok-2", "ok-3", "ok-4", "ok-5", "bad-1", "bad-2", "bad-retried"];
    for id in ended.into_iter().chain(["cancelled", "p-1", "p-2", "working"]) {
        world.create(id).await;
    }
    world.let_pass(2.5).await;
    let work =
        OutcomeBy(|id: &str| if id.starts_with("bad") { Outcome::Fail("bad".to_owned()) } else { Outcome::Complete });
    world.process_with(work, &ended).await;
    world.post("/orders/cancelled/cancel", &json!({})).await.expect(200);
    world.post("/orders/bad-retried/retry", &json!({})).await.expect(200);
    world.process(&["bad-retried"]).await;
    handle(&world.processor(Duration::from_mins(1)), &["working"]).await;
    world
}

#[tokio::test]
async fn metrics_equal_a_recount_of_the_orders() {
    let world = busy_world().await;
    let metrics = world.get("/metrics").await.expect(200);
    let counts = json!({"pending": 2, "processing": 1, "completed": 6, "failed": 2, "cancelled": 1});
    assert_eq!(metrics["status_counts"], counts);
    assert_eq!(metrics["total_orders"], world.order_count().await);
    let sql =
        "SELECT avg(extract(epoch FROM finished_at - started_at))::float8 FROM order_states WHERE status = 'completed'";
    let mean: f64 = world.value(sql).await;
    assert!((metrics["average_processing_time"].as_f64().unwrap() - mean).abs() < 1e-6, "{metrics}");
    let sql = "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM started_at - created_at))::float8
        FROM order_states WHERE status = 'completed'";
    let median: f64 = world.value(sql).await;
    let shown = metrics["queueing_seconds"]["p50"].as_f64().unwrap();
    assert!((shown / median - 1.0).abs() <= 0.025, "{shown} {median}");
    let last_hour: i64 =
        metrics["completions_per_minute"].as_array().unwrap().iter().map(|m| m["completed"].as_i64().unwrap()).sum();
    assert_eq!(last_hour, 6);
    // An hour may have begun since.
    assert_eq!(by_hour(&world, 2).await.0, [6, 2, 1], "a retry is subtracted from the failures");
}

#[tokio::test]
async fn percentiles_are_within_two_and_a_half_percent_of_any_time() {
    let world = World::new().await;
    for (index, seconds) in ["0.002", "0.02", "0.999", "5", "86400", "1900000"].iter().enumerate() {
        let id = format!("o-{index}");
        world.execute("TRUNCATE order_outcomes").await;
        world.create(&id).await;
        let claim = world.claim(&[&id]).await;
        world.execute(&format!("UPDATE order_work SET started_at = now() - interval '{seconds} s'")).await;
        world.store().finish(claim.token, &[end(&claim.claimed[0], None)]).await.unwrap();
        let metrics = world.get("/metrics").await.expect(200);
        let sql =
            format!("SELECT extract(epoch FROM finished_at - started_at)::float8 FROM orders WHERE order_id = '{id}'");
        let (exact, shown) = (world.value::<f64>(&sql).await, metrics["processing_seconds"]["p50"].as_f64().unwrap());
        assert!((shown / exact - 1.0).abs() <= 0.025, "{exact}: {shown}");
    }
}

#[tokio::test]
async fn times_out_of_range_are_in_the_first_or_the_last_bucket() {
    let world = World::new().await;
    for (seconds, bucket) in [("-1", 0), ("0", 0), ("0.001", 0), ("2592000", 440)] {
        let sql = format!("SELECT {}", stats::bucket(&format!("({seconds})::float8")));
        assert_eq!(world.value::<i16>(&sql).await, bucket, "{seconds}");
    }
}

#[tokio::test]
async fn durations_are_those_of_completed_orders() {
    let world = World::new().await;
    world.create("o-1").await;
    world.refuse(&["o-1"], "out of stock").await;
    let metrics = world.get("/metrics").await.expect(200);
    let none = json!({"p50": null, "p95": null, "p99": null});
    assert_eq!((&metrics["processing_seconds"], &metrics["queueing_seconds"]), (&none, &none));
}

#[tokio::test]
async fn metrics_do_not_read_the_orders() {
    let world = busy_world().await;
    let before = world.get("/metrics").await.expect(200);
    world.execute("ALTER TABLE orders RENAME TO out_of_sight").await;
    assert_eq!(world.get("/metrics").await.expect(200)["status_counts"], before["status_counts"]);
}

#[tokio::test]
async fn metrics_of_an_empty_service_are_zeros_and_nulls() {
    let metrics = World::new().await.get("/metrics").await.expect(200);
    let counts = json!({"pending": 0, "processing": 0, "completed": 0, "failed": 0, "cancelled": 0});
    assert_eq!(metrics["status_counts"], counts);
    assert_eq!((&metrics["total_orders"], &metrics["average_processing_time"]), (&json!(0), &Value::Null));
    assert_eq!(metrics["processing_seconds"], json!({"p50": null, "p95": null, "p99": null}));
    assert_eq!((&metrics["queue_depth"], &metrics["dead_letter_depth"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn metrics_contain_the_oldest_overdue_order_and_the_queues() {
    let world = World::new().await;
    world.create("o-1").await;
    world.let_pass(100.0).await;
    for letter in ["o-2", "o-3"] {
        world.send_dead_letter(letter).await;
    }
    let metrics = world.get("/metrics").await.expect(200);
    assert!(metrics["oldest_overdue_seconds"].as_f64().unwrap() >= 100.0);
    assert_members(&metrics, &json!({"queue_depth": 1, "dead_letter_depth": 2}));
    let text = world.call(with_header(get("/metrics"), "accept", "text/plain")).await.text;
    assert!(text.contains("\nordermill_queue_messages 1\n") && text.contains("\nordermill_dead_letters 2\n"), "{text}");
    let api = world.api_with_env(&world.env_with(NO_AWS));
    let metrics = call_in_process(&api, Some(("admin", "orders/read.all")), get("/metrics")).await.expect(200);
    assert_members(&metrics, &json!({"queue_depth": null, "dead_letter_depth": null}));
}

#[tokio::test]
async fn metrics_are_text_in_the_accepted_format() {
    let world = busy_world().await;
    let mut families = Vec::new();
    for (accept, content_type) in [
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("text/plain; version=0.0.4", "text/plain; version=0.0.4; charset=utf-8"),
    ] {
        let answer = world.call(with_header(get("/metrics"), "accept", accept)).await;
        assert_eq!(answer.header("content-type"), content_type);
        assert!(answer.text.contains("\nordermill_orders{status=\"completed\"} 6\n"), "{}", answer.text);
        assert_eq!(answer.text.ends_with("\n# EOF\n"), accept.starts_with("application"), "{}", answer.text);
        for line in answer.text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with("ordermill_") && value.parse::<f64>().is_ok(), "{line}");
        }
        let of_format = answer.text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(str::to_owned);
        families.push(of_format.collect::<BTreeSet<_>>());
    }
    assert!(families[0] == families[1] && families[0].len() >= 8, "{families:?}");
    let answer = world.call(with_header(get("/metrics"), "accept", "*/*")).await;
    assert_eq!(answer.header("content-type"), "application/json");
}

/// The number of orders in `by_hour` that are completed, failed and cancelled, and the number of hours that it has.
async fn by_hour(world: &World, hours: u32) -> ([i64; 3], i64) {
    let metrics = world.get(&format!("/metrics?hours={hours}")).await.expect(200);
    assert_eq!(metrics["by_hour"]["hours"], hours);
    let outcomes = metrics["by_hour"]["outcomes"].as_array().unwrap();
    let sum = |name: &str| outcomes.iter().map(|hour| hour[name].as_i64().unwrap()).sum();
    (["completed", "failed", "cancelled"].map(sum), i64::try_from(outcomes.len()).unwrap())
}

/// Waits for the next hour if this one is almost over.
async fn wait_for_a_long_rest_of_the_hour(world: &World) {
    let is_long = "SELECT now() + interval '15 s' < date_trunc('hour', now()) + interval '1 hour'";
    until("the next hour", Duration::from_secs(30), async || world.value(is_long).await).await;
}

#[tokio::test]
async fn outcomes_by_the_hour_stay_the_same_when_they_are_folded() {
    let world = World::new().await;
    wait_for_a_long_rest_of_the_hour(&world).await;
    let insert = "INSERT INTO order_outcomes (minute, completed, failed, cancelled, seconds, processing, queueing)
        SELECT date_trunc('hour', now()) - age, 10, 1, 2, 50,
            CASE WHEN age < '24 h' THEN ARRAY[3, 175, 175] ELSE array_fill(3, ARRAY[9]) END, ARRAY[9]
        FROM unnest('{0 h,1 h,23 h,24 h,167 h,168 h,2159 h,2160 h}'::interval[]) AS age";
    world.execute(insert).await;
    for _ in ["before the fold", "after it", "after another"] {
        for (hours, expected) in [(1, 1), (24, 3), (168, 5), (2160, 7)] {
            assert_eq!(by_hour(&world, hours).await, ([10 * expected, expected, 2 * expected], expected));
        }
        let metrics = world.get("/metrics?hours=24").await.expect(200);
        assert!((metrics["by_hour"]["processing_seconds"]["p50"].as_f64().unwrap() / 4.989 - 1.0).abs() < 0.025);
        world.sweep().await;
    }
}

#[tokio::test]
async fn clock_that_was_ahead_hides_no_later_outcome() {
    let world = World::new().await;
    world
        .execute("INSERT INTO order_stats VALUES (date_trunc('minute', now()) + interval '1 hour', 1, 0, 0, 0, 1.0)")
        .await;
    world.create("o-1").await;
    world.process(&["o-1"]).await;
    let metrics = world.get("/metrics").await.expect(200);
    assert_eq!(metrics["status_counts"]["completed"], 2);
    assert!(metrics["processing_seconds"]["p50"].is_number(), "{metrics}");
    assert_eq!(by_hour(&world, 1).await.0[0], 1);
}

#[tokio::test]
async fn rate_and_durations_are_those_of_the_last_hour() {
    let world = World::new().await;
    let insert = "INSERT INTO order_outcomes (minute, completed, seconds, processing, queueing)
        SELECT date_trunc('minute', now()) - age, 1, 5, ARRAY[bucket], ARRAY[bucket]
        FROM unnest('{5 min,80 min,100 min,110 min}'::interval[], '{3,175,175,175}'::int[]) AS outcome (age, bucket)";
    world.execute(insert).await;
    for _ in ["before the fold", "after it"] {
        let metrics = world.get("/metrics").await.expect(200);
        assert_eq!(metrics["completions_per_minute"].as_array().unwrap().len(), 1, "{metrics}");
        for durations in ["processing_seconds", "queueing_seconds"] {
            assert!(metrics[durations]["p99"].as_f64().unwrap() < 1.0, "{metrics}");
        }
        assert_eq!(metrics["status_counts"]["completed"], 4);
        assert_eq!(metrics["average_processing_time"], 5.0);
        world.sweep().await;
    }
}

#[tokio::test]
async fn hours_are_kept_for_ninety_days() {
    let world = World::new().await;
    let insert = "INSERT INTO order_hours SELECT date_trunc('hour', now()) - age, 1, 0, 0, 0, 1
        FROM unnest('{90 days,92 days}'::interval[]) AS age;
        INSERT INTO order_hour_durations SELECT hour, 3, 1, 1 FROM order_hours";
    world.execute(insert).await;
    world.sweep().await;
    let count = async |table: &str| world.value::<i64>(&format!("SELECT count(*) FROM {table}")).await;
    assert_eq!((count("order_hours").await, count("order_hour_durations").await), (1, 1));
}

#[tokio::test]
async fn number_of_hours_is_from_1_to_2160() {
    let world = World::new().await;
    for query in ["hours=0", "hours=2161", "hours=-1", "hours=1.5", "hours=day", "hours=1&hours=2"] {
        let problem = world.get(&format!("/metrics?{query}")).await.problem(422);
        assert_eq!(problem["errors"][0]["pointer"], "?hours", "{query}");
    }
    let problem = world.get("/metrics?hour=24&hours=0").await.problem(422);
    let pointers = [&problem["errors"][0]["pointer"], &problem["errors"][1]["pointer"]];
    assert_eq!(pointers, ["?hour", "?hours"]);
    assert_eq!(world.get("/metrics?hours=").await.expect(200)["by_hour"], Value::Null);
    assert_eq!(world.get("/metrics").await.expect(200)["by_hour"], Value::Null);
}
