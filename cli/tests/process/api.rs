//! A small API for the tests: it accepts orders and leaves them pending.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use sandbox::server::{self, Request, Response, Server};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::runtime::{Builder, Runtime};

/// How it answers calls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It answers every call.
    Sound,
    /// It is healthy, and refuses every other call with this status, also as AWS does.
    HealthyBut(u16),
    /// It never answers a call whose method and path contain this.
    SilentTo(&'static str),
    /// It answers every call 503.
    Unavailable,
    /// It completes each order at once and has metrics. It answers this many lists by identifiers, and each later one 404.
    Listing(usize),
}

/// A running API. The server runs as long as its runtime.
pub struct Api {
    state: Arc<State>,
    server: Server,
    _runtime: Runtime,
}

#[derive(Default)]
struct State {
    orders: Mutex<Vec<Value>>,
    paths: Mutex<Vec<String>>,
    /// Whether it answers every call again.
    is_sound: AtomicBool,
}

impl Api {
    pub fn start(manner: Manner) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let state = Arc::new(State::default());
        let serving = Arc::clone(&state);
        let server = runtime.block_on(Server::start(move |request: Request| {
            let called = format!("{} {}", request.method(), request.uri());
            let is_silent = matches!(manner, Manner::SilentTo(part) if called.contains(part));
            let answer = serving.answer(&request, manner);
            async move { if is_silent { std::future::pending().await } else { Some(answer) } }
        }));
        Self { state, server: server.unwrap(), _runtime: runtime }
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    /// How many orders it has accepted.
    pub fn accepted(&self) -> usize {
        self.state.orders.lock().unwrap().len()
    }

    /// Adds an order.
    pub fn add(&self, order_id: &str) {
        self.add_created(order_id, "2026-01-01T00:00:00.000000Z");
    }

    /// Adds an order that was created at this time, behind those that were created by then.
    pub fn add_created(&self, order_id: &str, created_at: &str) {
        let mut order = order(&json!({"order_id": order_id}));
        order["created_at"] = created_at.into();
        let mut orders = self.state.orders.lock().unwrap();
        let place = orders.partition_point(|other| other["created_at"].as_str().unwrap() <= created_at);
        orders.insert(place, order);
    }

    /// Changes these members of an order.
    pub fn change(&self, order_id: &str, members: &Value) {
        let mut orders = self.state.orders.lock().unwrap();
        let order = orders.iter_mut().find(|order| order["order_id"] == order_id).unwrap();
        order.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    }

    /// Deletes an order.
    pub fn delete(&self, order_id: &str) {
        self.state.orders.lock().unwrap().retain(|order| order["order_id"] != order_id);
    }

    /// Answers every call from now on.
    pub fn recover(&self) {
        self.state.is_sound.store(true, Ordering::SeqCst);
    }

    /// Answers as at the start again.
    pub fn relapse(&self) {
        self.state.is_sound.store(false, Ordering::SeqCst);
    }

    /// How many calls had this in their path.
    pub fn calls(&self, part: &str) -> usize {
        count(&self.state.paths, part)
    }
}

fn count(paths: &Mutex<Vec<String>>, part: &str) -> usize {
    paths.lock().unwrap().iter().filter(|path| path.contains(part)).count()
}

impl State {
    fn answer(&self, request: &Request, manner: Manner) -> Response {
        let path = request.uri().to_string();
        let mut orders = self.orders.lock().unwrap();
        let (status, answer) = match (manner, request.method().as_str(), path.split('?').next().unwrap()) {
            (Manner::Unavailable, ..) if !self.is_sound.load(Ordering::SeqCst) => {
                (503, json!({"title": "Service temporarily unavailable"}))
            }
            (_, "GET", "/healthz") => (200, json!({"status": "ok"})),
            (Manner::HealthyBut(status), ..) => (status, json!({"__type": "Refused", "message": "refused"})),
            (_, "POST", "/orders") => {
                let mut order = order(&serde_json::from_slice(request.body()).unwrap_or_default());
                if matches!(manner, Manner::Listing(_)) {
                    order["status"] = "completed".into();
                }
                orders.push(order.clone());
                (201, order)
            }
            (Manner::Listing(lists), "GET", "/orders")
                if path.contains("order_id=") && count(&self.paths, "order_id=") >= lists =>
            {
                (404, json!({}))
            }
            (_, "GET", "/orders") => (200, page(&orders, &path)),
            (Manner::Listing(_), "GET", "/metrics") => {
                let counts = json!({"pending": 0, "processing": 0, "completed": orders.len()});
                (200, json!({"total_orders": orders.len(), "status_counts": counts}))
            }
            (_, "GET", "/metrics") => (403, json!({})),
            (_, "GET", path) => {
                let rest = path.strip_prefix("/orders/").unwrap_or_default();
                let (order_id, part) = rest.split_once('/').unwrap_or((rest, ""));
                let found = orders.iter().find(|order| order["order_id"] == order_id);
                let shown = |order: &Value| match part {
                    "status" => json!({"status": order["status"]}),
                    "history" => history(order),
                    _ => order.clone(),
                };
                found.map_or((404, json!({})), |order| (200, shown(order)))
            }
            _ => (404, json!({})),
        };
        self.paths.lock().unwrap().push(path);
        server::json(status, answer.to_string())
    }
}

/// A page of the orders that the query selects, from the last to the first. The cursor is the number of selected orders before it.
fn page(orders: &[Value], path: &str) -> Value {
    let values =
        |name: &'static str| path.split(['?', '&']).filter_map(move |pair| pair.strip_prefix(name)?.strip_prefix('='));
    let number = |name: &'static str| values(name).next().and_then(|value| value.parse::<usize>().ok());
    let read = |text: &str| OffsetDateTime::parse(text, &Rfc3339).unwrap();
    let time = |name: &'static str| values(name).next().map(|value| read(&value.replace("%3A", ":")));
    let (from, before, ids) = (time("created_from"), time("created_before"), values("order_id").collect::<Vec<_>>());
    let is_selected = |order: &&Value| {
        let created_at = read(order["created_at"].as_str().unwrap());
        (ids.is_empty() || ids.contains(&order["order_id"].as_str().unwrap()))
            && from.is_none_or(|from| from <= created_at)
            && before.is_none_or(|before| created_at < before)
    };
    let selected: Vec<_> = orders.iter().rev().filter(is_selected).collect();
    let (start, limit) = (number("cursor").unwrap_or(0), number("limit").unwrap_or(50));
    let end = selected.len().min(start + limit);
    json!({"orders": selected[start..end], "next_cursor": (end < selected.len()).then(|| end.to_string())})
}

fn order(body: &Value) -> Value {
    json!({"order_id": body["order_id"], "user_id": "alice", "total_amount": "1.00", "currency": "EUR", "status": "pending",
        "created_at": "2026-01-01T00:00:00.000000Z", "started_at": null, "finished_at": null, "attempts": 0, "failure": null})
}

/// The history of an order that waits, and whose attempts have failed.
fn history(order: &Value) -> Value {
    let change = |change, attempt, cause, by| {
        json!({"at": order["created_at"], "change": change, "attempt": attempt, "cause": cause, "by": by,
            "subject": null, "client": null})
    };
    let attempts = 1..=order["attempts"].as_u64().unwrap();
    let failed = attempts.map(|attempt| change("attempt_failed", Some(attempt), Some("busy"), "processor"));
    let changes: Vec<_> = [change("created", None, None, "caller")].into_iter().chain(failed).collect();
    json!({"order_id": order["order_id"], "changes": changes, "truncated": changes.len() > 100})
}
