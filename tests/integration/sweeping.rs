//! The sweeper: which orders it requeues, and which it leaves alone.

use sandbox::server::{Server, json};
use shared::error::Chain;
use sweeper::Sweeper;
use tests::{Log, NO_AWS, World};
use tracing::Level;

use crate::roles::AppRole;
use crate::scheduling::schedule_many;

/// Inserts orders that have been overdue for an hour, each a millisecond longer than the one before, and returns their ids.
pub async fn backlog(world: &World, orders: usize) -> Vec<String> {
    world.insert(orders, &[("created_at", "now() - interval '1 hour' - i * interval '1 ms'")]).await;
    (1..=orders).map(|i| format!("o-{i}")).collect()
}

#[tokio::test]
async fn waiting_backlog_is_not_requeued() {
    let world = World::new().await;
    let waiting = backlog(&world, 3000).await;
    world.send_many(&waiting).await;
    schedule_many(&world, 2000, "interval '1 day'").await;
    let swept = world.sweep().await;
    // A run always requeues a hundred, because duplicate messages can hide missing ones.
    assert_eq!((swept.requeued, world.queue_depth().await), (100, 3100));
    let oldest = "SELECT min(substr(order_id, 3)::int) FROM order_work WHERE requeued_at IS NOT NULL";
    assert_eq!(world.value::<i32>(oldest).await, 2901);
    world.execute("BEGIN; SELECT FROM order_work ORDER BY due_at LIMIT 200 FOR UPDATE").await;
    assert_eq!(world.sweep().await.requeued, 100, "orders that are locked hold up no others");
}

#[tokio::test]
async fn sweep_requeues_as_many_orders_as_messages_are_missing() {
    let world = World::with(&[("SWEEP_LIMIT", "2500")]).await;
    let waiting = backlog(&world, 3000).await;
    world.send_many(&waiting[..1500]).await;
    assert_eq!(world.sweep().await.requeued, 1500);
    assert_eq!(world.get("/metrics").await.expect(200)["requeued_orders"], 1500);
}

#[tokio::test]
async fn order_is_requeued_at_most_once_in_a_grace_period() {
    let world = World::with(&[("SWEEP_LIMIT", "2500")]).await;
    backlog(&world, 3000).await;
    let sweeper = world.sweeper();
    let (one, two) = tokio::join!(sweeper.sweep(), sweeper.sweep());
    assert_eq!(one.unwrap().requeued + two.unwrap().requeued, 3000);
    assert_eq!(world.queue_depth().await, 3000);
    assert_eq!(sweeper.sweep().await.unwrap().requeued, 0);
}

/// A world with overdue orders in the first slice of the active orders and in another, and a scheduled one.
async fn world_of_slices(variables: &[(&str, &str)]) -> World {
    let world = World::with(variables).await;
    let insert = async |order_id, process_after| {
        let ago = ("created_at", "now() - interval '1 hour'");
        world.insert(1, &[("order_id", order_id), ago, ("process_after", process_after)]).await;
    };
    insert("'first'", "NULL").await;
    // Each of these rows has a page, so that they need more pages than a slice has. They are not due.
    let fill = "ALTER TABLE order_work SET (fillfactor = 10); INSERT INTO order_work (order_id, created_at, due_at)
        SELECT repeat('x', 400) || i, now(), now() + interval '1 day' FROM generate_series(1, 4200) AS i";
    world.execute(fill).await;
    insert("'last'", "NULL").await;
    insert("'scheduled'", "now() + interval '1 minute'").await;
    world
}

#[tokio::test]
async fn sweep_reads_all_slices_of_the_active_orders() {
    let swept = world_of_slices(&[]).await.sweep().await;
    assert_eq!((swept.requeued, swept.enqueued), (2, 1));
}

/// A sweeper that runs these statements at each row of `order_work` that it reads. `$1` is the order.
async fn sweeper_that_runs(statements: &str, world: World) -> (AppRole, Sweeper) {
    let role = AppRole::of(world).await;
    let watch = format!(
        "CREATE FUNCTION is_read(text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN {statements} RETURN true; END$$;
        CREATE POLICY read ON order_work USING (is_read(order_id)); ALTER TABLE order_work ENABLE ROW LEVEL SECURITY"
    );
    role.world.execute(&watch).await;
    let sweeper = Sweeper::from_env(&role.world.env_with(("DATABASE_URL", &role.url()))).unwrap();
    (role, sweeper)
}

/// A run stops at it. The next begins behind it.
#[tokio::test]
async fn slice_that_cannot_be_read_costs_others_one_run() {
    let refuse = "IF $1 = 'first' THEN RAISE 'broken'; END IF;";
    let (role, sweeper) = sweeper_that_runs(refuse, world_of_slices(&[]).await).await;
    for requeued in [0, 1] {
        let error = sweeper.sweep().await.unwrap_err();
        assert!(Chain(&error).to_string().contains("broken"), "{}", Chain(&error));
        assert_eq!(role.world.counted("requeued").await, requeued);
    }
}

/// The first statement takes longer than a run has for reading slices.
#[tokio::test]
async fn sweep_goes_on_with_the_slices_that_the_one_before_left_out() {
    let wait = "IF $1 = 'first' AND current_query() LIKE 'SELECT extract(epoch FROM now() - paused_at)%'
        THEN PERFORM pg_sleep(2); END IF;";
    let world = world_of_slices(&[("FUNCTION_TIMEOUT_SECONDS", "10")]).await;
    let (_role, sweeper) = sweeper_that_runs(wait, world).await;
    for found in [(1, 0), (1, 1)] {
        let swept = sweeper.sweep().await.unwrap();
        assert_eq!((swept.requeued, swept.enqueued), found);
    }
}

#[tokio::test]
async fn slice_with_the_most_overdue_order_comes_first() {
    let world = world_of_slices(&[("SWEEP_LIMIT", "100")]).await;
    world.execute("UPDATE order_work SET due_at = now() - interval '5 minutes' WHERE order_id = 'first'").await;
    world.insert(99, &[("created_at", "now() - interval '10 minutes'")]).await;
    assert_eq!(world.sweep().await.requeued, 100);
    let left = "SELECT order_id FROM order_work WHERE requeued_at IS NULL AND due_at < now()";
    assert_eq!(world.value::<String>(left).await, "first");
}

#[tokio::test]
async fn refusing_queue_ends_a_sweep_and_the_next_requeues_all() {
    let is_empty = r#"{"Attributes": {"ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesDelayed": "0",
        "ApproximateNumberOfMessagesNotVisible": "0"}}"#;
    // Both confirm no message. The second says nothing of the queue either, which is not the same as an empty queue.
    let [knows, silent] = [is_empty, "{}"].map(|answer| Server::start(move |_| async move { Some(json(200, answer)) }));
    let (knows, silent) = (knows.await.unwrap(), silent.await.unwrap());
    let [knows, silent] = [&knows, &silent].map(|server| format!("http://{}", server.address()));
    let variable = "AWS_ENDPOINT_URL";
    for (queue, unsent) in [(NO_AWS, 100), ((variable, &*knows), 1000), ((variable, &*silent), 100)] {
        let world = World::new().await;
        backlog(&world, 1500).await;
        let swept = Sweeper::from_env(&world.env_with(queue)).unwrap().sweep().await.unwrap();
        assert_eq!((swept.requeued, swept.unsent), (0, unsent), "{queue:?}");
        assert_eq!(world.sweep().await.requeued, 1500, "{queue:?}");
        assert_eq!(world.get("/metrics").await.expect(200)["requeued_orders"], 1500);
    }
}

/// No function deletes an active order, but an owner can.
#[tokio::test]
async fn work_without_its_order_holds_up_no_others() {
    let world = World::new().await;
    world.create_many(2).await;
    world.execute("DELETE FROM orders WHERE order_id = 'o-0'").await;
    world.claim(&["o-0", "o-1"]).await;
    world.let_pass(300.0).await;
    let refused = Sweeper::from_env(&world.env_with(NO_AWS)).unwrap().sweep().await.unwrap();
    assert_eq!((refused.unsent, world.sweep().await.requeued), (2, 2));
    world.process(&["o-0", "o-1"]).await;
    assert_eq!(world.status("o-1").await, "completed");
    assert_eq!(world.value::<i64>("SELECT count(*) FROM order_work").await, 0);
}

#[tokio::test]
async fn each_step_of_a_sweep_is_taken_whatever_becomes_of_the_others() {
    for broken in ["scheduled", "o-%"] {
        let world = World::with(&[("RETENTION_DAYS", "30")]).await;
        backlog(&world, 3).await;
        world.execute("INSERT INTO order_outcomes (minute, completed) VALUES (now() - interval '1 hour', 1)").await;
        world.insert_ended(1, "40 days", &[("order_id", "'old'")]).await;
        let near = [("created_at", "now() - interval '1 hour'"), ("process_after", "now() + interval '1 minute'")];
        world.insert(1, &[&near[..], &[("order_id", "'scheduled'")]].concat()).await;
        let refuse = format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''broken''; END';
            CREATE TRIGGER broken BEFORE UPDATE ON order_work FOR EACH ROW WHEN (NEW.order_id LIKE '{broken}')
            EXECUTE FUNCTION refuse()"
        );
        world.execute(&refuse).await;
        let log = Log::listen(Level::ERROR);
        let error = world.sweeper().sweep().await.unwrap_err();
        assert!(Chain(&error).to_string().contains("broken"), "{}", Chain(&error));
        let logged = format!("could not finish a step of the sweep; the next run continues error={}", Chain(&error));
        assert!(log.text().contains(&logged), "{}", log.text());
        let sent = world.value::<String>("SELECT coalesce(string_agg(order_id, ' ' ORDER BY order_id), '') FROM order_work WHERE requeued_at IS NOT NULL");
        assert_eq!(sent.await, if broken == "scheduled" { "o-1 o-2 o-3" } else { "scheduled" });
        let left = "SELECT (SELECT count(*) FROM order_outcomes WHERE completed > 0) + (SELECT count(*) FROM orders WHERE order_id = 'old')";
        assert_eq!(world.value::<i64>(left).await, 0, "statistics are folded, and old orders deleted");
    }
}

#[tokio::test]
async fn statistics_are_folded_by_whole_minutes_oldest_first() {
    let world = World::new().await;
    let insert = "INSERT INTO order_outcomes (minute, completed, seconds, processing, queueing)
        SELECT date_trunc('minute', now()) - age * interval '1 minute', 1, 5, ARRAY[175], ARRAY[9]
        FROM generate_series(2, 299) AS age, generate_series(1, 10) AS statement";
    world.execute(insert).await;
    let before = world.get("/metrics").await.expect(200);
    let same = ["total_orders", "status_counts", "average_processing_time", "processing_seconds", "queueing_seconds"];
    // The fifteenth row is of the second minute.
    for left in [2960, 2940] {
        world.store().fold_statistics(15).await.unwrap();
        let metrics = world.get("/metrics").await.expect(200);
        assert_eq!(same.map(|name| &metrics[name]), same.map(|name| &before[name]));
        assert_eq!(world.value::<i64>("SELECT count(*) FROM order_outcomes").await, left);
    }
    assert_eq!(world.sweep().await.folded, 2940);
}

#[tokio::test]
async fn folded_statistics_keep_their_sums() {
    let world = World::new().await;
    let insert = "INSERT INTO order_outcomes (minute, completed, failed, cancelled, seconds, processing, queueing)
        SELECT date_trunc('minute', now()) - age, 10, 1, 2, 50, ARRAY[3, 175, 175], ARRAY[9]
        FROM unnest('{0 min,10 min,20 min,49 h,50 h,1000 h}'::interval[]) AS age, generate_series(1, 3) AS statement";
    world.execute(insert).await;
    let sums = "SELECT row(sum(completed), sum(failed), sum(cancelled), sum(seconds))::text FROM (
        SELECT completed, failed, cancelled, seconds FROM order_stats
        UNION ALL SELECT completed, failed, cancelled, seconds FROM order_outcomes) AS every";
    let before: String = world.value(sums).await;
    let percentiles = world.get("/metrics").await.expect(200)["processing_seconds"].clone();
    let sweeper = world.sweeper();
    let other = world.sweeper();
    let (one, two) = tokio::join!(sweeper.sweep(), other.sweep());
    assert_eq!(one.unwrap().folded + two.unwrap().folded, 15);
    assert_eq!(world.value::<String>(sums).await, before);
    let metrics = world.get("/metrics").await.expect(200);
    assert_eq!((&metrics["status_counts"]["completed"], &metrics["processing_seconds"]), (&180.into(), &percentiles));
    // The current minute keeps its three rows, the two minutes before it have one each, and all older ones have one.
    let count = async |table: &str| world.value::<i64>(&format!("SELECT count(*) FROM {table}")).await;
    assert_eq!((count("order_outcomes").await, count("order_stats").await), (3, 3));
    assert_eq!(world.value::<i64>("SELECT completed FROM order_stats WHERE minute = '-infinity'").await, 90);
    // The durations of the recent minutes: two slots with three buckets each.
    assert_eq!(count("order_durations").await, 6);
    world.execute("UPDATE order_stats SET minute = minute - interval '3 hours' WHERE minute <> '-infinity'").await;
    assert_eq!(world.sweep().await.folded, 2);
    assert_eq!((world.value::<String>(sums).await, count("order_stats").await), (before, 1));
}
