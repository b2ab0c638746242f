//! The report of a run, as text and as JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::order::Status;

use super::count::Counted;
use super::histogram::{lines, time};
use super::latency::LatencyPercentiles;
use super::outcome::RunResults;
use super::run::Run;
use crate::deployment::Deployment;
use crate::exit::Exit;
use crate::output::{Output, Tone, counted};

/// The report of a run; the document of `--json`.
#[derive(Serialize)]
pub struct Report {
    /// Whether every order was accepted and completed once.
    pub ok: bool,
    /// Why the report covers only a part of the run: an interrupt, or an error while reading the orders or the service's counts.
    pub incomplete: Option<String>,
    /// The exit status.
    #[serde(skip)]
    pub exit: Exit,
    /// The run's name, which its orders' identifiers begin with.
    pub run: String,
    /// The API's URL.
    pub url: String,
    /// How many orders the run should create.
    pub orders: u32,
    /// How many were accepted.
    pub accepted: u32,
    /// How many were refused, for each reason.
    pub refused: BTreeMap<String, u32>,
    /// How many calls were repeated, after no answer or a temporary refusal.
    pub repeated_calls: u32,
    /// How many ended, by their status.
    #[serde(flatten)]
    pub ended: BTreeMap<Status, u32>,
    /// How many were accepted and active when they were last read.
    pub unfinished: u32,
    /// How many were accepted and do not exist any more; 0 if `load` could not read every order.
    pub lost: u32,
    /// How many needed more than one attempt.
    pub reattempted: u32,
    /// The service's counts of the run; null without `orders/read.all`.
    pub counted: Option<Counted>,
    /// The time until the last order was accepted, in seconds; 0 if none was.
    pub accepted_within: f64,
    /// From the first order's creation to the last one's end, in seconds.
    pub ended_within: f64,
    /// From a call's due time to its answer, of the calls that had orders accepted, in seconds.
    pub acceptance: Option<LatencyPercentiles>,
    /// From an order's creation to its start, by the service's clock, in seconds.
    pub queueing: Option<LatencyPercentiles>,
    /// From its start to its end.
    pub processing: Option<LatencyPercentiles>,
    /// From its creation to its end.
    pub life: Option<LatencyPercentiles>,
    /// Whether every order that exists was read.
    #[serde(skip)]
    is_read: bool,
    #[serde(skip)]
    curves: [Vec<(f64, f64)>; 2],
    #[serde(skip)]
    steps: Vec<(f64, u64)>,
}

impl Report {
    /// Builds the report of a run from the totals of the orders that were found.
    pub(super) fn new(run: &Run, deployment: &Deployment, orders: u32, outcome: RunResults) -> Self {
        let incomplete = outcome.incomplete();
        let is_read = outcome.unread.is_none();
        let RunResults { sent, found, missing, counted, .. } = outcome;
        let accepted = u32::try_from(sent.accepted.len()).unwrap_or(u32::MAX);
        let counted = counted.unwrap_or_default();
        let ended: BTreeMap<_, _> = Status::ended().map(|status| (status, found.of(status))).collect();
        let completed = found.of(Status::Completed);
        let life = found.life.percentiles();
        let ok = incomplete.is_none()
            && completed == orders
            && accepted == orders
            && counted.is_none_or(|counted| counted.confirms(orders, completed..=completed));
        let (incomplete, exit) = incomplete.unzip();
        Self {
            ok,
            is_read,
            exit: exit.unwrap_or(if ok { Exit::Fine } else { Exit::Wrong }),
            incomplete,
            run: run.name.clone(),
            url: deployment.url.to_string(),
            orders,
            accepted,
            curves: [sent.latencies.curve(), found.life.curve()],
            refused: sent.refused,
            repeated_calls: sent.repeats,
            ended,
            unfinished: found.active(),
            lost: if is_read { u32::try_from(missing).unwrap_or(u32::MAX) } else { 0 },
            reattempted: found.reattempted,
            counted,
            accepted_within: sent.accepted_within.as_secs_f64(),
            ended_within: found.span(),
            acceptance: sent.latencies.percentiles(),
            queueing: found.queueing.percentiles(),
            processing: found.processing.percentiles(),
            steps: life.as_ref().map(|_| found.life.steps(12)).unwrap_or_default(),
            life,
        }
    }

    /// How many orders were completed.
    #[must_use]
    pub fn completed(&self) -> u32 {
        self.ended[&Status::Completed]
    }

    /// How many orders ended otherwise, by their status.
    fn not_completed(&self) -> impl Iterator<Item = (&'static str, u32)> {
        self.ended
            .iter()
            .filter(|(status, _)| **status != Status::Completed)
            .map(|(status, many)| (status.as_str(), *many))
    }

    /// The title of the plot.
    #[must_use]
    pub fn title(&self) -> String {
        let orders = counted(self.orders.into(), "order", "orders");
        format!("{orders}: {} accepted, {} completed", self.accepted, self.completed())
    }

    /// The curves of the plot: the shares of accepted and of ended orders over time.
    #[must_use]
    pub fn curves(&self) -> Vec<(&'static str, Vec<(f64, f64)>)> {
        ["accepted", "ended"].into_iter().zip(self.curves.clone()).collect()
    }
}

/// Shows the report.
pub fn show(report: &Report, output: Output) {
    if output.is_json {
        output.say_json(report);
        return;
    }
    output.say(&format!("Run {} at {}", report.run, report.url));
    output.say("");
    show_counts(report, output);
    show_times(report, output);
    if !report.steps.is_empty() {
        output.say("");
        output.say("From creation to end:");
        for line in lines(&report.steps) {
            output.say(&line);
        }
    }
    let (tone, verdict) = if report.ok {
        (Tone::Good, "Every order was accepted and completed once.".to_owned())
    } else {
        (Tone::Bad, format!("Not every order was accepted and completed once: {}.", complaints(report).join("; ")))
    };
    output.say("");
    output.say_painted(&output.paint(tone, &verdict));
}

fn show_counts(report: &Report, output: Output) {
    let mut lines = vec![
        ("accepted", report.accepted, speed(report.accepted, report.accepted_within)),
        ("completed", report.completed(), speed(report.completed(), report.ended_within)),
    ];
    let without_note = report.not_completed().chain([("unfinished", report.unfinished), ("lost", report.lost)]);
    lines.extend(without_note.map(|(name, many)| (name, many, String::new())));
    for (name, many, note) in lines {
        output.say(format!("  {name:10} {many:>8}  {note}").trim_end());
    }
    for (refusal, many) in &report.refused {
        output.say_painted(&output.paint(Tone::Bad, &format!("  refused    {many:>8}  {refusal}")));
    }
    for (many, note) in
        [(report.repeated_calls, "calls repeated"), (report.reattempted, "orders needed more than one attempt")]
    {
        if many > 0 {
            output.say_painted(&output.paint(Tone::Faint, &format!("  {many:>19}  {note}")));
        }
    }
}

/// How long that many orders took, and their speed; empty without an order.
fn speed(many: u32, seconds: f64) -> String {
    if many == 0 || seconds <= 0.0 {
        return String::new();
    }
    let rate = f64::from(many) / seconds;
    let digits = usize::from(rate < 10.0);
    format!("within {}, {rate:.digits$} a second", time(seconds))
}

fn show_times(report: &Report, output: Output) {
    output.say("");
    output.say(&format!("  {:12}{:>10}{:>10}{:>10}{:>10}{:>10}", "", "p50", "p90", "p99", "p99.9", "max"));
    let rows = [
        ("acceptance", &report.acceptance),
        ("queueing", &report.queueing),
        ("processing", &report.processing),
        ("life", &report.life),
    ];
    for (name, percentiles) in rows {
        if let Some(LatencyPercentiles { p50, p90, p99, p999, max, .. }) = percentiles {
            let cells: String = [p50, p90, p99, p999, max].map(|value| format!("{:>10}", time(*value))).concat();
            output.say(&format!("  {name:12}{cells}"));
        }
    }
}

/// Lists everything that is wrong with a run.
fn complaints(report: &Report) -> Vec<String> {
    let counts = [("not accepted", report.orders - report.accepted.min(report.orders))]
        .into_iter()
        .chain(report.not_completed())
        .chain([("unfinished", report.unfinished), ("lost", report.lost)]);
    let mut complaints: Vec<_> = report.incomplete.clone().into_iter().collect();
    complaints.extend(counts.filter(|(_, many)| *many > 0).map(|(what, many)| format!("{many} {what}")));
    // An unfinished order may have completed before the service's count.
    let completed = report.completed()..=report.completed() + report.unfinished;
    let is_miscounted = |counted: &Counted| report.is_read && !counted.confirms(report.accepted, completed.clone());
    if let Some(counted) = report.counted.filter(is_miscounted) {
        complaints.push(format!("the service counted {} completions of {}", counted.completed, report.completed()));
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::speed;

    #[test]
    fn slow_run_is_not_zero_orders_a_second() {
        assert_eq!(speed(3, 7.34), "within 7.34 s, 0.4 a second");
        assert_eq!(speed(1000, 6.42), "within 6.42 s, 156 a second");
        assert_eq!(speed(0, 1.0), "");
    }
}
