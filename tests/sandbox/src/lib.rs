//! A local AWS and a local PostgreSQL in one process, on loopback ports, for tests that need more speed or more faults than
//! the deployed stack offers:
//!
//! - [`runtime`] runs the functions' real binaries in execution environments.
//! - [`queue`] is their SQS, and [`mapping`] delivers its messages to the processor.
//! - [`gateway`] passes calls to the api.
//! - [`postgres`] is a server that a test can stop, start and promote; [`wire`] is a proxy in front of it.
//! - [`merchant`] is the fulfilment endpoint.
//!
//! Only AWS is emulated. The queue and the wire call a hook before each operation takes effect; the hook can delay or
//! prevent it. Each execution environment has its own name, which the hooks receive.

#![expect(clippy::missing_panics_doc, reason = "a panic of the harness is the failure of a test")]
#![expect(
    clippy::must_use_candidate,
    clippy::return_self_not_must_use,
    reason = "a test often calls for the effect alone"
)]

pub mod calls;
pub mod gateway;
pub mod mapping;
pub mod merchant;
pub mod postgres;
pub mod process;
pub mod progress;
pub mod queue;
pub mod runtime;
pub mod server;
pub mod wire;

use std::str::FromStr;
use std::time::Duration;

use tokio::time::{sleep, timeout};

/// An error of the harness, not of the product.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// A result of the harness.
pub type Result<T> = std::result::Result<T, Error>;

/// The value of an environment variable, or `None` if it is not set or empty. The error names a malformed one.
pub fn variable<T: FromStr>(name: &str) -> Result<Option<T>> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty());
    let parse = |text: String| text.parse().map_err(|_| format!("{name}: {text} is not a valid value").into());
    text.map(parse).transpose()
}

/// Asks `is_done` twenty times a second until it returns true. Fails with `what` after `deadline`.
pub async fn until<F>(what: &str, deadline: Duration, is_done: impl Fn() -> F) -> Result<()>
where
    F: Future<Output = Result<bool>>,
{
    let done = async {
        while !is_done().await? {
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    };
    timeout(deadline, done).await.map_err(|_| format!("not within {deadline:?}: {what}"))?
}

/// The machine that a measurement or a run describes: its cores, its memory and its kernel.
pub fn machine() -> String {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let (info, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unknown processor", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let kib: u64 = memory.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or_default();
    format!("{cores} cores of {model}, {} GiB, Linux {}", kib >> 20, read("/proc/sys/kernel/osrelease").trim())
}
