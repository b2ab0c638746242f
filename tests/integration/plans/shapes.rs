//! The shapes of the plans: their steps in order, without costs and figures.
//!
//! `plans/15.txt` holds the plans of PostgreSQL 15 for review: for each statement every shape that it may have. Which one the planner
//! chooses also depends on chance, such as the pages that a vacuum has seen. A shape that is not in the file fails the test;
//! `RECORD_PLANS=1` adds it. Other versions of the server choose other shapes, and must only keep the bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::Value;

/// The major version of the recorded plans.
const VERSION: &str = "15";
const FILE: &str = "integration/plans/15.txt";
const RECORDED: &str = include_str!("15.txt");
/// The line between two shapes of a statement.
const OR: &str = "    or\n";

/// The shapes of each statement.
#[derive(Default)]
pub struct Shapes(BTreeMap<String, BTreeSet<String>>);

impl Shapes {
    pub fn add(&mut self, name: &str, plan: &Value) {
        let mut shape = String::new();
        describe(plan, 1, &mut shape);
        self.0.entry(name.to_owned()).or_default().insert(shape);
    }

    /// Asserts that each shape is recorded, or records it.
    pub fn compare(&self, version: &str) {
        if !version.starts_with(VERSION) {
            return;
        }
        let mut recorded = parse(RECORDED);
        let mut new = String::new();
        for (name, shapes) in &self.0 {
            for shape in shapes {
                if recorded.0.entry(name.clone()).or_default().insert(shape.clone()) {
                    write!(new, "{name}\n{shape}").unwrap();
                }
            }
        }
        if std::env::var_os("RECORD_PLANS").is_some() {
            std::fs::write(FILE, recorded.text()).unwrap();
        } else {
            assert_eq!(new, "", "there are new plans: review them and run again with RECORD_PLANS=1");
        }
    }

    fn text(&self) -> String {
        let statement = |(name, shapes): (&String, &BTreeSet<String>)| {
            format!("{name}\n{}", shapes.iter().map(String::as_str).collect::<Vec<_>>().join(OR))
        };
        self.0.iter().map(statement).collect::<Vec<_>>().join("\n")
    }
}

fn parse(text: &str) -> Shapes {
    let statements = text.split("\n\n").filter_map(|statement| statement.split_once('\n'));
    let shapes = |text: &str| text.split(OR).map(|shape| format!("{}\n", shape.trim_end())).collect();
    Shapes(statements.map(|(name, text)| (name.to_owned(), shapes(text))).collect())
}

/// Writes a line for each step of a plan, with its substeps below. A bitmap scan reads the same rows as an index scan, and a sort
/// reads nothing, so the shape has neither.
fn describe(plan: &Value, depth: usize, shape: &mut String) {
    let of = |name: &str| plan[name].as_str();
    let below = || plan["Plans"].as_array().into_iter().flatten();
    let node = of("Node Type").unwrap_or_default();
    if node == "Sort" || node == "Bitmap Index Scan" {
        return below().for_each(|below| describe(below, depth, shape));
    }
    let subplan = of("Subplan Name").map(|name| format!("{name}: ")).unwrap_or_default();
    let (kind, index) = match node {
        "Bitmap Heap Scan" => ("Index Scan", below().find_map(|below| below["Index Name"].as_str())),
        "ModifyTable" => (of("Operation").unwrap_or(node), None),
        _ => (node, of("Index Name")),
    };
    let index = index.map(|name| format!(" by {name}")).unwrap_or_default();
    let on = ["Relation Name", "CTE Name", "Function Name"].into_iter().find_map(of);
    let on = on.map(|name| format!(" of {name}")).unwrap_or_default();
    writeln!(shape, "{}{subplan}{kind}{on}{index}", "    ".repeat(depth + 1)).unwrap();
    below().for_each(|below| describe(below, depth + 1, shape));
}
