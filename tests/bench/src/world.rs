//! The environment of all measurements: one PostgreSQL for both sides, a queue, and the functions' real binaries.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use sandbox::mapping::{Mapping, Pollers};
use sandbox::postgres::Postgres;
use sandbox::queue::{CallHook, CallRuling, Queues};
use sandbox::runtime::{Function, Pool};
use sandbox::{Result, until};
use tempfile::TempDir;
use tokio::time::Instant;
use tokio_postgres::Client;

use crate::account::{children, cpu_ms, cpu_ms_of, ended_children_cpu_ms};
use crate::options::Options;

/// How long a received message stays invisible, and its most receives.
const VISIBILITY: Duration = Duration::from_secs(90);
const MOST_RECEIVES: u32 = 10;
/// The functions' tables.
pub const TABLES: &str =
    "orders, order_work, order_events, order_outcomes, order_stats, order_durations, order_hours, order_hour_durations";
/// The database of the replaced service and of the other job queues.
const BASELINE: &str = "baseline";
/// The schema of that database.
const BASELINE_SCHEMA: &str = include_str!("../baseline/schema.sql");

/// The parts that run during all measurements.
pub struct World {
    pub options: Options,
    pub postgres: Postgres,
    pub queues: Arc<Queues>,
    pub directory: TempDir,
    distance: Arc<Distance>,
}

/// The round trip to the queue, and how long its callers have waited for it in total, in microseconds.
#[derive(Default)]
struct Distance {
    round_trip: AtomicU64,
    waited: AtomicU64,
}

impl World {
    /// Starts all parts except the functions.
    pub async fn start(options: Options) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("ordermill-bench-").tempdir()?;
        for function in ["api", "processor", "sweeper"] {
            let (bootstrap, copy) = (options.bootstrap(function), directory.path().join(function));
            // The copy protects the run from a build that replaces the binary.
            std::fs::copy(&bootstrap, copy)
                .map_err(|_| format!("{} does not exist: run `make build`", bootstrap.display()))?;
        }
        let postgres = Postgres::start().await?;
        postgres.connect().await?.batch_execute(&format!("CREATE DATABASE {BASELINE}")).await?;
        let distance = Arc::new(Distance::default());
        let queues = Queues::start(VISIBILITY, MOST_RECEIVES, delaying_hook(&distance)).await?;
        let world = Self { options, postgres, queues: Arc::new(queues), directory, distance };
        world.baseline_sql().await?.batch_execute(BASELINE_SCHEMA).await?;
        Ok(world)
    }

    /// Sets the round trip to the queue, which delays each of its callers.
    pub fn set_round_trip(&self, round_trip: Duration) {
        self.distance.round_trip.store(micros(round_trip), Ordering::Relaxed);
    }

    /// How long the queue's callers have waited for its round trips, in total.
    pub fn queue_waited(&self) -> Duration {
        Duration::from_micros(self.distance.waited.load(Ordering::Relaxed))
    }

    pub fn bootstrap(&self, function: &str) -> PathBuf {
        self.directory.path().join(function)
    }

    /// A function with its required variables and with `more`, which win.
    pub fn function(&self, name: &str, more: &[(&str, &str)]) -> Function {
        let required = [
            ("STAGE", "dev".to_owned()),
            // As the functions' own role, with its settings.
            ("DATABASE_URL", self.postgres.app_url(&[self.postgres.address()])),
            ("DATABASE_TLS", "off".to_owned()),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
            // As in the template.
            ("SSL_CERT_FILE", "/dev/null".to_owned()),
            ("CANCEL_WINDOW_SECONDS", "0".to_owned()),
            ("PROCESSING_DELAY_SECONDS", "0".to_owned()),
        ];
        let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let variables = required.into_iter().chain(self.queues.variables()).chain(more);
        Function::new(name, self.bootstrap(name), variables, Duration::from_mins(1))
    }

    /// Starts this many environments of a function.
    pub async fn pool(&self, function: Function, environments: usize) -> Result<Arc<Pool>> {
        let pool = Arc::new(Pool::new(function, environments));
        pool.warm(environments).await?;
        Ok(pool)
    }

    /// Starts to deliver messages to a processor, ten at a time.
    pub fn process(&self, pool: Arc<Pool>, concurrency: usize) -> Pollers {
        Mapping::new(Arc::clone(&self.queues), pool).start(concurrency)
    }

    pub fn database_url(&self) -> String {
        self.postgres.url(self.postgres.address())
    }

    pub fn baseline_url(&self) -> String {
        self.postgres.url_of(BASELINE)
    }

    pub async fn sql(&self) -> Result<Client> {
        self.postgres.connect().await
    }

    pub async fn baseline_sql(&self) -> Result<Client> {
        self.postgres.client(BASELINE).await
    }

    /// Deletes all orders of both sides and all messages, and runs a checkpoint.
    pub async fn clear(&self) -> Result<()> {
        self.baseline_sql().await?.batch_execute("TRUNCATE orders").await?;
        let sql = self.sql().await?;
        sql.batch_execute(&format!("TRUNCATE {TABLES}")).await?;
        sql.batch_execute("CHECKPOINT").await?;
        drop(self.queues.steal(usize::MAX));
        Ok(())
    }

    /// The CPU time of the database server's current backends, in milliseconds.
    pub fn database_cpu_ms(&self) -> f64 {
        self.postgres.process_id().map(|server| cpu_ms_of(&children(server))).unwrap_or_default()
    }

    /// The CPU time of the whole database server, ended backends included, in milliseconds.
    pub fn server_cpu_ms(&self) -> f64 {
        let used = |server| cpu_ms(server) + cpu_ms_of(&children(server)) + ended_children_cpu_ms(server);
        self.postgres.process_id().map(used).unwrap_or_default()
    }

    /// Waits until no function is connected. The server's statistics then include the work of all connections.
    pub async fn wait_until_disconnected(&self, sql: &Client) -> Result<()> {
        let others = "SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
        let gone = async || Ok(sql.query(others, &[]).await?.is_empty());
        until("no function is connected", Duration::from_secs(10), gone).await
    }
}

/// A hook that delays each call of the queue by the round trip.
fn delaying_hook(distance: &Arc<Distance>) -> CallHook {
    let distance = Arc::clone(distance);
    Arc::new(move |_| {
        let distance = Arc::clone(&distance);
        async move {
            let round_trip = distance.round_trip.load(Ordering::Relaxed);
            if round_trip > 0 {
                let begin = Instant::now();
                travel(Duration::from_micros(round_trip)).await;
                distance.waited.fetch_add(micros(begin.elapsed()), Ordering::Relaxed);
            }
            CallRuling::Pass
        }
        .boxed()
    })
}

/// Waits as long as a round trip takes. Tokio's own timer counts whole milliseconds and fires up to two of them late, which
/// would double a round trip of one.
pub async fn travel(time: Duration) {
    let _ = tokio::task::spawn_blocking(move || std::thread::sleep(time)).await; // Sleeping does not fail.
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
