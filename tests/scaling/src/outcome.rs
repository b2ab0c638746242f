//! What a simulation tells.

use crate::setup::Used;
use crate::stations::count;

/// What became of the orders.
#[derive(Debug, Default)]
pub struct Outcome {
    /// From call to answer, sorted, in seconds.
    pub creates: Vec<f64>,
    /// From when a message may be taken to when it is, sorted, in seconds.
    pub lags: Vec<f64>,
    /// How long the creates waited for the database, in seconds.
    pub database_waits: Vec<f64>,
    /// Calls that found no environment.
    pub refused: usize,
    /// What was used on average, of one cell.
    pub used: Used,
}

/// The value that this part of the sorted values does not exceed.
pub fn percentile(sorted: &[f64], part: f64) -> f64 {
    let place = sorted.iter().enumerate().find(|(index, _)| count(*index + 1) >= part * count(sorted.len()));
    place.map_or(0.0, |(_, value)| *value)
}
