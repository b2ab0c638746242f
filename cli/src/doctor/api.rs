//! Checks the API: its answers with and without the token, and its metrics.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::finding::Finding;
use crate::client::{Answer, Client};
use crate::deployment::Deployment;
use crate::output::counted;

/// The most that two clocks may differ. The `Date` header has whole seconds, and the answer took some time.
pub const SKEW: Duration = Duration::from_secs(5);
/// How overdue an order is when its message counts as lost; the sweeper's default.
pub const GRACE_SECONDS: f64 = 180.0;
/// How long an event may wait; the limit of `EventsAlarm`.
const EVENT_SECONDS: f64 = 300.0;
/// The remedy for a URL that is not the API's.
const URL: &str = "check the URL: the stack's output ApiUrl, without a path behind it";

/// Runs the checks.
pub async fn examine(deployment: &Deployment, client: &Client<'_>) -> Vec<Finding> {
    let asked = SystemTime::now();
    let mut findings = match client.get_without_token("/healthz").await {
        Ok(answer) => vec![health(&answer), clock(deployment, &answer, asked)],
        Err(problem) => {
            let remedy = "see the api function's log, and check for a proxy or firewall that closes the connection";
            return vec![Finding::wrong("health", "GET /healthz", format!("no answer: {problem}"), remedy)];
        }
    };
    findings.push(closed(client.get_without_token("/orders?limit=1").await));
    if deployment.token.is_some() {
        findings.push(access(client.get("/orders?limit=1").await));
    }
    findings.extend(numbers(deployment, client).await);
    findings
}

fn health(answer: &Answer) -> Finding {
    let url = "GET /healthz";
    match answer.status {
        200 if json(answer)["status"] == "ok" => Finding::ok("health", url, "the API reaches its database"),
        200 => Finding::wrong("health", url, "something else answers at this URL, not Ordermill", URL),
        // The gateway's own answer is no problem document: it has a `message` alone.
        503 if json(answer)["title"].is_null() => {
            let remedy = "if someone has set the api function's concurrency to 0, `aws lambda delete-function-concurrency`; otherwise see `Functions are throttled` in docs/operations.md";
            Finding::wrong(
                "health",
                url,
                format!("the gateway can't run the api function ({})", answer.problem()),
                remedy,
            )
        }
        503 => {
            let remedy = "check that the database runs, that the functions' security group may reach it, and DATABASE_URL; the api's log has the cause";
            Finding::wrong("health", url, format!("the API can't reach its database ({})", answer.problem()), remedy)
        }
        404 | 403 => {
            Finding::wrong("health", url, format!("there is no Ordermill at this URL ({})", answer.problem()), URL)
        }
        _ => Finding::wrong(
            "health",
            url,
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

/// The answer of something else than the API, or of an API that has an error.
fn unexpected(answer: &Answer) -> String {
    if answer.status == 200 {
        "the answer is not Ordermill's".to_owned()
    } else {
        format!("answered {}", answer.problem())
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

/// Compares another clock with this machine's.
pub fn skew(check: &'static str, place: &str, theirs: SystemTime, ours: SystemTime) -> Finding {
    let (off, word) = match theirs.duration_since(ours) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    let what = format!("{:.1} s {word} this machine's", off.as_secs_f64());
    let remedy = "set this machine's clock by NTP, or the server's: the gateway's clock decides about tokens, the database's about orders";
    Finding::held(check, place, off <= SKEW, what, remedy)
}

/// Without a token the API must answer 401.
fn closed(answer: Result<Answer, String>) -> Finding {
    let remedy =
        "set the api's AUTH to jwt, and deploy its routes with the authorizer: every caller can read all orders";
    match answer {
        Ok(answer) if answer.status == 401 => Finding::ok("closed", "GET /orders", "without a token: 401"),
        Ok(answer) if is_list(&answer) => Finding::wrong("closed", "GET /orders", "answers without a token", remedy),
        Ok(answer) => Finding::not_checked("closed", "GET /orders", unexpected(&answer)),
        Err(problem) => Finding::not_checked("closed", "GET /orders", problem),
    }
}

/// With the token the API must answer 200.
fn access(answer: Result<Answer, String>) -> Finding {
    let place = "GET /orders";
    match answer {
        Ok(answer) if is_list(&answer) => Finding::ok("access", place, "with the token: 200"),
        Ok(answer) if answer.status == 401 => {
            let said = answer.header("www-authenticate").unwrap_or("no reason given");
            let remedy = "get a token that has not expired, from the issuer and for the audience that the deployment accepts (JwtIssuer, JwtAudience)";
            Finding::wrong("access", place, format!("the token is not accepted: 401, {said}"), remedy)
        }
        Ok(answer) if answer.status == 403 => Finding::wrong(
            "access",
            place,
            "the token lacks orders/read: 403",
            "ask the issuer for the scopes `orders/read orders/write`",
        ),
        Ok(answer) => Finding::not_checked("access", place, unexpected(&answer)),
        Err(problem) => Finding::not_checked("access", place, problem),
    }
}

/// Checks the service's own metrics.
async fn numbers(deployment: &Deployment, client: &Client<'_>) -> Vec<Finding> {
    let not_checked = |why: &str| {
        ["pause", "overdue", "dead-letters", "events"]
            .map(|check| Finding::not_checked(check, "GET /metrics", why))
            .to_vec()
    };
    if deployment.token.is_none() {
        return not_checked("give a token with orders/read.all");
    }
    let metrics = match client.get("/metrics").await {
        Ok(answer) if json(&answer)["status_counts"].is_object() => json(&answer),
        Ok(answer) if [401, 403].contains(&answer.status) => return not_checked("give a token with orders/read.all"),
        Ok(answer) => return not_checked(&unexpected(&answer)),
        Err(problem) => return not_checked(&problem),
    };
    let overdue =
        metrics["oldest_overdue_seconds"].as_f64().map(|seconds| overdue("GET /metrics", seconds, GRACE_SECONDS));
    let overdue =
        overdue.unwrap_or_else(|| Finding::not_checked("overdue", "GET /metrics", "the answer does not contain it"));
    let pause = &metrics["pause"];
    let text = |member: &str| pause[member].as_str().unwrap_or("?");
    let pause = (!pause.is_null()).then(|| format!("since {} by {}: {}", text("since"), text("by"), text("reason")));
    let depth = metrics["dead_letter_depth"].as_i64();
    let unknown = || Finding::not_checked("dead-letters", "GET /metrics", "the api could not reach the queue");
    let mut findings = vec![
        paused("GET /metrics", pause),
        overdue,
        depth.map_or_else(unknown, |depth| dead_letters("GET /metrics", depth)),
    ];
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
    let remedy = "find the reason in the log of the sweeper, `could not send events` or `the bus refused events`, then see `Events are not yet published` in docs/operations.md";
    Finding::held("events", "GET /metrics", seconds <= EVENT_SECONDS, what, remedy)
}

/// Checks that processing is not paused. `pause` has the start, the author and the reason of a pause.
pub fn paused(place: &str, pause: Option<String>) -> Finding {
    let is_running = pause.is_none();
    let what = pause.map_or("processing runs".to_owned(), |pause| format!("processing is paused {pause}"));
    Finding::held("pause", place, is_running, what, "once the reason no longer holds, POST /processing/resume")
}

/// Checks how long orders are overdue.
pub fn overdue(place: &str, seconds: f64, grace: f64) -> Finding {
    let what = format!("the most overdue order is overdue by {seconds:.0} s");
    let remedy = "check that the sweeper runs each minute and that the processor's mapping is enabled; for a backlog raise MaximumConcurrency";
    // A sweep runs each minute, and its message takes some time.
    Finding::held("overdue", place, seconds <= grace + 120.0, what, remedy)
}

/// Checks that there are no dead letters.
pub fn dead_letters(place: &str, depth: i64) -> Finding {
    let what = counted(depth.unsigned_abs(), "dead letter", "dead letters");
    let remedy = "see why (`GET /orders?status=failed`), mend the cause, then POST /dead-letters/redrive";
    Finding::held("dead-letters", place, depth == 0, what, remedy)
}
