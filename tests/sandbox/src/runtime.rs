//! Execution environments: the functions' real binaries, driven through the Lambda Runtime API.
//!
//! This implements the Runtime API itself instead of using the crate `lambda-simulator`. That crate keeps every invocation
//! and its answer in memory, which is too much for 100,000 orders. It also polls for answers every 10 ms, which would
//! distort measurements.

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
