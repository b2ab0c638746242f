//! Checks the events that the bus took against the orders: each end is announced, none before it, and repeats are the same event.

use std::collections::{BTreeMap, HashMap};
use std::time::UNIX_EPOCH;

use sandbox::queue::Taken;
use serde_json::Value;

use super::rows::Row;

/// The tolerance when the bus's time is compared with the database's, in seconds.
const EXACTNESS: f64 = 0.1;

/// An event that the bus took.
#[derive(Debug, Clone)]
pub struct Event {
    order: String,
    sequence: i64,
    id: String,
    /// `completed`, `failed` or `cancelled`.
    kind: String,
    status: String,
    /// When the order ended, and when the bus took the event: seconds since 1970.
    ended: f64,
    taken: f64,
}

pub fn read(taken: &[Taken]) -> Vec<Event> {
    taken.iter().map(Event::of).collect()
}

impl Event {
    fn of(taken: &Taken) -> Self {
        let detail: Value = serde_json::from_str(&taken.detail).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let order = &detail["order"];
        let ended = shared::timestamp::parse(&text(&order["finished_at"])).ok();
        #[expect(clippy::cast_precision_loss, reason = "microseconds of these years are exact enough")]
        let ended = ended.map_or(f64::INFINITY, |at| at.unix_timestamp_nanos() as f64 / 1e9);
        Self {
            order: text(&order["order_id"]),
            sequence: detail["sequence"].as_i64().unwrap_or_default(),
            id: text(&detail["event_id"]),
            kind: taken.detail_type.trim_start_matches("order.").to_owned(),
            status: text(&order["status"]),
            ended,
            taken: taken.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
        }
    }
}

/// The number of events, and of repeats among them.
pub fn count(events: &[Event]) -> (usize, usize) {
    let ids: std::collections::HashSet<_> = events.iter().map(|event| &event.id).collect();
    (events.len(), events.len() - ids.len())
}

/// The orders with an end that was not announced or was announced wrongly, with the reason.
pub fn unannounced(rows: &[Row], events: &[Event]) -> BTreeMap<String, String> {
    let mut of_orders: HashMap<&str, Vec<&Event>> = HashMap::new();
    let mut owners: HashMap<&str, (&str, i64)> = HashMap::new();
    let mut wrong = BTreeMap::new();
    for event in events {
        of_orders.entry(&event.order).or_default().push(event);
        let end = (event.order.as_str(), event.sequence);
        if *owners.entry(&event.id).or_insert(end) != end {
            wrong.insert(event.order.clone(), format!("two ends have the event id {}", event.id));
        }
    }
    for row in rows {
        let of_order = of_orders.remove(row.order.as_str()).unwrap_or_default();
        if let Some(reason) = fault(row, &of_order) {
            wrong.insert(row.order.clone(), reason);
        }
    }
    wrong.extend(of_orders.into_keys().map(|order| (order.to_owned(), "an event of no order".to_owned())));
    wrong
}

/// The fault in the events of an order; `None` if they are right.
fn fault(row: &Row, events: &[&Event]) -> Option<String> {
    let ends = i64::from(row.ends);
    for sequence in 1..=ends {
        let of_end: Vec<_> = events.iter().filter(|event| event.sequence == sequence).collect();
        let Some(first) = of_end.first() else {
            return row.finished_at.map(|_| format!("its end {sequence} of {ends} was not announced"));
        };
        if let Some(other) =
            of_end.iter().find(|event| event.id != first.id || event.ended.to_bits() != first.ended.to_bits())
        {
            let differ = format!("{} of {:.6} s and {} of {:.6} s", first.id, first.ended, other.id, other.ended);
            return Some(format!("two events of its end {sequence} differ: {differ}"));
        }
        let expected = if sequence == ends { row.status.as_str() } else { "failed" };
        if first.kind != expected || first.status != expected {
            return Some(format!("its end {sequence} was announced as {} of a {} order", first.kind, first.status));
        }
    }
    let last = row.finished_at.unwrap_or_default();
    for event in events {
        let is_last = event.sequence == ends;
        if event.sequence > ends || is_last && (event.ended - last).abs() > 1e-3 {
            return Some(format!("the event {} is of no end", event.id));
        }
        if event.taken < event.ended - EXACTNESS {
            return Some(format!("the event {} came {:.3} s before the end", event.id, event.ended - event.taken));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(status: &str, ends: i32) -> Row {
        Row {
            order: "o-1".to_owned(),
            status: status.to_owned(),
            started_at: None,
            finished_at: Some(100.0),
            failure: None,
            has_work: false,
            is_early: false,
            ends,
        }
    }

    fn event(sequence: i64, kind: &str, id: &str) -> Event {
        let kind = kind.to_owned();
        Event {
            order: "o-1".to_owned(),
            sequence,
            id: id.to_owned(),
            status: kind.clone(),
            kind,
            ended: 100.0,
            taken: 100.2,
        }
    }

    fn wrong(row: Row, events: &[Event]) -> usize {
        unannounced(&[row], events).len()
    }

    #[test]
    fn ends_that_are_announced_once_or_more_are_right() {
        let completed = event(1, "completed", "a");
        assert_eq!(wrong(row("completed", 1), &[completed.clone(), completed]), 0);
        let failed = Event { ended: 50.0, taken: 60.0, ..event(1, "failed", "a") };
        assert_eq!(wrong(row("completed", 2), &[event(2, "completed", "b"), failed]), 0);
    }

    #[test]
    fn missing_early_and_wrong_events_are_noticed() {
        let completed = event(1, "completed", "a");
        for (ends, events) in [
            (1, vec![]),
            (2, vec![completed.clone()]),
            (1, vec![event(1, "failed", "a")]),
            (1, vec![completed.clone(), event(1, "completed", "b")]),
            (1, vec![completed.clone(), event(2, "completed", "b")]),
            (1, vec![Event { taken: 99.0, ..completed.clone() }]),
            (1, vec![Event { ended: 99.0, ..completed.clone() }]),
            (1, vec![completed.clone(), Event { order: "o-2".to_owned(), ..completed.clone() }]),
        ] {
            assert!(wrong(row("completed", ends), &events) > 0, "{ends}: {events:?}");
        }
    }
}
