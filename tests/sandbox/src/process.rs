//! Child processes, their output, and signals to them.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::Stdio;

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use tokio::process::Command;
use tokio::sync::watch;

use crate::Result;

/// A child process. Dropping it kills the process.
pub struct Process {
    pid: Pid,
    exited: watch::Receiver<bool>,
}

impl Process {
    /// Starts the process, and reaps it when it ends.
    pub fn start(command: &mut Command) -> Result<Self> {
        let spawned = command.spawn();
        let program = command.as_std().get_program().display();
        let mut child = spawned.map_err(|error| format!("could not start {program}: {error}"))?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).ok_or("the process has ended already")?;
        let (ended, exited) = watch::channel(false);
        tokio::spawn(async move {
            let _ = child.wait().await; // The exit status does not matter.
            let _ = ended.send(true); // The `Process` may be dropped already.
        });
        Ok(Self { pid, exited })
    }

    /// The process id.
    pub fn id(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Whether the process still runs.
    pub fn is_running(&self) -> bool {
        !*self.exited.borrow()
    }

    /// Waits until the process has ended.
    pub async fn exited(&self) {
        let _ = self.exited.clone().wait_for(|exited| *exited).await; // The channel closes only after the end.
    }

    /// Sends a signal, unless the process has ended.
    pub fn signal(&self, signal: Signal) {
        if self.is_running() {
            let _ = kill_process(self.pid, signal); // It fails if the process has just ended.
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// The two outputs of a process: both append to this file.
pub fn output(log: &Path) -> Result<(Stdio, Stdio)> {
    let file = OpenOptions::new().create(true).append(true).open(log)?;
    Ok((file.try_clone()?.into(), file.into()))
}
