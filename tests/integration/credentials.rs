//! Signing in to the database: with a secret that is rotated while requests run, and with a token of RDS's IAM authentication.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_secretsmanager::Client;
use axum::Router;
use futures_util::future::join_all;
use sandbox::server::{self, Server};
use serde_json::json;
use shared::config::Env;
use shared::db::Store;
use shared::error::Chain;
use tests::{Authority, Log, Stack, TlsPostgres, World, call_in_process, post, store, until};
use tokio::process::Command;
use tokio::time::sleep;
use tracing::Level;

/// A world whose functions sign in with a secret.
pub struct SecretWorld {
    pub world: World,
    secrets: Client,
    arn: String,
    role: String,
}

impl SecretWorld {
    pub async fn new() -> Self {
        Self::on("").await
    }

    /// The same with this event bus, or without one if the name is empty.
    pub async fn on(bus: &str) -> Self {
        let (world, secrets) = (World::with(&[("EVENT_BUS", bus)]).await, Client::new(&Stack::running().aws()));
        let role = world.create_app_role().await;
        // PostgreSQL lets a member of the role terminate its connections.
        world.execute(&format!("ALTER ROLE {role} PASSWORD 'hunter2'; GRANT {role} TO ordermill")).await;
        let secret = secrets.create_secret().name(&role).secret_string(text(&role, "hunter2")).send().await.unwrap();
        Self { world, secrets, arn: secret.arn.unwrap(), role }
    }

    fn env(&self) -> Env {
        self.env_of("function")
    }

    /// The environment of the function of this name.
    pub fn env_of(&self, function: &str) -> Env {
        self.env_by(function, &self.arn)
    }

    /// The environment of `migrate`, which signs in by a secret of the schema's owner.
    pub async fn env_of_owner(&self) -> Env {
        let url: reqwest::Url = self.world.owner_url().parse().unwrap();
        let secret = text(url.username(), url.password().unwrap());
        let created = self.secrets.create_secret().name(format!("{}-owner", self.role)).secret_string(secret).send();
        self.env_by("migrate", &created.await.unwrap().arn.unwrap())
    }

    /// Whether a queue, an event bus or a secret of this ARN is this world's.
    pub fn owns(&self, arn: &str) -> bool {
        let own = self.world.variables().filter(|(name, _)| ["QUEUE_URL", "DLQ_URL", "EVENT_BUS"].contains(name));
        let mut names = own.map(|(_, url)| url.rsplit('/').next().unwrap());
        arn.contains(&self.role) || names.any(|name| !name.is_empty() && arn.ends_with(name))
    }

    fn env_by(&self, function: &str, arn: &str) -> Env {
        let url = format!("postgres://{}", self.world.owner_url().split_once('@').unwrap().1);
        let own = [("AWS_ACCESS_KEY_ID", function), ("DATABASE_URL", &url), ("DATABASE_SECRET_ARN", arn)];
        self.world.variables().chain(own).collect()
    }

    fn store(&self) -> Store {
        store(&self.env())
    }

    async fn change_password(&self, password: &str) {
        self.world.execute(&format!("ALTER ROLE {} PASSWORD '{password}'", self.role)).await;
    }

    /// Adds a pending version of the secret, and returns its id.
    async fn put_pending(&self, password: &str) -> String {
        let call = self.secrets.put_secret_value().secret_id(&self.arn).secret_string(text(&self.role, password));
        call.version_stages("AWSPENDING").send().await.unwrap().version_id.unwrap()
    }

    async fn make_current(&self, version: &str) {
        let current = self.secrets.get_secret_value().secret_id(&self.arn).send().await.unwrap().version_id;
        let label = |stage| self.secrets.update_secret_version_stage().secret_id(&self.arn).version_stage(stage);
        label("AWSCURRENT").move_to_version_id(version).set_remove_from_version_id(current).send().await.unwrap();
        label("AWSPENDING").remove_from_version_id(version).send().await.unwrap();
    }
}

/// The text of a secret as RDS writes it.
fn text(user: &str, password: &str) -> String {
    json!({"engine": "postgres", "host": "elsewhere", "username": user, "password": password}).to_string()
}

/// Requests that run until `stop` is set. Each one has to succeed.
#[derive(Default)]
struct Requests {
    served: AtomicUsize,
    stop: AtomicBool,
}

impl Requests {
    /// Sends the requests of one execution environment, one after the other.
    async fn run(&self, api: Router) {
        while !self.stop.load(Ordering::Relaxed) {
            let body = json!({"user_id": "alice", "item_ids": ["book"], "total_amount": "1.00"});
            call_in_process(&api, Some(("alice", "orders/write")), post("/orders", &body)).await.expect(201);
            self.served.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until this many more have been served.
    async fn serve(&self, more: usize) {
        let enough = self.served.load(Ordering::Relaxed) + more;
        let are_served = async || self.served.load(Ordering::Relaxed) >= enough;
        until("requests are served", Duration::from_secs(30), are_served).await;
    }
}

#[tokio::test]
async fn rotation_under_load_fails_no_request() {
    let secret = SecretWorld::new().await;
    let requests = Requests::default();
    let running = join_all((0..8).map(|_| requests.run(secret.world.api_with_env(&secret.env()))));
    let rotating = async {
        for password in ["second", "third", "fourth"] {
            requests.serve(40).await;
            // The order of a single-user rotation: in between, the database accepts a password that is not current yet.
            let version = secret.put_pending(password).await;
            secret.change_password(password).await;
            secret.world.cut_connections().await;
            requests.serve(40).await;
            secret.make_current(&version).await;
            secret.world.cut_connections().await;
        }
        requests.serve(40).await;
        requests.stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(running, rotating);
    let served = i64::try_from(requests.served.load(Ordering::Relaxed)).unwrap();
    assert_eq!(secret.world.order_count().await, served);
}

#[tokio::test]
async fn secret_is_read_once_and_cached() {
    let secret = SecretWorld::new().await;
    let store = secret.store();
    store.ping().await.unwrap();
    secret.secrets.delete_secret().secret_id(&secret.arn).force_delete_without_recovery(true).send().await.unwrap();
    secret.world.cut_connections().await;
    store.ping().await.unwrap();
    let refused = secret.store().ping().await.unwrap_err();
    assert!(Chain(&refused).to_string().contains("could not read the database's secret"), "{refused:?}");
}

#[tokio::test]
async fn unknown_password_is_reported_and_a_later_version_found() {
    let secret = SecretWorld::new().await;
    let store = secret.store();
    secret.change_password("another").await;
    let refused = Chain(&store.ping().await.unwrap_err()).to_string();
    assert!(refused.contains("password authentication failed"), "{refused}");
    let version = secret.put_pending("another").await;
    secret.make_current(&version).await;
    store.ping().await.unwrap();
}

#[tokio::test]
async fn log_at_trace_contains_no_password() {
    let secret = SecretWorld::new().await;
    let (store, log) = (secret.store(), Log::listen(Level::TRACE));
    store.ping().await.unwrap();
    secret.put_pending("hunter2-new").await;
    secret.change_password("hunter2-new").await;
    secret.world.cut_connections().await;
    store.ping().await.unwrap();
    assert!(log.text().contains("could not log in to the database"));
    assert!(!log.text().contains("hunter2"));
}

#[tokio::test]
async fn answer_about_a_secret_that_cannot_be_read_is_not_shown() {
    let endpoint = Server::answering(|| server::json(200, r#"{"SecretString": "hunter2", "CreatedDate": true}"#));
    let endpoint = endpoint.await.unwrap();
    let variables =
        [("DATABASE_URL", "postgres://127.0.0.1:1/d"), ("DATABASE_TLS", "off"), ("DATABASE_SECRET_ARN", "arn")];
    let aws = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| (name, "any"));
    let env = variables.into_iter().chain(aws).chain([("AWS_ENDPOINT_URL", &*endpoint.url())]).collect();
    let shown = Chain(&store(&env).ping().await.unwrap_err()).to_string();
    assert!(shown.contains("could not read the database's secret") && !shown.contains("hunter2"), "{shown}");
}

/// Prints botocore's tokens for the next 30 seconds, starting with this one, a line each.
const TOKENS: &str = r#"
import datetime, sys
import botocore.auth, botocore.session
session = botocore.session.Session()
session.set_credentials("AKIDEXAMPLE", "secret/key", "session+token=")
client = session.create_client("rds", region_name="eu-central-1")
for second in range(int(sys.argv[2]), int(sys.argv[2]) + 30):
    now = datetime.datetime.fromtimestamp(second, datetime.timezone.utc)
    botocore.auth.get_current_datetime = lambda remove_tzinfo=True: now.replace(tzinfo=None if remove_tzinfo else now.tzinfo)
    token = client.generate_db_auth_token("localhost", int(sys.argv[1]), "signed_in")
    print(token)
"#;

async fn tokens(port: u16, second: u64) -> Vec<String> {
    let mut python = Command::new("../.venv/stack/bin/python");
    let output = python.arg("-c").arg(TOKENS).arg(port.to_string()).arg(second.to_string()).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn sign_in_token_equals_that_of_botocore() {
    let authority = Authority::default();
    let server = TlsPostgres::start(&authority.certify("localhost", 2020..2099)).await;
    server.execute("CREATE ROLE signed_in LOGIN PASSWORD 'none yet'").await;
    server.require_cleartext_password("signed_in").await;
    let url = format!("postgres://signed_in@localhost:{}/ordermill", server.port());
    let env = Env::from_iter([
        ("DATABASE_URL", url.as_str()),
        ("DATABASE_AUTH", "iam"),
        ("DATABASE_CA_FILE", authority.file().to_str().unwrap()),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret/key"),
        ("AWS_SESSION_TOKEN", "session+token="),
    ]);
    let store = store(&env);
    let refused = Chain(&store.ping().await.unwrap_err()).to_string();
    assert!(refused.contains("password authentication failed") && !refused.contains("X-Amz"), "{refused}");

    let start = UNIX_EPOCH.elapsed().unwrap().as_secs();
    for (second, token) in (start..).zip(tokens(server.port(), start).await) {
        let Ok(until) = (UNIX_EPOCH + Duration::from_secs(second)).duration_since(SystemTime::now()) else { continue };
        server.execute(&format!("ALTER ROLE signed_in PASSWORD '{token}'")).await;
        sleep(until).await;
        // On a busy machine the second may already be over. Then the next token has its chance.
        if store.ping().await.is_ok() {
            return;
        }
    }
    panic!("the database accepted no token");
}
