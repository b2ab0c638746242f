//! The status of an order, and the changes that lead to it. This file alone says how statuses differ: the statistics, the API, the events
//! and the clients call its functions.

use std::fmt;
use std::str::FromStr;

use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Invalid;

/// The status of an order.
///
/// `pending` → `processing` → `completed` or `failed`; `pending` → `cancelled`; and an operator's retry takes `failed`
/// back to `pending`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(
    description = "The status of an order. A later release may add values: treat an unknown one as you would an order that you \
    know nothing more about."
)]
pub enum Status {
    /// The order is durable. No worker has started it.
    Pending,
    /// A worker has started it.
    Processing,
    /// The work is done, once.
    Completed,
    /// The work failed for good. The order's `failure` has the cause.
    Failed,
    /// A client or an operator cancelled it before processing started.
    Cancelled,
}

/// The facts that all orders of a status share.
struct Facts {
    name: &'static str,
    is_active: bool,
    next: &'static [Action],
}

impl Status {
    /// Every status, from the first of an order to the last.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Processing, Self::Completed, Self::Failed, Self::Cancelled];

    const fn facts(self) -> Facts {
        match self {
            Self::Pending => Facts { name: "pending", is_active: true, next: &[Action::Cancel] },
            Self::Processing => Facts { name: "processing", is_active: true, next: &[] },
            Self::Completed => Facts { name: "completed", is_active: false, next: &[] },
            Self::Failed => Facts { name: "failed", is_active: false, next: &[Action::Retry] },
            Self::Cancelled => Facts { name: "cancelled", is_active: false, next: &[] },
        }
    }

    /// The name used in the API and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.facts().name
    }

    /// Whether the order has not ended.
    #[must_use]
    pub const fn is_active(self) -> bool {
        self.facts().is_active
    }

    /// The actions that it allows.
    #[must_use]
    pub const fn next(self) -> &'static [Action] {
        self.facts().next
    }

    /// The statuses of orders that have ended.
    pub fn ended() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|status| !status.is_active())
    }
}

impl FromStr for Status {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        (Self::ALL.into_iter().find(|status| status.as_str() == text))
            .ok_or(Invalid("must be one of pending, processing, completed, failed, cancelled"))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An action on an order: the last part of the path to post to.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// `POST /orders/{order_id}/cancel`
    Cancel,
    /// `POST /orders/{order_id}/retry`, for operators.
    Retry,
}

/// A kind of change. A later release may add values: after an unknown one you know nothing more about the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = OrderChange)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// The order became durable.
    Created,
    /// Processing started.
    Started,
    /// An attempt failed for now, or its worker crashed.
    AttemptFailed,
    /// The sweeper sent another message, because the order's message was lost.
    Requeued,
    /// The queue did not take that message. The sweeper tries again.
    RequeueFailed,
    /// The order failed.
    Failed,
    /// An operator made the failed order pending again.
    Retried,
    /// The order was cancelled.
    Cancelled,
    /// The order was completed.
    Completed,
}

impl ChangeKind {
    const fn facts(self) -> (Author, Option<Status>) {
        match self {
            Self::Created | Self::Retried => (Author::Caller, Some(Status::Pending)),
            Self::Started => (Author::Processor, Some(Status::Processing)),
            Self::AttemptFailed => (Author::Processor, None),
            Self::Requeued | Self::RequeueFailed => (Author::Sweeper, None),
            Self::Failed => (Author::Processor, Some(Status::Failed)),
            Self::Cancelled => (Author::Caller, Some(Status::Cancelled)),
            Self::Completed => (Author::Processor, Some(Status::Completed)),
        }
    }

    /// The part that makes the change.
    #[must_use]
    pub const fn author(self) -> Author {
        self.facts().0
    }

    /// The status that the change gives the order; `None` if the order keeps its status.
    #[must_use]
    pub const fn status(self) -> Option<Status> {
        self.facts().1
    }
}

impl FromStr for ChangeKind {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = |_: serde::de::value::Error| Invalid("must be a kind of change");
        Self::deserialize(text.into_deserializer()).map_err(invalid)
    }
}

/// A part that changes orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ChangeAuthor)]
#[serde(rename_all = "lowercase")]
pub enum Author {
    /// A caller of the API.
    Caller,
    /// The processor.
    Processor,
    /// The sweeper.
    Sweeper,
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema;

    use super::*;

    #[test]
    fn every_status_reads_back_from_its_name() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        assert!("done".parse::<Status>().is_err());
    }

    #[test]
    fn statuses_of_the_document_are_all_statuses_by_name() {
        let document = serde_json::to_value(Status::schema()).unwrap();
        assert_eq!(document["enum"], serde_json::json!(Status::ALL.map(Status::as_str)));
        assert_eq!(document["enum"], serde_json::json!(Status::ALL));
    }

    /// Many generated clients refuse a value that their document does not have.
    #[test]
    fn document_says_that_a_later_release_may_add_values() {
        for schema in [Status::schema(), ChangeKind::schema()] {
            let description = serde_json::to_value(schema).unwrap()["description"].to_string();
            assert!(description.contains("A later release may add values"), "{description}");
        }
    }

    #[test]
    fn every_status_has_a_change_that_leads_to_it() {
        for status in Status::ALL {
            let name = match status {
                Status::Pending => "created",
                Status::Processing => "started",
                ended => ended.as_str(),
            };
            assert_eq!(name.parse::<ChangeKind>().map(ChangeKind::status), Ok(Some(status)));
        }
        assert!("done".parse::<ChangeKind>().is_err());
    }
}
