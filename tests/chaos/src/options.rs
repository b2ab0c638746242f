//! The options of a run, read from variables.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `ORDERS` | how many orders the clients create | 100000; short: 1500 |
//! | `SECONDS` | how many seconds they create orders and faults happen; settling afterwards takes longer | 420; short: 30 |
//! | `SEED` | the seed of the random choices | random |
//! | `SHORT` | 1: a short run with every fault a few times, and without a report | |
//! | `BINARIES` | the directory of `api`, `processor` and `sweeper`, as cargo builds them | the output of `sam build` |

use std::path::PathBuf;
use std::time::Duration;

use sandbox::{Result, variable};

/// A run's size and times.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many orders the clients create.
    pub orders: usize,
    /// How long the clients create orders.
    pub load: Duration,
    pub seed: u64,
    pub is_short: bool,
    /// The directory of cargo's binaries; none means the output of `sam build`.
    pub binaries: Option<PathBuf>,
    pub times: Times,
}

/// The times that configure the functions and the faults, in whole seconds. They are short, so that many faults fit into a run.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// How long an order can be cancelled.
    pub cancel_window: u64,
    /// How long the processor waits for the endpoint's answer.
    pub webhook: u64,
    /// The time-out of the processor and of the sweeper.
    pub function: u64,
    pub lease: u64,
    pub visibility: u64,
    /// How overdue an order must be before the sweeper considers its message lost.
    pub grace: u64,
    /// How long after the grace period the sweeper may take to find a lost message.
    pub find: u64,
    /// How often the sweeper runs.
    pub sweep: u64,
    /// How long the queue refuses every message.
    pub refusal: u64,
    /// How long the queue or the network hangs, a table is locked or an environment is frozen.
    pub stall: u64,
}

const LONG: Times = Times {
    cancel_window: 1,
    webhook: 2,
    function: 8,
    lease: 10,
    visibility: 12,
    grace: 15,
    find: 60, // As on AWS, where the sweeper runs once a minute.
    sweep: 10,
    refusal: 30,
    stall: 10,
};
const SHORT: Times = Times {
    cancel_window: 1,
    webhook: 1,
    function: 6,
    lease: 7,
    visibility: 8,
    grace: 10,
    find: 25,
    sweep: 1,
    refusal: 3,
    stall: 2,
};

impl Options {
    pub fn from_env() -> Result<Self> {
        let is_short = variable::<String>("SHORT")?.is_some_and(|text| text != "0");
        let (orders, seconds) = if is_short { (1500, 30) } else { (100_000, 420) };
        Ok(Self {
            orders: variable("ORDERS")?.unwrap_or(orders),
            load: Duration::from_secs(variable("SECONDS")?.unwrap_or(seconds)),
            seed: variable("SEED")?.unwrap_or_else(|| fastrand::u64(..1_000_000)),
            is_short,
            binaries: variable("BINARIES")?,
            times: if is_short { SHORT } else { LONG },
        })
    }

    pub fn bootstrap(&self, function: &str) -> PathBuf {
        sandbox::runtime::bootstrap(self.binaries.as_deref(), function)
    }

    /// The command that repeats this run.
    pub fn command(&self) -> String {
        let short = if self.is_short { " SHORT=1" } else { "" };
        format!("make chaos{short} ORDERS={} SECONDS={} SEED={}", self.orders, self.load.as_secs(), self.seed)
    }
}
