//! The service's own count of orders, if the token allows reading it. It proves that each order was counted once.

use std::ops::RangeInclusive;

use serde::Serialize;
use serde_json::Value;

use crate::client::{Answer, Client};
use crate::exit::Failure;

/// The service's counts at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    total: i64,
    active: i64,
    completed: i64,
}

/// The service's counts of a run.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Counted {
    /// How many orders it accepted.
    pub accepted: i64,
    /// How many completions it counted.
    pub completed: i64,
    /// How many orders were active when the run began.
    active_before: i64,
}

impl Counts {
    /// Reads the counts before a run. Returns `None` without `orders/read.all`.
    pub async fn read(client: &Client<'_>) -> Result<Option<Self>, Failure> {
        let answer = client.follow("/metrics").await?;
        if [401, 403].contains(&answer.status) { Ok(None) } else { Self::of(&answer).map(Some) }
    }

    /// Reads the counts after the run. Returns the difference.
    pub async fn until_now(self, client: &Client<'_>) -> Result<Counted, Failure> {
        let after = Self::of(&client.follow("/metrics").await?)?;
        Ok(Counted {
            accepted: after.total - self.total,
            completed: after.completed - self.completed,
            active_before: self.active,
        })
    }

    fn of(answer: &Answer) -> Result<Self, Failure> {
        let metrics: Value = answer.read()?;
        let of = |status: &str| metrics["status_counts"][status].as_i64();
        let counts = || {
            Some(Self {
                total: metrics["total_orders"].as_i64()?,
                active: of("pending")? + of("processing")?,
                completed: of("completed")?,
            })
        };
        counts().ok_or_else(|| Failure::Other("the answer of GET /metrics has no counts".to_owned()))
    }
}

impl Counted {
    /// Whether no other client created orders or had active ones, so that the counts belong to this run only.
    pub fn is_alone(&self, accepted: u32) -> bool {
        self.active_before == 0 && self.accepted == i64::from(accepted)
    }

    /// Whether the counts confirm that so many orders were completed, each once.
    pub fn confirms(&self, accepted: u32, completed: RangeInclusive<u32>) -> bool {
        let (least, most) = (i64::from(*completed.start()), i64::from(*completed.end()));
        least <= self.completed && (self.completed <= most || !self.is_alone(accepted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(accepted: i64, completed: i64, active_before: i64) -> Counted {
        Counted { accepted, completed, active_before }
    }

    #[test]
    fn completions_count_exactly_unless_others_create_orders() {
        assert!(counted(10, 10, 0).confirms(10, 10..=10));
        assert!(!counted(10, 11, 0).confirms(10, 10..=10));
        assert!(counted(15, 12, 0).confirms(10, 10..=10) && counted(10, 12, 2).confirms(10, 10..=10));
        assert!(!counted(15, 9, 3).confirms(10, 10..=10));
    }

    #[test]
    fn unfinished_order_may_complete_before_the_count() {
        assert!([9, 10].iter().all(|completed| counted(10, *completed, 0).confirms(10, 9..=10)));
        assert!([8, 11].iter().all(|completed| !counted(10, *completed, 0).confirms(10, 9..=10)));
    }
}
