//! Processes that were started here, and signals to them.

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use tokio::process::Command;
use tokio::sync::watch;

use crate::Result;

/// A process that was started here. It is killed when this is dropped.
pub struct Process {
    pid: Pid,
    exited: watch::Receiver<bool>,
}

impl Process {
    /// Starts it, and reaps it when it has ended.
    pub fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.spawn()?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).ok_or("the process has ended already")?;
        let (ended, exited) = watch::channel(false);
        tokio::spawn(async move {
            let _ = child.wait().await; // However it ended.
            let _ = ended.send(true); // Nobody may care.
        });
        Ok(Self { pid, exited })
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !*self.exited.borrow()
    }

    /// Waits until it has ended.
    pub async fn exited(&self) {
        let _ = self.exited.clone().wait_for(|exited| *exited).await; // A closed channel has ended too.
    }

    /// Sends it a signal, unless it has ended.
    pub fn signal(&self, signal: Signal) {
        if self.is_running() {
            let _ = kill_process(self.pid, signal); // It may end this very moment.
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
