//! Metrics for CloudWatch, as lines of the log in its embedded metric format: namespace `Ordermill`, one dimension, `Stack`.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
//!
//! An environment gathers them for up to ten seconds, so that a line tells of many calls; what somebody should know of at
//! once is written at the end of its invocation. They are only written where the log is JSON.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `STACK` | the value of the dimension | `local` |

use std::io::stdout;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use metrics::Unit;
use metrics_cloudwatch_embedded::{Builder, Collector};

use crate::config::Env;

/// How long metrics are gathered. CloudWatch adds them up by the minute.
const GATHERED: Duration = Duration::from_secs(10);
/// The most values of a metric in one line, which the format sets.
const MOST_VALUES: usize = 100;

static COLLECTOR: OnceLock<&Collector> = OnceLock::new();
static FLUSHED: LazyLock<Mutex<Instant>> = LazyLock::new(|| Mutex::new(Instant::now()));
static MEASURED: AtomicUsize = AtomicUsize::new(0);
static IS_URGENT: AtomicBool = AtomicBool::new(false);

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub enum Count {
    /// Orders that were created.
    Accepted,
    /// Creates that were a repeat of an earlier one.
    Replayed,
    /// Orders that completed.
    Completed,
    /// Orders that failed.
    Failed,
    /// Attempts that failed and are followed by another.
    Retried,
    /// Orders that the sweeper sent another message for.
    Requeued,
}

impl Count {
    /// Counts so many.
    pub fn add(self, count: usize) {
        let (name, is_urgent) = match self {
            Self::Accepted => ("OrdersAccepted", false),
            Self::Replayed => ("OrdersReplayed", false),
            Self::Completed => ("OrdersCompleted", false),
            Self::Failed => ("OrdersFailed", true),
            Self::Retried => ("OrdersRetried", true),
            Self::Requeued => ("OrdersRescued", true),
        };
        if count > 0 {
            metrics::counter!(name).increment(count as u64);
            IS_URGENT.fetch_or(is_urgent, Ordering::Relaxed);
        }
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub enum Measure {
    /// From an order's first start to its end, in milliseconds.
    ClaimToFinish,
    /// A statement, from sending it to its answer, in milliseconds.
    DatabaseRoundTrip,
    /// For how long the most overdue order has been kept waiting, in seconds.
    OldestOverdue,
}

impl Measure {
    /// Adds a measurement.
    pub fn add(self, time: Duration) {
        let (name, value) = match self {
            Self::ClaimToFinish => ("ClaimToFinish", millis(time)),
            Self::DatabaseRoundTrip => ("DatabaseRoundTrip", millis(time)),
            Self::OldestOverdue => ("OldestOverdue", time.as_secs_f64().round()),
        };
        metrics::histogram!(name).record(value);
        // Its alarm takes silence for a sweeper that does not run.
        IS_URGENT.fetch_or(matches!(self, Self::OldestOverdue), Ordering::Relaxed);
        if MEASURED.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_VALUES {
            flush();
        }
    }
}

/// Milliseconds to the hundredth: what is beyond says nothing and is paid for by the byte.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}

/// Has the metrics gathered from here on.
pub(super) fn init(env: &Env) {
    let stack = env.text("STACK").unwrap_or("local").to_owned();
    let builder = Builder::new().cloudwatch_namespace("Ordermill").with_dimension("Stack", stack);
    match builder.init() {
        Ok(collector) => {
            for (name, unit) in [
                ("ClaimToFinish", Unit::Milliseconds),
                ("DatabaseRoundTrip", Unit::Milliseconds),
                ("OldestOverdue", Unit::Seconds),
            ] {
                metrics::describe_histogram!(name, unit, "");
            }
            let _ = COLLECTOR.set(collector);
        }
        Err(error) => tracing::warn!(%error, "no metrics are written"),
    }
}

/// Writes what was gathered, if it is time to or somebody should know at once.
pub fn flush_if_due() {
    let is_old = FLUSHED.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= GATHERED;
    if IS_URGENT.swap(false, Ordering::Relaxed) || is_old {
        flush();
    }
}

/// Writes what was gathered.
pub fn flush() {
    *FLUSHED.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    MEASURED.store(0, Ordering::Relaxed);
    if let Some(collector) = COLLECTOR.get()
        && let Err(error) = collector.flush(stdout().lock())
    {
        tracing::warn!(%error, "metrics could not be written");
    }
}
