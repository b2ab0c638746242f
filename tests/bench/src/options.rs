//! What a run is asked for, by variables.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `QUICK` | 1: a run of each within two minutes in all, with small numbers, and nothing is written | |
//! | `ONLY` | some of the measures, with commas between: `create,cold`; nothing is written then | all |
//! | `RUNS` | how many runs each figure is the median of | 5; quick: 1 |
//! | `BINARIES` | where `api`, `processor` and `sweeper` are, as cargo builds them | what `sam build` made |

use std::path::PathBuf;
use std::time::Duration;

use sandbox::Result;

/// A run's size.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether this is the short form.
    pub is_quick: bool,
    /// How many runs each figure is the median of.
    pub runs: usize,
    only: Option<Vec<String>>,
    binaries: Option<PathBuf>,
}

impl Options {
    /// Reads the variables.
    pub fn from_env() -> Result<Self> {
        let is_quick = text("QUICK").is_some_and(|text| text != "0");
        let runs =
            text("RUNS").map(|text| text.parse().map_err(|_| format!("RUNS: {text} is no number"))).transpose()?;
        Ok(Self {
            is_quick,
            runs: runs.unwrap_or(if is_quick { 1 } else { 5 }),
            only: text("ONLY").map(|only| only.split(',').map(str::to_owned).collect()),
            binaries: text("BINARIES").map(PathBuf::from),
        })
    }

    /// Whether this measure is asked for.
    #[must_use]
    pub fn wants(&self, measure: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|wanted| wanted == measure))
    }

    /// Whether a document is written: of a whole run alone.
    #[must_use]
    pub fn writes(&self) -> bool {
        !self.is_quick && self.only.is_none()
    }

    /// The first in the long form, the second in the quick one.
    pub fn either<T>(&self, long: T, quick: T) -> T {
        if self.is_quick { quick } else { long }
    }

    /// How long a load is kept up before it is measured, and while it is.
    #[must_use]
    pub fn load(&self) -> (Duration, Duration) {
        self.either(
            (Duration::from_millis(500), Duration::from_secs(2)),
            (Duration::from_millis(300), Duration::from_secs(1)),
        )
    }

    /// A function's binary.
    #[must_use]
    pub fn bootstrap(&self, function: &str) -> PathBuf {
        if let Some(directory) = &self.binaries {
            return directory.join(function);
        }
        let (first, rest) = function.split_at(1);
        format!(".aws-sam/build/{}{rest}Function/bootstrap", first.to_uppercase()).into()
    }

    /// A probe's binary.
    #[must_use]
    pub fn probe(name: &str) -> PathBuf {
        PathBuf::from("target/release").join(name)
    }
}

fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}
