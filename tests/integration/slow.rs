//! The functions' real binaries while a dependency is slow instead of down: it accepts connections, and answers late or never.

mod locks;
mod merchants;
mod networks;
mod queues;
mod standstill;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use sandbox::gateway::{Answer, Claims, Gateway};
pub use sandbox::mapping::messages;
use sandbox::queue::{CallRuling, Queues, Sighting, ruled_by};
use sandbox::runtime::{Environment, Function, InvokeError, Pool};
use serde_json::{Value, json};
use tests::{World, order, webhook};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::environments::function_with;

pub const ADMIN: Claims = Claims { sub: "admin", scope: "orders/read orders/write orders/admin" };
/// How soon the api answers while the database is slow.
pub const SLOW_DATABASE: Duration = Duration::from_secs(6);
/// How soon the api answers in any case.
const ALWAYS: Duration = Duration::from_secs(8);
/// The variable that tells a function its time-out.
const LIMIT: &str = "FUNCTION_TIMEOUT_SECONDS";

/// A function of this world with the template's time-out, unless the variables contain one.
pub fn function(world: &World, name: &str, more: &[(&str, &str)]) -> Function {
    let (logical_id, limit) = match name {
        "api" => ("ApiFunction", "10"),
        "processor" => ("ProcessorFunction", "15"),
        _ => ("SweeperFunction", "30"),
    };
    let function = function_with(world, name, logical_id, &[&[(LIMIT, limit)], more].concat());
    let limit = function.variables.iter().rfind(|(name, _)| name == LIMIT).unwrap().1.parse().unwrap();
    Function { timeout: Duration::from_secs(limit), ..function }
}

/// Starts an environment of a function.
pub async fn start(world: &World, name: &str, more: &[(&str, &str)]) -> Environment {
    Environment::start(&function(world, name, more), format!("{name}-1")).await.unwrap()
}

/// A gateway with this many environments of the api. Each has already created an order.
pub async fn gateway(world: &World, environments: usize, more: &[(&str, &str)]) -> Gateway {
    let gateway = Gateway::new(Arc::new(Pool::new(function(world, "api", more), environments)));
    let creates = (0..environments).map(|number| create(&gateway, format!("first-{number}")));
    assert!(join_all(creates).await.iter().all(|answer| answer.status == 201), "an environment created no order");
    gateway
}

pub async fn create(gateway: &Gateway, order_id: impl AsRef<str>) -> Answer {
    let body = order(order_id.as_ref());
    gateway.call("POST", "/orders", ADMIN, Some(&body)).await.expect("an answer")
}

/// A client's orders during an outage: the refused ones, the number of those accepted during it, and when the first was accepted after it.
struct Outage {
    refused: Vec<String>,
    accepted_during: usize,
    accepted: Instant,
}

/// Creates one order after the other until one is accepted after the outage. Asserts that each refusal is a 503 in time.
async fn create_until_accepted(gateway: &Gateway, client: usize, is_out: watch::Receiver<bool>) -> Outage {
    let (mut refused, mut accepted_during) = (Vec::new(), 0);
    loop {
        let order_id = format!("o-{client}-{}", refused.len() + accepted_during);
        let answer = within(SLOW_DATABASE, "POST /orders", create(gateway, &order_id)).await;
        if answer.status != 201 {
            assert_unavailable(&answer);
            refused.push(order_id);
        } else if *is_out.borrow() {
            accepted_during += 1;
        } else {
            return Outage { refused, accepted_during, accepted: Instant::now() };
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Asserts that the answer is a 503 with `Retry-After`.
pub fn assert_unavailable(answer: &Answer) {
    assert!(answer.status == 503 && answer.retry_after.is_some(), "{answer:?}");
}

/// Waits for the answer to a call, and asserts that it comes within this time.
pub async fn within<T>(limit: Duration, what: &str, call: impl Future<Output = T>) -> T {
    timeout(limit, call).await.unwrap_or_else(|_| panic!("{what}: no answer within {limit:?}"))
}

/// Invokes the processor with a batch, and returns how many messages fail: all, if the database fails the batch. Asserts that it
/// answers within its time-out.
pub async fn count_failures<T: AsRef<str>>(processor: &Environment, order_ids: &[T]) -> usize {
    let answer = match processor.invoke(messages(order_ids)).await {
        Err(InvokeError::Function(error)) if error.contains("DatabaseFailed") => return order_ids.len(),
        answer => answer.expect("the function answers within its time-out"),
    };
    serde_json::from_slice::<Value>(&answer).unwrap()["batchItemFailures"].as_array().unwrap().len()
}

/// The number of the functions' connections to the world's database, and how many of them run a statement.
pub async fn connections(world: &World) -> (usize, usize) {
    let sql = "SELECT count(*), count(*) FILTER (WHERE state <> 'idle') FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'ordermill'";
    let row = world.rows(sql, &[]).await.remove(0);
    let count = |at| usize::try_from(row.get::<_, i64>(at)).unwrap();
    (count(0), count(1))
}

/// Waits until the functions run no statement.
pub async fn wait_until_idle(world: &World, within: Duration) {
    tests::until("no statement runs", within, async || connections(world).await.1 == 0).await;
}

/// A world whose queues can be slow.
pub struct SlowQueues {
    pub world: World,
    pub queues: Arc<Queues>,
    ruling: Arc<Mutex<CallRuling>>,
}

impl SlowQueues {
    /// Queues that dead-letter a message after three receives, and a world with these variables.
    pub async fn new(more: &[(&str, &str)]) -> Self {
        Self::slow_at(|_| true, more).await
    }

    /// The same if only these calls can be slow.
    pub async fn slow_at(can_be: impl Fn(&Sighting) -> bool + Send + Sync + 'static, more: &[(&str, &str)]) -> Self {
        let ruling = Arc::<Mutex<CallRuling>>::default();
        let current = Arc::clone(&ruling);
        let rule = move |call| {
            let ruling = *current.lock().unwrap();
            // A bus that does not exist has no call that could pass.
            if can_be(&call) || ruling == CallRuling::NoBus { ruling } else { CallRuling::Pass }
        };
        Self { ruling, ..Self::ruled_by(rule, more).await }
    }

    /// The same with a rule for each call.
    pub async fn ruled_by(
        rule: impl Fn(Sighting) -> CallRuling + Send + Sync + 'static,
        more: &[(&str, &str)],
    ) -> Self {
        let queues = Arc::new(Queues::start(Duration::from_secs(20), 3, ruled_by(rule)).await.unwrap());
        let addresses = queues.variables();
        let addresses: Vec<_> = addresses.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Self { world: World::with(&[&addresses[..], more].concat()).await, queues, ruling: Arc::default() }
    }

    /// Rules on the calls from now on.
    pub fn rule(&self, ruling: CallRuling) {
        *self.ruling.lock().unwrap() = ruling;
    }

    /// Creates these orders. It does not use the slow queues.
    pub async fn create_all(&self, order_ids: &[String]) {
        for some in order_ids.chunks(500) {
            let orders: Vec<_> = some.iter().map(|order_id| order(order_id)).collect();
            let answer = self.world.post("/orders/batch", &json!({"orders": orders})).await.expect(200);
            assert!(answer["results"].as_array().unwrap().iter().all(|result| result["status"] == 201), "{answer}");
        }
    }

    /// How many of the world's orders have this status.
    pub async fn count(&self, status: &str) -> usize {
        let metrics = self.world.get("/metrics").await.expect(200);
        usize::try_from(metrics["status_counts"][status].as_u64().unwrap()).unwrap()
    }
}

/// Order ids: the prefix and a number.
pub fn numbered(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}-{number}")).collect()
}
