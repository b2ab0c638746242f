//! A quantity that grows linearly with the orders of an invocation, fitted to measured points.

use serde::{Deserialize, Serialize};

/// A quantity that grows linearly with the orders of an invocation.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Line {
    pub fixed: f64,
    pub each: f64,
}

impl Line {
    pub fn at(self, orders: f64) -> f64 {
        self.fixed + self.each * orders
    }

    /// Fits a line to these points by the least squares of the relative errors.
    pub fn through(points: &[(f64, f64)]) -> Self {
        // Least squares of (fixed + each * orders) / quantity - 1.
        let sum = |of: fn(f64, f64) -> f64| points.iter().map(|(x, y)| of(1.0 / y, x / y)).sum::<f64>();
        let (ones, mixed, slopes) =
            (sum(|one, _| one * one), sum(|one, slope| one * slope), sum(|_, slope| slope * slope));
        let (one, slope) = (sum(|one, _| one), sum(|_, slope| slope));
        let determinant = ones * slopes - mixed * mixed;
        if determinant.abs() < f64::EPSILON * ones * slopes {
            return Self { fixed: one / ones, each: 0.0 };
        }
        Self { fixed: (one * slopes - mixed * slope) / determinant, each: (ones * slope - mixed * one) / determinant }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_goes_through_its_points() {
        let line = Line::through(&[(1.0, 12.0), (100.0, 210.0), (500.0, 1010.0)]);
        assert!((line.fixed - 10.0).abs() < 1e-6 && (line.each - 2.0).abs() < 1e-6, "{line:?}");
        assert!((Line::through(&[(1.0, 12.0)]).at(100.0) - 12.0).abs() < 1e-6);
    }
}
