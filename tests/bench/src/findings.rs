//! The results of a measurement.

/// A target, and whether the measurement meets it.
#[derive(Debug, Clone)]
pub struct Criterion {
    pub what: &'static str,
    /// The figure before the target was set.
    pub before: &'static str,
    pub target: &'static str,
    pub measured: f64,
    /// Whether the figure meets the target.
    pub is_met: bool,
    /// The figures that it is calculated from.
    pub note: String,
}

impl Criterion {
    /// A target that the figure must not exceed.
    pub fn at_most(what: &'static str, target: &'static str, limit: f64, measured: f64, note: String) -> Self {
        Self { what, before: "–", target, measured, is_met: measured <= limit, note }
    }

    /// A target that the figure has to reach.
    pub fn at_least(what: &'static str, target: &'static str, limit: f64, measured: f64, note: String) -> Self {
        Self { what, before: "–", target, measured, is_met: measured >= limit, note }
    }

    /// Sets the figure before the target was set.
    pub fn before(self, before: &'static str) -> Self {
        Self { before, ..self }
    }

    pub fn verdict(&self) -> &'static str {
        if self.is_met { "yes" } else { "**no**" }
    }
}

/// The results of a measurement: its table, its plots and its targets.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// The table, as Markdown.
    pub text: String,
    /// The plots: name and SVG.
    pub plots: Vec<(String, String)>,
    /// The targets, in the order of the acceptance table.
    pub criteria: Vec<Criterion>,
}

/// A Markdown table. Its first column is text, the others are figures.
#[derive(Debug)]
pub struct Table(String);

impl Table {
    pub fn new(head: &[&str]) -> Self {
        let rule = format!("|---|{}", "---:|".repeat(head.len() - 1));
        Self(format!("| {} |\n{rule}\n", head.join(" | ")))
    }

    pub fn row(&mut self, cells: &[String]) {
        self.0.extend(["| ", &cells.join(" | "), " |\n"]);
    }

    pub fn text(self) -> String {
        self.0
    }
}
