//! An event: what is sent about an order that ended.

use serde::Serialize;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use crate::db::ends::End;
use crate::order::Order;
use crate::view::OrderView;

/// The source of all events.
pub const SOURCE: &str = "ordermill";
/// The fields that an event leaves out if it would be too large.
const LARGE_FIELDS: [&str; 2] = ["item_ids", "metadata"];
/// The bytes that `EventBridge` counts for the time:
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html#eb-putevent-size>
const TIME_BYTES: usize = 14;

/// An event about an order that ended.
#[derive(Debug)]
pub struct Event {
    /// The kind of end.
    pub detail_type: String,
    /// When the order ended.
    pub time: OffsetDateTime,
    /// The content, in JSON.
    pub detail: String,
}

/// The content of an event.
#[derive(Serialize, ToSchema)]
#[schema(as = OrderEnd, description = "The end of an order: the `detail` of an event.", examples(json!({
    "event_id": "4b6f3a52-90c1-8e0d-b1f4-2a6c0d9e7f31", "sequence": 1, "omitted": [], "order": {"order_id": "order-1001", "user_id": "alice",
    "item_ids": ["book-1", "pen-7"], "total_amount": "59.98", "currency": "EUR", "metadata": {"cart": "77"}, "process_after": null,
    "status": "failed", "created_at": "2026-01-05T09:29:55.123456Z", "started_at": "2026-01-05T09:30:00.123456Z",
    "finished_at": "2026-01-05T09:52:41.123456Z", "attempts": 12, "failure": "given up after 12 attempts: the fulfilment endpoint did not answer in time", "next": ["retry"]}})))]
pub struct Detail {
    /// The same at each repeat of the event. After a restore of the database another end of the order can have it too.
    #[schema(format = "uuid")]
    event_id: String,
    /// 1 for the order's first end, 2 for the end after its first retry, and so on. It counts within one `created_at`.
    #[schema(minimum = 1)]
    sequence: i32,
    /// The members that `order` lacks because the event would be too large.
    #[schema(value_type = Vec<String>)]
    omitted: &'static [&'static str],
    #[schema(value_type = EndedOrder)]
    order: serde_json::Value,
}

/// The schema of an event's order: an [`OrderView`] that may lack its large fields.
struct EndedOrder;

impl ToSchema for EndedOrder {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        OrderView::schemas(schemas);
    }
}

impl PartialSchema for EndedOrder {
    fn schema() -> RefOr<Schema> {
        let mut schema = OrderView::schema();
        if let RefOr::T(Schema::Object(order)) = &mut schema {
            order.description =
                Some("The order as the API showed it when it had ended, without what is omitted.".to_owned());
            order.examples.clear();
            order.required.retain(|name| !LARGE_FIELDS.contains(&name.as_str()));
        }
        schema
    }
}

impl Event {
    /// The event of this end. It leaves out the order's large fields if it would have more than `max_bytes`.
    pub fn of(end: &End, max_bytes: usize) -> Self {
        let event = |omitted| Self {
            detail_type: format!("order.{}", end.order.status),
            time: end.ended_at,
            detail: detail(end, omitted),
        };
        let whole = event(&[]);
        if whole.size() <= max_bytes { whole } else { event(&LARGE_FIELDS) }
    }

    /// The size that `EventBridge` counts.
    pub fn size(&self) -> usize {
        SOURCE.len() + self.detail_type.len() + self.detail.len() + TIME_BYTES
    }
}

fn detail(end: &End, omitted: &'static [&'static str]) -> String {
    let mut order = serde_json::to_value(OrderView::from(end.order.clone())).unwrap_or_default();
    if let Some(fields) = order.as_object_mut() {
        fields.retain(|name, _| !omitted.contains(&name.as_str()));
    }
    let detail =
        Detail { event_id: event_id(&end.order, end.sequence).to_string(), sequence: end.sequence, omitted, order };
    serde_json::to_string(&detail).unwrap_or_default()
}

/// The id of the event: the same at each repeat, and another one for each end of each order. The time of creation tells an order
/// from a deleted one of the same identifier.
fn event_id(order: &Order, sequence: i32) -> Uuid {
    let name = format!("{}/{}/{sequence}", order.order_id, order.created_at.unix_timestamp_nanos());
    let digest = Sha256::digest(name);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
pub mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::order::{Amount, ItemIds, Metadata, Status, UserId};

    fn at(time: &str) -> OffsetDateTime {
        crate::timestamp::parse(time).unwrap()
    }

    /// The end of an order with so many items of the greatest length.
    pub fn end_of(items: usize) -> End {
        let order = Order {
            order_id: "o-1".parse().unwrap(),
            user_id: UserId::stored("alice".to_owned()),
            item_ids: ItemIds::stored(vec!["𝄞".repeat(128); items]),
            total_amount: Amount::stored("59.98".parse().unwrap(), "EUR".parse().unwrap()),
            metadata: Metadata::stored(Some(r#"{"cart":"77"}"#)).unwrap(),
            process_after: None,
            status: Status::Failed,
            created_at: at("2026-01-05T09:30:00.123456Z"),
            started_at: Some(at("2026-01-05T09:30:02Z")),
            finished_at: Some(at("2026-01-05T09:30:07Z")),
            attempts: 1,
            failure: Some("declined".to_owned()),
        };
        End { order, sequence: 1, ended_at: at("2026-01-05T09:30:07Z") }
    }

    fn content(event: &Event) -> Value {
        serde_json::from_str(&event.detail).unwrap()
    }

    #[test]
    fn event_of_an_end_is_the_same_at_each_repeat() {
        let end = end_of(1);
        assert_eq!(Event::of(&end, 1000).detail, Event::of(&end, 1000).detail);
        let id = content(&Event::of(&end, 1000))["event_id"].clone();
        let after_retry = Event::of(&End { sequence: 2, ..end_of(1) }, 1000);
        assert_ne!(content(&after_retry)["event_id"], id);
        let mut later = end_of(1);
        later.order.created_at += time::Duration::days(400);
        assert_ne!(content(&Event::of(&later, 1000))["event_id"], id, "another order of the same identifier");
    }

    #[test]
    fn large_fields_are_left_out_of_an_event_that_is_too_large() {
        let (small, large) = (content(&Event::of(&end_of(100), 240 * 1024)), Event::of(&end_of(500), 240 * 1024));
        assert_eq!((&small["omitted"], &small["order"]["metadata"]["cart"]), (&json!([]), &json!("77")));
        let content = content(&large);
        assert_eq!(content["omitted"], json!(["item_ids", "metadata"]));
        assert_eq!((&content["order"]["status"], content["order"].get("item_ids")), (&json!("failed"), None));
        assert!(large.size() < 1000, "{}", large.size());
        let schema = serde_json::to_value(EndedOrder::schema()).unwrap();
        let is_required = |name: &&String| schema["required"].as_array().unwrap().contains(&json!(name));
        let names = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&small["order"]), names(&schema["properties"]));
        assert_eq!(
            names(&content["order"]),
            names(&small["order"]).iter().filter(is_required).cloned().collect::<Vec<_>>()
        );
    }
}
