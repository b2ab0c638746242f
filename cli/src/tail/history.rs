//! The lines of an order's history.

use serde::{Deserialize, Serialize};
use shared::order::Status;
use time::OffsetDateTime;

use super::line::{text, tone};
use crate::orders::ApiOrder;
use crate::output::{Output, Tone};

/// The history of an order.
#[derive(Deserialize)]
pub struct Changes {
    pub changes: Vec<Change>,
    /// Whether some changes are not recorded.
    pub truncated: bool,
}

/// A change of the order.
#[derive(Deserialize, Serialize)]
#[expect(clippy::struct_field_names, reason = "they are the API's")]
pub struct Change {
    #[serde(with = "shared::timestamp")]
    at: OffsetDateTime,
    change: String,
    attempt: Option<u32>,
    cause: Option<String>,
    by: String,
    subject: Option<String>,
    client: Option<String>,
}

/// A change as a line of `--json`.
#[derive(Serialize)]
struct ChangeLine<'a> {
    order_id: &'a str,
    user_id: &'a str,
    total_amount: &'a str,
    currency: &'a str,
    /// The status that the order has since.
    status: Status,
    /// How long after its creation, in seconds.
    age: f64,
    #[serde(flatten)]
    change: &'a Change,
}

impl Changes {
    /// A line for each change, escaped, oldest first.
    pub fn lines(&self, order: &ApiOrder, output: Output) -> Vec<String> {
        let mut status = Status::Pending;
        let line = |change: &'_ Change| {
            status = change.status().unwrap_or(status);
            if !output.is_json {
                return change.text(order, output);
            }
            let age = (change.at - order.created_at).as_seconds_f64();
            let ApiOrder { order_id, user_id, total_amount, currency, .. } = order;
            let line = ChangeLine { order_id, user_id, total_amount, currency, status, age, change };
            output.escape(&serde_json::to_string(&line).unwrap_or_default())
        };
        self.changes.iter().map(line).collect()
    }
}

impl Change {
    /// The status that the change gives the order; `None` if the order keeps its status, or if this version does not know the change.
    fn status(&self) -> Option<Status> {
        self.change.parse::<shared::order::ChangeKind>().ok()?.status()
    }

    fn text(&self, order: &ApiOrder, output: Output) -> String {
        // A retry shows its own name: the order was pending before.
        let (word, tone) = match self.status().filter(|_| self.change != "retried") {
            Some(status) => (status.as_str(), tone(status)),
            None => (self.change.as_str(), Tone::Open),
        };
        let details: Vec<_> = [
            self.attempt.filter(|_| self.change == "attempt_failed").map(|attempt| format!("attempt {attempt}")),
            self.cause.clone(),
            self.subject.as_ref().map(|subject| format!("by {subject}")),
            self.client.as_ref().map(|client| format!("with {client}")),
        ]
        .into_iter()
        .flatten()
        .collect();
        text(order, self.at, (tone, &word.replace('_', " ")), &details.join(", "), output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGES: &str = r#"{"truncated": false, "changes": [
        {"at": "2026-01-01T00:00:00Z", "change": "created", "attempt": null, "cause": null, "by": "caller", "subject": null, "client": null},
        {"at": "2026-01-01T00:00:01Z", "change": "attempt_failed", "attempt": 2, "cause": "bu\u001b]sy", "by": "processor", "subject": null, "client": null},
        {"at": "2026-01-01T00:00:02.120000Z", "change": "retried", "attempt": null, "cause": null, "by": "caller", "subject": "olga", "client": "cli"}
    ]}"#;

    fn lines(output: Output) -> Vec<String> {
        let history: Changes = serde_json::from_str(CHANGES).unwrap();
        let order = ApiOrder {
            order_id: "o".into(),
            user_id: "u".into(),
            total_amount: "1.00".into(),
            currency: "EUR".into(),
            status: Status::Pending,
            created_at: history.changes[0].at,
            started_at: None,
            finished_at: None,
            attempts: 0,
            failure: None,
        };
        history.lines(&order, output)
    }

    #[test]
    fn lines_say_the_cause_and_who_did_it() {
        let lines = lines(Output::plain(false));
        assert!(lines[1].contains("attempt failed") && lines[1].ends_with(r"attempt 2, bu\u{1b}]sy"), "{lines:?}");
        assert!(lines[2].ends_with("by olga, with cli"), "{lines:?}");
    }

    #[test]
    fn json_has_the_change_and_the_status_since() {
        let last: serde_json::Value = serde_json::from_str(&lines(Output::plain(true))[2]).unwrap();
        assert_eq!(
            (&last["at"], &last["change"], &last["status"], &last["subject"]),
            (&"2026-01-01T00:00:02.120000Z".into(), &"retried".into(), &"pending".into(), &"olga".into())
        );
    }
}
