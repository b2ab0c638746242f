//! A histogram of times, and its percentiles.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest time that the histogram can record, in microseconds: a day.
const LONGEST: u64 = 86_400_000_000;

/// Times, with a precision of three digits.
pub struct Latencies(Histogram<u64>);

/// Percentiles, in seconds.
#[derive(Debug, Clone, Serialize)]
pub struct LatencyPercentiles {
    pub min: f64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl Default for Latencies {
    fn default() -> Self {
        // These constant bounds are valid.
        Self(Histogram::new_with_bounds(1, LONGEST, 3).unwrap_or_else(|error| unreachable!("{error}")))
    }
}

impl Latencies {
    /// Adds a time.
    pub fn add(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_micros()).unwrap_or(LONGEST));
    }

    /// The percentiles; `None` without times.
    pub fn percentiles(&self) -> Option<LatencyPercentiles> {
        let at = |quantile| seconds(self.0.value_at_quantile(quantile));
        (!self.0.is_empty()).then(|| LatencyPercentiles {
            min: seconds(self.0.min()),
            mean: self.0.mean() / 1e6,
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: seconds(self.0.max()),
        })
    }

    /// Counts the times in this many equal steps from the shortest to the longest. Returns each step's upper bound, in seconds.
    pub fn steps(&self, steps: u32) -> Vec<(f64, u64)> {
        let (low, high) = (self.0.min(), self.0.max());
        let width = ((high - low) / u64::from(steps) + 1).max(1);
        let mut found: Vec<_> = (1..=u64::from(steps)).map(|step| (seconds(low + step * width - 1), 0)).collect();
        for recorded in self.0.iter_recorded() {
            // The last step also counts times that rounding put above it.
            let step = (recorded.value_iterated_to().saturating_sub(low) / width).min(u64::from(steps) - 1);
            if let Some((_, count)) = usize::try_from(step).ok().and_then(|step| found.get_mut(step)) {
                *count += recorded.count_at_value();
            }
        }
        found
    }

    /// Points of a curve: a time, and the share of times that are no longer, in per cent.
    pub fn curve(&self) -> Vec<(f64, f64)> {
        let shares = (0..=200).map(|step| f64::from(step) / 200.0);
        shares.map(|share| (seconds(self.0.value_at_quantile(share)), share * 100.0)).collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "no time here is as long as 2^52 microseconds")]
fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_all_times_and_steps_hold_each_once() {
        let mut latencies = Latencies::default();
        (1..=1000).map(Duration::from_millis).for_each(|time| latencies.add(time));
        let found = latencies.percentiles().unwrap();
        assert!((found.p50 - 0.5).abs() < 0.001 && (found.p99 - 0.99).abs() < 0.001, "{found:?}");
        assert!((found.max - 1.0).abs() < 0.001, "{found:?}");
        let counts: Vec<u64> = latencies.steps(10).into_iter().map(|(_, count)| count).collect();
        assert_eq!(counts.iter().sum::<u64>(), 1000, "{counts:?}");
        assert!(counts.iter().all(|count| (95..=105).contains(count)), "{counts:?}");
        assert!(Latencies::default().percentiles().is_none());
    }
}
