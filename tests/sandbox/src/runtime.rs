//! Execution environments: the functions' real binaries, driven through the Lambda Runtime API.
//!
//! The Runtime API is a small driver of our own rather than the crate `lambda-simulator`: that one keeps every invocation
//! and its answer for as long as it lives, and learns of an answer by being asked every 10 ms, which neither 100,000
//! orders nor a measurement can bear.

mod api;
mod environment;
mod pool;

use std::path::PathBuf;
use std::time::Duration;

pub use environment::{Environment, InvokeError};
pub use pool::Pool;

/// A function as Lambda knows it.
#[derive(Debug, Clone)]
pub struct Function {
    /// Its name, of which its environments' names are made: `api-1`, `api-2`.
    pub name: String,
    /// Its binary.
    pub bootstrap: PathBuf,
    /// Its variables. `{environment}` in a value becomes the environment's name.
    pub variables: Vec<(String, String)>,
    /// After which its environment is killed.
    pub timeout: Duration,
    /// Where its environments' output goes; nowhere if none.
    pub log: Option<PathBuf>,
}

impl Function {
    /// How many events an environment is given at once: one, or what `AWS_LAMBDA_MAX_CONCURRENCY` says, as on Managed
    /// Instances.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        let variable = self.variables.iter().find(|(name, _)| name == "AWS_LAMBDA_MAX_CONCURRENCY");
        variable.and_then(|(_, value)| value.parse().ok()).unwrap_or(1)
    }
}
