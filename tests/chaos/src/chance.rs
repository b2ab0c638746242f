//! Random choices, from one seed for the whole run. The order of the draws depends on the scheduler, so a seed repeats the
//! kind of run, not the exact run.

use std::sync::{Mutex, MutexGuard, PoisonError};

use fastrand::Rng;

static DICE: Mutex<Option<Rng>> = Mutex::new(None);

/// Restarts the generator with this seed.
pub fn seed(seed: u64) {
    *lock() = Some(Rng::with_seed(seed));
}

/// A number from 0 to below 1.
pub fn share() -> f64 {
    lock().get_or_insert_default().f64()
}

/// Returns true with this probability.
pub fn percent(percent: u8) -> bool {
    below(100) < usize::from(percent)
}

/// A whole number from 0 to below `end`.
pub fn below(end: usize) -> usize {
    lock().get_or_insert_default().usize(..end)
}

/// Puts the items into a random order.
pub fn shuffle<T>(items: &mut [T]) {
    lock().get_or_insert_default().shuffle(items);
}

fn lock() -> MutexGuard<'static, Option<Rng>> {
    DICE.lock().unwrap_or_else(PoisonError::into_inner)
}
