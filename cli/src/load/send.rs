//! Creates the orders. A call without an answer, or with a temporary refusal, is repeated with the same identifier: the service
//! recognises the repeat.

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::latency::Latencies;
use super::run::Run;
use crate::client::{Answer, CallError, Client, is_temporary};
use crate::interrupt::Interrupt;
use crate::options::Load;

/// The most tries of a call.
const TRIES: u32 = 12;
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long after an interrupt a run waits for the answers to open calls.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

/// The results of all calls.
#[derive(Default)]
pub struct Sent {
    /// How many orders were sent; after an interrupt some answers are missing.
    pub tried: u32,
    /// The numbers of the accepted orders.
    pub accepted: HashSet<u32>,
    /// How many were refused, for each reason.
    pub refused: BTreeMap<String, u32>,
    /// How many calls were repeated.
    pub repeats: u32,
    /// From a call's due time to its answer, of the calls that had orders accepted.
    pub latencies: Latencies,
    /// From the start to the last answer that accepted an order.
    pub accepted_within: Duration,
}

/// The result of one call: the numbers of its orders, and for each the reason if it was refused.
struct CallResult {
    numbers: Range<u32>,
    refusals: Vec<Option<String>>,
    repeats: u32,
    took: Duration,
}

/// Creates all orders, with `concurrency` calls at once, at `rate` if there is one. After an interrupt it starts no more calls.
pub async fn create_all(client: &Client<'_>, run: &Run, load: &Load, bar: &ProgressBar, interrupt: &Interrupt) -> Sent {
    let size = load.batch.unwrap_or(1);
    let begun = Instant::now();
    let starts = (0..load.orders).step_by(size as usize);
    let calls = stream::iter(starts).then(async |first| {
        let due = load.rate.map_or_else(Instant::now, |rate| begun + Duration::from_secs(first.into()) / rate);
        tokio::time::sleep_until(due.into()).await;
        (due, first..load.orders.min(first + size))
    });
    let calls = calls.take_until(Box::pin(interrupt.wait()));
    let tried = Cell::new(0);
    let calls = calls.map(|(due, numbers)| {
        tried.set(numbers.end);
        create(client, run, numbers, load.batch.is_some(), due)
    });
    let mut calls = std::pin::pin!(calls.buffer_unordered(load.concurrency as usize));
    let mut end = std::pin::pin!(interrupt.wait_and(LAST_ANSWERS));
    let mut sent = Sent::default();
    loop {
        let call = tokio::select! {
            call = calls.next() => call,
            () = &mut end => None,
        };
        let Some(call) = call else { return Sent { tried: tried.get(), ..sent } };
        bar.inc(call.numbers.len() as u64);
        sent.add(call, begun.elapsed());
    }
}

impl Sent {
    /// Adds a call that was answered this long after the start.
    fn add(&mut self, call: CallResult, at: Duration) {
        self.repeats += call.repeats;
        if call.refusals.iter().any(Option::is_none) {
            self.latencies.add(call.took);
            self.accepted_within = at;
        }
        for (number, refusal) in call.numbers.zip(call.refusals) {
            match refusal {
                None => drop(self.accepted.insert(number)),
                Some(reason) => *self.refused.entry(reason).or_default() += 1,
            }
        }
    }
}

async fn create(client: &Client<'_>, run: &Run, numbers: Range<u32>, is_batch: bool, due: Instant) -> CallResult {
    let many = numbers.len();
    let mut orders: Vec<Value> = numbers.clone().map(|number| run.order(number)).collect();
    let (path, body) = match orders.pop() {
        Some(one) if !is_batch => ("/orders", one),
        last => ("/orders/batch", json!({"orders": orders.into_iter().chain(last).collect::<Vec<_>>()})),
    };
    let (answer, repeats) = deliver(client, path, &body).await;
    let took = due.elapsed();
    let refusals = match answer {
        Ok(answer) if is_batch && answer.status == 200 => refusals(&answer, many),
        Ok(answer) if !is_batch && [200, 201].contains(&answer.status) => {
            vec![refusal(&answer, &run.order_id(numbers.start))]
        }
        Ok(answer) => vec![Some(answer.problem()); many],
        Err(error) => vec![Some(error.to_string()); many],
    };
    CallResult { numbers, refusals, repeats, took }
}

/// For each order of a batch the reason if it was refused. An answer without a result for each order, as from a proxy, accepts none.
fn refusals(answer: &Answer, orders: usize) -> Vec<Option<String>> {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let Some(results) = body["results"].as_array().filter(|results| results.len() == orders) else {
        return vec![Some("200 without a result for each order".to_owned()); orders];
    };
    let reason =
        |result: &Value| format!("{}: {}", result["status"], result["problem"]["title"].as_str().unwrap_or_default());
    results.iter().map(|result| result["order"].is_null().then(|| reason(result))).collect()
}

/// The reason if a call for one order was refused. An answer without this order, as from a proxy, does not accept it.
fn refusal(answer: &Answer, order_id: &str) -> Option<String> {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    (body["order_id"] != order_id).then(|| format!("{} without the order", answer.status))
}

/// Makes a call until its answer is final. Returns the answer and the number of repeats.
async fn deliver(client: &Client<'_>, path: &str, body: &Value) -> (Result<Answer, CallError>, u32) {
    let mut tries = 1;
    loop {
        let answer = client.post(path, body).await;
        let can_succeed = match &answer {
            Ok(answer) => can_create_more(answer),
            Err(error) => matches!(error, CallError::NoAnswer(_)),
        };
        if tries == TRIES || !can_succeed {
            return (answer, tries - 1);
        }
        tokio::time::sleep(wait(tries, answer.ok().and_then(|answer| answer.retry_after()))).await;
        tries += 1;
    }
}

/// Whether the same call can create more orders later: the answer is a temporary refusal, or has one of an order of the batch.
fn can_create_more(answer: &Answer) -> bool {
    let of_an_order = || {
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let mut statuses = body["results"].as_array().into_iter().flatten().map(|result| result["status"].as_u64());
        statuses.any(|status| status.and_then(|status| status.try_into().ok()).is_some_and(is_temporary))
    };
    answer.is_temporary() || answer.status == 200 && of_an_order()
}

/// Doubles each time, with jitter, so that calls that were refused together are not repeated together.
fn wait(tries: u32, asked_for: Option<Duration>) -> Duration {
    let longest = (Duration::from_millis(100) * 2_u32.pow(tries)).min(LONGEST_WAIT);
    let asked_for = asked_for.unwrap_or_default();
    asked_for.saturating_add(longest.mul_f64(fastrand::f64())).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;

    #[test]
    fn answer_of_a_proxy_accepts_no_order() {
        let url = reqwest::Url::parse("https://shop.example/orders").unwrap();
        let answer =
            |body: &str| Answer { url: url.clone(), status: 200, headers: HeaderMap::new(), body: body.to_owned() };
        assert!(refusals(&answer("<html>"), 3).iter().all(Option::is_some));
        assert_eq!(
            refusals(&answer(r#"{"results": [{"order": {}}, {"order": null, "status": 409}]}"#), 2),
            [None, Some("409: ".to_owned())]
        );
        for body in ["<html>", "{}", r#"{"order_id": "o-2"}"#] {
            assert_eq!(refusal(&answer(body), "o-1").as_deref(), Some("200 without the order"), "{body}");
        }
        assert_eq!(refusal(&answer(r#"{"order_id": "o-1"}"#), "o-1"), None);
    }

    #[test]
    fn times_are_of_accepted_orders_only() {
        let call = |is_accepted: bool, seconds| CallResult {
            numbers: 0..1,
            refusals: vec![(!is_accepted).then(|| "422".to_owned())],
            repeats: 0,
            took: Duration::from_secs(seconds),
        };
        let mut sent = Sent::default();
        sent.add(call(false, 1), Duration::from_secs(1));
        assert!(sent.latencies.percentiles().is_none());
        sent.add(call(true, 2), Duration::from_secs(2));
        sent.add(call(false, 50), Duration::from_secs(50));
        assert_eq!((sent.accepted_within, sent.accepted.len()), (Duration::from_secs(2), 1));
        assert!(sent.latencies.percentiles().is_some_and(|found| found.max < 3.0));
    }

    #[test]
    fn wait_is_bounded_whatever_the_service_asks_for() {
        assert_eq!(wait(1, Some(Duration::MAX)), LONGEST_WAIT);
        assert!(wait(1, Some(Duration::from_secs(1))) >= Duration::from_secs(1).min(LONGEST_WAIT));
        assert!(wait(1, None) <= Duration::from_millis(200));
    }
}
