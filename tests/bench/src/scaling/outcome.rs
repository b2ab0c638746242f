//! The result of a simulation.

use super::setup::Used;
use crate::stats::count;

/// The figures of a simulation.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The latencies of the creates, sorted, in seconds.
    pub creates: Vec<f64>,
    /// The times from a message's visibility to its receive, sorted, in seconds.
    pub lags: Vec<f64>,
    /// How long each create waited for the database, in seconds.
    pub database_waits: Vec<f64>,
    /// The calls that found no environment.
    pub refused: usize,
    /// The mean use of one cell.
    pub used: Used,
}

/// The percentile of sorted values for this share, from 0 to 1.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    let found = sorted.iter().enumerate().find(|(index, _)| count(*index + 1) >= share * count(sorted.len()));
    found.map_or(0.0, |(_, value)| *value)
}
