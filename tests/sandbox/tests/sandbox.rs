//! Tests of the sandbox itself.

#![expect(clippy::unwrap_used, reason = "a test's unwrap is its assertion")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry as Visibility, DeleteMessageBatchRequestEntry as Deletion, Message,
    SendMessageBatchRequestEntry as Sending,
};
use futures_util::FutureExt;
use sandbox::postgres::{Postgres, Stop};
use sandbox::queue::{self, Attributes, Queues};
use sandbox::wire::{self, Kind, Moment, Wire};
use shared::aws::Http;
use shared::config::Env;
use shared::db::create::{CreateRequest, Created};
use shared::db::ends::Announce;
use shared::db::finish::Finish;
use shared::db::{Database, DbConfig, Store};
use shared::deadline::Deadline;
use shared::order::{Amount, Metadata, NewOrder};

const HOUR: Duration = Duration::from_hours(1);
const NOW: Duration = Duration::ZERO;

async fn queues(hook: Option<queue::Hook>) -> (Queues, aws_sdk_sqs::Client) {
    let redrive = Some((2, "dead".to_owned()));
    let attributes = [
        ("orders", Attributes { visibility: HOUR, redrive }),
        ("dead", Attributes { visibility: HOUR, redrive: None }),
    ];
    let queues = Queues::start(&attributes, hook).await.unwrap();
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("client-7", "secret", None, None, "test"))
        .endpoint_url(queues.endpoint())
        .http_client(Http::default());
    (queues, aws_sdk_sqs::Client::from_conf(config.build()))
}

async fn receive(sqs: &aws_sdk_sqs::Client, url: &str) -> Vec<Message> {
    let received = sqs.receive_message().queue_url(url).max_number_of_messages(10).send().await;
    received.unwrap().messages.unwrap_or_default()
}

fn sending(id: &str, delay: i32) -> Sending {
    Sending::builder().id(id).message_body(id).delay_seconds(delay).build().unwrap()
}

#[tokio::test]
async fn queue_serves_the_calls_of_the_aws_sdk() {
    let (queues, sqs) = queues(None).await;
    let url = queues.url("orders");
    let batch = sqs.send_message_batch().queue_url(&url).entries(sending("now", 0)).entries(sending("later", 900));
    assert_eq!(batch.send().await.unwrap().successful.len(), 2);
    let received = receive(&sqs, &url).await;
    assert_eq!(received.iter().filter_map(Message::body).collect::<Vec<_>>(), ["now"]);
    assert_eq!((queues.counts("orders").delayed, queues.counts("orders").in_flight), (1, 1));

    let receipt = received[0].receipt_handle().unwrap();
    let shown = Visibility::builder().id("a").receipt_handle(receipt).visibility_timeout(0).build().unwrap();
    let gone = Visibility::builder().id("b").receipt_handle("message-99#1").visibility_timeout(0).build().unwrap();
    let changed =
        sqs.change_message_visibility_batch().queue_url(&url).entries(shown).entries(gone).send().await.unwrap();
    assert_eq!((changed.successful.len(), changed.failed.len()), (1, 1));

    let again = receive(&sqs, &url).await;
    let deletion = Deletion::builder().id("a").receipt_handle(again[0].receipt_handle().unwrap()).build().unwrap();
    sqs.delete_message_batch().queue_url(&url).entries(deletion).send().await.unwrap();
    assert_eq!(queues.counts("orders").total(), 1);
}

#[tokio::test]
async fn queue_hook_knows_the_caller_and_can_refuse() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seeing = Arc::clone(&seen);
    let hook: queue::Hook = Arc::new(move |sighting| {
        seeing.lock().unwrap().push((sighting.environment, sighting.action, sighting.bodies));
        async { queue::Ruling::Refuse(403) }.boxed()
    });
    let (queues, sqs) = queues(Some(hook)).await;
    assert!(sqs.send_message().queue_url(queues.url("orders")).message_body("o-1").send().await.is_err());
    assert_eq!(*seen.lock().unwrap(), [("client-7".to_owned(), "SendMessage".to_owned(), vec!["o-1".to_owned()])]);
    assert_eq!(queues.counts("orders").total(), 0);
}

/// The statements that the hook of a wire saw.
type Seen = Arc<Mutex<Vec<(Moment, Kind, String, Vec<String>)>>>;

fn recording_hook(seen: &Seen) -> wire::Hook {
    let seen = Arc::clone(seen);
    Arc::new(move |moment, statement| {
        let orders = statement.orders.to_vec();
        seen.lock().unwrap().push((moment, statement.kind, statement.environment.to_string(), orders));
        async { wire::Ruling::Pass }.boxed()
    })
}

fn store(url: &str) -> Store {
    let url = wire::url(url).replace("{environment}", "processor-7");
    Database::new(
        DbConfig::from_env(&Env::from_iter([("DATABASE_URL", url.as_str()), ("DATABASE_TLS", "off")])).unwrap(),
    )
    .until(Deadline::after(Duration::from_mins(1)))
}

fn order() -> NewOrder {
    NewOrder {
        order_id: Some("o-1".parse().unwrap()),
        user_id: "alice".parse().unwrap(),
        item_ids: vec!["book-1".to_owned()].try_into().unwrap(),
        total_amount: Amount::parse("1.50", "EUR".parse().unwrap()).unwrap(),
        metadata: Metadata::default(),
        process_after: None,
    }
}

#[tokio::test]
async fn wire_recognises_statements_and_survives_a_restart() {
    let mut postgres = Postgres::start().await.unwrap();
    let seen = Seen::default();
    let wire = Wire::start(postgres.address(), recording_hook(&seen)).await.unwrap();
    let store = store(&postgres.url(wire.address()));
    let created = store.create(&CreateRequest::new(order(), None), NOW).await.unwrap();
    assert!(matches!(created, Created::Inserted(_)));
    postgres.stop(Stop::Immediate).await.unwrap();
    postgres.resume().await.unwrap();
    let id = "o-1".parse().unwrap();
    let claim = store.claim(std::slice::from_ref(&id), HOUR, Duration::ZERO).await.unwrap();
    wire.cut_all();
    let end = Finish { order: &claim.claimed[0], attempts: 1, failure: None };
    assert_eq!(store.finish(claim.token, &[end], NOW, Announce::Never).await.unwrap().len(), 1);

    let seen = seen.lock().unwrap();
    for kind in [Kind::Create, Kind::Claim, Kind::Finish] {
        for moment in [Moment::Before, Moment::After] {
            let expected = (moment, kind, "processor-7".to_owned(), vec!["o-1".to_owned()]);
            assert!(seen.contains(&expected), "{expected:?} is not among {seen:?}");
        }
    }
}
