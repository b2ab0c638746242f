//! The totals of a run's orders.

use std::collections::BTreeMap;
use std::time::Duration;

use shared::order::Status;
use time::OffsetDateTime;

use super::latency::Latencies;
use crate::orders::ApiOrder;

/// The totals of the orders that have been read. It keeps no order, so a run of any size needs the same memory.
#[derive(Default)]
pub struct OrderTotals {
    by_status: BTreeMap<Status, u32>,
    /// How many needed more than one attempt.
    pub reattempted: u32,
    /// From an order's creation to its start.
    pub queueing: Latencies,
    /// From its start to its end.
    pub processing: Latencies,
    /// From its creation to its end.
    pub life: Latencies,
    first_created: Option<OffsetDateTime>,
    last_finished: Option<OffsetDateTime>,
}

impl OrderTotals {
    /// Adds an order.
    pub fn add(&mut self, order: &ApiOrder) {
        let (created, started, finished) = (order.created_at, order.started_at, order.finished_at);
        *self.by_status.entry(order.status).or_default() += 1;
        self.reattempted += u32::from(order.attempts > 1);
        for (latencies, from, to) in [
            (&mut self.queueing, Some(created), started),
            (&mut self.processing, started, finished),
            (&mut self.life, Some(created), finished),
        ] {
            if let Some((from, to)) = from.zip(to) {
                latencies.add(Duration::try_from(to - from).unwrap_or_default());
            }
        }
        // `None` is less than any time.
        self.first_created = self.first_created.into_iter().chain([created]).min();
        self.last_finished = self.last_finished.max(finished);
    }

    /// How many orders have this status.
    pub fn of(&self, status: Status) -> u32 {
        self.by_status.get(&status).copied().unwrap_or_default()
    }

    /// How many orders are active.
    pub fn active(&self) -> u32 {
        self.by_status.iter().filter(|(status, _)| status.is_active()).map(|(_, many)| many).sum()
    }

    /// How many orders there are.
    pub fn count(&self) -> u32 {
        self.by_status.values().sum()
    }

    /// The seconds from the first order's creation to the last one's end; 0 if none has ended.
    pub fn span(&self) -> f64 {
        let span = self.first_created.zip(self.last_finished);
        span.map_or(0.0, |(first, last)| (last - first).as_seconds_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(status: &str, attempts: u32, times: [Option<u32>; 3]) -> ApiOrder {
        let [created_at, started_at, finished_at] =
            times.map(|second| second.map(|second| format!("2026-01-01T00:00:{second:02}Z")));
        let order = serde_json::json!({"order_id": "o", "user_id": "u", "total_amount": "1.00", "currency": "EUR",
            "status": status, "created_at": created_at, "started_at": started_at, "finished_at": finished_at,
            "attempts": attempts, "failure": null});
        serde_json::from_value(order).unwrap()
    }

    #[test]
    fn totals_are_of_each_order_once() {
        let mut totals = OrderTotals::default();
        assert_eq!((totals.count(), totals.span().to_bits()), (0, 0));
        for order in [
            order("completed", 1, [Some(5), Some(6), Some(9)]),
            order("completed", 2, [Some(2), Some(4), Some(7)]),
            order("cancelled", 0, [Some(3), None, Some(4)]),
            order("processing", 1, [Some(4), Some(7), None]),
            order("pending", 0, [Some(8), None, None]),
        ] {
            totals.add(&order);
        }
        let many = [Status::Completed, Status::Cancelled, Status::Failed].map(|status| totals.of(status));
        assert_eq!((many, totals.active(), totals.count(), totals.reattempted), ([2, 1, 0], 2, 5, 1));
        assert!((totals.span() - 7.0).abs() < 1e-9, "{}", totals.span());
        for (latencies, min, max) in
            [(&totals.queueing, 1.0, 3.0), (&totals.processing, 3.0, 3.0), (&totals.life, 1.0, 5.0)]
        {
            let found = latencies.percentiles().unwrap();
            assert!((found.min - min).abs() < 0.01 && (found.max - max).abs() < 0.01, "{found:?}");
        }
    }
}
