//! The group of a message: it tells SQS which messages belong to the same user.
//!
//! While one group has most of the messages in flight, or takes most of the processing time, SQS delivers the messages of the
//! other groups first (*fair queues*), so that one user's flood does not delay another's order. A group on a standard queue neither
//! orders its messages nor limits how many are in flight:
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues-detailed.html>
//!
//! Every sender gives a message the group of its order's user, and the processor passes a received message's group on, so that
//! no further statement is needed for it. A message without a group, as older releases send them, counts as a group of its own.

use sha2::{Digest, Sha256};

/// A group of messages: those of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group(String);

impl Group {
    /// The group of a user's orders: the first 16 hexadecimal digits of the SHA-256 of the user's identifier.
    ///
    /// SQS takes 1 to 128 letters, digits and punctuation, and an identifier may hold spaces and other letters. It may also be
    /// an e-mail address, which has no place in a queue. The digest has no key: a reader of the queue who knows an identifier can
    /// compute its group. Two users with the same digits share a group, which does no harm.
    #[must_use]
    pub fn of(user_id: &str) -> Self {
        Self(hex::encode(&Sha256::digest(user_id)[..8]))
    }

    /// The group of a message that SQS has delivered.
    #[must_use]
    pub fn received(attribute: &str) -> Self {
        Self(attribute.to_owned())
    }

    /// The group as SQS takes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_of_a_user_is_stable_and_hides_the_identifier() {
        // printf alice | sha256sum
        assert_eq!(Group::of("alice").as_str(), "2bd806c97f0e00af");
        assert_eq!(Group::of("alice"), Group::of("alice"));
        assert_ne!(Group::of("alice"), Group::of("bob"));
    }

    #[test]
    fn group_of_any_user_is_one_that_sqs_takes() {
        for user_id in ["a", "Jörg Müller@example.com", "😀", &"ü".repeat(128)] {
            let group = Group::of(user_id);
            assert!(
                group.as_str().len() == 16 && group.as_str().chars().all(|c| c.is_ascii_alphanumeric()),
                "{group:?}"
            );
        }
    }
}
