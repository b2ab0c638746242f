//! The report at an export's end.

use serde::Serialize;

use super::{Sink, State};
use crate::options::Export;
use crate::output::{Output, counted};

/// The size and the checksum of an export.
#[derive(Serialize)]
struct ExportReport {
    complete: bool,
    orders: u64,
    bytes: u64,
    sha256: String,
}

/// Shows it: on standard output if the orders are in a file, else on standard error.
pub fn show(state: &State, sink: &Sink, export: &Export, output: Output) {
    let report =
        ExportReport { complete: state.is_complete, orders: state.orders, bytes: state.bytes, sha256: sink.checksum() };
    let text =
        if output.is_json { serde_json::to_string(&report).unwrap_or_default() } else { sentence(&report, export) };
    match export.file {
        Some(_) => output.say(&text),
        None => output.note(&text),
    }
}

fn sentence(report: &ExportReport, export: &Export) -> String {
    let ExportReport { complete, orders, bytes, sha256 } = report;
    let rest = match (complete, &export.resume) {
        (true, _) => "",
        (false, Some(_)) => "; not complete: the same command resumes it",
        (false, None) => "; not complete",
    };
    let orders = counted(*orders, "order", "orders");
    format!("{orders}, {bytes} bytes, SHA-256 {sha256}{rest}")
}
