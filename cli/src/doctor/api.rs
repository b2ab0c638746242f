//! Checks the API: its answers with and without the token, and its metrics.

use std::time::SystemTime;

use serde_json::Value;

use super::figures::{dead_letters, overdue, paused, skew};
use super::finding::{Finding, Verdict};
use crate::client::{Answer, CallError, Client};
use crate::deployment::Deployment;
use crate::token::Claims;

/// How long an event may wait; the limit of `EventsAlarm`.
const EVENT_SECONDS: f64 = 300.0;
/// The remedy for a URL that is not the API's.
const CHECK_URL: &str = "check the URL: the stack's output ApiUrl, without a path behind it";

/// The remedy for an API that is healthy and fails other calls.
const FAILS: &str = "find the cause in the api function's log, and see `Calls are answered 5xx` in docs/operations.md; if that log has no such call, find what else answers at this URL";

/// Runs the checks.
pub async fn examine(deployment: &Deployment, client: &Client<'_>) -> Vec<Finding> {
    let asked = SystemTime::now();
    let mut findings = match client.get_without_token("/healthz").await {
        Ok(answer) => vec![health(&answer), clock(deployment, &answer, asked)],
        Err(error) => {
            let remedy = match error {
                CallError::NoAnswer(_) => {
                    "see the api function's log, and check for a proxy or firewall that closes the connection"
                }
                CallError::TooLarge(_) => CHECK_URL,
            };
            return vec![Finding::wrong("health", "GET /healthz", error.to_string(), remedy)];
        }
    };
    // A refusal of too many calls of `/healthz` says nothing: the calls below tell.
    let is_healthy = findings[0].state != Verdict::Wrong;
    let without_token = async { closed(client.get_without_token("/orders?limit=1").await, is_healthy) };
    let with_token = async {
        let claims = Claims::of(deployment.token.as_ref()?).ok();
        let only_creates = claims.is_some_and(|claims| claims.may("orders/write") && !claims.may("orders/read"));
        Some(access(client.get("/orders?limit=1").await, is_healthy, only_creates))
    };
    // Together, so that an API that never answers costs one time-out.
    let (closed, access, numbers) = tokio::join!(without_token, with_token, numbers(deployment, client, is_healthy));
    findings.push(closed);
    findings.extend(access);
    findings.extend(numbers);
    findings
}

fn health(answer: &Answer) -> Finding {
    let place = "GET /healthz";
    match answer.status {
        200 if json(answer)["status"] == "ok" => Finding::ok("health", place, "the API reaches its database"),
        200 => Finding::wrong("health", place, "something else answers at this URL, not Ordermill", CHECK_URL),
        // The gateway's own answer is no problem document: it has a `message` alone.
        503 if json(answer)["title"].is_null() => {
            let remedy = "if someone has set the api function's concurrency to 0, `aws lambda delete-function-concurrency`; otherwise see `Functions are throttled` in docs/operations.md";
            Finding::wrong(
                "health",
                place,
                format!("the gateway can't run the api function ({})", answer.problem()),
                remedy,
            )
        }
        503 => {
            let remedy = "check that the database runs, that the functions' security group may reach it, and DATABASE_URL; the api's log has the cause";
            Finding::wrong("health", place, format!("the API can't reach its database ({})", answer.problem()), remedy)
        }
        // It needs no token, so a 401 is that of another path.
        401 | 403 | 404 => Finding::wrong(
            "health",
            place,
            format!("there is no Ordermill at this URL ({})", answer.problem()),
            CHECK_URL,
        ),
        429 => Finding::not_checked("health", place, "others call it too often at the moment; try again"),
        _ => Finding::wrong(
            "health",
            place,
            format!("the API has an error ({})", answer.problem()),
            "see the api function's log",
        ),
    }
}

/// The answer's body; null if it is not JSON.
fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_default()
}

/// Whether the answer is a list of orders.
fn is_list(answer: &Answer) -> bool {
    answer.status == 200 && json(answer)["orders"].is_array()
}

/// The finding for an answer that no client can use. It is a fault of its own if the API is healthy: `/healthz` only pings the
/// database. A refusal by 403, as of a firewall, or by 429 says nothing about the API.
fn unusable(check: &'static str, place: &str, answer: &Result<Answer, CallError>, is_healthy: bool) -> Finding {
    let what = match answer {
        Ok(answer) if answer.status == 200 => "the answer is not Ordermill's".to_owned(),
        Ok(answer) => format!("answered {}", answer.problem()),
        Err(error) => error.to_string(),
    };
    if is_healthy && answer.as_ref().map_or(true, |answer| ![403, 429].contains(&answer.status)) {
        Finding::wrong(check, place, what, FAILS)
    } else {
        Finding::not_checked(check, place, what)
    }
}

fn clock(deployment: &Deployment, answer: &Answer, asked: SystemTime) -> Finding {
    let said = answer.header("date").and_then(|date| httpdate::parse_http_date(date).ok());
    let Some(said) = said else {
        return Finding::not_checked("clock.api", deployment.address(), "the answer has no `Date`");
    };
    let took = asked.elapsed().unwrap_or_default() / 2;
    skew("clock.api", &deployment.address(), said, asked + took)
}

/// Without a token the API must answer 401.
fn closed(answer: Result<Answer, CallError>, is_healthy: bool) -> Finding {
    let (check, place) = ("closed", "GET /orders");
    let remedy =
        "set the api's AUTH to jwt, and deploy its routes with the authorizer: every caller can read all orders";
    match answer {
        Ok(answer) if answer.status == 401 => Finding::ok(check, place, "without a token: 401"),
        Ok(answer) if is_list(&answer) => Finding::wrong(check, place, "answers without a token", remedy),
        answer => unusable(check, place, &answer, is_healthy),
    }
}

/// With the token the API must answer 200, unless the token only creates orders.
fn access(answer: Result<Answer, CallError>, is_healthy: bool, only_creates: bool) -> Finding {
    let (check, place) = ("access", "GET /orders");
    match answer {
        Ok(answer) if is_list(&answer) => Finding::ok(check, place, "with the token: 200"),
        Ok(answer) if answer.status == 401 => {
            let said = answer.header("www-authenticate").unwrap_or("no reason given");
            let remedy = "get a token that has not expired, from the issuer and for the audience that the deployment accepts (JwtIssuer, JwtAudience)";
            Finding::wrong(check, place, format!("the token is not accepted: 401, {said}"), remedy)
        }
        Ok(answer) if answer.status == 403 && only_creates => {
            Finding::not_checked(check, place, "the token can't read orders: 403")
        }
        Ok(answer) if answer.status == 403 => Finding::wrong(
            check,
            place,
            "the token lacks orders/read: 403",
            "ask the issuer for the scopes `orders/read orders/write`",
        ),
        answer => unusable(check, place, &answer, is_healthy),
    }
}

/// Checks the service's own metrics. Reports `metrics` only if they can't be read for another reason than the token.
async fn numbers(deployment: &Deployment, client: &Client<'_>, is_healthy: bool) -> Vec<Finding> {
    let place = "GET /metrics";
    let not_checked = |why: &str| {
        ["pause", "overdue", "dead-letters", "events"].map(|check| Finding::not_checked(check, place, why)).to_vec()
    };
    if deployment.token.is_none() {
        return not_checked("give a token with orders/read.all");
    }
    let metrics = match client.get("/metrics").await {
        Ok(answer) if json(&answer)["status_counts"].is_object() => json(&answer),
        Ok(answer) if [401, 403].contains(&answer.status) => return not_checked("give a token with orders/read.all"),
        answer => {
            let fault = unusable("metrics", place, &answer, is_healthy);
            let mut findings = not_checked(&fault.what);
            findings.extend((fault.state == Verdict::Wrong).then_some(fault));
            return findings;
        }
    };
    let overdue = metrics["oldest_overdue_seconds"].as_f64().map(|seconds| overdue(place, seconds));
    let overdue = overdue.unwrap_or_else(|| Finding::not_checked("overdue", place, "the answer does not contain it"));
    let pause = &metrics["pause"];
    let text = |member: &str| pause[member].as_str().unwrap_or("?");
    let pause = (!pause.is_null()).then(|| format!("since {} by {}: {}", text("since"), text("by"), text("reason")));
    let depth = metrics["dead_letter_depth"].as_i64();
    let unknown = || Finding::not_checked("dead-letters", place, "the api could not reach the queue");
    let dead_letters = depth.map_or_else(unknown, |depth| dead_letters(place, depth));
    let mut findings = vec![paused(place, pause), overdue, dead_letters];
    findings.extend(metrics["oldest_event_seconds"].as_f64().map(events));
    findings.extend(depth.is_none().then(queue_out_of_reach));
    findings
}

/// The api reads the depths of both queues together, and reports none if it reaches one of them only.
fn queue_out_of_reach() -> Finding {
    let remedy = "find the reason in the log of the api, `could not read the depths of the queues`: new orders may wait for the sweeper; check SQS, the rights of the api's role, and the route to SQS";
    Finding::wrong("queue", "GET /metrics", "the api can't reach a queue", remedy)
}

/// Checks how long an event has waited for the bus. A deployment without a bus has no such number.
fn events(seconds: f64) -> Finding {
    let what = format!("the oldest event has waited for {seconds:.0} s");
    let remedy = "find the reason in the log of the sweeper, `could not send events` or `could not send some events`, then see `Events are not yet published` in docs/operations.md";
    Finding::held("events", "GET /metrics", seconds <= EVENT_SECONDS, what, remedy)
}
