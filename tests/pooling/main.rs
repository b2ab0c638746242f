//! A test that needs a pooler. `make test-pgbouncer` runs it, and all other integration tests through the pooler.

#![expect(clippy::unwrap_used, reason = "an unwrap that fails is a test that fails")]

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use futures_util::future::join;
use futures_util::stream::{self, StreamExt};
use tests::{Answer, World, call_in_process, order, post};

/// The number of environments of the api. Each has one connection to the pooler.
const CLIENTS: usize = 200;
/// The number of connections from the pooler to the server.
const SERVERS: i64 = 20;

const BACKENDS: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'ordermill'";

async fn call(api: &Router, request: Request<Body>) -> Answer {
    call_in_process(api, Some(("alice", "orders/read orders/write")), request).await
}

async fn some_at_once(calls: impl Iterator<Item = impl Future<Output = Answer>>, many: usize) -> Vec<Answer> {
    let calls: Vec<_> = calls.collect();
    stream::iter(calls).buffer_unordered(many).collect().await
}

/// Counts the server's connections until the calls are answered. Returns the highest count and the answers.
async fn watched(world: &World, calls: impl Future<Output = Vec<Answer>>) -> (i64, Vec<Answer>) {
    let (ended, mut end) = tokio::sync::oneshot::channel();
    let calls = async {
        let answers = calls.await;
        ended.send(()).unwrap();
        answers
    };
    let watching = async {
        let mut most = 0;
        loop {
            most = most.max(world.value::<i64>(BACKENDS).await);
            if end.try_recv().is_ok() {
                return most;
            }
        }
    };
    join(watching, calls).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_connections_share_twenty_of_the_servers() {
    let world = World::new().await;
    let apis: Vec<Router> = (0..CLIENTS).map(|_| world.another_api()).collect();
    let create = |(index, api)| call(api, post("/orders", &order(&format!("o-{index}"))));
    let read = |(index, api)| call(api, Request::get(format!("/orders/o-{index}")).body(Body::empty()).unwrap());

    // Each api connects with its first call. Few call at once, because signing in is slow in a debug build.
    let (most, answers) = watched(&world, some_at_once(apis.iter().enumerate().map(create), 10)).await;
    assert!(answers.iter().all(|answer| answer.status == 201), "{answers:?}");
    assert!((1..=SERVERS).contains(&most), "{most} connections");

    let (most, answers) = watched(&world, some_at_once(apis.iter().enumerate().map(read), CLIENTS)).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert!((2..=SERVERS).contains(&most), "{most} connections");
    assert_eq!(world.order_count().await, 200);
}
