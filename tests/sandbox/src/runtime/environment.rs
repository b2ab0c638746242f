//! One execution environment: a process of the function's binary, and its Runtime API.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::Function;
use super::api::{Invocation, RuntimeApi};
use crate::Result;
use crate::process::{Process, Signal, output};

/// How long a function may take before it asks for its first event, as on Lambda.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why an invocation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvokeError {
    /// The function reported this error.
    Function(String),
    /// Its environment ended before it answered, or could not be started.
    Died,
    /// Its environment was killed at the time-out.
    TimedOut,
    /// Its environment was killed at the time-out after the harness had paused it.
    Paused,
}

/// An execution environment. Dropping it kills the process.
pub struct Environment {
    name: String,
    timeout: Duration,
    api: RuntimeApi,
    process: Process,
    /// Whether the harness has paused it and not resumed it.
    is_paused: AtomicBool,
    /// Whether the harness has paused it since its last event, or before that and not resumed it.
    was_paused: AtomicBool,
}

impl Environment {
    /// Starts the function's binary and waits until it asks for an event.
    pub async fn start(function: &Function, name: String) -> Result<Self> {
        let api = RuntimeApi::start(&function.name, function.timeout).await?;
        let process = Process::start(&mut command(function, &name, &api.address())?)?;
        let (is_paused, was_paused) = (AtomicBool::new(false), AtomicBool::new(false));
        let environment = Self { name, timeout: function.timeout, api, process, is_paused, was_paused };
        tokio::select! {
            () = environment.api.ready() => Ok(environment),
            () = environment.process.exited() => Err(format!("{} ended while it started", environment.name).into()),
            () = sleep(INIT_TIMEOUT) => Err(format!("{} did not start in time", environment.name).into()),
        }
    }

    /// The name, for instance `api-1`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id.
    pub fn process_id(&self) -> i32 {
        self.process.id()
    }

    /// Sends an event to the function and waits for the answer. Kills the environment, paused or not, at the function's
    /// time-out.
    pub async fn invoke(&self, event: Bytes) -> std::result::Result<Bytes, InvokeError> {
        self.was_paused.store(self.is_paused.load(Ordering::SeqCst), Ordering::SeqCst);
        if let Ok(answered) = timeout(self.timeout, self.answered(event)).await {
            return answered;
        }
        self.kill();
        self.exited().await; // Until then it counts as running, and would be sent another event.
        // Both, because a pause may have come between the two steps at the event's beginning.
        let paused = [&self.is_paused, &self.was_paused].iter().any(|flag| flag.load(Ordering::SeqCst));
        Err(if paused { InvokeError::Paused } else { InvokeError::TimedOut })
    }

    async fn answered(&self, event: Bytes) -> std::result::Result<Bytes, InvokeError> {
        let (answer, answered) = oneshot::channel();
        if !self.api.invoke(Invocation { event, answer }).await {
            return Err(InvokeError::Died);
        }
        tokio::select! {
            biased;
            outcome = answered => outcome.map_err(|_| InvokeError::Died)?.map_err(InvokeError::Function),
            () = self.process.exited() => Err(InvokeError::Died),
        }
    }

    /// Whether the process still runs.
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Waits until the process has ended.
    pub async fn exited(&self) {
        self.process.exited().await;
    }

    /// Kills the process at once (SIGKILL).
    pub fn kill(&self) {
        self.process.signal(Signal::KILL);
    }

    /// Asks the process to end (SIGTERM).
    pub fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Freezes the process.
    pub fn pause(&self) {
        self.is_paused.store(true, Ordering::SeqCst);
        self.was_paused.store(true, Ordering::SeqCst);
        self.process.signal(Signal::STOP);
    }

    /// Continues a frozen process.
    pub fn resume(&self) {
        self.is_paused.store(false, Ordering::SeqCst);
        self.process.signal(Signal::CONT);
    }
}

/// The command that starts the binary. Its only variables are those that Lambda sets and the function's own, which win. The
/// access key is the environment's name, so that the queue can identify the caller.
fn command(function: &Function, name: &str, runtime_api: &str) -> Result<Command> {
    let (out, err) = function.log.as_deref().map_or_else(|| Ok((Stdio::null(), Stdio::null())), output)?;
    let mut command = Command::new(&function.bootstrap);
    command.env_clear().stdin(Stdio::null()).stdout(out).stderr(err);
    command
        .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
        .env("AWS_LAMBDA_FUNCTION_NAME", &function.name)
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
        .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", function.name))
        .env("AWS_LAMBDA_LOG_STREAM_NAME", name)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", name)
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .envs(function.variables.iter().map(|(key, value)| (key, value.replace("{environment}", name))));
    Ok(command)
}
