//! Logging, and the start of metrics and traces. The configured level applies to our own crates. Libraries log at `INFO` at most: at
//! `TRACE` the runtime would log whole events with their tokens, and the SDK its signed requests.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `AWS_LAMBDA_LOG_LEVEL` | `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`; if not set, `RUST_LOG` | `INFO` |
//! | `AWS_LAMBDA_LOG_FORMAT` | `JSON`; any other value writes plain text | plain text |
//!
//! Each line of an invocation has its request, its trace, the function's version, and whether it is a cold start. Normal operation
//! is logged at `DEBUG`: at `INFO`, logging a million orders would cost more than processing them.
//!
//! The log never holds tokens, passwords and other secrets, signatures, queries, bodies, or any field of an order but
//! its identifier, its attempts and why they failed.

mod metric;
mod trace;

use std::sync::atomic::{AtomicBool, Ordering};

use lambda_runtime::Context;
use lambda_runtime::tracing::subscriber::Layer;
use lambda_runtime::tracing::subscriber::filter::{LevelFilter, Targets};
use lambda_runtime::tracing::subscriber::layer::SubscriberExt;
use lambda_runtime::tracing::subscriber::util::SubscriberInitExt;
use lambda_runtime::tracing::subscriber::{fmt, registry};

use tracing::{Span, error_span};

use crate::config::Env;

pub use metric::{Count, Measure, flush, flush_if_due};
pub use trace::Trace;
pub(crate) use trace::within;

/// Our own crates, whose level is configured.
const OURS: [&str; 6] = ["api", "migrate", "processor", "shared", "site", "sweeper"];

/// Starts logging to standard output.
pub fn init(env: &Env) {
    let lines = fmt::layer().with_target(false);
    let is_json = env.text("AWS_LAMBDA_LOG_FORMAT").is_some_and(|format| format.eq_ignore_ascii_case("json"));
    // Lambda reads `timestamp` and `level`. It treats a line without them as INFO.
    let layer = if is_json { lines.json().with_span_list(false).boxed() } else { lines.without_time().boxed() };
    registry().with(layer.with_filter(filter(env))).init();
    if is_json {
        metric::init(env);
    }
    trace::init(env);
}

/// The fields of every log line of an invocation, at any level.
pub(crate) fn span_of(context: &Context) -> Span {
    static IS_WARM: AtomicBool = AtomicBool::new(false);
    error_span!(
        "invocation",
        request_id = context.request_id,
        trace_id = context.xray_trace_id,
        function_version = context.env_config.version,
        cold_start = !IS_WARM.swap(true, Ordering::Relaxed),
    )
}

fn filter(env: &Env) -> Targets {
    let configured = env.text("AWS_LAMBDA_LOG_LEVEL").or_else(|| env.text("RUST_LOG"));
    let level = configured.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    Targets::new().with_default(level.min(LevelFilter::INFO)).with_targets(OURS.map(|name| (name, level)))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    fn levels(name: &str, value: &str) -> [Option<Level>; 2] {
        let filter = filter(&Env::from_iter([(name, value)]));
        ["shared", "lambda_runtime"].map(|target| {
            [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR]
                .into_iter()
                .find(|level| filter.would_enable(target, level))
        })
    }

    #[test]
    fn level_applies_to_our_crates_and_libraries_stay_at_info() {
        let name = "AWS_LAMBDA_LOG_LEVEL";
        assert_eq!(levels(name, "TRACE"), [Some(Level::TRACE), Some(Level::INFO)]);
        assert_eq!(levels("RUST_LOG", "debug"), [Some(Level::DEBUG), Some(Level::INFO)]);
        assert_eq!(levels(name, "WARN"), [Some(Level::WARN), Some(Level::WARN)]);
        for level in ["", "loud", "hyper=trace"] {
            assert_eq!(levels(name, level), [Some(Level::INFO), Some(Level::INFO)], "{level}");
        }
    }
}
