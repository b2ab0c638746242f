//! A line of output: an order has reached a status.

use serde::Serialize;
use shared::order::Status;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::orders::ApiOrder;
use crate::output::{Output, Tone};

/// An order has reached a status. One line of `--json`.
#[derive(Serialize)]
pub struct Line<'a> {
    /// When, by the service's clock.
    #[serde(with = "shared::timestamp")]
    at: OffsetDateTime,
    order_id: &'a str,
    user_id: &'a str,
    total_amount: &'a str,
    currency: &'a str,
    status: Status,
    /// The time since its creation, in seconds.
    age: f64,
    attempts: u32,
    failure: Option<&'a str>,
}

/// A line, and the moment of its status.
pub type Written = (OffsetDateTime, String);

/// Writes the lines of [`line()`], in the order of their moments.
pub fn show(mut lines: Vec<Written>, output: Output) {
    lines.sort();
    for (_, line) in lines {
        output.say_painted(&line);
    }
}

/// The line of a status, if the order has reached it.
pub fn line(order: &ApiOrder, status: Status, output: Output) -> Option<Written> {
    let at = moment(order, status)?;
    let failure = order.failure.as_deref().filter(|_| status == Status::Failed);
    if !output.is_json {
        let what = (tone(status), status.as_str());
        return Some((at, text(order, at, what, failure.unwrap_or_default(), output)));
    }
    let line = Line {
        at,
        order_id: &order.order_id,
        user_id: &order.user_id,
        total_amount: &order.total_amount,
        currency: &order.currency,
        status,
        age: (at - order.created_at).as_seconds_f64(),
        attempts: order.attempts,
        failure,
    };
    Some((at, output.escape(&serde_json::to_string(&line).ok()?)))
}

/// The statuses that an order has had, the present one last.
pub fn life(order: &ApiOrder) -> Vec<Status> {
    let mut life = vec![Status::Pending];
    life.extend(order.started_at.map(|_| Status::Processing));
    life.extend(Some(order.status).filter(|status| !status.is_active()));
    life
}

fn moment(order: &ApiOrder, status: Status) -> Option<OffsetDateTime> {
    match status {
        Status::Pending => Some(order.created_at),
        Status::Processing => order.started_at,
        _ => order.finished_at,
    }
}

/// The colour of a status.
pub const fn tone(status: Status) -> Tone {
    match status {
        Status::Pending => Tone::Faint,
        Status::Completed => Tone::Good,
        Status::Failed => Tone::Bad,
        _ => Tone::Open,
    }
}

/// The text of a line: the time, what happened then, the order's age, the order and the details.
pub fn text(order: &ApiOrder, at: OffsetDateTime, what: (Tone, &str), details: &str, output: Output) -> String {
    let time = at.format(format_description!("[hour]:[minute]:[second].[subsecond digits:3]")).unwrap_or_default();
    let (tone, word) = what;
    let word = output.paint(tone, &format!("{word:10}"));
    let age = output.paint(Tone::Faint, &format!("{:>8.1} s", (at - order.created_at).as_seconds_f64()));
    let ApiOrder { order_id, user_id, total_amount, currency, .. } = order;
    let details = if details.is_empty() { String::new() } else { format!("  {details}") };
    let order = output.escape(&format!("{order_id}  {user_id}  {total_amount} {currency}{details}"));
    format!("{time}  {word}  {age}  {order}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_of_an_order_follow_from_its_times() {
        let at = OffsetDateTime::UNIX_EPOCH;
        let order = |status, started_at, finished_at| ApiOrder {
            order_id: "o".into(),
            user_id: "u".into(),
            total_amount: "1.00".into(),
            currency: "EUR".into(),
            status,
            created_at: at,
            started_at,
            finished_at,
            attempts: 0,
            failure: None,
        };
        assert_eq!(life(&order(Status::Pending, None, None)), [Status::Pending]);
        let completed = [Status::Pending, Status::Processing, Status::Completed];
        assert_eq!(life(&order(Status::Completed, Some(at), Some(at))), completed);
        assert_eq!(life(&order(Status::Cancelled, None, Some(at))), [Status::Pending, Status::Cancelled]);
        let (_, json) = line(&order(Status::Pending, None, None), Status::Pending, Output::plain(true)).unwrap();
        assert!(json.starts_with(r#"{"at":"1970-01-01T00:00:00.000000Z","#), "{json}");
    }
}
