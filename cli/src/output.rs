//! The output: text or JSON on standard output, errors and progress on standard error.

use std::io::{ErrorKind, IsTerminal, Write};

use rustix::event::{PollFd, PollFlags, poll};
use serde::Serialize;

use crate::exit::Exit;

/// How output is written.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// Whether it is JSON.
    pub is_json: bool,
    has_colour: bool,
    shows_progress: bool,
}

/// The meaning of a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Right.
    Good,
    /// Wrong.
    Bad,
    /// Unknown, or not ended.
    Open,
    /// Less important.
    Faint,
}

impl Output {
    /// The output that suits this process's terminal and environment.
    #[must_use]
    pub fn of_process(is_json: bool) -> Self {
        Self {
            is_json,
            has_colour: !is_plain() && std::io::stdout().is_terminal(),
            shows_progress: !is_set("CI") && std::io::stderr().is_terminal(),
        }
    }

    /// Output without colours and progress.
    #[must_use]
    pub const fn plain(is_json: bool) -> Self {
        Self { is_json, has_colour: false, shows_progress: false }
    }

    /// The text in a colour, if the output has colours.
    #[must_use]
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => 32,
            Tone::Bad => 31,
            Tone::Open => 33,
            Tone::Faint => 2,
        };
        if self.has_colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Writes a line. If that fails, the process ends: silently if the pipe was closed, else with an error.
    pub fn say(&self, line: &str) {
        match writeln!(std::io::stdout(), "{line}") {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(Exit::Unread as i32),
            Err(error) => {
                self.complain(&format!("the output can't be written: {error}"));
                std::process::exit(Exit::Wrong as i32);
            }
        }
    }

    /// Writes a value as one line of JSON.
    pub fn say_json(&self, value: &impl Serialize) {
        self.say(&serde_json::to_string(value).unwrap_or_default());
    }

    /// Writes a line to standard error.
    pub fn note(&self, line: &str) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    /// Writes an error.
    pub fn complain(&self, problem: &str) {
        self.note(&format!("ordermill: {problem}"));
    }

    /// The target of progress bars.
    #[must_use]
    pub fn progress(&self) -> indicatif::ProgressDrawTarget {
        if self.shows_progress {
            indicatif::ProgressDrawTarget::stderr()
        } else {
            indicatif::ProgressDrawTarget::hidden()
        }
    }
}

/// Whether this process's environment turns colours off.
#[must_use]
pub fn is_plain() -> bool {
    is_set("NO_COLOR") || is_set("CI") || std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// A number and the noun that it counts: `1 order`, `2 orders`.
#[must_use]
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Ends the process silently as soon as the pipe that it writes to is closed (`| head`), even while it has nothing to write.
pub fn end_with_closed_pipe() {
    std::thread::spawn(|| {
        let stdout = std::io::stdout();
        // `poll` always reports a closed pipe (POLLERR), so it needs no event.
        let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
        while poll(&mut watched, None).is_err_and(|error| error == rustix::io::Errno::INTR) {}
        if watched.iter().any(|each| each.revents().contains(PollFlags::ERR)) {
            std::process::exit(Exit::Unread as i32);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn noun_follows_its_number() {
        let letters = [0, 1, 2].map(|number| counted(number, "dead letter", "dead letters"));
        assert_eq!(letters, ["0 dead letters", "1 dead letter", "2 dead letters"]);
    }
}
