//! The environment of a single test: a fresh database and fresh queues on the stack's servers.

mod database;
mod queues;
mod requests;

use std::sync::Arc;
use std::time::Duration;

use api::Api;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use processor::{Processor, Simulated, Work};
use serde_json::Value;
use shared::config::Env;
use shared::db::claim::Claimed;
use shared::db::finish::Finish;
use shared::db::history::Actor;
use shared::db::{Database, DbConfig, Store};
use shared::deadline::Deadline;
use shared::order::UserId;
use sweeper::{Sweeper, Swept};
use uuid::Uuid;

use crate::{Answer, Stack, call_in_process, invoke};

pub use database::{LOCKED_OUT, connect};
pub use queues::{OutcomeBy, batch, failures, handle};
pub use requests::{get, order, order_with, post, post_empty, with_header};

/// The variable of a function that reaches no server of AWS.
pub const NO_AWS: (&str, &str) = ("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
/// The variable of a function that reaches no database.
pub const NO_DATABASE: (&str, &str) = ("DATABASE_URL", "postgres://app@127.0.0.1:1/nowhere");
/// The secret that a merchant's endpoint of a test shares with the processor.
pub const MERCHANT_SECRET: &str = "a-secret-of-the-merchant";
/// The longest time for a statement of a test.
const PATIENCE: Duration = Duration::from_mins(1);
const ALL_SCOPES: &str = "orders/read orders/write orders/admin";

/// A fresh database, fresh queues, and the functions that use them, in this process.
pub struct World {
    variables: Vec<(String, String)>,
    owner_url: String,
    sql: tokio_postgres::Client,
    sqs: aws_sdk_sqs::Client,
    queue_url: String,
    dlq_url: String,
    api: Router,
}

impl World {
    /// A world with all migrations and without a cancel window, so that orders are due at once.
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// The same with these variables, which win. The process's own `DATABASE_PREPARE` is passed on.
    pub async fn with(overrides: &[(&str, &str)]) -> Self {
        let stack = Stack::running();
        let owner_url = database::create(&stack).await;
        Self::on(&stack, owner_url, overrides).await
    }

    /// A world with these pending orders of alice's.
    pub async fn with_orders(order_ids: &[&str]) -> Self {
        let world = Self::new().await;
        for order_id in order_ids {
            world.create(order_id).await;
        }
        world
    }

    /// A world on a copy of the database of this name.
    pub async fn copy_of(database: &str) -> Self {
        let stack = Stack::running();
        let owner_url = database::copy(&stack, database).await;
        Self::on(&stack, owner_url, &[]).await
    }

    /// Creates a database with all migrations and runs this SQL in it. Returns its name, for [`World::copy_of`].
    pub async fn fill_database(sql: &str) -> String {
        database::fill(&Stack::running(), sql).await
    }

    async fn on(stack: &Stack, owner_url: String, overrides: &[(&str, &str)]) -> Self {
        let database_url = stack.pooled(&owner_url);
        let sqs = stack.sqs();
        let id = Uuid::new_v4().simple();
        let queue_url = queues::create(&sqs, format!("test-{id}-orders")).await;
        let dlq_url = queues::create(&sqs, format!("test-{id}-dead-letters")).await;
        let prepare = std::env::var("DATABASE_PREPARE");
        let mut variables = vec![
            ("STAGE", "dev"),
            ("DATABASE_URL", &database_url),
            ("DATABASE_TLS", "off"),
            ("QUEUE_URL", &queue_url),
            ("DLQ_URL", &dlq_url),
            ("CANCEL_WINDOW_SECONDS", "0"),
            ("AWS_ENDPOINT_URL", stack.get("AWS_ENDPOINT_URL")),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "function"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ];
        if let Ok(prepare) = &prepare {
            variables.push(("DATABASE_PREPARE", prepare));
        }
        variables.extend(overrides);
        let variables: Vec<_> = variables.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let key = ("AWS_ACCESS_KEY_ID".to_owned(), "api".to_owned());
        let api = build_api(&variables.iter().cloned().chain([key]).collect());
        let sql = database::connect(&owner_url).await;
        Self { variables, owner_url, sql, sqs, queue_url, dlq_url, api }
    }

    /// The variables of this world's functions.
    pub fn env(&self) -> Env {
        self.variables.iter().cloned().collect()
    }

    /// The same with one changed variable.
    pub fn env_with(&self, (name, value): (&str, &str)) -> Env {
        self.variables.iter().cloned().chain([(name.to_owned(), value.to_owned())]).collect()
    }

    /// The same for the function of this name, so that its calls to AWS are noted as that one's.
    pub fn env_of(&self, function: &str) -> Env {
        self.env_with(("AWS_ACCESS_KEY_ID", function))
    }

    /// The variables for migrations, which connect past the pooler because they hold a lock for a session.
    pub fn owner_env(&self) -> Env {
        self.env_with(("DATABASE_URL", &self.owner_url))
    }

    /// The owner's URL of the database, past the pooler.
    pub fn owner_url(&self) -> &str {
        &self.owner_url
    }

    /// The variables as pairs, for a process.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The database, connected to like the functions do.
    pub fn store(&self) -> Store {
        store(&self.env())
    }

    /// A sweeper of this world.
    pub fn sweeper(&self) -> Sweeper {
        Sweeper::from_env(&self.env_of("sweeper")).expect("a configuration")
    }

    /// Runs a sweeper once.
    pub async fn sweep(&self) -> Swept {
        self.sweeper().sweep().await.expect("the sweep succeeds")
    }

    /// A processor whose simulated work takes this long.
    pub fn processor(&self, delay: Duration) -> Processor<Simulated> {
        self.processor_with(Simulated { delay })
    }

    /// A processor with this work.
    pub fn processor_with<W: Work>(&self, work: W) -> Processor<W> {
        processor(&self.env_of("processor"), work)
    }

    /// Another api of this world, with its own connection.
    pub fn another_api(&self) -> Router {
        build_api(&self.env_of("api"))
    }

    /// An api with these variables.
    pub fn api_with_env(&self, env: &Env) -> Router {
        build_api(env)
    }

    /// Another api of this world, with one changed variable.
    pub fn api_with(&self, name: &str, value: &str) -> Router {
        build_api(&self.env_with((name, value)))
    }

    /// Calls the api as an administrator.
    pub async fn call(&self, request: Request<Body>) -> Answer {
        self.call_as("admin", ALL_SCOPES, request).await
    }

    /// Calls the api with these claims.
    pub async fn call_as(&self, sub: &str, scope: &str, request: Request<Body>) -> Answer {
        call_in_process(&self.api, Some((sub, scope)), request).await
    }

    /// Invokes the api with any event. Fails if the event is not a gateway's.
    pub async fn invoke(&self, event: &Value) -> Result<Answer, serde_json::Error> {
        invoke(&self.api, event).await
    }

    /// Calls the api without claims.
    pub async fn call_unknown(&self, request: Request<Body>) -> Answer {
        call_in_process(&self.api, None, request).await
    }

    /// Sends a GET as an administrator.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(get(path)).await
    }

    /// Posts JSON as an administrator.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(post(path, body)).await
    }

    /// Creates an order of alice's with this id.
    pub async fn create(&self, order_id: &str) -> Value {
        self.post("/orders", &order(order_id)).await.expect(201)
    }

    /// Creates the orders `o-0`, `o-1` and so on, and returns their ids.
    pub async fn create_many(&self, count: usize) -> Vec<String> {
        let ids: Vec<_> = (0..count).map(|index| format!("o-{index}")).collect();
        for id in &ids {
            self.create(id).await;
        }
        ids
    }
}

/// The variables of a processor that calls this endpoint of a merchant.
pub fn webhook(url: &str) -> [(&str, &str); 3] {
    [("WORK", "webhook"), ("WEBHOOK_URL", url), ("WEBHOOK_SECRET", MERCHANT_SECRET)]
}

/// The database of these variables, connected to like the functions do.
pub fn store(env: &Env) -> Store {
    Database::new(DbConfig::from_env(env).expect("a database")).until(Deadline::after(PATIENCE))
}

/// The end of this order: its next attempt failed for this reason, or completed it.
#[must_use]
pub fn end(order: &Claimed, failure: Option<&str>) -> Finish {
    Finish { order: order.clone(), attempts: order.attempts + 1, failure: failure.map(str::to_owned) }
}

/// A processor with these variables and this work.
pub fn processor<W: Work>(env: &Env, work: W) -> Processor<W> {
    let config = processor::ProcessorConfig::from_env(env).expect("a configuration");
    Processor::new(config, work, env).expect("clients")
}

/// The caller that changes an order.
pub const fn actor(subject: &UserId) -> Actor<'_> {
    Actor { subject, client: None }
}

fn build_api(env: &Env) -> Router {
    let config = api::ApiConfig::from_env(env).expect("a configuration");
    api::router(Arc::new(Api::new(config, env).expect("clients")))
}
