//! `load` follows orders of the deployed stack to their end, and notices a service that loses or refuses orders.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::body::Body;
use ordermill::interrupt::Interrupt;
use ordermill::load::{Report, measure};
use ordermill::options::Load;
use ordermill::output::Output;
use processor::Outcome;
use sandbox::server::{Request, Response, Server, json};
use serde_json::{Value, json as value};
use tests::{OutcomeBy, Stack, World, call_in_process, handle};
use tokio::sync::Notify;

use super::Patient;

/// A token with the claims `{"sub": "alice"}`.
const ALICE: &str = "e30.eyJzdWIiOiJhbGljZSJ9.e30";

fn load(orders: u32) -> Load {
    Load { orders, concurrency: 10, rate: None, batch: None, patience: 360, svg: None }
}

async fn run(patient: &Patient, load: &Load) -> Report {
    let interrupt = Interrupt::never();
    measure(&patient.place(), load, Output::plain(true), &interrupt).await.unwrap_or_else(|failure| panic!("{failure}"))
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn load_completes_orders_one_by_one_in_batches_and_at_a_rate() {
    let stack = Stack::running();
    let admin = Patient::at(stack.get("API_URL")).bearing(stack.get("TOKEN_ADMIN"));
    // A user without `orders/admin` creates orders of its own. Their ids distinguish them from other orders.
    let bob = Patient::at(stack.get("API_URL")).bearing(stack.get("TOKEN_BOB"));
    let one_by_one = load(20);
    let in_batches = Load { batch: Some(8), ..load(20) };
    let at_a_rate = Load { rate: Some(20), ..load(10) };
    let reports = tokio::join!(run(&admin, &one_by_one), run(&admin, &in_batches), run(&bob, &at_a_rate));
    for report in [&reports.0, &reports.1, &reports.2] {
        assert!(report.ok, "{}", serde_json::to_string_pretty(report).unwrap());
        assert_eq!((report.completed(), report.lost, report.unfinished), (report.orders, 0, 0));
        assert!(report.life.as_ref().is_some_and(|life| life.p50 >= 5.0));
    }
    assert!(reports.2.accepted_within >= 0.45, "ten orders at twenty a second take at least 0.45 s");
}

/// A service that answers each create and each read of its metrics by its number, and lists these orders.
async fn answering(
    answer: impl Fn(u32, &Request) -> Response + Clone + Send + Sync + 'static,
    metrics: impl Fn(u32) -> Response + Clone + Send + Sync + 'static,
    list: impl Fn(&str) -> Vec<Value> + Clone + Send + Sync + 'static,
) -> Server {
    let (calls, reads) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let handle = move |request: Request| {
        let answered = if request.method() == "POST" {
            answer(calls.fetch_add(1, Ordering::SeqCst), &request)
        } else if request.uri().path() == "/metrics" {
            metrics(reads.fetch_add(1, Ordering::SeqCst))
        } else {
            let orders = list(request.uri().query().unwrap_or_default());
            json(200, value!({"orders": orders, "next_cursor": null}).to_string())
        };
        std::future::ready(Some(answered))
    };
    Server::start(handle).await.unwrap()
}

/// Such a service without metrics and without orders.
async fn forgetful(answer: impl Fn(u32, &Request) -> Response + Clone + Send + Sync + 'static) -> Server {
    answering(answer, |_| json(403, "{}"), |_| Vec::new()).await
}

async fn run_at(server: &Server, orders: u32) -> Report {
    let patient = Patient::at(&server.url()).bearing(ALICE);
    run(&patient, &load(orders)).await
}

#[tokio::test]
async fn load_counts_accepted_orders_that_vanish_as_lost() {
    let report = run_at(&forgetful(|_, order| json(201, order.body().clone())).await, 7).await;
    assert!(!report.ok);
    assert_eq!((report.accepted, report.completed(), report.lost), (7, 0, 7));
}

#[tokio::test]
async fn load_counts_a_lost_order_beside_a_refused_one_that_exists() {
    // The first call is refused, but its order exists. The other call's order does not.
    let answer = |number, order: &Request| json(if number == 0 { 422 } else { 201 }, order.body().clone());
    let list = |query: &str| {
        let ids = query.split('&').filter_map(|pair| pair.strip_prefix("order_id="));
        ids.filter(|id| id.ends_with("-0")).map(completed).collect()
    };
    let server = answering(answer, |_| json(403, "{}"), list).await;
    let patient = Patient::at(&server.url()).bearing(ALICE);
    let report = run(&patient, &Load { concurrency: 1, ..load(2) }).await;
    assert_eq!((report.accepted, report.completed(), report.lost), (1, 1, 1));
}

/// A completed order of this identifier, as the API describes it.
fn completed(order_id: &str) -> Value {
    let time = "2026-01-01T00:00:00.000000Z";
    value!({"order_id": order_id, "user_id": "alice", "total_amount": "1.00", "currency": "EUR", "status": "completed",
        "created_at": time, "started_at": time, "finished_at": time, "attempts": 1, "failure": null})
}

#[tokio::test]
async fn load_counts_refused_orders_by_reason() {
    let report = run_at(&forgetful(|_, _| json(422, r#"{"title": "Some values are not valid"}"#)).await, 5).await;
    assert!(!report.ok);
    assert_eq!(report.refused.get("422: Some values are not valid"), Some(&5), "{:?}", report.refused);
}

#[tokio::test]
async fn load_repeats_a_call_after_503() {
    let answer = |number, order: &Request| json(if number % 2 == 0 { 503 } else { 201 }, order.body().clone());
    let report = run_at(&forgetful(answer).await, 1).await;
    assert_eq!((report.accepted, report.repeated_calls), (1, 1));
}

#[tokio::test]
async fn load_does_not_repeat_a_call_whose_answer_is_too_large() {
    let report = run_at(&forgetful(|_, _| json(201, " ".repeat((6 << 20) + 1))).await, 1).await;
    assert_eq!((report.accepted, report.repeated_calls), (0, 0));
    let refused: Vec<_> = report.refused.iter().collect();
    assert!(matches!(refused[..], [(why, 1)] if why.contains("/orders sent more than 6 MiB")), "{refused:?}");
}

#[tokio::test]
async fn load_repeats_a_batch_with_a_temporary_refusal() {
    let answer = |number, _: &Request| {
        let last = [value!({"status": 503, "order": null}), value!({"status": 201, "order": {}})];
        json(200, value!({"results": [{"status": 200, "order": {}}, last[number as usize]]}).to_string())
    };
    let server = forgetful(answer).await;
    let patient = Patient::at(&server.url()).bearing(ALICE);
    let report = run(&patient, &Load { batch: Some(2), ..load(2) }).await;
    assert_eq!((report.accepted, report.repeated_calls), (2, 1));
}

#[tokio::test]
async fn load_that_can_not_read_the_services_counts_is_incomplete() {
    let counts =
        || json(200, r#"{"total_orders": 0, "status_counts": {"pending": 0, "processing": 0, "completed": 0}}"#);
    for (after, incomplete) in
        [(200, None), (403, Some("the service's counts can't be read: the token does not allow"))]
    {
        // A temporary refusal is no answer yet.
        let metrics = move |read| match read {
            0 => json(503, "{}"),
            2 if after != 200 => json(after, "{}"),
            _ => counts(),
        };
        let report =
            run_at(&answering(|_, order| json(201, order.body().clone()), metrics, |_| Vec::new()).await, 1).await;
        assert_eq!(report.counted.is_some(), incomplete.is_none());
        let said = report.incomplete.unwrap_or_default();
        assert!(said.starts_with(incomplete.unwrap_or_default()) && said.is_empty() == incomplete.is_none(), "{said}");
    }
}

/// Creates completed orders of alice's, the first of them at this time.
async fn create_others(world: &World, count: usize, begin: &str) {
    let at = format!("{begin} + i * interval '1 ms'");
    let times = ["created_at", "started_at", "finished_at"].map(|name| (name, &*at));
    let own = [("order_id", &*format!("'other-{count}-' || i"))];
    world.insert_ended(count, "0 s", &[&times[..], &own].concat()).await;
}

/// Others of alice's are newer than her two orders of the run when `load` begins to wait for them, and then between them too.
#[tokio::test]
async fn load_finds_its_orders_among_many_others_of_its_user() {
    let world = World::new().await;
    create_others(&world, 50_000, "now() + interval '1 hour'").await;
    // Its orders are in euros, even if the deployment's currency has no decimals. Alice's token reaches no other user's.
    let (router, waits) = (world.api_with("DEFAULT_CURRENCY", "JPY"), Arc::new(Notify::new()));
    let waiting = Arc::clone(&waits);
    let server = Server::start(move |request: Request| {
        let (router, waiting) = (router.clone(), Arc::clone(&waiting));
        async move {
            let is_status = request.uri().path().ends_with("/status");
            let claims = Some(("alice", "orders/read orders/write"));
            let answer = call_in_process(&router, claims, request.map(Body::from)).await;
            if is_status {
                waiting.notify_one();
            }
            Some(json(answer.status, answer.text))
        }
    });
    let server = server.await.unwrap();
    let complete = async {
        waits.notified().await;
        world.execute("UPDATE orders SET created_at = now() - interval '1 hour' WHERE order_id LIKE '%-0'").await;
        create_others(&world, 500, "now() - interval '10 minutes'").await;
        let rows = world.rows("SELECT order_id FROM order_work", &[]).await;
        let ids: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
        handle(&world.processor_with(OutcomeBy(|_: &str| Outcome::Complete)), &ids).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        report = run_at(&server, 2) => assert!(report.ok && report.lost == 0, "{}", value!(report)),
        () = complete => unreachable!(),
    }
}
