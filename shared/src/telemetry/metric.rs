//! Metrics for CloudWatch, as log lines in its embedded metric format: namespace `Ordermill`, one dimension, `Stack`.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
//!
//! An environment collects metrics for up to ten seconds, so that one line covers many calls. Urgent ones are written at the end of
//! their invocation. Metrics are written only if the log is JSON.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `STACK` | the value of the dimension | `local` |

use std::io::stdout;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use metrics::Unit;
use metrics_cloudwatch_embedded::{Builder, Collector};

use crate::config::Env;

/// How long metrics are collected. CloudWatch sums them by the minute.
const COLLECTED_FOR: Duration = Duration::from_secs(10);
/// The most values of a metric in one line, by the format.
const MOST_VALUES: usize = 100;

static COLLECTOR: OnceLock<&Collector> = OnceLock::new();
/// The time of the last write; `None` before the first. An environment writes at the end of its first invocation: it may get no other
/// one for minutes.
static FLUSHED: Mutex<Option<Instant>> = Mutex::new(None);
static MEASURED: AtomicUsize = AtomicUsize::new(0);
static IS_URGENT: AtomicBool = AtomicBool::new(false);

/// A counter.
#[derive(Debug, Clone, Copy)]
pub enum Count {
    /// New orders.
    Accepted,
    /// Creates that repeated an earlier one.
    Replayed,
    /// Orders whose message the api could not send.
    Unsent,
    /// Orders that completed.
    Completed,
    /// Orders that failed.
    Failed,
    /// Attempts that failed for now, an order's last one included.
    Retried,
    /// Orders that the sweeper requeued.
    Requeued,
    /// Orders that had ended before their message came: it was a duplicate, or they were cancelled.
    EndedBefore,
}

impl Count {
    /// Adds to the counter.
    pub fn add(self, count: usize) {
        let (name, is_urgent) = match self {
            Self::Accepted => ("OrdersAccepted", false),
            Self::Replayed => ("OrdersReplayed", false),
            Self::Unsent => ("OrdersUnsent", true),
            Self::Completed => ("OrdersCompleted", false),
            Self::Failed => ("OrdersFailed", true),
            Self::Retried => ("OrdersRetried", true),
            Self::Requeued => ("OrdersRequeued", true),
            Self::EndedBefore => ("OrdersEndedBefore", false),
        };
        if count > 0 {
            metrics::counter!(name).increment(count as u64);
            IS_URGENT.fetch_or(is_urgent, Ordering::Relaxed);
        }
    }
}

/// A measured time.
#[derive(Debug, Clone, Copy)]
pub enum Measure {
    /// From the first claim of an order to its end, in milliseconds.
    ClaimToFinish,
    /// From sending a statement to its answer, in milliseconds.
    DatabaseRoundTrip,
    /// The time since the most overdue order was due, in seconds.
    OldestOverdue,
    /// The time since processing was paused, in seconds. It is measured only while processing is paused.
    PausedFor,
    /// The time since the oldest end whose event is not yet published, in seconds. It is measured only with an event bus.
    OldestEvent,
}

impl Measure {
    const ALL: [Self; 5] =
        [Self::ClaimToFinish, Self::DatabaseRoundTrip, Self::OldestOverdue, Self::PausedFor, Self::OldestEvent];

    /// The name, the unit, and whether it is urgent.
    const fn facts(self) -> (&'static str, Unit, bool) {
        match self {
            Self::ClaimToFinish => ("ClaimToFinish", Unit::Milliseconds, false),
            Self::DatabaseRoundTrip => ("DatabaseRoundTrip", Unit::Milliseconds, false),
            Self::OldestOverdue => ("OldestOverdue", Unit::Seconds, true),
            Self::PausedFor => ("PausedFor", Unit::Seconds, true),
            Self::OldestEvent => ("OldestEvent", Unit::Seconds, true),
        }
    }

    /// Adds a measurement.
    pub fn add(self, time: Duration) {
        let (name, unit, is_urgent) = self.facts();
        let value = if unit == Unit::Milliseconds { millis(time) } else { time.as_secs_f64().round() };
        metrics::histogram!(name).record(value);
        // The alarm treats a missing value as a sweeper that does not run.
        IS_URGENT.fetch_or(is_urgent, Ordering::Relaxed);
        if MEASURED.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_VALUES {
            flush();
        }
    }
}

/// Milliseconds: hundredths below 100, whole ones from there. More digits mean nothing, and every byte of a log costs money.
fn millis(time: Duration) -> f64 {
    let millis = time.as_secs_f64() * 1000.0;
    if millis < 100.0 { (millis * 100.0).round() / 100.0 } else { millis.round() }
}

/// Starts collecting metrics.
pub(super) fn init(env: &Env) {
    let stack = env.text("STACK").unwrap_or("local").to_owned();
    let builder = Builder::new().cloudwatch_namespace("Ordermill").with_dimension("Stack", stack);
    match builder.init() {
        Ok(collector) => {
            for measure in Measure::ALL {
                let (name, unit, _) = measure.facts();
                metrics::describe_histogram!(name, unit, "");
            }
            let _ = COLLECTOR.set(collector);
        }
        Err(error) => tracing::warn!(%error, "could not start the metrics; none will be written"),
    }
}

/// Writes the collected metrics if their time is over or one of them is urgent.
pub fn flush_if_due() {
    let flushed = *FLUSHED.lock().unwrap_or_else(PoisonError::into_inner);
    let is_old = flushed.is_none_or(|at| at.elapsed() >= COLLECTED_FOR);
    if IS_URGENT.swap(false, Ordering::Relaxed) || is_old {
        flush();
    }
}

/// Writes the collected metrics.
pub fn flush() {
    *FLUSHED.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    MEASURED.store(0, Ordering::Relaxed);
    if let Some(collector) = COLLECTOR.get()
        && let Err(error) = collector.flush(stdout().lock())
    {
        tracing::warn!(%error, "could not write metrics");
    }
}
