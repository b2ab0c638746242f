//! What a check found.

use serde::Serialize;

/// What was found by one check at one place.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The check's name, which does not change from release to release.
    pub check: &'static str,
    /// What it came to.
    pub state: State,
    /// Where it looked.
    #[serde(rename = "where")]
    pub place: String,
    /// What it saw.
    pub what: String,
    /// What to do about it; null where nothing has to be done.
    pub remedy: Option<String>,
}

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Ok,
    /// Not as it should be.
    Wrong,
    /// Not looked at.
    NotChecked,
}

impl State {
    /// What it is called.
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
    /// It is as it should be.
    pub fn ok(check: &'static str, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { check, state: State::Ok, place: place.into(), what: what.into(), remedy: None }
    }

    /// It is not as it should be.
    pub fn wrong(
        check: &'static str,
        place: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { check, state: State::Wrong, place: place.into(), what: what.into(), remedy: Some(remedy.into()) }
    }

    /// It was not looked at, for this reason.
    pub fn not_checked(check: &'static str, place: impl Into<String>, why: impl Into<String>) -> Self {
        Self { check, state: State::NotChecked, place: place.into(), what: why.into(), remedy: None }
    }

    /// As it should be exactly where this holds.
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
