//! Statistics of measured values, and their text form.

use std::ops::Range;
use std::time::Duration;

/// The median; 0 for no values.
pub fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// The percentile for this share, from 0 to 1; 0 for no values.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
pub fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((count(last) * share).round() as usize).copied().unwrap_or_default()
}

/// The median of the ratios of each run. Noise that affects both sides of a run cancels out.
pub fn ratio(over: &[f64], under: &[f64]) -> f64 {
    median(&over.iter().zip(under).map(|(over, under)| over / under).collect::<Vec<_>>())
}

/// Converts a count to a float.
#[expect(clippy::cast_precision_loss, reason = "all counts here are far below 2^52")]
pub fn count(many: usize) -> f64 {
    many as f64
}

/// Splits `0..all` into parts of this size.
pub fn numbers(all: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..all).step_by(size).map(move |first| first..all.min(first + size))
}

pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The median, followed by the lowest and the highest value in brackets.
pub fn spread(values: &[f64]) -> String {
    format!("{} ({}–{})", figure(median(values)), figure(percentile(values, 0.0)), figure(percentile(values, 1.0)))
}

/// Formats a number with three significant digits, and with all digits before the decimal point.
pub fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => thousands(value),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Formats a whole number with a comma between thousands.
#[expect(clippy::cast_possible_truncation, reason = "far smaller than 2^63")]
pub fn thousands(value: f64) -> String {
    let digits = (value.round() as i64).to_string();
    let first = digits.len() % 3;
    let mut groups = vec![&digits[..first]];
    groups.extend((first..digits.len()).step_by(3).map(|at| &digits[at..at + 3]));
    groups.retain(|group| !group.is_empty());
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let found = [0.0, 0.5, 0.99, 1.0].map(|share| figure(percentile(&[5.0, 1.0, 3.0], share)));
        assert_eq!(found, ["1.00", "3.00", "5.00", "5.00"]);
        assert_eq!(figure(median(&[])), "0.000");
    }

    #[test]
    fn figures_have_three_significant_digits() {
        let figures = [1_234_567.0, 1234.5, 999.4, 12.34, 1.234, 0.0123].map(figure);
        assert_eq!(figures, ["1,234,567", "1,235", "999", "12.3", "1.23", "0.012"]);
    }
}
