//! The running stack, as described by the file that `make test` or `make up` writes. `cargo test --workspace` starts servers without a
//! deployment.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_types::SdkConfig;
use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};
use shared::aws::Http;

use crate::{Answer, connect, order_with, servers, until};

/// The addresses and tokens of the running stack.
pub struct Stack {
    variables: HashMap<String, String>,
    /// Created at its first use, because it then loads all certificate authorities of the machine.
    http: OnceLock<reqwest::Client>,
}

/// How long the end of an order may take whose message SQS did not accept in time: the sweeper's grace of three minutes, its interval of
/// one, and two on a busy machine.
const PATIENCE: Duration = Duration::from_mins(6);
/// The file of `make up`.
const UP: &str = "../.local/env";

static VARIABLES: LazyLock<Result<HashMap<String, String>, String>> = LazyLock::new(|| {
    let running = || Path::new(UP).exists().then(|| UP.to_owned());
    let file = std::env::var("STACK_ENV").ok().or_else(running).map_or_else(servers::start, Ok)?;
    let text = std::fs::read_to_string(&file).map_err(|error| format!("no stack is running ({file}: {error})"))?;
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    Ok(pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect())
});

impl Stack {
    /// The running stack. Starts the servers of `cargo test --workspace` if there is none, and panics if they can't be started.
    pub fn running() -> Self {
        let variables = VARIABLES.clone().unwrap_or_else(|problem| panic!("{problem}"));
        Self { variables, http: OnceLock::new() }
    }

    /// The value of this name. Panics if the file does not contain it.
    pub fn get(&self, name: &str) -> &str {
        self.variables.get(name).unwrap_or_else(|| panic!("the stack's file does not contain {name}"))
    }

    /// The URL of the same database through the pooler, if the stack has one.
    pub fn pooled(&self, database_url: &str) -> String {
        let (_, database) = database_url.rsplit_once('/').expect("a URL with a database");
        let pooler = self.variables.get("POOLER_URL");
        pooler.map_or_else(|| database_url.to_owned(), |pooler| format!("{pooler}/{database}"))
    }

    /// The configuration of the stack's AWS clients.
    pub fn aws(&self) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test")))
            .endpoint_url(self.get("AWS_ENDPOINT_URL"))
            .http_client(Http::default())
            .build()
    }

    /// A client of the stack's queues.
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.aws())
    }

    /// A client of the stack's functions.
    pub fn lambda(&self) -> aws_sdk_lambda::Client {
        aws_sdk_lambda::Client::new(&self.aws())
    }

    /// A client of the stack's event buses.
    pub fn events(&self) -> aws_sdk_eventbridge::Client {
        aws_sdk_eventbridge::Client::new(&self.aws())
    }

    /// Calls the API through the gateway, with the token of this name (`TOKEN_ALICE`) or without one.
    pub async fn call(&self, method: Method, path: &str, token: Option<&str>, body: Option<&Value>) -> Answer {
        self.call_bearing(method, path, token.map(|name| self.get(name)), body).await
    }

    /// Calls the API through the gateway, with this bearer token, valid or not, or without one.
    pub async fn call_bearing(&self, method: Method, path: &str, token: Option<&str>, body: Option<&Value>) -> Answer {
        let http = self.http.get_or_init(reqwest::Client::new);
        let mut request = http.request(method, format!("{}{path}", self.get("API_URL")));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        Answer::of(request.send().await.expect("the gateway answers")).await
    }

    /// Creates orders of bob's, this many at once, whose ids are the run and a number. Returns the statuses of the answers.
    pub async fn create_many(&self, run: &str, count: usize, at_once: usize) -> Vec<u16> {
        let orders = stream::iter(0..count).map(|number| async move {
            let order = order_with(&format!("{run}-{number}"), &json!({"user_id": "bob"}));
            self.post_as("TOKEN_BOB", "/orders", &order).await.status
        });
        orders.buffer_unordered(at_once).collect().await
    }

    /// Waits until this many orders of the run are completed, each at its first attempt.
    pub async fn wait_until_completed(&self, run: &str, count: i64) {
        let sql = connect(self.get("DATABASE_URL")).await;
        let completed = "SELECT count(*) FROM order_states
            WHERE order_id LIKE $1 || '-%' AND status = 'completed' AND attempts = 1";
        let completed = async || sql.query_one(completed, &[&run]).await.expect("PostgreSQL answers").get::<_, i64>(0);
        until(&format!("all {count} are completed"), PATIENCE, async || completed().await == count).await;
    }

    /// Sends a GET with the token of this name.
    pub async fn get_as(&self, token: &str, path: &str) -> Answer {
        self.call(Method::GET, path, Some(token), None).await
    }

    /// Posts JSON with the token of this name.
    pub async fn post_as(&self, token: &str, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, Some(token), Some(body)).await
    }
}
