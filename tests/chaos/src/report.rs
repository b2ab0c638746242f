//! The output of a run: the printed results and the written report.

use std::fmt::Write;

use sandbox::Result;
use sandbox::queue::DEAD_LETTERS;

use crate::aged;
use crate::check::{Findings, RECOVERY};
use crate::faults::{Fault, Record};
use crate::options::Options;
use crate::storm::Recovery;
use crate::world::{ENVIRONMENTS, World};

/// The report's text, with placeholders for a run's results.
const PROSE: &str = include_str!("../reliability.md");
/// The file for the report.
const REPORT: &str = "docs/reliability.md";
/// How many orders of a kind are printed with their whole story.
const SHOWN: usize = 3;

/// Prints the results, and the stories of the orders that went wrong.
pub fn print(world: &World, findings: &Findings, recoveries: &[Recovery]) {
    println!("\n{}\n{}", table(world, findings), summary(world, findings, recoveries));
    let stories = world.journal.stories.lock();
    for (name, list) in [
        ("LOST", &findings.lost),
        ("DOUBLED", &findings.doubled),
        ("STUCK", &findings.stuck),
        ("UNANNOUNCED", &findings.unannounced),
    ] {
        for (order, why) in list.iter().take(SHOWN) {
            let story = stories.get(order).map(crate::journal::Story::text).unwrap_or_default();
            println!("{name}  {order}: {why}\n{story}");
        }
    }
    for violation in findings.violations.iter().take(20) {
        println!("WRONG  {violation}");
    }
}

/// Writes the report, unless the run is short.
pub fn write(options: &Options, world: &World, findings: &Findings, recoveries: &[Recovery]) -> Result<()> {
    if options.is_short {
        return Ok(());
    }
    let filled = PROSE
        .replace("{{command}}", &options.command())
        .replace("{{machine}}", &sandbox::machine())
        .replace("{{environments}}", &ENVIRONMENTS.to_string())
        .replace("{{old}}", &world.old_orders().to_string())
        .replace("{{retention}}", &aged::RETENTION_DAYS.to_string())
        .replace("{{seed}}", &options.seed.to_string())
        .replace("{{table}}", &table(world, findings))
        .replace("{{summary}}", &summary(world, findings, recoveries))
        .replace("{{times}}", &times(options));
    std::fs::write(REPORT, filled)?;
    println!("==> Wrote {REPORT}");
    Ok(())
}

fn table(world: &World, findings: &Findings) -> String {
    let mut table =
        "| fault | injected | orders | lost | doubled | stuck | unannounced | connections at worst | slowest recovery |\n".to_owned();
    table += "|---|---:|---:|---:|---:|---:|---:|---:|---:|\n";
    for fault in Fault::all() {
        let record = world.faults.record(fault);
        table += &row(fault.name(), &record, findings, &slowest(&record, findings, world));
    }
    let all = Record {
        injected: world.faults.count(),
        orders: world.journal.stories.lock().keys().map(|order| (order.clone(), 0.0)).collect(),
        connections: world.faults.connections(),
    };
    table + &row("**all of them, orders that met none included**", &all, findings, "")
}

fn row(name: &str, record: &Record, findings: &Findings, slowest: &str) -> String {
    let count = |list: &std::collections::BTreeMap<String, String>| {
        list.keys().filter(|order| record.orders.contains_key(*order)).count()
    };
    format!(
        "| {name} | {} | {} | {} | {} | {} | {} | {} | {slowest} |\n",
        record.injected,
        record.orders.len(),
        count(&findings.lost),
        count(&findings.doubled),
        count(&findings.stuck),
        count(&findings.unannounced),
        record.connections,
    )
}

/// The longest time from the fault to an affected order's end. An order that an operator retried ended twice, so it doesn't count.
fn slowest(record: &Record, findings: &Findings, world: &World) -> String {
    let stories = world.journal.stories.lock();
    let is_retried = |order: &String| stories.get(order).is_some_and(|story| story.retried);
    let orders = record.orders.iter().filter(|(order, _)| !is_retried(order));
    let times = orders.filter_map(|(order, met)| Some(findings.ended.get(order)? - met));
    times.max_by(f64::total_cmp).map_or_else(|| "–".to_owned(), |slowest| format!("{:.1} s", slowest.max(0.0)))
}

fn summary(world: &World, findings: &Findings, recoveries: &[Recovery]) -> String {
    let states: Vec<_> = findings.states.iter().map(|(status, count)| format!("{count} {status}")).collect();
    let slowest = |of: fn(&Recovery) -> f64| recoveries.iter().map(of).fold(0.0, f64::max);
    let (calls, again) = findings.calls;
    let mut text = String::new();
    let mut line = |what: &str, is: String| {
        let _ = writeln!(text, "- {what}: {is}"); // Writing to a string does not fail.
    };
    line("orders", states.join(", "));
    line("calls to the endpoint", format!("{calls}, {again} of them about an order that it had already fulfilled"));
    let (events, repeats) = findings.events;
    line("events that the bus took", format!("{events}, {repeats} of them repeats with the same id"));
    line("old orders that the sweeper deleted", world.old_orders().to_string());
    line("execution environments started", world.environments().to_string());
    line("dead letters", world.queues.counts(DEAD_LETTERS).total().to_string());
    line(
        &format!(
            "{} times the database or the queue was away, hung or was locked, or processing was paused; at worst",
            recoveries.len()
        ),
        format!(
            "for {:.1} s; from its end to the next accepted order {:.1} s, to the next recorded outcome {:.1} s (bound: {RECOVERY} s each)",
            slowest(|recovery| recovery.away),
            slowest(|recovery| recovery.accept),
            slowest(|recovery| recovery.finish)
        ),
    );
    line(
        "deleted messages, at worst",
        format!(
            "found after {:.1} s, outages left out (bound: grace {} s + {} s)",
            findings.slowest_found, world.times.grace, world.times.find
        ),
    );
    text
}

fn times(options: &Options) -> String {
    let times = options.times;
    format!(
        "time-out of processor and sweeper {} s, lease {} s, visibility timeout {} s, grace {} s, a sweep every {} s, cancel window {} s",
        times.function, times.lease, times.visibility, times.grace, times.sweep, times.cancel_window
    )
}
