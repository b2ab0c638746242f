//! The clients that create orders and cancel some of them, and the operators who retry failed ones.

use std::sync::Arc;
use std::time::Duration;

use sandbox::gateway::{Answer, Claims};
use sandbox::runtime::InvokeError;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::chance;
use crate::world::World;

/// The most create calls at the same time.
const CLIENTS: usize = 64;
/// How many orders the first client creates with each call.
const BATCH: usize = 10;
/// How often a client sends a request before it gives up.
const ASKS: u32 = 60;
/// The percentage of clients that give up at the first error, without learning their order's outcome.
const IMPATIENT: u8 = 10;
/// The percentage of orders that their client cancels at once.
const CANCELLED: u8 = 3;
/// Orders whose number ends in this digit have a `process_after`: one in ten.
const SCHEDULED: usize = 7;
/// How often operators look for failed orders.
const ROUND: Duration = Duration::from_secs(2);

const ADMIN: Claims<'_> = Claims { sub: "operator", scope: "orders/read orders/write orders/admin" };

/// A load of a constant rate.
#[derive(Debug, Clone)]
pub struct Load {
    /// The least number of orders to create.
    pub orders: usize,
    /// The time for those orders. Clients take longer if the service can't keep up.
    pub within: Duration,
    /// The clients keep creating orders at the same rate until this is true.
    pub is_enough: watch::Receiver<bool>,
}

pub async fn create_all(world: Arc<World>, load: Load) {
    let (begin, mut clients) = (Instant::now(), JoinSet::new());
    for client in 0..CLIENTS {
        clients.spawn(create_some(Arc::clone(&world), load.clone(), client, begin));
    }
    clients.join_all().await;
}

/// Creates the orders of one client, each at its scheduled time.
#[expect(clippy::cast_precision_loss, reason = "there are far fewer orders than 2^52")]
async fn create_some(world: Arc<World>, load: Load, client: usize, begin: Instant) {
    for number in (client..).step_by(CLIENTS) {
        sleep_until(begin + load.within.mul_f64(number as f64 / load.orders as f64)).await;
        if number >= load.orders && *load.is_enough.borrow() {
            return;
        }
        if client == 0 {
            create_batch(&world, number).await;
        } else {
            create(&world, number).await;
        }
    }
}

/// An order. Every tenth is to be processed a few seconds later.
fn order(order_id: &str, number: usize) -> Value {
    let mut order = json!({
        "order_id": order_id,
        "user_id": format!("user-{}", number % 50),
        "item_ids": (0..=number % 3).map(|item| format!("item-{item}")).collect::<Vec<_>>(),
        "total_amount": format!("{}.{:02}", number % 1000, number % 100),
    });
    if number % 10 == SCHEDULED {
        let time = OffsetDateTime::now_utc() + Duration::from_secs(3);
        order["process_after"] = time.format(&Rfc3339).unwrap_or_default().into();
    }
    order
}

async fn create(world: &World, number: usize) {
    let body = order(&format!("order-{number:06}"), number);
    let (order, user) = (text(&body["order_id"]), text(&body["user_id"]));
    let claims = Claims { sub: user, scope: "orders/write" };
    let asks = if chance::percent(IMPATIENT) { 1 } else { ASKS };
    let call = Call { path: "/orders", claims, body: Some(&body), expected: &[200, 201] };
    if call.ask(world, order, "to create it", asks).await.is_some() {
        world.journal.accepted(order);
        if chance::percent(CANCELLED) {
            cancel(world, order, claims).await;
        }
    }
}

/// Creates many orders in one call, and repeats the call for those that were not accepted.
async fn create_batch(world: &World, number: usize) {
    let mut missing: Vec<_> = (0..BATCH).map(|index| order(&format!("batch-{number:06}-{index}"), number)).collect();
    for ask in 0..ASKS {
        let result = world.gateway.call("POST", "/orders/batch", ADMIN, Some(&json!({"orders": missing}))).await;
        missing = without_accepted(world, missing, &result);
        if missing.is_empty() {
            return;
        }
        pause(ask).await;
    }
}

fn without_accepted(world: &World, orders: Vec<Value>, result: &Result<Answer, InvokeError>) -> Vec<Value> {
    let mut missing = Vec::new();
    for (index, order) in orders.into_iter().enumerate() {
        let one = result.clone().map(|answer| match answer.status {
            200 => one_of(&answer.body["results"][index]),
            _ => answer,
        });
        if matches!(one, Ok(Answer { status: 200 | 201, .. })) {
            world.journal.accepted(text(&order["order_id"]));
        } else {
            saw_error(world, text(&order["order_id"]), "to create it in a batch", &one);
            missing.push(order);
        }
    }
    missing
}

/// The answer for one order of a batch.
fn one_of(result: &Value) -> Answer {
    let status = result["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or_default();
    Answer { status, body: result["problem"].clone(), retry_after: None }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

async fn cancel(world: &World, order: &str, claims: Claims<'_>) {
    let call = Call { path: &format!("/orders/{order}/cancel"), claims, body: None, expected: &[200, 409] };
    match call.ask(world, order, "to cancel it", ASKS).await {
        Some(200) => world.journal.change(order, "cancelled", |story| story.cancelled = true),
        Some(_) => world.journal.note(order, "too late to be cancelled"),
        None => {}
    }
}

/// Retries every second failed order once, until the task is aborted.
pub async fn retry_failed(world: Arc<World>) {
    loop {
        sleep(ROUND).await;
        let Ok(list) = world.gateway.call("GET", "/orders?status=failed&limit=200", ADMIN, None).await else {
            continue;
        };
        let failed = list.body["orders"].as_array().cloned().unwrap_or_default();
        for order in failed.iter().filter_map(|order| order["order_id"].as_str()) {
            if is_even(order) && !world.journal.stories.lock().get(order).is_some_and(|story| story.retried) {
                retry(&world, order).await;
            }
        }
    }
}

async fn retry(world: &World, order: &str) {
    world.journal.change(order, "an operator retries it", |story| story.retried = true);
    // 409: an earlier call may have succeeded although its answer was lost, so any status is possible.
    let call = Call { path: &format!("/orders/{order}/retry"), claims: ADMIN, body: None, expected: &[200, 409] };
    call.ask(world, order, "to retry it", ASKS).await;
}

/// Pauses or resumes processing.
pub async fn switch(world: &World, what: &str) {
    let (path, reason) = (format!("/processing/{what}"), json!({"reason": "a test of the pause"}));
    let call = Call { path: &path, claims: ADMIN, body: Some(&reason), expected: &[200] };
    if call.ask(world, "processing", &format!("to {what} it"), ASKS).await.is_none() {
        world.journal.violation(format!("no call could {what} processing"));
    }
}

/// A `POST` that a client repeats until its answer has one of the expected statuses.
struct Call<'a> {
    path: &'a str,
    claims: Claims<'a>,
    body: Option<&'a Value>,
    expected: &'a [u16],
}

impl Call<'_> {
    /// Makes the call up to `asks` times, and returns the expected status.
    async fn ask(&self, world: &World, order: &str, what: &str, asks: u32) -> Option<u16> {
        for ask in 0..asks {
            match world.gateway.call("POST", self.path, self.claims, self.body).await {
                Ok(Answer { status, .. }) if self.expected.contains(&status) => return Some(status),
                other => saw_error(world, order, what, &other),
            }
            pause(ask).await;
        }
        None
    }
}

fn is_even(order: &str) -> bool {
    order.bytes().last().is_some_and(|digit| digit % 2 == 0)
}

/// Records a failed call. A client has to expect 503 and a call without an answer; any other answer is a violation.
fn saw_error(world: &World, order: &str, what: &str, result: &Result<Answer, InvokeError>) {
    let is_expected = match result {
        Ok(answer) => answer.status == 503,
        Err(error) => matches!(error, InvokeError::Died | InvokeError::Paused),
    };
    let seen = match result {
        Ok(Answer { status, body: Value::Null, .. }) => format!("{status}"),
        Ok(Answer { status, body, .. }) => format!("{status} {body}"),
        Err(error) => format!("no answer: {error:?}"),
    };
    if !is_expected {
        world.journal.violation(format!("{order}: asked {what}, its client got {seen}"));
    }
    world.journal.change(order, format!("asked {what}, its client got {seen}"), |story| story.saw_error = true);
}

/// Waits before the next attempt: longer each time, up to a second.
async fn pause(ask: u32) {
    sleep(Duration::from_millis(100 << ask.min(3)).mul_f64(chance::share().midpoint(1.0))).await;
}
