//! The metric of each alarm moves when it should: docs/operations.md names a test for each alarm, here or in another module.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_sqs::types::MessageSystemAttributeName;
use sandbox::runtime::InvokeError;
use shared::db::requeue::Slice;
use tests::{Stack, World, eventually};

use crate::environments::start_logged;
use crate::template::template;

#[tokio::test]
async fn unreceived_message_ages() {
    let world = World::new().await;
    world.create("o-1").await;
    let queue = world.queue_url();
    let sqs = Stack::running().sqs();
    let begun = SystemTime::now();
    eventually("the message is two seconds old", Duration::from_secs(20), async || {
        let asked = sqs.receive_message().queue_url(queue).visibility_timeout(0);
        let asked = asked.message_system_attribute_names(MessageSystemAttributeName::SentTimestamp).send().await;
        let sent = asked.unwrap().messages?.pop()?.attributes?.remove(&MessageSystemAttributeName::SentTimestamp)?;
        let sent = UNIX_EPOCH + Duration::from_millis(sent.parse().unwrap());
        assert!(sent <= begun, "receiving the message and making it visible again has reset its age");
        (sent.elapsed().unwrap_or_default() >= Duration::from_secs(2)).then_some(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn malformed_event_ends_its_invocation_with_a_function_error() {
    let stack = Stack::running();
    for function in ["API_FUNCTION", "PROCESSOR_FUNCTION"] {
        let call = stack.lambda().invoke().function_name(stack.get(function)).payload(Blob::new("\"no event\""));
        assert_eq!(call.send().await.unwrap().function_error(), Some("Unhandled"), "{function}");
    }
    stack.call(reqwest::Method::GET, "/healthz", None, None).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn sweep_without_a_database_ends_with_a_function_error() {
    let (world, log) = (World::new().await, tempfile::NamedTempFile::new().unwrap());
    let no_database = [("DATABASE_URL", "postgres://ordermill@127.0.0.1:1/ordermill")];
    let sweeper = start_logged(&world, "SweeperFunction", &no_database, log.path()).await.unwrap();
    let answer = sweeper.invoke("{}".into()).await;
    assert!(matches!(answer, Err(InvokeError::Function(_))), "{answer:?}");
}

#[tokio::test]
async fn stopped_processor_raises_the_overdue_alarm_in_six_minutes() {
    let threshold = template(&[]).properties("OverdueAlarm")["Threshold"].as_u64().unwrap();
    let world = World::with(&[("CANCEL_WINDOW_SECONDS", "2")]).await;
    world.create("o-1").await;
    // No processor runs. The sweeper runs each minute and requeues the order, which must not reset its age. Three seconds of each minute are
    // left for the test itself.
    let mut samples = Vec::new();
    for _ in 0..6 {
        world.let_pass(57.0).await;
        let slice = world.store().read_slice(Slice::default(), Duration::from_mins(3), Duration::ZERO).await;
        samples.push(slice.unwrap().oldest.as_secs());
        world.sweeper().sweep().await.unwrap();
    }
    assert!(samples.iter().rev().take(2).all(|seconds| *seconds > threshold), "{samples:?} and {threshold}");
    assert_eq!(world.counted("requeued").await, 1);
}
