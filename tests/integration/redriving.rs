//! `POST /dead-letters/redrive` handles at most its limit of letters and finds all of them.

use serde_json::{Value, json};
use tests::World;

/// A world with dead letters of orders that do not exist.
async fn world_with_letters(count: usize) -> World {
    let world = World::new().await;
    for index in 0..count {
        world.send_dead_letter(&format!("gone-{index}")).await;
    }
    world
}

async fn redrive(world: &World, options: Value) -> Value {
    world.post("/dead-letters/redrive", &options).await.expect(200)
}

#[tokio::test]
async fn redrive_handles_no_more_letters_than_its_limit() {
    for (letters, limit) in [(8, 1), (25, 11)] {
        let world = world_with_letters(letters).await;
        let report = redrive(&world, json!({"dry_run": false, "limit": limit})).await;
        assert_eq!((&report["found"], &report["ended"]), (&json!(limit), &json!(limit)));
        assert_eq!(world.dead_letters().await, i64::try_from(letters - limit).unwrap());
    }
}

#[tokio::test]
async fn redrive_finds_all_dead_letters() {
    let world = world_with_letters(25).await;
    for dry_run in [true, true, false] {
        assert_eq!(redrive(&world, json!({"dry_run": dry_run})).await["found"], 25, "{dry_run}");
    }
    assert_eq!(world.dead_letters().await, 0);
    assert_eq!(redrive(&world, json!({})).await["found"], 0);
}
