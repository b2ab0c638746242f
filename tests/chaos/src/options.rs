//! What a run is asked for, by variables.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `ORDERS` | how many orders are placed | 100000; short: 1500 |
//! | `SECONDS` | how long they are placed and faults happen; what settles afterwards takes longer | 660; short: 30 |
//! | `SEED` | what chance begins with | drawn |
//! | `SHORT` | 1: every fault a few times with small numbers, and no report is written | |
//! | `BINARIES` | where `api`, `processor` and `sweeper` are, as cargo builds them | what `sam build` made |
//! | `REPORT` | the file that the report is written to | docs/reliability.md; short: none |
//! | `TELL` | 1: of each fault, the story of the order that took longest is told | |

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sandbox::Result;

/// A run's size and times.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many orders are placed.
    pub orders: usize,
    /// How long placing them takes.
    pub load: Duration,
    /// What chance begins with.
    pub seed: u64,
    /// Whether this is the short form.
    pub is_short: bool,
    /// Where cargo's binaries are, if not what `sam build` made.
    pub binaries: Option<PathBuf>,
    /// Where the report goes, if one is written.
    pub report: Option<PathBuf>,
    /// Whether the longest stories are told.
    pub tells: bool,
    /// The functions' times.
    pub times: Times,
}

/// The times that the functions are given, short ones, so that many faults fit into a run; in whole seconds.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// How long an order can be cancelled.
    pub cancel_window: u64,
    /// How long the endpoint has for an answer.
    pub webhook: u64,
    /// How long the processor has for a batch.
    pub function: u64,
    /// How long a claim holds.
    pub lease: u64,
    /// How long a received message is invisible.
    pub visibility: u64,
    /// How overdue an order is when its message counts as lost.
    pub grace: u64,
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
    sweep: 5,
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
    sweep: 1,
    refusal: 3,
    stall: 2,
};

impl Options {
    /// Reads the variables.
    pub fn from_env() -> Result<Self> {
        let is_on = |name| text(name).is_some_and(|text| text != "0");
        let is_short = is_on("SHORT");
        let (orders, seconds) = if is_short { (1500, 30) } else { (100_000, 660) };
        let report = text("REPORT").map(PathBuf::from);
        Ok(Self {
            orders: number("ORDERS")?.unwrap_or(orders),
            load: Duration::from_secs(number("SECONDS")?.unwrap_or(seconds)),
            seed: number("SEED")?.unwrap_or_else(|| fastrand::u64(..1_000_000)),
            is_short,
            binaries: text("BINARIES").map(PathBuf::from),
            report: report.or_else(|| (!is_short).then(|| "docs/reliability.md".into())),
            tells: is_on("TELL"),
            times: if is_short { SHORT } else { LONG },
        })
    }

    /// A function's binary.
    pub fn bootstrap(&self, function: &str) -> PathBuf {
        if let Some(directory) = &self.binaries {
            return directory.join(function);
        }
        let (first, rest) = function.split_at(1);
        format!(".aws-sam/build/{}{rest}Function/bootstrap", first.to_uppercase()).into()
    }

    /// The command that makes the same run.
    pub fn command(&self) -> String {
        let short = if self.is_short { " SHORT=1" } else { "" };
        format!("make chaos{short} ORDERS={} SECONDS={} SEED={}", self.orders, self.load.as_secs(), self.seed)
    }
}

fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

fn number<T: FromStr>(name: &str) -> Result<Option<T>> {
    let parse = |text: String| text.parse().map_err(|_| format!("{name}: {text} is no number that can be used").into());
    text(name).map(parse).transpose()
}
