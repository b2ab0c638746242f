//! The shapes of the plans: what they do in which order, without costs and figures.
//!
//! `plans/15.txt` holds those of PostgreSQL 15 for review: of each statement every shape, and when it is chosen. A plan that is not in it
//! fails the test; `RECORD_PLANS=1` writes the file anew. Servers of other versions choose others, and are held to the bounds alone.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

/// The major version whose plans are kept.
const VERSION: &str = "15";
const FILE: &str = "integration/plans/15.txt";
const KEPT: &str = include_str!("15.txt");

/// The plans of each statement, and when each is chosen.
#[derive(Default)]
pub struct Shapes(BTreeMap<&'static str, BTreeMap<String, Vec<String>>>);

impl Shapes {
    pub fn add(&mut self, name: &'static str, plan: &Value, when: String) {
        let mut shape = String::new();
        describe(plan, 1, &mut shape);
        self.0.entry(name).or_default().entry(shape).or_default().push(when);
    }

    /// Compares them with those that are kept, or keeps them.
    pub fn compare(&self, version: &str) {
        if !version.starts_with(VERSION) {
            return;
        }
        let text = self.text();
        if std::env::var_os("RECORD_PLANS").is_some() {
            std::fs::write(FILE, text).unwrap();
        } else {
            assert_eq!(text, KEPT, "plans have changed: review them and run again with RECORD_PLANS=1");
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (name, shapes) in &self.0 {
            writeln!(text, "{name}").unwrap();
            for (shape, when) in shapes {
                let when = if shapes.len() == 1 { "always".to_owned() } else { when.join("\n    ") };
                write!(text, "    {when}\n{shape}").unwrap();
            }
            text.push('\n');
        }
        text
    }
}

/// A line for each step of a plan, what it begins with below it.
fn describe(plan: &Value, depth: usize, shape: &mut String) {
    let of = |name: &str| plan[name].as_str();
    let subplan = of("Subplan Name").map(|name| format!("{name}: ")).unwrap_or_default();
    let kind =
        of("Operation").filter(|_| of("Node Type") == Some("ModifyTable")).or(of("Node Type")).unwrap_or_default();
    let index = of("Index Name").map(|name| format!(" by {name}")).unwrap_or_default();
    let on = ["Relation Name", "CTE Name", "Function Name"].into_iter().find_map(of);
    let on = on.map(|name| format!(" of {name}")).unwrap_or_default();
    writeln!(shape, "{}{subplan}{kind}{on}{index}", "    ".repeat(depth + 1)).unwrap();
    for below in plan["Plans"].as_array().into_iter().flatten() {
        describe(below, depth + 1, shape);
    }
}
