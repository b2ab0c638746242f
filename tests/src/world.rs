//! The environment of a single test: a fresh database and fresh queues on the stack's servers.

use std::sync::Arc;
use std::time::Duration;

use api::Api;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, SendMessageBatchRequestEntry};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use processor::{Processor, Simulated, Work};
use serde_json::{Value, json};
use shared::config::Env;
use shared::db::history::Actor;
use shared::db::role::grant;
use shared::db::{Database, Db, DbConfig, schema};
use shared::deadline::Deadline;
use shared::order::UserId;
use sweeper::Sweeper;
use tokio_postgres::types::ToSql;
use tokio_postgres::{NoTls, Row};
use uuid::Uuid;

use crate::{Answer, Stack, call_in_process, eventually};

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
        let owner_url = create_database(&stack).await;
        let database_url = stack.pooled(&owner_url);
        let sqs = stack.sqs();
        let id = Uuid::new_v4().simple();
        let queue_url = create_queue(&sqs, format!("test-{id}-orders")).await;
        let dlq_url = create_queue(&sqs, format!("test-{id}-dead-letters")).await;
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
        let api = build_api(&variables.iter().cloned().chain([key_of("api")]).collect());
        let sql = connect(&owner_url).await;
        let world = Self { variables, owner_url, sql, sqs, queue_url, dlq_url, api };
        let owner = DbConfig::from_env(&world.owner_env()).expect("a database");
        schema::migrate(&owner, Deadline::after(PATIENCE)).await.expect("the schema can be applied");
        world
    }

    /// The variables of this world's functions.
    #[must_use]
    pub fn env(&self) -> Env {
        self.variables.iter().cloned().collect()
    }

    /// The same with one changed variable.
    #[must_use]
    pub fn env_with(&self, (name, value): (&str, &str)) -> Env {
        self.variables.iter().cloned().chain([(name.to_owned(), value.to_owned())]).collect()
    }

    /// The same for the function of this name, so that its calls to AWS are noted as that one's.
    #[must_use]
    pub fn env_of(&self, function: &str) -> Env {
        self.variables.iter().cloned().chain([key_of(function)]).collect()
    }

    /// The variables for migrations, which connect past the pooler because they hold a lock for a session.
    #[must_use]
    pub fn owner_env(&self) -> Env {
        self.env_with(("DATABASE_URL", &self.owner_url))
    }

    /// The owner's URL of the database, past the pooler.
    #[must_use]
    pub fn owner_url(&self) -> &str {
        &self.owner_url
    }

    /// The variables as pairs, for a process.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The database, connected to like the functions do.
    #[must_use]
    pub fn db(&self) -> Db {
        Database::new(DbConfig::from_env(&self.env()).expect("a database")).until(Deadline::after(PATIENCE))
    }

    /// A sweeper of this world.
    #[must_use]
    pub fn sweeper(&self) -> Sweeper {
        Sweeper::from_env(&self.env_of("sweeper")).expect("a configuration")
    }

    /// A processor whose simulated work takes this long.
    #[must_use]
    pub fn processor(&self, delay: Duration) -> Processor<Simulated> {
        self.processor_with(Simulated { delay })
    }

    /// A processor with this work.
    pub fn processor_with<W: Work>(&self, work: W) -> Processor<W> {
        let env = self.env_of("processor");
        let config = processor::Config::from_env(&env).expect("a configuration");
        Processor::new(config, work, &env).expect("clients")
    }

    /// Another api of this world, with its own connection.
    pub fn api_of(&self) -> Router {
        build_api(&self.env_of("api"))
    }

    /// An api with these variables.
    pub fn api_of_env(&self, env: &Env) -> Router {
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

    /// Calls the api without claims.
    pub async fn call_unknown(&self, request: Request<Body>) -> Answer {
        call_in_process(&self.api, None, request).await
    }

    /// Sends a GET as an administrator.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Request::get(path).body(Body::empty()).expect("a request")).await
    }

    /// Posts JSON as an administrator.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(post(path, body)).await
    }

    /// Creates an order of alice's with this id.
    pub async fn create(&self, order_id: &str) -> Value {
        self.post("/orders", &order(order_id)).await.expect(201)
    }

    /// Has an active order fail, which the simulated work never does, and counts it.
    pub async fn fail(&self, order_id: &str) {
        self.execute(&format!(
            "DELETE FROM order_work WHERE order_id = '{order_id}';
            UPDATE orders SET started_at = now(), finished_at = now(), attempts = 1, failure = 'a test failed it'
            WHERE order_id = '{order_id}';
            INSERT INTO order_outcomes (minute, failed) VALUES (date_trunc('minute', now()), 1)"
        ))
        .await;
    }

    /// Creates the orders `o-0`, `o-1` and so on, and returns their ids.
    pub async fn create_many(&self, count: usize) -> Vec<String> {
        let ids: Vec<_> = (0..count).map(|index| format!("o-{index}")).collect();
        for id in &ids {
            self.create(id).await;
        }
        ids
    }

    /// Creates a database role with the rights of the functions, and returns its name.
    pub async fn create_app_role(&self) -> String {
        let role = format!("app_{}", Uuid::new_v4().simple());
        let config = DbConfig::from_env(&self.owner_env()).expect("a database");
        let name = role.parse().expect("the name of a role");
        grant(&config, &name, Deadline::after(PATIENCE)).await.expect("the rights can be granted");
        role
    }

    /// Runs a query and returns its rows.
    pub async fn rows(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Vec<Row> {
        self.sql.query(sql, params).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    /// Runs a query and returns its only value.
    pub async fn value<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, sql: &str) -> T {
        self.sql.query_one(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
    }

    /// Runs a query and returns its only value as PostgreSQL's text.
    pub async fn text(&self, sql: &str) -> String {
        let messages = self.sql.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let row = messages.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        row.unwrap_or_else(|| panic!("{sql}: no value")).to_owned()
    }

    /// Runs one or more statements.
    pub async fn execute(&self, sql: &str) {
        self.sql.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Runs one or more statements that may fail.
    pub async fn try_execute(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        self.sql.batch_execute(sql).await
    }

    /// Waits until PostgreSQL, which counts with a delay, has counted `expected` updates of a table. Returns the number of
    /// updates and how many of them were HOT.
    pub async fn update_counts(&self, table: &str, expected: i64) -> (i64, i64) {
        let sql = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = $1";
        eventually(&format!("{expected} updates of {table}"), Duration::from_secs(20), async || {
            let rows = self.rows(sql, &[&table]).await;
            let (updates, hot): (i64, i64) = (rows[0].get(0), rows[0].get(1));
            (updates >= expected).then_some((updates, hot))
        })
        .await
    }

    /// The number of orders in the database.
    pub async fn order_count(&self) -> i64 {
        self.value("SELECT count(*) FROM orders").await
    }

    /// The status of an order in the database.
    pub async fn status(&self, order_id: &str) -> String {
        let rows = self.rows("SELECT status FROM order_states WHERE order_id = $1", &[&order_id]).await;
        rows.first().expect("the order exists").get(0)
    }

    /// The count of `completed`, `failed`, `cancelled` or `requeued` orders in the statistics.
    pub async fn counted(&self, outcome: &str) -> i64 {
        let sql = format!(
            "SELECT coalesce(sum({outcome}), 0)::bigint
            FROM (SELECT {outcome} FROM order_stats UNION ALL SELECT {outcome} FROM order_outcomes) AS every"
        );
        self.value(&sql).await
    }

    /// The number of messages in the orders' queue: visible, delayed and in flight.
    pub async fn queue_depth(&self) -> i64 {
        self.depth(&self.queue_url).await
    }

    /// The number of messages in the dead-letter queue.
    pub async fn dead_letters(&self) -> i64 {
        self.depth(&self.dlq_url).await
    }

    async fn depth(&self, url: &str) -> i64 {
        let all = aws_sdk_sqs::types::QueueAttributeName::All;
        let asked = self.sqs.get_queue_attributes().queue_url(url).attribute_names(all).send();
        let attributes = asked.await.expect("the queue answers").attributes.unwrap_or_default();
        let counts = attributes.iter().filter(|(name, _)| name.as_str().starts_with("ApproximateNumberOfMessages"));
        counts.map(|(_, count)| count.parse::<i64>().expect("a count")).sum()
    }

    /// Receives the next message from the orders' queue as an event for the processor, and leaves it in flight.
    pub async fn deliver(&self) -> SqsEvent {
        let asked = self.sqs.receive_message().queue_url(&self.queue_url).wait_time_seconds(10).send();
        let message = asked.await.expect("the queue answers").messages.unwrap_or_default().pop().expect("a message");
        let mut event = batch(&[message.body.as_deref().expect("a body")]);
        event.records[0].receipt_handle = message.receipt_handle;
        event
    }

    /// Receives and deletes the next message of the orders' queue. Waits up to ten seconds, and returns its body.
    pub async fn receive(&self) -> Option<String> {
        self.receive_from(&self.queue_url).await?.body
    }

    /// Receives and deletes the next message of the dead-letter queue.
    pub async fn receive_dead_letter(&self) -> Option<String> {
        self.receive_from(&self.dlq_url).await?.body
    }

    /// Takes the next message from the orders' queue; gives the group that it was sent with.
    pub async fn receive_group(&self) -> Option<String> {
        group(self.receive_from(&self.queue_url).await.expect("a message"))
    }

    /// The same from the dead-letter queue.
    pub async fn receive_dead_letters_group(&self) -> Option<String> {
        group(self.receive_from(&self.dlq_url).await.expect("a message"))
    }

    async fn receive_from(&self, url: &str) -> Option<Message> {
        let call = self.sqs.receive_message().queue_url(url).wait_time_seconds(10);
        let asked = call.message_system_attribute_names(MessageSystemAttributeName::MessageGroupId).send();
        let message = asked.await.expect("the queue answers").messages.unwrap_or_default().pop()?;
        let done = self.sqs.delete_message().queue_url(url).set_receipt_handle(message.receipt_handle.clone());
        done.send().await.expect("the queue answers");
        Some(message)
    }

    /// Sends a message to the dead-letter queue.
    pub async fn send_dead_letter(&self, body: &str) {
        self.send_dead_letter_of(body, None).await;
    }

    /// The same, with this group.
    pub async fn send_dead_letter_of(&self, body: &str, group: Option<&str>) {
        let call = self.sqs.send_message().queue_url(&self.dlq_url).message_body(body);
        call.set_message_group_id(group.map(str::to_owned)).send().await.expect("the queue answers");
    }

    /// Sends messages for these orders to the orders' queue, ten in a call.
    pub async fn send_many(&self, order_ids: &[String]) {
        for ten in order_ids.chunks(10) {
            let entries = ten.iter().enumerate().map(|(index, order_id)| {
                let entry = SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(order_id);
                entry.build().expect("an entry")
            });
            let call = self.sqs.send_message_batch().queue_url(&self.queue_url).set_entries(Some(entries.collect()));
            call.send().await.expect("the queue answers");
        }
    }

    /// Simulates that time passes: moves all times of the orders and their work into the past.
    pub async fn let_pass(&self, seconds: f64) {
        self.execute(&format!(
            "UPDATE order_work SET created_at = created_at - make_interval(secs => {seconds}),
                started_at = started_at - make_interval(secs => {seconds}),
                requeued_at = requeued_at - make_interval(secs => {seconds}),
                process_after = process_after - make_interval(secs => {seconds}),
                due_at = due_at - make_interval(secs => {seconds});
            UPDATE order_events SET at = at - make_interval(secs => {seconds}),
                started_at = started_at - make_interval(secs => {seconds}),
                finished_at = finished_at - make_interval(secs => {seconds});
            UPDATE orders SET created_at = created_at - make_interval(secs => {seconds}),
                started_at = started_at - make_interval(secs => {seconds}),
                process_after = process_after - make_interval(secs => {seconds});
            UPDATE order_ends SET ended_at = ended_at - make_interval(secs => {seconds});
            UPDATE processing_pause SET paused_at = paused_at - make_interval(secs => {seconds}),
                resumed_at = resumed_at - make_interval(secs => {seconds})"
        ))
        .await;
    }
}

/// The caller that changes an order.
#[must_use]
pub const fn actor(subject: &UserId) -> Actor<'_> {
    Actor { subject, client: None }
}

/// A post of JSON.
fn group(message: Message) -> Option<String> {
    message.attributes?.remove(&MessageSystemAttributeName::MessageGroupId)
}

/// A POST of JSON.
#[must_use]
pub fn post(path: &str, body: &Value) -> Request<Body> {
    Request::builder()
        .method(Method::POST)
        .uri(path)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .expect("a request")
}

/// The body of an order of alice's.
#[must_use]
pub fn order(order_id: &str) -> Value {
    json!({"order_id": order_id, "user_id": "alice", "item_ids": ["book-1", "pen-7"], "total_amount": "59.98"})
}

/// A batch of messages with these bodies. Their ids are `m0`, `m1`, …
#[must_use]
pub fn batch(bodies: &[&str]) -> SqsEvent {
    let event: SqsEvent = serde_json::from_str(include_str!("../events/orders_batch.json")).expect("an event");
    let message = |(index, body): (usize, &&str)| {
        let mut message = event.records[0].clone();
        message.message_id = Some(format!("m{index}"));
        message.body = Some((*body).to_owned());
        message
    };
    let mut batch = event.clone();
    batch.records = bodies.iter().enumerate().map(message).collect();
    batch
}

/// Invokes the processor with a batch of these messages, without a time limit.
pub async fn handle<W: Work>(processor: &Processor<W>, bodies: &[&str]) -> SqsBatchResponse {
    processor.handle(batch(bodies)).await
}

/// The ids of the messages that failed and have to be delivered again.
#[must_use]
pub fn failures(response: &SqsBatchResponse) -> Vec<&str> {
    response.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect()
}

/// The access key that tells the emulated AWS which function calls.
fn key_of(function: &str) -> (String, String) {
    ("AWS_ACCESS_KEY_ID".to_owned(), function.to_owned())
}

fn build_api(env: &Env) -> Router {
    let config = api::Config::from_env(env).expect("a configuration");
    api::router(Arc::new(Api::new(config, env).expect("clients")))
}

async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("PostgreSQL answers");
    tokio::spawn(connection);
    client
}

/// Creates a new database on the stack's server, and returns its URL.
async fn create_database(stack: &Stack) -> String {
    let (server, _) = stack.get("DATABASE_URL").rsplit_once('/').expect("a URL with a database");
    let name = format!("test_{}", Uuid::new_v4().simple());
    let admin = connect(stack.get("DATABASE_URL")).await;
    admin.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a database can be created");
    format!("{server}/{name}")
}

async fn create_queue(sqs: &aws_sdk_sqs::Client, name: String) -> String {
    sqs.create_queue().queue_name(name).send().await.expect("a queue can be created").queue_url.expect("a URL")
}
