//! A gate that makes a server slow. It is open, delays each caller, or blocks all callers until it is opened.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

/// How the gate treats callers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pace {
    /// They pass without delay.
    #[default]
    Prompt,
    /// They pass after this time.
    Late(Duration),
    /// They wait until the pace changes.
    Hang,
}

/// A gate. It is open at first.
#[derive(Debug, Default)]
pub struct Gate(watch::Sender<Pace>);

impl Gate {
    /// Sets the pace, for blocked callers too.
    pub fn set(&self, pace: Pace) {
        self.0.send_replace(pace);
    }

    /// Waits until the caller may pass.
    pub async fn pass(&self) {
        let mut pace = self.0.subscribe();
        loop {
            let now = *pace.borrow_and_update();
            match now {
                Pace::Prompt => return,
                Pace::Late(time) => return sleep(time).await,
                Pace::Hang => {
                    let _ = pace.changed().await; // The sender lives as long as the gate.
                }
            }
        }
    }
}
