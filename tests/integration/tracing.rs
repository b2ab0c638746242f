//! The processing of an order belongs to the trace of the call that created it, across the queue.

use std::sync::Arc;
use std::time::Duration;

use sandbox::gateway::Gateway;
use sandbox::mapping::Mapping;
use sandbox::runtime::Pool;
use serde_json::Value;
use tests::World;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::slow::{SlowQueues, create, function};

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

/// Starts the api and the processor of a world with queues of the sandbox, which keep the trace header of a message.
async fn run(tracing: &str, daemon: &Daemon) -> (SlowQueues, Gateway, sandbox::mapping::Pollers) {
    let traced = [("TRACING", tracing), ("AWS_XRAY_DAEMON_ADDRESS", &daemon.address())];
    let traced = [&traced[..], &[("PROCESSING_DELAY_SECONDS", "1")]].concat();
    let slow = SlowQueues::new(&traced).await;
    let pool = |name| Arc::new(Pool::new(function(&slow.world, name, &[]), 1));
    let processing = Mapping::new(Arc::clone(&slow.queues), pool("processor")).start(1);
    let gateway = Gateway::new(pool("api"));
    (slow, gateway, processing)
}

async fn create_and_complete(gateway: &Gateway, world: &World) {
    assert_eq!(create(gateway, "o-1").await.status, 201);
    tests::until("the order is completed", PATIENCE, async || world.status("o-1").await == "completed").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn processing_joins_the_trace_of_the_create() {
    let daemon = Daemon::start().await;
    let (slow, gateway, processing) = run("Active", &daemon).await;
    create_and_complete(&gateway, &slow.world).await;
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
    let daemon = Daemon::start().await;
    let (slow, gateway, processing) = run("PassThrough", &daemon).await;
    create_and_complete(&gateway, &slow.world).await;
    processing.stop().await;
    assert!(!daemon.has_received());
}
