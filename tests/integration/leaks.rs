//! No secret leaks: the real functions run all their work and all their failures with logs at TRACE, and neither their logs
//! nor their answers contain a secret.

mod calls;
mod planted;

use sandbox::merchant::{Merchant, Reply};
use sandbox::runtime::{Environment, InvokeError};
use serde_json::{Value, json};
use tests::World;

use crate::environments::start_logged;
use crate::slow::messages;

use calls::{call_all, request};
use planted::*;

/// Invokes a function with an event. Returns its answer, or its reported error, which a caller may receive too.
async fn invoke(function: &Environment, event: &Value) -> String {
    match function.invoke(event.to_string().into()).await {
        Ok(answer) => String::from_utf8(answer.to_vec()).unwrap(),
        Err(InvokeError::Function(error)) => error,
        Err(other) => panic!("{other:?}: {event}"),
    }
}

/// A merchant who refuses one order, fails for a second, does not answer for a third and accepts all others.
async fn merchant() -> Merchant {
    let decide = async |order_id: String| {
        let status = match order_id.as_str() {
            "o-2" => 400,
            "o-3" => 503,
            "o-4" => std::future::pending().await,
            _ => 200,
        };
        Some(Reply { body: ENDPOINT_ANSWER.into(), ..Reply::of(status) })
    };
    Merchant::start(decide).await.unwrap()
}

/// Processes batches with orders that are completed, refused and retried, and with a malformed message.
async fn process_all(processor: &Environment, answers: &mut String) {
    let order_ids = ["o-1", "o-2", "o-3", "o-4", "o-5", &format!("{ITEM}!")];
    for _ in 0..3 {
        let event = serde_json::from_slice(&messages(&order_ids)).unwrap();
        answers.push_str(&invoke(processor, &event).await);
    }
}

fn migration(url: &str) -> Value {
    let mut event: Value = serde_json::from_str(include_str!("../events/migrate.json")).unwrap();
    event["ResponseURL"] = format!("{url}/answer?X-Amz-Signature={RESPONSE_SIGNATURE}").into();
    event
}

/// A world with planted secrets, and the log of its functions.
struct Run {
    world: World,
    log: tempfile::NamedTempFile,
}

impl Run {
    async fn new(endpoint: &str) -> Self {
        let url = &format!("{endpoint}?key={URL_KEY}");
        let mut variables = vec![("WORK", "webhook"), ("WEBHOOK_URL", url), ("WEBHOOK_SECRET", WEBHOOK_SECRET)];
        variables.extend([("WEBHOOK_TIMEOUT_SECONDS", "1"), ("MAX_ATTEMPTS", "2"), ("RETRY_BASE_SECONDS", "1")]);
        variables.extend([("AWS_SECRET_ACCESS_KEY", AWS_SECRET_KEY), ("AWS_SESSION_TOKEN", AWS_SESSION_TOKEN)]);
        variables.extend([("AWS_LAMBDA_LOG_LEVEL", "TRACE"), ("RUST_BACKTRACE", "full")]);
        let world = World::with(&variables).await;
        Self { world, log: tempfile::NamedTempFile::new().unwrap() }
    }

    /// Starts a function of this world with these variables, which win.
    async fn start(&self, name: &str, overrides: &[(&str, &str)]) -> Environment {
        let function = start_logged(&self.world, name, overrides, self.log.path()).await;
        function.unwrap_or_else(|error| panic!("{error}: {}", self.logged()))
    }

    fn logged(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log.path()).unwrap()).into_owned()
    }

    fn database_url(&self) -> reqwest::Url {
        self.world.variables().find(|(name, _)| *name == "DATABASE_URL").unwrap().1.parse().unwrap()
    }

    /// The URL of the database with a wrong password, and with a closed port.
    fn unreachable(&self) -> [String; 2] {
        let mut other = self.database_url();
        other.set_password(Some(DATABASE_PASSWORD)).unwrap();
        let refused = other.to_string();
        other.set_port(Some(1)).unwrap();
        [refused, other.to_string()]
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn logs_at_trace_and_answers_contain_no_secret() {
    let merchant = merchant().await;
    let endpoint = merchant.url();
    let run = Run::new(&endpoint).await;
    let mut answers = String::new();
    call_all(&run.start("ApiFunction", &[]).await, &mut answers).await;
    for order_id in ["o-2", "o-3", "o-4", "o-5"] {
        let order = json!({"order_id": order_id, "user_id": USER, "item_ids": [ITEM], "total_amount": AMOUNT});
        run.world.post("/orders", &order).await.expect(201);
    }
    process_all(&run.start("ProcessorFunction", &[]).await, &mut answers).await;
    let sweeper = run.start("SweeperFunction", &[]).await;
    answers.push_str(&invoke(&sweeper, &json!({})).await);
    let migrate = run.start("MigrateFunction", &[]).await;
    for url in [endpoint.as_str(), "http://127.0.0.1:1", "not a URL"] {
        answers.push_str(&invoke(&migrate, &migration(url)).await);
    }
    lose_the_database(&run, &endpoint, &mut answers).await;
    break_events(&run, &mut answers).await;
    misconfigure(&run).await;
    let calls = merchant.calls();
    let signatures = calls.iter().filter_map(|call| call.header("webhook-signature").split_once("v1,"));
    check(&run, &answers, &signatures.map(|(_, signature)| signature).collect::<Vec<_>>());
}

/// Runs the functions without their database: it refuses their password, or its port is closed.
async fn lose_the_database(run: &Run, endpoint: &str, answers: &mut String) {
    for url in run.unreachable() {
        let url = [("DATABASE_URL", url.as_str())];
        let api = run.start("ApiFunction", &url).await;
        for path in ["/healthz", "/orders/o-1", "/metrics"] {
            let event = tests::event(Some(("operator", "orders/admin")), request("GET", path, "")).await;
            answers.push_str(&invoke(&api, &event).await);
        }
        process_all(&run.start("ProcessorFunction", &url).await, answers).await;
        answers.push_str(&invoke(&run.start("SweeperFunction", &url).await, &json!({})).await);
        // It tries again until it has to answer, 15 s before its time-out.
        let migrate = run.start("MigrateFunction", &[url[0], ("FUNCTION_TIMEOUT_SECONDS", "18")]).await;
        answers.push_str(&invoke(&migrate, &migration(endpoint)).await);
    }
}

/// Invokes the api with events that are not the gateway's. (The processor is left out: only a caller who may invoke it can send
/// it something else than a batch, and the runtime quotes that input in its error.)
async fn break_events(run: &Run, answers: &mut String) {
    let api = run.start("ApiFunction", &[]).await;
    let no_event = json!({"headers": {"authorization": TOKEN}});
    for event in [json!(TOKEN), no_event, json!([ITEM, {"body": USER}]), json!({"body": 1, "x": TOKEN})] {
        answers.push_str(&invoke(&api, &event).await);
    }
}

/// Starts the functions with malformed variables that contain a secret.
async fn misconfigure(run: &Run) {
    let url = format!("postgres://u:{DATABASE_PASSWORD}@h:port/d");
    for (function, name, value) in [
        ("ApiFunction", "DATABASE_URL", url.as_str()),
        ("ApiFunction", "DATABASE_TLS", DATABASE_PASSWORD),
        ("ApiFunction", "AUTH", DATABASE_PASSWORD),
        ("ProcessorFunction", "WEBHOOK_URL", &format!("ftp://h/?key={URL_KEY}")),
        ("ProcessorFunction", "WEBHOOK_URL", URL_KEY),
        ("ProcessorFunction", "WEBHOOK_SECRET", &WEBHOOK_SECRET[..15]),
        ("SweeperFunction", "DATABASE_URL", DATABASE_PASSWORD),
    ] {
        let started = start_logged(&run.world, function, &[(name, value)], run.log.path()).await;
        assert!(started.is_err(), "{function} has started with {name}={value}");
    }
}

/// Asserts that no planted secret is in the log or an answer, and that the run covered all it should.
fn check(run: &Run, answers: &str, signatures: &[&str]) {
    let (log, url) = (run.logged(), run.database_url());
    for said in [
        "answered a call",
        "attempted an order",
        "could not answer the call",
        "swept",
        "could not start",
        "answered CloudFormation",
    ] {
        assert!(log.contains(said), "nothing was logged of {said}");
    }
    for status in ["200", "201", "400", "401", "403", "404", "405", "409", "413", "422", "503"] {
        assert!(answers.contains(&format!("\"statusCode\":{status}")), "no answer was {status}");
    }
    assert!(signatures.len() >= 4, "the endpoint received fewer than four calls");
    let secrets = SECRETS.iter().copied().chain([url.password().unwrap()]).chain(signatures.iter().copied());
    for secret in secrets {
        assert_absent(secret, "the log", &log);
        assert_absent(secret, "an answer", answers);
    }
    for private in PRIVATE {
        assert_absent(private, "the log", &log);
    }
}

fn assert_absent(secret: &str, source: &str, text: &str) {
    let line = text.lines().find(|line| line.contains(secret));
    let line: String = line.unwrap_or_default().chars().take(2000).collect();
    assert!(line.is_empty(), "{source} contains {secret}: {line}");
}
