//! The world of a run: a database, a queue, an endpoint and the functions' real binaries.

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use sandbox::gateway::{Answer, Claims, Gateway};
use sandbox::mapping::{Courier, Mapping, Pollers};
use sandbox::postgres::{Postgres, Stop};
use sandbox::queue::{Attributes, Queues};
use sandbox::runtime::{Function, InvokeError, Pool};
use sandbox::server::Server;
use sandbox::wire::{self, Wire};
use sandbox::{Error, Result};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{Mutex, OnceCell};
use tokio_postgres::Client;

use crate::clock::faketime;
use crate::faults::Faults;
use crate::hooks::Hooks;
use crate::journal::Journal;
use crate::options::{Options, Times};
use crate::receiver::{Receiver, SECRET};

/// The orders' queue.
pub const QUEUE: &str = "orders";
/// Its dead-letter queue.
pub const DEAD_LETTERS: &str = "dead-letters";
/// How many environments the functions have at most.
const API: usize = 16;
const PROCESSORS: usize = 10;
/// The template's.
const BATCH_SIZE: usize = 10;
const MAX_RECEIVES: u32 = 10;
/// An event of the schedule.
const SWEEP: &str = include_str!("../../events/sweep.json");

/// Everything that runs.
pub struct World {
    /// What happened.
    pub journal: Arc<Journal>,
    /// What is to happen.
    pub faults: Arc<Faults>,
    /// The queues.
    pub queues: Arc<Queues>,
    /// The database's wire.
    pub wire: Wire,
    /// The database.
    pub postgres: Mutex<Postgres>,
    /// How the functions' times are set.
    pub times: Times,
    gateway: Gateway,
    api: Arc<Pool>,
    processor: Arc<Pool>,
    sweeper: Arc<Pool>,
    ahead: Arc<Pool>,
    behind: Arc<Pool>,
    logs: TempDir,
    _endpoint: Server,
}

impl World {
    /// Starts everything.
    pub async fn start(options: &Options) -> Result<Arc<Self>> {
        let (journal, faults, times) = (Arc::new(Journal::new()), Arc::new(Faults::default()), options.times);
        let receiver = Receiver::new(Arc::clone(&journal), Arc::clone(&faults), Duration::from_secs(times.webhook));
        let endpoint = receiver.serve().await?;
        let pools = OnceCell::new();
        let hooks = Arc::new(Hooks { journal: Arc::clone(&journal), faults: Arc::clone(&faults), receiver, pools });
        let postgres = Postgres::start().await?;
        let wire = Wire::start(postgres.address(), hooks.of_wire()).await?;
        let queues = Queues::start(&queues(times), Some(hooks.of_queue())).await?;
        let variables = variables(times, &wire::url(&postgres.url(wire.address())), &queues, &endpoint);
        let logs = tempfile::Builder::new().prefix("ordermill-chaos-").tempdir()?;
        let make = |name: &str| function(options, name, &variables, logs.path());
        let pool = |function, limit| Arc::new(Pool::new(function, limit));
        let (api, processor) = (pool(make("api")?, API), pool(make("processor")?, PROCESSORS));
        let sweeper = pool(make("sweeper")?, 1);
        let ahead = pool(with_clock(make("processor")?, "ahead", "+120s")?, 1);
        let behind = pool(with_clock(make("processor")?, "behind", "-120s")?, 1);
        let all = [&api, &processor, &sweeper, &ahead, &behind].map(Arc::downgrade);
        let _ = hooks.pools.set(all.to_vec()); // It is set once, here.
        for pool in all.iter().filter_map(Weak::upgrade) {
            pool.warm(1).await.map_err(|error| with_logs(error.as_ref(), logs.path()))?;
        }
        Ok(Arc::new(Self {
            gateway: Gateway::new(Arc::clone(&api)),
            queues: Arc::new(queues),
            postgres: Mutex::new(postgres),
            _endpoint: endpoint,
            journal,
            faults,
            wire,
            times,
            api,
            processor,
            sweeper,
            ahead,
            behind,
            logs,
        }))
    }

    /// Calls the api.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        claims: Claims<'_>,
        body: Option<&Value>,
    ) -> std::result::Result<Answer, InvokeError> {
        self.gateway.call(method, path, claims, body).await
    }

    /// Brings messages to the processor.
    pub fn process(&self, courier: Courier) -> Pollers {
        self.mapping(&self.processor, courier).start(PROCESSORS)
    }

    /// Brings messages to a processor whose clock is wrong.
    pub fn process_with_wrong_clock(&self, is_ahead: bool) -> Pollers {
        let pool = if is_ahead { &self.ahead } else { &self.behind };
        self.mapping(pool, sandbox::mapping::reliable()).start(1)
    }

    fn mapping(&self, pool: &Arc<Pool>, courier: Courier) -> Mapping {
        Mapping {
            queues: Arc::clone(&self.queues),
            queue: QUEUE.to_owned(),
            pool: Arc::clone(pool),
            batch_size: BATCH_SIZE,
            window: Duration::from_millis(100),
            courier,
        }
    }

    /// Runs the sweeper once. What it fails with shows in the end, if it goes on failing.
    pub async fn sweep(&self) {
        let _ = self.sweeper.invoke(SWEEP.into()).await;
    }

    /// Restarts PostgreSQL; gives how long it was away.
    pub async fn restart(&self, how: Stop) -> Result<Duration> {
        let begin = tokio::time::Instant::now();
        let mut postgres = self.postgres.lock().await;
        postgres.stop(how).await?;
        postgres.resume().await?;
        Ok(begin.elapsed())
    }

    /// A connection of the harness's own.
    pub async fn sql(&self) -> Result<Client> {
        self.postgres.lock().await.connect().await
    }

    /// The orders that are pending or processing.
    pub async fn active(&self) -> Result<Vec<String>> {
        let rows = self.sql().await?.query("SELECT order_id FROM order_work", &[]).await?;
        Ok(rows.iter().map(|row| row.get("order_id")).collect())
    }

    /// How many environments there were in all.
    pub fn environments(&self) -> usize {
        [&self.api, &self.processor, &self.sweeper, &self.ahead, &self.behind].iter().map(|pool| pool.started()).sum()
    }

    /// Leaves the functions' logs where they are, and tells where.
    pub fn keep_logs(&self) -> String {
        let kept = self.logs.path().with_extension("kept");
        match std::fs::rename(self.logs.path(), &kept) {
            Ok(()) => kept.display().to_string(),
            Err(error) => format!("nowhere ({error})"),
        }
    }
}

fn queues(times: Times) -> [(&'static str, Attributes); 2] {
    let visibility = Duration::from_secs(times.visibility);
    let redrive = Some((MAX_RECEIVES, DEAD_LETTERS.to_owned()));
    [(QUEUE, Attributes { visibility, redrive }), (DEAD_LETTERS, Attributes { visibility, redrive: None })]
}

fn variables(times: Times, database: &str, queues: &Queues, endpoint: &Server) -> Vec<(String, String)> {
    let seconds = |seconds: u64| seconds.to_string();
    [
        ("STAGE", "dev".to_owned()),
        ("DATABASE_URL", database.to_owned()),
        ("DATABASE_TLS", "off".to_owned()),
        ("AWS_ENDPOINT_URL", queues.endpoint()),
        ("QUEUE_URL", queues.url(QUEUE)),
        ("DLQ_URL", queues.url(DEAD_LETTERS)),
        ("AWS_LAMBDA_LOG_LEVEL", "WARN".to_owned()),
        ("CANCEL_WINDOW_SECONDS", seconds(times.cancel_window)),
        ("WORK", "webhook".to_owned()),
        ("WEBHOOK_URL", format!("http://{}/fulfil", endpoint.address())),
        ("WEBHOOK_SECRET", SECRET.to_owned()),
        ("WEBHOOK_TIMEOUT_SECONDS", seconds(times.webhook)),
        ("MAX_ATTEMPTS", "8".to_owned()),
        ("RETRY_BASE_SECONDS", "1".to_owned()),
        ("RETRY_CAP_SECONDS", "4".to_owned()),
        ("FUNCTION_TIMEOUT_SECONDS", seconds(times.function)),
        ("LEASE_SECONDS", seconds(times.lease)),
        ("VISIBILITY_TIMEOUT_SECONDS", seconds(times.visibility)),
        ("SWEEP_GRACE_SECONDS", seconds(times.grace)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

fn function(options: &Options, name: &str, variables: &[(String, String)], logs: &Path) -> Result<Function> {
    let bootstrap = options.bootstrap(name);
    if !bootstrap.exists() {
        return Err(format!("{} does not exist: `make build` makes it", bootstrap.display()).into());
    }
    let at_once = (name == "api" && options.at_once > 1).then(|| options.at_once.to_string());
    let at_once = at_once.map(|calls| ("AWS_LAMBDA_MAX_CONCURRENCY".to_owned(), calls));
    Ok(Function {
        name: name.to_owned(),
        bootstrap,
        variables: variables.iter().cloned().chain(at_once).collect(),
        // The api's of the template; the sweeper may take as long.
        timeout: Duration::from_secs(if name == "processor" { options.times.function } else { 10 }),
        log: Some(logs.join(format!("{name}.log"))),
    })
}

/// The same with a clock that is off by so much; the clock that only goes forward stays right.
fn with_clock(mut function: Function, name: &str, offset: &str) -> Result<Function> {
    let library = faketime()?.display().to_string();
    function.name = format!("{}-{name}", function.name);
    for (name, value) in [("LD_PRELOAD", library.as_str()), ("FAKETIME", offset), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]
    {
        function.variables.push((name.to_owned(), value.to_owned()));
    }
    Ok(function)
}

fn with_logs(error: &dyn std::error::Error, logs: &Path) -> Error {
    let mut text = error.to_string();
    for log in std::fs::read_dir(logs).into_iter().flatten().flatten() {
        text += &std::fs::read_to_string(log.path()).unwrap_or_default();
    }
    text.into()
}
