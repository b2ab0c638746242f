//! A histogram of text.

/// The width of the longest bar.
const WIDTH: usize = 40;

/// A line for each step: its upper bound, a bar, the count. Steps whose bounds look the same share a line.
pub fn lines(steps: &[(f64, u64)]) -> Vec<String> {
    let mut rows: Vec<(String, u64)> = Vec::new();
    for (end, count) in steps {
        let label = time(*end);
        match rows.last_mut().filter(|(last, _)| *last == label) {
            Some((_, sum)) => *sum += count,
            None => rows.push((label, *count)),
        }
    }
    let most = rows.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    let bar = |count: u64| "█".repeat(usize::try_from((count * WIDTH as u64).div_ceil(most)).unwrap_or(0));
    rows.iter().map(|(end, count)| format!("  ≤ {end:>8}  {:WIDTH$}  {count}", bar(*count))).collect()
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

    #[test]
    fn steps_that_look_the_same_share_a_line() {
        let lines = lines(&[(7.386, 1), (7.387, 0), (7.388, 2), (7.4, 3)]);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines.iter().all(|line| line.ends_with("  3")), "{lines:?}");
    }
}
