//! The processing of an order belongs to the trace of the call that created it, across the queue.

use std::sync::Arc;
use std::time::Duration;

use sandbox::gateway::{Claims, Gateway};
use sandbox::mapping::{Mapping, reliable};
use sandbox::queue::{Attributes, Queues};
use sandbox::runtime::Pool;
use serde_json::Value;
use tests::{World, order};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::environments::function_with;

const ALICE: Claims = Claims { sub: "alice", scope: "orders/read orders/write" };
/// How long a part of a trace may take to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// A fake X-Ray daemon.
struct Daemon(UdpSocket);

impl Daemon {
    async fn start() -> Self {
        Self(UdpSocket::bind("127.0.0.1:0").await.unwrap())
    }

    fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    /// Waits for the next part of a trace with this name.
    async fn receive(&self, name: &str) -> Value {
        timeout(PATIENCE, async {
            loop {
                let mut datagram = vec![0; 65_536];
                let length = self.0.recv(&mut datagram).await.unwrap();
                let text = std::str::from_utf8(&datagram[..length]).unwrap();
                let (head, document) = text.split_once('\n').unwrap();
                assert_eq!(head, r#"{"format":"json","version":1}"#);
                let document: Value = serde_json::from_str(document).unwrap();
                if document["name"] == name {
                    return document;
                }
            }
        })
        .await
        .unwrap_or_else(|_| panic!("no trace contains {name}"))
    }

    /// Whether any part was received.
    fn has_received(&self) -> bool {
        self.0.try_recv(&mut [0; 16]).is_ok()
    }
}

/// Starts the api and the processor with queues of the sandbox, which keep the trace header of a message.
async fn run(world: &World, tracing: &str, daemon: &Daemon) -> (Gateway, sandbox::mapping::Pollers) {
    let attributes = || Attributes { visibility: Duration::from_secs(90), redrive: None };
    let queues = Arc::new(Queues::start(&[("orders", attributes()), ("dead", attributes())], None).await.unwrap());
    let function = |name: &str, logical_id: &str| {
        let more: &[(&str, &str)] = &[
            ("AWS_ENDPOINT_URL", &queues.endpoint()),
            ("QUEUE_URL", &queues.url("orders")),
            ("DLQ_URL", &queues.url("dead")),
            ("PROCESSING_DELAY_SECONDS", "1"),
            ("TRACING", tracing),
            ("AWS_XRAY_DAEMON_ADDRESS", &daemon.address()),
        ];
        function_with(world, name, logical_id, more)
    };
    let api = Pool::new(function("api", "ApiFunction"), 1);
    let processor = Arc::new(Pool::new(function("processor", "ProcessorFunction"), 1));
    let mapping = Mapping {
        queues: Arc::clone(&queues),
        queue: "orders".to_owned(),
        pool: processor,
        batch_size: 10,
        window: Duration::ZERO,
        courier: reliable(),
    };
    (Gateway::new(Arc::new(api)), mapping.start(1))
}

async fn create_and_complete(gateway: &Gateway, world: &World) {
    assert_eq!(gateway.call("POST", "/orders", ALICE, Some(&order("o-1"))).await.expect("an answer").status, 201);
    tests::eventually("the order is completed", PATIENCE, async || {
        (world.status("o-1").await == "completed").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn processing_joins_the_trace_of_the_create() {
    let (world, daemon) = (World::new().await, Daemon::start().await);
    let (gateway, processing) = run(&world, "Active", &daemon).await;
    create_and_complete(&gateway, &world).await;
    let call = daemon.receive("PostgreSQL").await;
    let processed = daemon.receive("ordermill processor").await;
    processing.stop().await;
    assert_eq!((&call["type"], &call["namespace"]), (&"subsegment".into(), &"remote".into()));
    assert_eq!((&processed["trace_id"], &processed["parent_id"]), (&call["trace_id"], &call["parent_id"]));
    assert_eq!(processed["annotations"], serde_json::json!({"order_id": "o-1", "outcome": "completed"}));
    for part in [&call, &processed] {
        assert!(part["end_time"].as_f64() >= part["start_time"].as_f64(), "{part}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn tracing_off_sends_nothing() {
    let (world, daemon) = (World::new().await, Daemon::start().await);
    let (gateway, processing) = run(&world, "PassThrough", &daemon).await;
    create_and_complete(&gateway, &world).await;
    processing.stop().await;
    assert!(!daemon.has_received());
}
