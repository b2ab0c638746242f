//! Findings about figures that several places give: the API's answers, the database and the queue.

use std::time::{Duration, SystemTime};

use super::finding::Finding;
use crate::output::counted;

/// The most that two clocks may differ. The `Date` header has whole seconds, and the answer took some time.
const SKEW: Duration = Duration::from_secs(5);
/// How overdue an order is when its message counts as lost; the sweeper's default.
const GRACE_SECONDS: f64 = 180.0;

/// Compares another clock with this machine's.
pub fn skew(check: &'static str, place: &str, theirs: SystemTime, ours: SystemTime) -> Finding {
    let (off, word) = match theirs.duration_since(ours) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    let what = format!("{:.1} s {word} this machine's", off.as_secs_f64());
    let remedy = "set this machine's clock by NTP, or the server's: the gateway's clock decides about tokens, the database's about orders";
    Finding::held(check, place, off <= SKEW, what, remedy)
}

/// Checks that processing is not paused. `pause` has the start, the author and the reason of a pause.
pub fn paused(place: &str, pause: Option<String>) -> Finding {
    let is_running = pause.is_none();
    let what = pause.map_or("processing runs".to_owned(), |pause| format!("processing is paused {pause}"));
    Finding::held("pause", place, is_running, what, "once the reason no longer holds, POST /processing/resume")
}

/// Checks how long orders are overdue.
pub fn overdue(place: &str, seconds: f64) -> Finding {
    let what = format!("the most overdue order is overdue by {seconds:.0} s");
    let remedy = "check that the sweeper runs each minute and that the processor's mapping is enabled; for a backlog raise MaximumConcurrency";
    // A sweep runs each minute, and its message takes some time.
    Finding::held("overdue", place, seconds <= GRACE_SECONDS + 120.0, what, remedy)
}

/// Checks that there are no dead letters.
pub fn dead_letters(place: &str, depth: i64) -> Finding {
    let what = counted(depth.unsigned_abs(), "dead letter", "dead letters");
    let remedy = "see why (`GET /orders?status=failed`), mend the cause, then POST /dead-letters/redrive";
    Finding::held("dead-letters", place, depth == 0, what, remedy)
}
