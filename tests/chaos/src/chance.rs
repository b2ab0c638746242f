//! Random choices, from one seed for the whole run. The order of the draws depends on the scheduler, so a seed repeats the
//! kind of run, not the exact run.

use fastrand::Rng;
use parking_lot::Mutex;

static DICE: Mutex<Option<Rng>> = Mutex::new(None);

/// Restarts the generator with this seed.
pub fn seed(seed: u64) {
    *DICE.lock() = Some(Rng::with_seed(seed));
}

/// A number from 0 to below 1.
pub fn share() -> f64 {
    DICE.lock().get_or_insert_default().f64()
}

/// Returns true with this probability.
pub fn percent(percent: u8) -> bool {
    below(100) < usize::from(percent)
}

/// A whole number from 0 to below `end`.
pub fn below(end: usize) -> usize {
    DICE.lock().get_or_insert_default().usize(..end)
}

/// Puts the items into a random order.
pub fn shuffle<T>(items: &mut [T]) {
    DICE.lock().get_or_insert_default().shuffle(items);
}
