//! Starts all parts of a run: a database, a queue, an endpoint and the functions' real binaries.

mod functions;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use sandbox::Result;
use sandbox::gateway::Gateway;
use sandbox::mapping::{Courier, Mapping, Pollers};
use sandbox::queue::Queues;
use sandbox::runtime::Pool;
use sandbox::server::Server;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::aged;
use crate::database::Database;
use crate::faults::Faults;
use crate::hooks::Hooks;
use crate::journal::{Journal, Moment};
use crate::options::{Options, Times};
use crate::receiver::Receiver;

use functions::{function, variables, with_clock, with_logs};

/// The most receives of a message, as in the template.
const MOST_RECEIVES: u32 = 10;
/// The most environments of a function.
const API: usize = 16;
const PROCESSORS: usize = 10;
/// The most environments in total, with the sweeper and the two whose clocks are wrong.
pub const ENVIRONMENTS: usize = API + PROCESSORS + 3;
/// The event of the sweeper's schedule.
const SWEEP: &str = include_str!("../../events/sweep.json");

pub struct World {
    /// Records what happened to each order.
    pub journal: Arc<Journal>,
    /// The faults to inject, and what they affected.
    pub faults: Arc<Faults>,
    pub queues: Arc<Queues>,
    pub database: Database,
    /// The functions' time settings.
    pub times: Times,
    pub gateway: Gateway,
    api: Arc<Pool>,
    processor: Arc<Pool>,
    sweeper: Arc<Pool>,
    ahead: Arc<Pool>,
    behind: Arc<Pool>,
    logs: TempDir,
    /// The batches of old orders.
    aged: AtomicUsize,
    _endpoint: Server,
}

impl World {
    pub async fn start(options: &Options) -> Result<Arc<Self>> {
        let (journal, faults, times) = (Arc::new(Journal::new()), Arc::new(Faults::default()), options.times);
        let receiver = Receiver::new(Arc::clone(&journal), Arc::clone(&faults), Duration::from_secs(times.webhook));
        let endpoint = receiver.serve().await?;
        let hooks = Arc::new(Hooks {
            journal: Arc::clone(&journal),
            faults: Arc::clone(&faults),
            receiver,
            freeze: Duration::from_secs(times.stall / 2),
            pools: OnceCell::new(),
        });
        let database = Database::start(hooks.of_wire()).await?;
        aged::insert_young(&database).await?;
        let visibility = Duration::from_secs(times.visibility);
        let queues = Queues::start(visibility, MOST_RECEIVES, hooks.of_queue()).await?;
        let variables = variables(times, &database.url().await, &queues, &endpoint);
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
            database,
            _endpoint: endpoint,
            journal,
            faults,
            times,
            api,
            processor,
            sweeper,
            ahead,
            behind,
            logs,
            aged: AtomicUsize::default(),
        }))
    }

    /// Starts to deliver messages to the processor.
    pub fn process(&self, courier: Courier) -> Pollers {
        self.mapping(&self.processor, courier).start(PROCESSORS)
    }

    /// Starts to deliver messages to a processor whose clock is wrong.
    pub fn process_with_wrong_clock(&self, is_ahead: bool) -> Pollers {
        let pool = if is_ahead { &self.ahead } else { &self.behind };
        self.mapping(pool, sandbox::mapping::reliable()).start(1)
    }

    fn mapping(&self, pool: &Arc<Pool>, courier: Courier) -> Mapping {
        let mapping = Mapping::new(Arc::clone(&self.queues), Arc::clone(pool));
        Mapping { window: Duration::from_millis(100), courier, ..mapping }
    }

    /// Runs the sweeper once. A failure is ignored: a sweeper that keeps failing leaves stuck orders, which the check finds.
    pub async fn sweep(&self) {
        let _ = self.sweeper.invoke(SWEEP.into()).await;
    }

    /// Inserts a batch of old orders, unless the database is away.
    pub async fn age(&self) {
        let batch = self.aged.load(Ordering::Relaxed);
        if aged::insert_old(&self.database, batch).await.is_ok() {
            self.aged.store(batch + 1, Ordering::Relaxed);
        }
    }

    pub fn old_orders(&self) -> usize {
        aged::old_orders(self.aged.load(Ordering::Relaxed))
    }

    /// The ids of the orders that are pending or processing.
    pub async fn active(&self) -> Result<Vec<String>> {
        let rows = self.database.query("SELECT order_id FROM order_work").await?;
        Ok(rows.iter().map(|row| row.get("order_id")).collect())
    }

    /// How many environments were started in total.
    pub fn environments(&self) -> usize {
        self.pools().map(Pool::started).into_iter().sum()
    }

    /// The environments that were killed at their time-out although no fault had paused them, and when.
    pub fn timed_out(&self) -> Vec<(String, Moment)> {
        let killed = self.pools().into_iter().flat_map(Pool::timed_out);
        killed.map(|(environment, at)| (environment, self.journal.moment_of(at))).collect()
    }

    fn pools(&self) -> [&Pool; 5] {
        [&self.api, &self.processor, &self.sweeper, &self.ahead, &self.behind]
    }

    /// Counts the functions' connections to the database. Fails if the database does not answer. The count excludes
    /// connections that the harness keeps open after a worker's death to deliver its outcome late.
    pub async fn count_connections(&self) -> Result<()> {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ordermill'";
        let count: i64 = self.database.sql().await?.query_one(sql, &[]).await?.get(0);
        self.faults.saw_connections(usize::try_from(count)?.saturating_sub(self.faults.held_back()));
        Ok(())
    }

    /// Keeps the functions' logs after the run, and returns their path.
    pub fn keep_logs(&self) -> String {
        let kept = self.logs.path().with_extension("kept");
        match std::fs::rename(self.logs.path(), &kept) {
            Ok(()) => kept.display().to_string(),
            Err(error) => format!("nowhere ({error})"),
        }
    }
}
