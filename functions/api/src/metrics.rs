//! `GET /metrics`, as JSON, OpenMetrics text or Prometheus text.

mod hours;

use std::collections::BTreeMap;
use std::fmt::Write;

use axum::Json;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shared::db::stats::{Metrics, Percentiles};
use shared::error::Chain;
use shared::order::Status;
use shared::queue::{Queue, QueueError};
use time::OffsetDateTime;
use utoipa::openapi::schema::ObjectBuilder;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use self::hours::HoursView;
use crate::call::Call;
use crate::caller::{Caller, Scope};
use crate::media_type::preferred;
use crate::pause::PauseView;
use crate::problem::{ApiError, Problem, Refusals};
use crate::query::Parameters;
use crate::schemas::HoursParameter;

const JSON: &str = "application/json";
/// OpenMetrics 1.0.
const OPENMETRICS: &str = "application/openmetrics-text";
/// Prometheus' text format 0.0.4.
const PROMETHEUS: &str = "text/plain";

/// The service's numbers at one moment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Metrics, examples(json!({"as_of": "2026-01-05T09:30:00.123456Z", "total_orders": 1204, "average_processing_time": 5.4, "scheduled": 0,
    "status_counts": {"pending": 3, "processing": 1, "completed": 1190, "failed": 2, "cancelled": 8},
    "processing_seconds": {"p50": 5.1, "p95": 6.2, "p99": 7.0}, "queueing_seconds": {"p50": 0.1, "p95": 0.4, "p99": 0.9},
    "oldest_overdue_seconds": 0.0, "pause": null, "completions_per_minute": [{"minute": "2026-01-05T09:29:00.000000Z", "completed": 12}],
    "oldest_event_seconds": null, "requeued_orders": 0, "queue_depth": 4, "dead_letter_depth": 0, "by_hour": null})))]
pub struct MetricsView {
    /// The moment of the numbers.
    #[serde(with = "shared::timestamp")]
    as_of: OffsetDateTime,
    /// All orders that were ever accepted.
    total_orders: i64,
    /// The mean time from start to finish of all completed orders, in seconds; null before the first.
    #[schema(required)]
    average_processing_time: Option<f64>,
    /// The pending orders whose `process_after` is still to come.
    scheduled: i64,
    /// The number of orders in each status, zeros included.
    #[schema(inline)]
    status_counts: StatusCounts,
    /// Times from start to finish of the orders completed within the last 60 to 70 minutes, in seconds.
    #[schema(inline)]
    processing_seconds: PercentilesView,
    /// Times to the start of the same orders, from their creation, or from `process_after` if that is later, in seconds. A retry
    /// does not change that time.
    #[schema(inline)]
    queueing_seconds: PercentilesView,
    /// The seconds since the most overdue order was due, or since the last pause ended if that is less; 0 if none is overdue, and
    /// while processing is paused.
    oldest_overdue_seconds: f64,
    /// The seconds since the oldest end whose event is not yet published; 0 if there is none, and null without an event bus.
    #[schema(required)]
    oldest_event_seconds: Option<f64>,
    /// The pause of processing; null while it runs.
    #[schema(required)]
    pause: Option<PauseView>,
    /// Completed orders for each minute of the last hour, without minutes that have none.
    completions_per_minute: Vec<Minute>,
    /// The number of orders that the sweeper requeued because their message was lost, ever.
    requeued_orders: i64,
    /// The approximate number of messages in the orders' queue; null if the queue did not answer.
    #[schema(required)]
    queue_depth: Option<i64>,
    /// The approximate number of messages in the dead-letter queue; null if the queue did not answer.
    #[schema(required)]
    dead_letter_depth: Option<i64>,
    /// The outcomes by the hour; null without the parameter `hours`.
    #[schema(inline, required)]
    by_hour: Option<HoursView>,
}

/// The number of orders in each status.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct StatusCounts(BTreeMap<Status, i64>);

impl ToSchema for StatusCounts {}

impl PartialSchema for StatusCounts {
    fn schema() -> RefOr<Schema> {
        let counts = with_counts(ObjectBuilder::new(), Status::ALL);
        counts.description(Some("The number of orders in each status.")).into()
    }
}

/// Adds a number for each status to the schema of an object.
fn with_counts(object: ObjectBuilder, statuses: impl IntoIterator<Item = Status>) -> ObjectBuilder {
    let add = |object: ObjectBuilder, status: Status| {
        object.property(status.as_str(), i64::schema()).required(status.as_str())
    };
    statuses.into_iter().fold(object, add)
}

/// Percentiles in seconds, within 2.5 %; null if nothing was counted. Times above 24 days count as 24 days.
#[derive(Debug, Serialize, ToSchema)]
struct PercentilesView {
    #[schema(required)]
    p50: Option<f64>,
    #[schema(required)]
    p95: Option<f64>,
    #[schema(required)]
    p99: Option<f64>,
}

/// The number of orders completed in a minute.
#[derive(Debug, Serialize, ToSchema)]
struct Minute {
    /// The start of the minute.
    #[serde(with = "shared::timestamp")]
    minute: OffsetDateTime,
    completed: i64,
}

/// Read the metrics.
///
/// The cost grows with the active orders, and with an event bus also with the ends that wait for the bus, but not with the ended orders.
/// `Accept` selects JSON or one of the two text formats that Prometheus reads. The service keeps outcomes by the hour for 90 days.
#[utoipa::path(
    get, path = "/metrics", tag = "operation", security(("token" = ["orders/read.all"])),
    params(("hours" = inline(Option<HoursParameter>), Query, example = 24,
        description = "Return the outcomes of this many hours too, in JSON: this hour and the ones before it")),
    responses(
        (status = 200, description = "The metrics",
            content((MetricsView = "application/json"), (String = "application/openmetrics-text"), (String = "text/plain"))),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "Malformed query"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "Some parameters are not valid"),
        Refusals,
    )
)]
pub async fn metrics(
    call: Call,
    caller: Caller,
    headers: HeaderMap,
    query: Result<Parameters, ApiError>,
) -> Result<Response, ApiError> {
    caller.require(Scope::ReadAll)?;
    let hours = hours::parse(&query?.0)?;
    // A depth is null if its queue does not answer. The other numbers do not wait for it.
    let deadline = call.deadline.share(1, 4);
    let depth = async |queue: &Queue| {
        let log = |error: &QueueError| tracing::warn!(error = %Chain(error), "could not read the depths of the queues");
        queue.depth(deadline).await.inspect_err(log).ok()
    };
    let (read, queue_depth, dead_letter_depth) =
        tokio::join!(call.store.read_metrics(), depth(&call.api.queue), depth(&call.api.dead_letters));
    let mut view = MetricsView { queue_depth, dead_letter_depth, ..MetricsView::new(read?) };
    if call.store.announces_ends() {
        view.oldest_event_seconds = Some(call.store.age_of_oldest_end().await?.as_secs_f64());
    }
    if let Some(hours) = hours {
        view.by_hour = Some(HoursView::new(hours, call.store.read_hours(hours).await?));
    }
    let (version, text) = match preferred(&headers, &[JSON, OPENMETRICS, PROMETHEUS]) {
        Some(OPENMETRICS) => ("application/openmetrics-text; version=1.0.0; charset=utf-8", view.text() + "# EOF\n"),
        Some(PROMETHEUS) => ("text/plain; version=0.0.4; charset=utf-8", view.text()),
        _ => return Ok(Json(view).into_response()),
    };
    Ok(([(header::CONTENT_TYPE, version)], text).into_response())
}

impl MetricsView {
    fn new(metrics: Metrics) -> Self {
        Self {
            as_of: metrics.as_of,
            total_orders: metrics.total(),
            average_processing_time: metrics.average_processing_time,
            scheduled: metrics.scheduled,
            status_counts: StatusCounts(metrics.by_status),
            processing_seconds: metrics.processing_seconds.into(),
            queueing_seconds: metrics.queueing_seconds.into(),
            oldest_overdue_seconds: metrics.oldest_overdue_seconds,
            oldest_event_seconds: None,
            pause: metrics.pause.map(PauseView::from),
            requeued_orders: metrics.requeued,
            completions_per_minute: (metrics.completions_per_minute.into_iter())
                .map(|(minute, completed)| Minute { minute, completed })
                .collect(),
            queue_depth: None,
            dead_letter_depth: None,
            by_hour: None,
        }
    }

    /// The body of both text formats. All metrics are gauges: a retry takes an order out of a status again.
    fn text(&self) -> String {
        let mut text = Exposition::default();
        let sample = |(status, count): (&Status, &i64)| (format!("{{status=\"{status}\"}}"), Some(*count));
        let samples: Vec<_> = self.status_counts.0.iter().map(sample).collect();
        text.gauge("ordermill_orders", "Orders by status.", &samples);
        text.one("ordermill_scheduled_orders", "Pending orders whose process_after is to come.", Some(self.scheduled));
        text.one(
            "ordermill_processing_seconds_mean",
            "Mean time from start to finish of all completed orders.",
            self.average_processing_time,
        );
        text.percentiles(
            "ordermill_processing_seconds",
            "Time from start to finish, last 60 to 70 minutes.",
            &self.processing_seconds,
        );
        text.percentiles(
            "ordermill_queueing_seconds",
            "Time from creation, or process_after if later, to start, last 60 to 70 minutes.",
            &self.queueing_seconds,
        );
        text.one(
            "ordermill_oldest_overdue_seconds",
            "Seconds since the most overdue order was due.",
            Some(self.oldest_overdue_seconds),
        );
        text.one(
            "ordermill_oldest_event_seconds",
            "Seconds since the oldest end whose event is not yet published.",
            self.oldest_event_seconds,
        );
        let paused = Some(u8::from(self.pause.is_some()));
        text.one("ordermill_processing_paused", "1 while processing is paused, else 0.", paused);
        text.one("ordermill_requeued_orders", "Orders that the sweeper requeued, ever.", Some(self.requeued_orders));
        text.one("ordermill_queue_messages", "Messages in the orders' queue.", self.queue_depth);
        text.one("ordermill_dead_letters", "Messages in the dead-letter queue.", self.dead_letter_depth);
        text.0
    }
}

impl From<Percentiles> for PercentilesView {
    fn from(Percentiles { p50, p95, p99 }: Percentiles) -> Self {
        Self { p50, p95, p99 }
    }
}

/// A text exposition under construction.
#[derive(Default)]
struct Exposition(String);

impl Exposition {
    /// Writes a metric family and its samples, without samples that have no value.
    fn gauge<T: std::fmt::Display>(&mut self, name: &str, help: &str, samples: &[(String, Option<T>)]) {
        let _ = writeln!(self.0, "# TYPE {name} gauge\n# HELP {name} {help}");
        for (labels, value) in samples {
            if let Some(value) = value {
                let _ = writeln!(self.0, "{name}{labels} {value}");
            }
        }
    }

    fn one<T: std::fmt::Display>(&mut self, name: &str, help: &str, value: Option<T>) {
        self.gauge(name, help, &[(String::new(), value)]);
    }

    fn percentiles(&mut self, name: &str, help: &str, values: &PercentilesView) {
        let samples = [("0.5", values.p50), ("0.95", values.p95), ("0.99", values.p99)];
        self.gauge(name, help, &samples.map(|(quantile, value)| (format!("{{quantile=\"{quantile}\"}}"), value)));
    }
}
