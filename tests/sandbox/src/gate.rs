//! A gate in front of anything that can be slow. It stands open, lets each caller through late, or holds all of them until
//! it is opened.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

/// How callers get through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pace {
    /// At once.
    #[default]
    Prompt,
    /// After this time.
    Late(Duration),
    /// Not before the pace changes.
    Hang,
}

/// A gate, open at first.
#[derive(Debug, Default)]
pub struct Gate(watch::Sender<Pace>);

impl Gate {
    /// Sets the pace. Callers that hang follow it at once.
    pub fn set(&self, pace: Pace) {
        self.0.send_replace(pace);
    }

    /// Returns when the caller may go on.
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
