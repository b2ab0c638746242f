//! Shows the findings, as text or as JSON.

use serde::Serialize;

use super::finding::{Finding, Verdict};
use crate::deployment::Deployment;
use crate::output::{Output, Tone};

/// The document of `--json`.
#[derive(Serialize)]
struct FindingsReport<'a> {
    url: &'a str,
    ok: usize,
    wrong: usize,
    not_checked: usize,
    findings: &'a [Finding],
}

/// Shows all findings.
pub fn show(deployment: &Deployment, findings: &[Finding], output: Output) {
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let (ok, wrong, not_checked) = (count(Verdict::Ok), count(Verdict::Wrong), count(Verdict::NotChecked));
    if output.is_json {
        output.say_json(&FindingsReport { url: deployment.url.as_str(), ok, wrong, not_checked, findings });
        return;
    }
    let width = |of: fn(&Finding) -> usize| findings.iter().map(of).max().unwrap_or_default();
    let (check, place) = (width(|finding| finding.check.len()), width(|finding| finding.place.chars().count().min(40)));
    for finding in findings {
        show_one(finding, check, place, output);
    }
    let summary = format!("{} checks: {ok} ok, {wrong} wrong, {not_checked} not checked", findings.len());
    output.say("");
    output.say_painted(&output.paint(if wrong == 0 { Tone::Good } else { Tone::Bad }, &summary));
}

fn show_one(finding: &Finding, check: usize, place: usize, output: Output) {
    let tone = match finding.state {
        Verdict::Ok => Tone::Good,
        Verdict::Wrong => Tone::Bad,
        Verdict::NotChecked => Tone::Open,
    };
    let state = output.paint(tone, &format!("{:11}", finding.state.as_str()));
    let at = output.paint(Tone::Faint, &format!("{:place$}", finding.place));
    output.say_painted(&format!("{state}  {:check$}  {at}  {}", finding.check, output.escape(&finding.what)));
    if let Some(remedy) = &finding.remedy {
        output.say(&format!("{:11}  {:check$}  → {remedy}", "", ""));
    }
}
