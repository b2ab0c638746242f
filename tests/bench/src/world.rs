//! What everything is measured in: one PostgreSQL for both sides, a queue, and the functions' real binaries.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use sandbox::Result;
use sandbox::mapping::{Mapping, Pollers, reliable};
use sandbox::postgres::Postgres;
use sandbox::queue::{Attributes, Hook, Queues, Ruling};
use sandbox::runtime::{Function, Pool};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use crate::account::{children, cpu_ms, cpu_ms_of, ended_children_cpu_ms};
use crate::options::Options;

/// The orders' queue.
pub const QUEUE: &str = "orders";
/// Its dead-letter queue.
const DEAD_LETTERS: &str = "dead-letters";
/// The functions' tables.
pub const TABLES: &str = "orders, order_work, order_events, order_outcomes, order_stats, order_durations";
/// The database of what is compared with.
const BASELINE: &str = "baseline";
/// Its tables.
const BASELINE_SCHEMA: &str = include_str!("../baseline/schema.sql");

/// Everything that runs throughout.
pub struct World {
    /// What is asked for.
    pub options: Options,
    /// The database server.
    pub postgres: Postgres,
    /// The queues.
    pub queues: Arc<Queues>,
    /// Files of this run.
    pub directory: TempDir,
    distance: Arc<Distance>,
}

/// How far away the queue is, and how long its callers have waited for it in all, in microseconds.
#[derive(Default)]
struct Distance {
    round_trip: AtomicU64,
    waited: AtomicU64,
}

impl World {
    /// Starts everything but the functions.
    pub async fn start(options: Options) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("ordermill-bench-").tempdir()?;
        for function in ["api", "processor", "sweeper"] {
            let (bootstrap, copy) = (options.bootstrap(function), directory.path().join(function));
            // A copy, so that a build meanwhile changes nothing.
            std::fs::copy(&bootstrap, copy)
                .map_err(|_| format!("{} does not exist: `make build` makes it", bootstrap.display()))?;
        }
        let postgres = Postgres::start().await?;
        postgres.connect().await?.batch_execute(&format!("CREATE DATABASE {BASELINE}")).await?;
        let distance = Arc::new(Distance::default());
        let queues = Queues::start(&queues(), Some(keeping(&distance))).await?;
        let world = Self { options, postgres, queues: Arc::new(queues), directory, distance };
        world.baseline_sql().await?.batch_execute(BASELINE_SCHEMA).await?;
        Ok(world)
    }

    /// Puts the queue so far away from whoever calls it.
    pub fn set_round_trip(&self, round_trip: Duration) {
        self.distance.round_trip.store(micros(round_trip), Ordering::Relaxed);
    }

    /// How long the queue's callers have waited because it is far away, in all.
    #[must_use]
    pub fn queue_waited(&self) -> Duration {
        Duration::from_micros(self.distance.waited.load(Ordering::Relaxed))
    }

    /// A function's binary.
    #[must_use]
    pub fn bootstrap(&self, function: &str) -> PathBuf {
        self.directory.path().join(function)
    }

    /// A function, with variables besides those that it needs.
    #[must_use]
    pub fn function(&self, name: &str, more: &[(&str, &str)]) -> Function {
        let needed = [
            ("STAGE", "dev".to_owned()),
            ("DATABASE_URL", self.database_url()),
            ("DATABASE_TLS", "off".to_owned()),
            ("AWS_ENDPOINT_URL", self.queues.endpoint()),
            ("QUEUE_URL", self.queues.url(QUEUE)),
            ("DLQ_URL", self.queues.url(DEAD_LETTERS)),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
            // As in the template.
            ("SSL_CERT_FILE", "/dev/null".to_owned()),
            ("CANCEL_WINDOW_SECONDS", "0".to_owned()),
            ("PROCESSING_DELAY_SECONDS", "0".to_owned()),
        ];
        let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
        Function {
            name: name.to_owned(),
            bootstrap: self.bootstrap(name),
            variables: needed.into_iter().chain(more).map(|(name, value)| (name.to_owned(), value)).collect(),
            timeout: Duration::from_mins(1),
            log: None,
        }
    }

    /// So many environments of a function, all of them started.
    pub async fn pool(&self, function: Function, environments: usize) -> Result<Arc<Pool>> {
        let pool = Arc::new(Pool::new(function, environments));
        pool.warm(environments).await?;
        Ok(pool)
    }

    /// Brings messages to a processor, ten at a time.
    #[must_use]
    pub fn process(&self, pool: Arc<Pool>, concurrency: usize) -> Pollers {
        let mapping = Mapping {
            queues: Arc::clone(&self.queues),
            queue: QUEUE.to_owned(),
            pool,
            batch_size: 10,
            window: Duration::ZERO,
            courier: reliable(),
        };
        mapping.start(concurrency)
    }

    /// The functions' database.
    #[must_use]
    pub fn database_url(&self) -> String {
        self.postgres.url(self.postgres.address())
    }

    /// The database of what is compared with.
    #[must_use]
    pub fn baseline_url(&self) -> String {
        let url = self.database_url();
        url.rsplit_once('/').map_or_else(|| url.clone(), |(server, _)| format!("{server}/{BASELINE}"))
    }

    /// A connection to the functions' database.
    pub async fn sql(&self) -> Result<Client> {
        self.postgres.connect().await
    }

    /// A connection to the database of what is compared with.
    pub async fn baseline_sql(&self) -> Result<Client> {
        let (client, connection) = tokio_postgres::connect(&self.baseline_url(), tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Leaves no order, on either side, and nothing for the server to do from before.
    pub async fn clear(&self) -> Result<()> {
        self.baseline_sql().await?.batch_execute("TRUNCATE orders").await?;
        let sql = self.sql().await?;
        sql.batch_execute(&format!("TRUNCATE {TABLES}")).await?;
        sql.batch_execute("CHECKPOINT").await?;
        drop(self.queues.steal(QUEUE, usize::MAX));
        Ok(())
    }

    /// The CPU time that the database server's connections have used, in milliseconds.
    #[must_use]
    pub fn database_cpu_ms(&self) -> f64 {
        self.postgres.process_id().map(|server| cpu_ms_of(&children(server))).unwrap_or_default()
    }

    /// The CPU time that the whole server has used, connections that have ended included, in milliseconds.
    #[must_use]
    pub fn server_cpu_ms(&self) -> f64 {
        let used = |server| cpu_ms(server) + cpu_ms_of(&children(server)) + ended_children_cpu_ms(server);
        self.postgres.process_id().map(used).unwrap_or_default()
    }

    /// Waits until no function is connected: the server's statistics then include the work of all of them.
    pub async fn quiet(&self, sql: &Client) -> Result<()> {
        let others = "SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
        let end = Instant::now() + Duration::from_secs(10);
        while !sql.query(others, &[]).await?.is_empty() {
            if Instant::now() > end {
                return Err("a function stays connected".into());
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

fn queues() -> [(&'static str, Attributes); 2] {
    let attributes = |redrive| Attributes { visibility: Duration::from_secs(90), redrive };
    [(QUEUE, attributes(Some((10, DEAD_LETTERS.to_owned())))), (DEAD_LETTERS, attributes(None))]
}

/// Has everybody who calls the queue wait.
fn keeping(distance: &Arc<Distance>) -> Hook {
    let distance = Arc::clone(distance);
    Arc::new(move |_| {
        let distance = Arc::clone(&distance);
        async move {
            let round_trip = distance.round_trip.load(Ordering::Relaxed);
            if round_trip > 0 {
                let begin = Instant::now();
                sleep(Duration::from_micros(round_trip)).await;
                distance.waited.fetch_add(micros(begin.elapsed()), Ordering::Relaxed);
            }
            Ruling::Pass
        }
        .boxed()
    })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
