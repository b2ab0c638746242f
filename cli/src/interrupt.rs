//! Ctrl-C and SIGTERM: at the first one a command stops and reports, at the second one it ends at once.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Whether the command was interrupted.
#[derive(Debug, Clone)]
pub struct Interrupt(watch::Receiver<Option<(Exit, Instant)>>);

impl Interrupt {
    /// Handles the process's signals from now on.
    pub fn of_process(output: Output) -> Result<Self, Failure> {
        let (sender, receiver) = watch::channel(None);
        let listen = |kind| signal(kind).map_err(|error| Failure::Other(format!("signals can't be handled: {error}")));
        let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        tokio::spawn(async move {
            loop {
                let exit = tokio::select! {
                    _ = interrupt.recv() => Exit::Interrupted,
                    _ = terminate.recv() => Exit::Terminated,
                };
                if sender.borrow().is_some() {
                    std::process::exit(exit as i32);
                }
                // First the line, because the command may end at once.
                output.complain("interrupted: stopping and reporting; Ctrl-C again ends the command at once");
                sender.send_replace(Some((exit, Instant::now())));
            }
        });
        Ok(Self(receiver))
    }

    /// An interrupt that never comes.
    #[must_use]
    pub fn never() -> Self {
        Self(watch::channel(None).1)
    }

    /// The exit status, if the command was interrupted.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        self.0.borrow().map(|(exit, _)| exit)
    }

    /// Returns this long after an interrupt.
    pub async fn wait_and(&self, time: Duration) {
        sleep_until(self.moment().await + time).await;
    }

    /// Returns at an interrupt.
    pub async fn wait(&self) {
        self.moment().await;
    }

    /// Waits for an interrupt. Returns its moment.
    async fn moment(&self) -> Instant {
        match self.0.clone().wait_for(Option::is_some).await.as_deref() {
            Ok(Some((_, moment))) => *moment,
            _ => std::future::pending().await,
        }
    }
}
