//! The result of a check.

use serde::Serialize;

/// The result of one check at one place.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The check's name, which does not change from release to release.
    pub check: &'static str,
    /// Its state.
    pub state: Verdict,
    /// The place that it checked.
    #[serde(rename = "where")]
    pub place: String,
    /// What it found.
    pub what: String,
    /// The remedy; null unless the state is wrong.
    pub remedy: Option<String>,
}

/// The verdict of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Right.
    Ok,
    /// Wrong.
    Wrong,
    /// It was not checked.
    NotChecked,
}

impl Verdict {
    /// Its name in text output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Wrong => "wrong",
            Self::NotChecked => "not checked",
        }
    }
}

impl Finding {
    /// A check that is ok.
    pub fn ok(check: &'static str, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { check, state: Verdict::Ok, place: place.into(), what: what.into(), remedy: None }
    }

    /// A check that found something wrong.
    pub fn wrong(
        check: &'static str,
        place: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { check, state: Verdict::Wrong, place: place.into(), what: what.into(), remedy: Some(remedy.into()) }
    }

    /// A check that did not run, for this reason.
    pub fn not_checked(check: &'static str, place: impl Into<String>, why: impl Into<String>) -> Self {
        Self { check, state: Verdict::NotChecked, place: place.into(), what: why.into(), remedy: None }
    }

    /// A check that is ok if this holds, and wrong otherwise.
    pub fn held(
        check: &'static str,
        place: impl Into<String>,
        holds: bool,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        if holds { Self::ok(check, place, what) } else { Self::wrong(check, place, what, remedy) }
    }
}
