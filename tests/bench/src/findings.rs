//! What a measure found out.

/// A target, and whether it is met.
#[derive(Debug, Clone)]
pub struct Criterion {
    /// What is measured.
    pub what: &'static str,
    /// The figure from before the target was set.
    pub before: &'static str,
    /// What it has to reach, in words.
    pub target: &'static str,
    /// What it reaches; none where it could not be measured.
    pub measured: Option<f64>,
    /// Whether that is enough.
    pub is_met: bool,
    /// What the figure is made of.
    pub note: String,
}

impl Criterion {
    /// One that has to be as low as this, or lower.
    #[must_use]
    pub fn at_most(what: &'static str, target: &'static str, limit: f64, measured: f64, note: String) -> Self {
        Self { what, before: "–", target, measured: Some(measured), is_met: measured <= limit, note }
    }

    /// One that has to be as high as this, or higher.
    #[must_use]
    pub fn at_least(what: &'static str, target: &'static str, limit: f64, measured: f64, note: String) -> Self {
        Self { what, before: "–", target, measured: Some(measured), is_met: measured >= limit, note }
    }

    /// One that could not be measured, because of this.
    #[must_use]
    pub fn unmeasured(what: &'static str, target: &'static str, note: &str) -> Self {
        Self { what, before: "–", target, measured: None, is_met: false, note: note.to_owned() }
    }

    /// The same with what it was before.
    #[must_use]
    pub fn before(self, before: &'static str) -> Self {
        Self { before, ..self }
    }

    /// Whether the target is met, in a word.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        match (self.measured, self.is_met) {
            (None, _) => "not measured",
            (_, true) => "yes",
            (_, false) => "**no**",
        }
    }
}

/// What is written of a measure: its table, its plots by name, and its targets.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Markdown.
    pub text: String,
    /// SVG, by name.
    pub plots: Vec<(String, String)>,
    /// In the order of the acceptance table, as far as they are this measure's.
    pub criteria: Vec<Criterion>,
}

/// A Markdown table, whose first column is text and whose others are figures.
#[derive(Debug)]
pub struct Table(String);

impl Table {
    /// A table with this head.
    #[must_use]
    pub fn new(head: &[&str]) -> Self {
        let rule = format!("|---|{}", "---:|".repeat(head.len() - 1));
        Self(format!("| {} |\n{rule}\n", head.join(" | ")))
    }

    /// Adds a row.
    pub fn row(&mut self, cells: &[String]) {
        self.0.extend(["| ", &cells.join(" | "), " |\n"]);
    }

    /// The Markdown.
    #[must_use]
    pub fn text(self) -> String {
        self.0
    }
}
