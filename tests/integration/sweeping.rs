//! The sweeper: what it rescues, and what it leaves alone.

use std::time::Duration;

use sweeper::Swept;
use tests::{World, handle};

#[tokio::test]
async fn an_order_whose_message_was_lost_is_told_to_the_queue_again() {
    let world = World::new().await;
    world.place("o-1").await;
    world.receive().await;
    assert_eq!(world.sweeper().sweep().await.unwrap(), Swept { rescued: 0, unsent: 0, folded: 0 });
    world.let_pass(181.0).await;
    assert_eq!(world.sweeper().sweep().await.unwrap().rescued, 1);
    assert_eq!(world.receive().await.as_deref(), Some("o-1"));
}

#[tokio::test]
async fn an_order_is_rescued_at_most_once_in_a_grace_period() {
    let world = World::new().await;
    world.place("o-1").await;
    world.let_pass(181.0).await;
    let sweeper = world.sweeper();
    let (one, two) = tokio::join!(sweeper.sweep(), sweeper.sweep());
    assert_eq!(one.unwrap().rescued + two.unwrap().rescued, 1);
    assert_eq!(sweeper.sweep().await.unwrap().rescued, 0);
}

#[tokio::test]
async fn a_rescued_claim_that_ran_out_still_counts_as_an_attempt() {
    let world = World::new().await;
    world.place("o-1").await;
    let ids = ["o-1".parse().unwrap()];
    shared::db::work::claim(&world.db(), &ids, Duration::from_secs(30)).await.unwrap();
    world.let_pass(300.0).await;
    assert_eq!(world.sweeper().sweep().await.unwrap().rescued, 1);
    handle(&world.processor(Duration::ZERO), &["o-1"]).await;
    assert_eq!(world.get("/orders/o-1").await.expect(200)["attempts"], 2);
}

#[tokio::test]
async fn old_statistics_are_folded_and_add_up_to_the_same() {
    let world = World::new().await;
    world
        .execute(
            "INSERT INTO order_stats (minute, shard, completed, failed, cancelled, seconds_sum, processing_histogram)
            SELECT date_trunc('minute', now()) - age, shard, 10, 1, 2, 50, array_fill(1::bigint, ARRAY[100])
            FROM unnest('{0 min,10 min,20 min,49 h,50 h,1000 h}'::interval[]) AS age, generate_series(1, 3) AS shard",
        )
        .await;
    let sums = "SELECT row(sum(completed), sum(failed), sum(cancelled), sum(seconds_sum), histogram_sum(processing_histogram))::text FROM order_stats";
    let before: String = world.value(sums).await;
    let sweeper = world.sweeper();
    let (one, two) = tokio::join!(sweeper.sweep(), sweeper.sweep());
    assert_eq!(one.unwrap().folded + two.unwrap().folded, 15);
    sweeper.sweep().await.unwrap();
    assert_eq!(world.value::<String>(sums).await, before);
    // The current minute keeps its three shards; the two before have a row each, and what is older than two days one.
    assert_eq!(world.value::<i64>("SELECT count(*) FROM order_stats").await, 6);
    assert_eq!(world.value::<i64>("SELECT completed FROM order_stats WHERE minute = '-infinity'").await, 90);
}
