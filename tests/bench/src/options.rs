//! The options of a run, read from variables.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `QUICK` | 1: one short run of each measurement, two minutes in total, without writing the document | |
//! | `ONLY` | the measurements to run, separated by commas (`create,cold`), without writing the document | all |
//! | `RUNS` | the number of runs; each figure is their median | 5; quick: 1 |
//! | `BINARIES` | the directory of `api`, `processor` and `sweeper`, as cargo builds them | the output of `sam build` |

use std::path::PathBuf;
use std::time::Duration;

use sandbox::{Result, variable};

#[derive(Debug, Clone)]
pub struct Options {
    pub is_quick: bool,
    /// The number of runs. Each figure is their median.
    pub runs: usize,
    only: Option<Vec<String>>,
    binaries: Option<PathBuf>,
}

impl Options {
    pub fn from_env() -> Result<Self> {
        let is_quick = variable::<String>("QUICK")?.is_some_and(|text| text != "0");
        let only: Option<String> = variable("ONLY")?;
        Ok(Self {
            is_quick,
            runs: variable("RUNS")?.unwrap_or(if is_quick { 1 } else { 5 }),
            only: only.map(|only| only.split(',').map(str::to_owned).collect()),
            binaries: variable("BINARIES")?,
        })
    }

    pub fn includes(&self, measurement: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|name| name == measurement))
    }

    /// Whether the run writes the document: only a complete run does.
    pub fn writes(&self) -> bool {
        !self.is_quick && self.only.is_none()
    }

    /// Returns `quick` in a quick run, and `long` otherwise.
    pub fn either<T>(&self, long: T, quick: T) -> T {
        if self.is_quick { quick } else { long }
    }

    /// How long a load runs before the measurement, and how long the measurement lasts.
    pub fn load(&self) -> (Duration, Duration) {
        self.either(
            (Duration::from_millis(500), Duration::from_secs(2)),
            (Duration::from_millis(300), Duration::from_secs(1)),
        )
    }

    pub fn bootstrap(&self, function: &str) -> PathBuf {
        sandbox::runtime::bootstrap(self.binaries.as_deref(), function)
    }

    pub fn probe(name: &str) -> PathBuf {
        PathBuf::from("target/release").join(name)
    }
}
