//! The order: its fields, each a type that can hold nothing invalid, and its states.

mod metadata;
mod money;
mod status;

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error};
use time::OffsetDateTime;
use uuid::Uuid;

pub use metadata::Metadata;
pub use money::{Amount, Currency};
pub use status::{Action, Author, ChangeKind, Status};

/// Why a value is not valid. The text completes the sentence "`order_id` …" for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(&'static str);

/// An order's identifier: 1 to 64 of `A–Z a–z 0–9 . _ : -`, but not `.` or `..`. Clients and gateways remove those two from
/// paths.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct OrderId(String);

impl OrderId {
    /// The longest identifier, in characters.
    pub const MAX_LENGTH: usize = 64;

    /// A new identifier, a `UUIDv7`: unique without coordination, and increasing with time. Orders created at the same time are
    /// neighbours in the index too.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7().to_string())
    }

    /// The identifier as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OrderId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-');
        if !(1..=Self::MAX_LENGTH).contains(&text.len()) || !text.chars().all(allowed) || [".", ".."].contains(&text) {
            return Err(Invalid("must be 1 to 64 characters out of A-Z a-z 0-9 . _ : -, and neither . nor .."));
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for OrderId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The user who owns an order: 1 to 128 characters without control characters. A caller's is the `sub` of its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserId(String);

impl UserId {
    /// The longest identifier, in characters.
    pub const MAX_LENGTH: usize = 128;

    /// The user of a stored order. The database's rules have accepted it.
    pub(crate) const fn stored(text: String) -> Self {
        Self(text)
    }

    /// The identifier as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if !is_label(text, Self::MAX_LENGTH) {
            return Err(Invalid("must be 1 to 128 characters, none of them a control character"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl From<UserId> for String {
    fn from(user_id: UserId) -> Self {
        user_id.0
    }
}

impl<'de> Deserialize<'de> for UserId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The items of an order: 1 to 500 identifiers of 1 to 128 characters, in the client's order. Repeats are allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemIds(Vec<String>);

impl ItemIds {
    /// The most items in an order.
    pub const MAX_COUNT: usize = 500;
    /// The longest item identifier, in characters.
    pub const MAX_LENGTH: usize = 128;

    /// The items of a stored order. The database's rules have accepted them.
    pub(crate) const fn stored(items: Vec<String>) -> Self {
        Self(items)
    }

    /// The identifiers.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

impl From<ItemIds> for Vec<String> {
    fn from(items: ItemIds) -> Self {
        items.0
    }
}

impl TryFrom<Vec<String>> for ItemIds {
    type Error = Vec<(Option<usize>, Invalid)>;

    /// Fails with every bad item and its index, or without an index if the number of items is wrong.
    fn try_from(items: Vec<String>) -> Result<Self, Self::Error> {
        if !(1..=Self::MAX_COUNT).contains(&items.len()) {
            return Err(vec![(None, Invalid("must hold 1 to 500 items"))]);
        }
        let invalid = Invalid("must be a string of 1 to 128 characters, none of them a control character");
        let bad: Vec<_> = (items.iter().enumerate())
            .filter(|(_, item)| !is_label(item, Self::MAX_LENGTH))
            .map(|(index, _)| (Some(index), invalid))
            .collect();
        if bad.is_empty() { Ok(Self(items)) } else { Err(bad) }
    }
}

/// Whether the text is one to `max_length` characters without control characters (PostgreSQL's text can't hold NUL at all).
#[must_use]
pub fn is_label(text: &str, max_length: usize) -> bool {
    (1..=max_length).contains(&text.chars().count()) && !text.contains(char::is_control)
}

/// The order in a client's create request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// The client's own identifier. An order without one gets a generated identifier.
    pub order_id: Option<OrderId>,
    /// The user who owns it.
    pub user_id: UserId,
    /// The items.
    pub item_ids: ItemIds,
    /// The price.
    pub total_amount: Amount,
    /// The client's own facts about it.
    pub metadata: Metadata,
    /// The time before which it is not processed.
    pub process_after: Option<OffsetDateTime>,
}

/// A stored order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The identifier.
    pub order_id: OrderId,
    /// The user who owns it.
    pub user_id: UserId,
    /// The items.
    pub item_ids: ItemIds,
    /// The price.
    pub total_amount: Amount,
    /// The client's own facts about it.
    pub metadata: Metadata,
    /// The time before which it is not processed.
    pub process_after: Option<OffsetDateTime>,
    /// The current status.
    pub status: Status,
    /// When it became durable.
    pub created_at: OffsetDateTime,
    /// When work on it first started. An operator's retry clears it.
    pub started_at: Option<OffsetDateTime>,
    /// When it ended.
    pub finished_at: Option<OffsetDateTime>,
    /// The number of attempts to process it. An operator's retry sets it to 0.
    pub attempts: i32,
    /// Why it failed.
    pub failure: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_id_is_one_to_sixty_four_safe_characters() {
        for text in ["a", "A.b_c:d-9", "...", ".a", &"x".repeat(64), OrderId::generate().as_str()] {
            assert!(text.parse::<OrderId>().is_ok(), "{text}");
        }
        for text in ["", ".", "..", "a b", "a/b", "ä", "a\n", "a\0", &"x".repeat(65)] {
            assert!(text.parse::<OrderId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn user_id_is_measured_in_characters_without_control_characters() {
        assert!("ü".repeat(128).parse::<UserId>().is_ok());
        for text in ["", "a\0b", "a\tb", &"u".repeat(129)] {
            assert!(text.parse::<UserId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn every_bad_item_is_named_by_its_index() {
        let items = vec!["ok".to_owned(), String::new(), "a\0".to_owned()];
        let bad = ItemIds::try_from(items).unwrap_err();
        assert_eq!(bad.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [Some(1), Some(2)]);
        assert!(ItemIds::try_from(vec![]).is_err());
        assert!(ItemIds::try_from(vec!["i".to_owned(); 501]).is_err());
        assert!(ItemIds::try_from(vec!["i".to_owned(); 500]).is_ok());
    }
}
