//! Execution environments: the functions' real binaries, driven through the Lambda Runtime API.
//!
//! This implements the Runtime API itself instead of using the crate `lambda-simulator`. That crate keeps every invocation
//! and its answer in memory, which is too much for 100,000 orders. It also polls for answers every 10 ms, which would
//! distort measurements.

mod api;
mod environment;
mod pool;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use environment::{Environment, InvokeError};
pub use pool::Pool;

/// The path of a function's binary: in the directory of cargo's binaries, or else in the output of `sam build`.
pub fn bootstrap(binaries: Option<&Path>, function: &str) -> PathBuf {
    if let Some(directory) = binaries {
        return directory.join(function);
    }
    let (first, rest) = function.split_at(1);
    format!(".aws-sam/build/{}{rest}Function/bootstrap", first.to_uppercase()).into()
}

/// A function as Lambda knows it.
#[derive(Debug, Clone)]
pub struct Function {
    /// The function's name. Its environments are named after it: `api-1`, `api-2`.
    pub name: String,
    /// The path of its binary.
    pub bootstrap: PathBuf,
    /// Its environment variables. `{environment}` in a value stands for the environment's name.
    pub variables: Vec<(String, String)>,
    /// An invocation that takes longer ends with the kill of its environment.
    pub timeout: Duration,
    /// The file for its environments' output. Without one the output is discarded.
    pub log: Option<PathBuf>,
}

impl Function {
    /// A function without a log.
    pub fn new(
        name: &str,
        bootstrap: PathBuf,
        variables: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
        timeout: Duration,
    ) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { name: name.to_owned(), bootstrap, variables, timeout, log: None }
    }
}
