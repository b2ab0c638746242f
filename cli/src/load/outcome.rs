//! The raw results of a run.

use super::count::Counted;
use super::send::Sent;
use super::totals::OrderTotals;
use crate::exit::{Exit, Failure};

/// The raw results of a run.
pub struct RunResults {
    pub sent: Sent,
    /// The totals of the run's orders that were read.
    pub found: OrderTotals,
    /// How many accepted orders were not found.
    pub missing: usize,
    /// Why reading the others failed.
    pub unread: Option<Failure>,
    /// The service's counts, `None` if the token may not read them, or why reading them failed.
    pub counted: Result<Option<Counted>, Failure>,
    /// The exit status if it was interrupted.
    pub interrupted: Option<Exit>,
}

impl RunResults {
    /// The results of a run that was interrupted before its first call.
    pub fn none(interrupted: Option<Exit>) -> Self {
        Self {
            sent: Sent::default(),
            found: OrderTotals::default(),
            missing: 0,
            unread: None,
            counted: Ok(None),
            interrupted,
        }
    }

    /// Why the report does not cover the whole run, and the exit status for that.
    pub fn incomplete(&self) -> Option<(String, Exit)> {
        let (unread, uncounted) = (self.unread.as_ref(), self.counted.as_ref().err());
        let reasons = [
            self.interrupted.map(|_| "interrupted".to_owned()),
            unread.map(ToString::to_string),
            uncounted.map(|failure| format!("the service's counts can't be read: {failure}")),
        ];
        let exit = self.interrupted.or(unread.or(uncounted).map(Failure::exit))?;
        Some((reasons.into_iter().flatten().collect::<Vec<_>>().join("; "), exit))
    }
}
