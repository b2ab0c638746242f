//! Which calls to AWS each function makes, as the emulated AWS notes them: `tests/calls.json`, which the template's policies are
//! held to. Recorded anew where a function comes to call more or less: `RECORD_CALLS=1`.

use std::time::Duration;

use axum::Router;
use processor::Simulated;
use sandbox::calls::{Calls, known};
use serde_json::json;
use sweeper::Sweeper;
use tests::{Bus, Stack, call_in_process, get, handle, order, post, processor};

use crate::credentials::SecretWorld;
use crate::migrating;

/// Creates two orders, cancels one, asks for all numbers and redrives a dead letter.
async fn use_api(api: &Router) {
    let call = async |request| call_in_process(api, Some(("alice", "orders/write orders/admin")), request).await;
    for order_id in ["o-1", "o-2"] {
        call(post("/orders", &order(order_id))).await.expect(201);
    }
    call(post("/orders/o-2/cancel", &json!({}))).await.expect(200);
    call(get("/metrics")).await.expect(200);
    for dry_run in [true, false] {
        let report = call(post("/dead-letters/redrive", &json!({"dry_run": dry_run}))).await.expect(200);
        assert_eq!(report["found"], 1, "{report}");
    }
}

/// Runs each function through all of its AWS calls.
async fn use_everything(secret: &SecretWorld) {
    let answer = migrating::ask(migrate::MigrateConfig::from_env(&secret.env_of_owner().await), "Update").await;
    assert_eq!(answer["Status"], "SUCCESS", "{answer}");
    secret.world.send_dead_letter("o-1").await;
    use_api(&secret.world.api_with_env(&secret.env_of("api"))).await;
    // An order waits with its own message and with a new one, a message that names none is dead-lettered, and an end is announced.
    let processor = processor(&secret.env_of("processor"), Simulated { delay: Duration::from_secs(5) });
    for _ in 0..2 {
        processor.handle(secret.world.deliver().await).await.unwrap();
    }
    let answer = handle(&processor, &["o-1", "o-2", "no order's id!"]).await;
    assert!(answer.batch_item_failures.is_empty(), "{answer:?}");
    // An end that is left to the sweeper.
    secret.world.execute("INSERT INTO order_ends SELECT order_id, 1, finished_at FROM orders WHERE cancelled").await;
    secret.world.let_pass(900.0).await;
    let swept = Sweeper::from_env(&secret.env_of("sweeper")).unwrap().sweep().await.unwrap();
    assert_eq!((swept.requeued, swept.events), (1, 1), "{swept:?}");
}

/// The calls of this world's functions, as the emulated AWS has noted them.
fn noted(secret: &SecretWorld) -> Calls {
    let file = std::fs::read_to_string(Stack::running().get("CALLS")).unwrap();
    let lines = file.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    // `site` makes no call.
    let mut calls = Calls::from([("site".to_owned(), [].into())]);
    for line in lines.filter(|line| secret.owns(line[2])) {
        calls.entry(line[0].to_owned()).or_default().insert(line[1].to_owned());
    }
    calls
}

#[tokio::test]
async fn record_names_the_calls_that_each_function_makes() {
    let secret = SecretWorld::on(&Bus::new().await.name).await;
    Box::pin(use_everything(&secret)).await;
    let calls = noted(&secret);
    if std::env::var_os("RECORD_CALLS").is_some() {
        std::fs::write("calls.json", serde_json::to_string_pretty(&calls).unwrap() + "\n").unwrap();
    } else {
        assert_eq!(&calls, known(), "RECORD_CALLS=1 records them anew");
    }
}
