//! Prints the progress: on a terminal in one line that is overwritten, elsewhere as a new line for each step.

use std::io::{IsTerminal, Write};
use std::sync::LazyLock;
use std::time::Instant;

static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Prints the current step.
pub fn step(what: &str) {
    let (begin, end) = if std::io::stdout().is_terminal() { ("\r\x1b[K", "") } else { ("", "\n") };
    print!("{begin}    {:4.0} s  {what}{end}", seconds());
    let _ = std::io::stdout().flush(); // A closed output does not fail the run.
}

/// Prints what a reader must know, in a line that stays.
pub fn note(what: &str) {
    clear();
    println!("    {:4.0} s  {what}", seconds());
}

/// Clears the progress line on a terminal.
pub fn clear() {
    if std::io::stdout().is_terminal() {
        print!("\r\x1b[K");
    }
}

/// The seconds since the run started.
pub fn seconds() -> f64 {
    BEGIN.elapsed().as_secs_f64()
}
