//! Those who place orders, cancel some of them, and have failed ones tried again.

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

/// How many orders are on their way to the api at once, at most.
const CLIENTS: usize = 64;
/// The first of them places so many with each call.
const BATCH: usize = 10;
/// How many times a client asks before it goes away.
const ASKS: u32 = 60;
/// Of a hundred clients, so many go away at the first error, and don't learn what became of their order.
const IMPATIENT: u8 = 10;
/// Of a hundred orders, so many are cancelled at once.
const CANCELLED: u8 = 3;
/// Of ten orders, the one with this last digit has a `process_after`.
const SCHEDULED: usize = 7;
/// How often operators look for failed orders.
const ROUND: Duration = Duration::from_secs(2);

const ADMIN: Claims<'_> = Claims { sub: "operator", scope: "orders/read orders/write orders/admin" };

/// A steady load.
#[derive(Debug, Clone)]
pub struct Load {
    /// How many orders are placed at least.
    pub orders: usize,
    /// Within which time, or later where the service can't keep up.
    pub within: Duration,
    /// More are placed at the same rate until this says that it is enough.
    pub is_enough: watch::Receiver<bool>,
}

/// Places orders.
pub async fn place_all(world: Arc<World>, load: Load) {
    let (begin, mut clients) = (Instant::now(), JoinSet::new());
    for client in 0..CLIENTS {
        clients.spawn(place_some(Arc::clone(&world), load.clone(), client, begin));
    }
    clients.join_all().await;
}

/// Places every order of one client, each when its time has come.
#[allow(clippy::cast_precision_loss, reason = "there are far fewer orders than 2^52")]
async fn place_some(world: Arc<World>, load: Load, client: usize, begin: Instant) {
    for number in (client..).step_by(CLIENTS) {
        sleep_until(begin + load.within.mul_f64(number as f64 / load.orders as f64)).await;
        if number >= load.orders && *load.is_enough.borrow() {
            return;
        }
        if client == 0 {
            place_batch(&world, number).await;
        } else {
            place(&world, number).await;
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

async fn place(world: &World, number: usize) {
    let body = order(&format!("order-{number:06}"), number);
    let (order, user) = (text(&body["order_id"]), text(&body["user_id"]));
    let claims = Claims { sub: user, scope: "orders/write" };
    let is_impatient = chance::percent(IMPATIENT);
    for ask in 0..if is_impatient { 1 } else { ASKS } {
        match world.call("POST", "/orders", claims, Some(&body)).await {
            Ok(Answer { status: 200 | 201, .. }) => {
                world.journal.accepted(order);
                if chance::percent(CANCELLED) {
                    cancel(world, order, claims).await;
                }
                return;
            }
            other => saw_error(world, order, "to place it", &other),
        }
        pause(ask).await;
    }
}

/// Places many orders in one call, and asks again for those that have no answer yet.
async fn place_batch(world: &World, number: usize) {
    let mut missing: Vec<_> = (0..BATCH).map(|place| order(&format!("batch-{number:06}-{place}"), number)).collect();
    for ask in 0..ASKS {
        let result = world.call("POST", "/orders/batch", ADMIN, Some(&json!({"orders": missing}))).await;
        missing = without_accepted(world, missing, &result);
        if missing.is_empty() {
            return;
        }
        pause(ask).await;
    }
}

fn without_accepted(world: &World, orders: Vec<Value>, result: &Result<Answer, InvokeError>) -> Vec<Value> {
    let mut missing = Vec::new();
    for (place, order) in orders.into_iter().enumerate() {
        let one = result.clone().map(|answer| match answer.status {
            200 => one_of(&answer.body["results"][place]),
            _ => answer,
        });
        if matches!(one, Ok(Answer { status: 200 | 201, .. })) {
            world.journal.accepted(text(&order["order_id"]));
        } else {
            saw_error(world, text(&order["order_id"]), "to place it with others", &one);
            missing.push(order);
        }
    }
    missing
}

/// What an order of a batch was answered.
fn one_of(result: &Value) -> Answer {
    let status = result["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or_default();
    Answer { status, body: result["problem"].clone(), retry_after: None }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

async fn cancel(world: &World, order: &str, claims: Claims<'_>) {
    for ask in 0..ASKS {
        match world.call("POST", &format!("/orders/{order}/cancel"), claims, None).await {
            Ok(Answer { status: 200, .. }) => {
                return world.journal.change(order, "cancelled", |story| story.cancelled = true);
            }
            Ok(Answer { status: 409, .. }) => return world.journal.note(order, "too late to be cancelled"),
            other => saw_error(world, order, "to cancel it", &other),
        }
        pause(ask).await;
    }
}

/// Has every other failed order tried again, once, until it is stopped.
pub async fn retry_failed(world: Arc<World>) {
    loop {
        sleep(ROUND).await;
        let Ok(list) = world.call("GET", "/orders?status=failed&limit=200", ADMIN, None).await else { continue };
        let failed = list.body["orders"].as_array().cloned().unwrap_or_default();
        for order in failed.iter().filter_map(|order| order["order_id"].as_str()) {
            if is_even(order) && !world.journal.lock().get(order).is_some_and(|story| story.retried) {
                retry(&world, order).await;
            }
        }
    }
}

async fn retry(world: &World, order: &str) {
    world.journal.change(order, "an operator has it tried again", |story| story.retried = true);
    for ask in 0..ASKS {
        match world.call("POST", &format!("/orders/{order}/retry"), ADMIN, None).await {
            // It may have been heard the first time, and be anything by now.
            Ok(Answer { status: 200 | 409, .. }) => return,
            other => saw_error(world, order, "to have it tried again", &other),
        }
        pause(ask).await;
    }
}

fn is_even(order: &str) -> bool {
    order.bytes().last().is_some_and(|digit| digit % 2 == 0)
}

/// An answer that asks to come again, or none, is what a client has to expect. Any other is a violation.
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

/// Longer each time, up to a second.
async fn pause(ask: u32) {
    sleep(Duration::from_millis(100 << ask.min(3)).mul_f64(chance::share().midpoint(1.0))).await;
}
