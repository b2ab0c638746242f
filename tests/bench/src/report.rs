//! The output of a run: the printed results and the written document.

use std::fmt::Write;
use std::path::Path;

use sandbox::Result;

use crate::findings::{Criterion, Findings, Table};
use crate::options::Options;
use crate::stats::figure;

/// The document's text, with placeholders for a run's results.
const PROSE: &str = include_str!("../performance.md");
const DOCUMENT: &str = "docs/performance.md";
const PLOTS: &str = "docs/performance";

/// The name of a measurement, and its results.
pub type Measured = (&'static str, Findings);

/// Prints the results.
pub fn print(measured: &[Measured]) {
    crate::progress::clear();
    for (name, findings) in measured {
        println!("\n== {name}\n\n{}", findings.text);
    }
    println!("\n{}", acceptance(measured));
}

/// Writes the document and its plots.
pub fn write(options: &Options, measured: &[Measured]) -> Result<()> {
    let mut text = PROSE
        .replace("{{acceptance}}", &acceptance(measured))
        .replace("{{machine}}", &machine())
        .replace("{{runs}}", &options.runs.to_string())
        .replace("{{minutes}}", &figure(crate::progress::seconds() / 60.0));
    std::fs::create_dir_all(PLOTS)?;
    for (name, findings) in measured {
        text = text.replace(&format!("{{{{{name}}}}}"), findings.text.trim_end());
        for (plot, svg) in &findings.plots {
            std::fs::write(Path::new(PLOTS).join(format!("{plot}.svg")), svg)?;
        }
    }
    std::fs::write(DOCUMENT, text)?;
    println!("==> Wrote {DOCUMENT}");
    Ok(())
}

fn acceptance(measured: &[Measured]) -> String {
    let mut table = Table::new(&["what", "before", "target", "measured", "met", "of that"]);
    for criterion in measured.iter().flat_map(|(_, findings)| &findings.criteria) {
        table.row(&row(criterion));
    }
    table.text()
}

fn row(criterion: &Criterion) -> [String; 6] {
    [
        criterion.what.to_owned(),
        criterion.before.to_owned(),
        criterion.target.to_owned(),
        criterion.measured.map_or_else(|| "–".to_owned(), figure),
        criterion.verdict().to_owned(),
        criterion.note.clone(),
    ]
}

/// A description of the machine.
fn machine() -> String {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = read("/proc/meminfo").split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    let mut text = format!("{cores} cores of {}", model.unwrap_or("an unknown processor"));
    let _ = write!(text, ", {} GiB", memory.unwrap_or_default() / (1 << 20)); // Writing to a string does not fail.
    let _ = write!(text, ", Linux {}", read("/proc/sys/kernel/osrelease").trim());
    text
}
