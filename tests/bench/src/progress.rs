//! Says how it goes: on a terminal in one line that is written anew, elsewhere a line for each step.

use std::io::{IsTerminal, Write};
use std::sync::LazyLock;
use std::time::Instant;

static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Says what is being done.
pub fn step(what: &str) {
    let (begin, end) = if std::io::stdout().is_terminal() { ("\r\x1b[K", "") } else { ("", "\n") };
    print!("{begin}    {:4.0} s  {what}{end}", seconds());
    let _ = std::io::stdout().flush(); // If nobody reads it, so be it.
}

/// Leaves the line free for something else.
pub fn clear() {
    if std::io::stdout().is_terminal() {
        print!("\r\x1b[K");
    }
}

/// How long the run has taken so far.
#[must_use]
pub fn seconds() -> f64 {
    BEGIN.elapsed().as_secs_f64()
}
