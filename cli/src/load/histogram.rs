//! A histogram of text.

/// The width of the longest bar.
const WIDTH: u64 = 40;

/// A line for each step: its upper bound, a bar, the count.
pub fn lines(steps: &[(f64, u64)]) -> Vec<String> {
    let most = steps.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    let bar = |count: u64| "█".repeat(usize::try_from((count * WIDTH).div_ceil(most)).unwrap_or(0));
    steps
        .iter()
        .map(|(end, count)| format!("  ≤ {:>8}  {:WIDTH$}  {count}", time(*end), bar(*count), WIDTH = 40))
        .collect()
}

/// A time in a readable unit.
pub fn time(seconds: f64) -> String {
    match seconds {
        0.0..1.0 => format!("{:.1} ms", seconds * 1e3),
        1.0..100.0 => format!("{seconds:.2} s"),
        _ => format!("{seconds:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_bar_is_of_the_fullest_step() {
        let lines = lines(&[(0.5, 400), (1.5, 1), (2.5, 0)]);
        let bars: Vec<_> = lines.iter().map(|line| line.matches('█').count()).collect();
        assert_eq!(bars, [40, 1, 0]);
        assert!(lines[0].starts_with("  ≤ 500.0 ms") && lines[1].starts_with("  ≤   1.50 s"), "{lines:?}");
    }
}
