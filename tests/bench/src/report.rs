//! The output of a run: the printed results and the written document.

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

pub fn print(measured: &[Measured]) {
    sandbox::progress::clear();
    for (name, findings) in measured {
        println!("\n== {name}\n\n{}", findings.text);
    }
    println!("\n{}", acceptance(measured));
}

/// Writes the document and its plots.
pub fn write(options: &Options, measured: &[Measured]) -> Result<()> {
    let mut text = PROSE
        .replace("{{acceptance}}", &acceptance(measured))
        .replace("{{machine}}", &sandbox::machine())
        .replace("{{runs}}", &options.runs.to_string())
        .replace("{{minutes}}", &figure(sandbox::progress::seconds() / 60.0));
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
    let mut table = Table::new(&["what", "before", "target", "measured", "met", "notes"]);
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
        figure(criterion.measured),
        criterion.verdict().to_owned(),
        criterion.note.clone(),
    ]
}

#[cfg(test)]
mod tests {
    const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

    #[test]
    fn documents_have_the_paragraphs_of_their_templates() {
        for (template, document) in [
            ("tests/bench/performance.md", "docs/performance.md"),
            ("tests/chaos/reliability.md", "docs/reliability.md"),
        ] {
            let [template_text, text] =
                [template, document].map(|path| std::fs::read_to_string(format!("{ROOT}/{path}")).unwrap());
            let written: Vec<_> = text.split("\n\n").map(str::trim).collect();
            // A placeholder that ends a line is a paragraph of its own.
            let template_text = template_text.replace("}}\n", "}}\n\n");
            let fixed = template_text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.contains("{{"));
            let missing: Vec<_> = fixed.filter(|paragraph| !written.contains(paragraph)).collect();
            assert_eq!(missing, [""; 0], "copy these paragraphs of {template} to {document}");
        }
    }
}
