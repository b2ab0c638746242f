//! One execution environment: a process of the function's binary, and its Runtime API.

use std::fs::OpenOptions;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::Function;
use super::api::{Call, RuntimeApi};
use crate::Result;
use crate::process::{Process, Signal};

/// How long a function may take before it asks for its first event, as on Lambda.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why an invocation has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvokeError {
    /// The function reported this error.
    Function(String),
    /// Its environment ended before it answered, or could not be started.
    Died,
    /// It was killed because it took too long.
    TimedOut,
    /// The same, and the harness had paused it meanwhile.
    Paused,
}

/// An execution environment. It is killed when this is dropped.
pub struct Environment {
    name: String,
    timeout: Duration,
    api: RuntimeApi,
    process: Process,
    /// Whether it was paused since it got its last event.
    was_paused: AtomicBool,
}

impl Environment {
    /// Starts the function's binary and waits until it asks for an event.
    pub async fn start(function: &Function, name: String) -> Result<Self> {
        let api = RuntimeApi::start(&function.name, function.timeout).await?;
        let process = Process::start(&mut command(function, &name, &api.address())?)?;
        let environment = Self { name, timeout: function.timeout, api, process, was_paused: AtomicBool::new(false) };
        tokio::select! {
            () = environment.api.ready() => Ok(environment),
            () = environment.process.exited() => Err(format!("{} ended while it started", environment.name).into()),
            () = sleep(INIT_TIMEOUT) => Err(format!("{} did not start in time", environment.name).into()),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process's number.
    #[must_use]
    pub fn process_id(&self) -> i32 {
        self.process.id()
    }

    /// Gives it an event and waits for the answer. One that takes longer than the function's time-out is killed, whether
    /// it is paused or not.
    pub async fn invoke(&self, event: Bytes) -> std::result::Result<Bytes, InvokeError> {
        self.was_paused.store(false, Ordering::Relaxed);
        let answered = timeout(self.timeout, self.answered(event)).await;
        answered.unwrap_or_else(|_| {
            self.kill();
            Err(if self.was_paused.load(Ordering::Relaxed) { InvokeError::Paused } else { InvokeError::TimedOut })
        })
    }

    async fn answered(&self, event: Bytes) -> std::result::Result<Bytes, InvokeError> {
        let (answer, answered) = oneshot::channel();
        if !self.api.call(Call { event, answer }).await {
            return Err(InvokeError::Died);
        }
        tokio::select! {
            biased;
            outcome = answered => outcome.map_err(|_| InvokeError::Died)?.map_err(InvokeError::Function),
            () = self.process.exited() => Err(InvokeError::Died),
        }
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Waits until it has ended.
    pub async fn exited(&self) {
        self.process.exited().await;
    }

    /// Ends it at once, in the middle of whatever it does.
    pub fn kill(&self) {
        self.process.signal(Signal::KILL);
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Freezes it.
    pub fn pause(&self) {
        self.was_paused.store(true, Ordering::Relaxed);
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.process.signal(Signal::CONT);
    }
}

/// The binary with nothing in its environment but what Lambda sets and the function's own variables, which win. The access
/// key is the environment's name, so that the queue knows who calls.
fn command(function: &Function, name: &str, runtime_api: &str) -> Result<Command> {
    let (out, err) = output(function)?;
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

fn output(function: &Function) -> Result<(Stdio, Stdio)> {
    let Some(log) = &function.log else { return Ok((Stdio::null(), Stdio::null())) };
    let file = OpenOptions::new().create(true).append(true).open(log)?;
    Ok((file.try_clone()?.into(), file.into()))
}
