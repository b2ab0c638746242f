//! The body of a call: the order in the merchant's format. It does not change from one call to the next.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::order::Order;
use time::OffsetDateTime;

#[derive(Serialize)]
struct Notice<'a> {
    order_id: &'a str,
    user_id: &'a str,
    item_ids: &'a [String],
    total_amount: String,
    currency: &'a str,
    metadata: &'a BTreeMap<String, String>,
    #[serde(with = "shared::timestamp")]
    created_at: OffsetDateTime,
}

/// The body for this order. It has the same bytes in each call, so that a repeat under the same `Idempotency-Key` is identical. It
/// changes only if the user of a failed order is erased.
pub fn body(order: &Order) -> String {
    let notice = Notice {
        order_id: order.order_id.as_str(),
        user_id: &order.user_id,
        item_ids: &order.item_ids,
        total_amount: order.total_amount.to_string(),
        currency: order.total_amount.currency().code(),
        metadata: order.metadata.as_map(),
        created_at: order.created_at,
    };
    // Serialising strings and a stored time can't fail.
    serde_json::to_string(&notice).unwrap_or_default()
}
