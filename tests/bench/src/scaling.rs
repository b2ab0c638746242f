//! Simulates the service at growing order rates, by measured times, to find the limit that it reaches first. Writes the
//! tables of docs/scaling.md.

mod limits;
pub mod measured;
mod setup;
mod simulation;
mod stations;

use std::fmt::Write;

use sandbox::Result;

use crate::cost::Billed;
use crate::stats::{count, percentile, thousands};
use limits::Instance;
use measured::Times;
use setup::{CELLS, DEPLOYED, FEWER, LARGER, LISTS, ONE, Setup, Share, Used};
use simulation::Simulation;
use stations::whole;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/scaling.md");
const BEGIN: &str = "<!-- made by `make scaling`";
const END: &str = "<!-- to here -->";
const SEED: u64 = 20_261_124;
/// The length of a simulation in seconds, and its least number of calls.
const SECONDS: f64 = 30.0;
const LEAST_CALLS: f64 = 1_000.0;
/// From this share of a limit on no simulation runs, because the queues would grow without end.
const MET: f64 = 1.0;

const STEPS: [(f64, Setup); 9] = [
    (10.0, DEPLOYED),
    (100.0, DEPLOYED),
    (100.0, FEWER),
    (1_000.0, DEPLOYED),
    (1_000.0, LARGER),
    (10_000.0, LARGER),
    (10_000.0, LISTS),
    (100_000.0, ONE),
    (100_000.0, CELLS),
];

pub fn write(times: &Times) -> Result<()> {
    let document = std::fs::read_to_string(DOCUMENT)?;
    let made = [format!("{}\n{}", TABLE_HEAD, steps(times)), room(times)];
    let mut parts = document.split(BEGIN);
    let mut written = parts.next().unwrap_or_default().to_owned();
    for (part, table) in parts.zip(&made) {
        let (_, rest) = part.split_once("-->\n").ok_or("a mark without an end")?;
        let (_, rest) = rest.split_once(END).ok_or("a mark without an end")?;
        let _ = write!(written, "{}{table}{END}{rest}", mark(times));
        println!("{table}");
    }
    Ok(std::fs::write(DOCUMENT, written)?)
}

/// The marker before a table. It contains the measured times, so that a test notices when they change.
fn mark(times: &Times) -> String {
    let Billed { create_ms, wait_ms, finish_ms, .. } = times.invocations;
    let lines = [create_ms, wait_ms, finish_ms].map(|line| format!("{:.3} + {:.3}", line.fixed, line.each));
    format!("{BEGIN} of {} ms -->\n", lines.join(", "))
}

const TABLE_HEAD: &str =
    "| orders a second | set up | the limit that is nearest | calls at once | processors | the database's vCPUs | create p50, p99 | a message waits, p99 |
|---|---|---|---|---|---|---|---|";

fn steps(times: &Times) -> String {
    STEPS.iter().map(|(rate, setup)| row(times, *rate, setup)).collect()
}

fn row(times: &Times, rate: f64, setup: &Setup) -> String {
    let begin = format!("| {} | {} |", thousands(rate), setup.name);
    let side_by_side = count(setup.cells);
    let least = Used::at_least(setup, times, rate);
    let endless = Setup { database: Instance { sustained: count(setup.database.vcpus), ..setup.database }, ..*setup };
    if let Some(met) = endless.nearest_limit(times, rate, &least).filter(|share| share.part() >= MET) {
        return format!("{begin} {} | – | – | – | overloaded | |\n", limit(&met));
    }
    let calls = whole((rate / side_by_side / count(setup.list) * SECONDS).max(LEAST_CALLS));
    let outcome = Simulation::new(setup, times, rate, calls, SEED).run();
    let used = outcome.used.times(side_by_side);
    let nearest = setup.nearest_limit(times, rate, &used).map_or(String::new(), |share| limit(&share));
    let [busy_calls, busy_processors, busy_vcpus] = [used.api, used.processors, used.vcpus].map(figure);
    format!(
        "{begin} {nearest} | {busy_calls} | {busy_processors} | {busy_vcpus} | {}, {} | {} |\n",
        ms(percentile(&outcome.creates, 0.5)),
        ms(percentile(&outcome.creates, 0.99)),
        ms(percentile(&outcome.lags, 0.99)),
    )
}

fn limit(share: &Share) -> String {
    format!("{}: {} of {}, **{:.0} %**", share.of, figure(share.used), figure(share.limit), share.part() * 100.0)
}

fn ms(seconds: f64) -> String {
    format!("{} ms", figure(seconds * 1000.0))
}

/// The table of the storage that orders need.
fn room(times: &Times) -> String {
    let bytes = times.database.bytes_per_order;
    let mut table = format!(
        "An order that has ended takes **{bytes:.0} bytes**, indexes included.\n\n| orders a second, all day | a day | a year |\n|---|---|---|\n"
    );
    for rate in [10.0, 100.0, 1_000.0, 10_000.0, 100_000.0] {
        let day = bytes * rate * 86_400.0;
        let _ = writeln!(table, "| {} | {} | {} |", thousands(rate), size(day), size(day * 365.0));
    }
    table
}

fn size(bytes: f64) -> String {
    const UNITS: [(&str, f64); 4] = [("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6)];
    let (unit, of) = UNITS.into_iter().find(|(_, of)| bytes >= *of).unwrap_or(("bytes", 1.0));
    format!("{} {unit}", figure(bytes / of))
}

/// Formats a number with two or three significant digits.
fn figure(value: f64) -> String {
    match value {
        _ if value >= 1_000.0 => thousands(value),
        _ if value >= 10.0 => format!("{value:.0}"),
        _ if value >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_has_the_tables_of_the_measured_times() {
        let (document, times) = (std::fs::read_to_string(DOCUMENT).unwrap(), Times::read().unwrap());
        assert_eq!(document.matches(&mark(&times)).count(), 2, "the measurements have changed: run `make scaling`");
        assert!(document.contains(&room(&times)), "run `make scaling`");
    }

    #[test]
    fn deployed_defaults_carry_a_hundred_orders_a_second() {
        let times = Times::read().unwrap();
        let used = Simulation::new(&DEPLOYED, &times, 100.0, 3_000, SEED).run().used;
        let nearest = DEPLOYED.nearest_limit(&times, 100.0, &used).unwrap();
        assert!(nearest.part() < MET, "{nearest:?}");
    }
}
