//! The output: text or JSON on standard output, errors and progress on standard error.
//!
//! A terminal carries out control characters, and a server or another user chooses some of the text. Every line is therefore escaped,
//! except the colours of [`Output::paint`].

use std::io::{ErrorKind, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
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

    /// The text, escaped, in a colour if the output has colours.
    #[must_use]
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => 32,
            Tone::Bad => 31,
            Tone::Open => 33,
            Tone::Faint => 2,
        };
        let text = self.escape(text);
        if self.has_colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text }
    }

    /// The text with its control characters in a visible form; in JSON it keeps its meaning.
    #[must_use]
    pub fn escape(&self, text: &str) -> String {
        if self.is_json { escape(text, |c| format!("\\u{:04x}", u32::from(c))) } else { visible(text) }
    }

    /// Writes a line, escaped.
    pub fn say(&self, line: &str) {
        self.say_painted(&self.escape(line));
    }

    /// Writes a line whose parts come from [`Self::paint`] or [`Self::escape`]. If that fails, the process ends: silently if the pipe was
    /// closed, else with an error.
    pub fn say_painted(&self, line: &str) {
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

    /// Writes a line to standard error, escaped.
    pub fn note(&self, line: &str) {
        let _ = writeln!(std::io::stderr(), "{}", visible(line));
    }

    /// Writes an error.
    pub fn complain(&self, problem: &str) {
        self.note(&format!("ordermill: {problem}"));
    }

    /// A progress bar on standard error, on terminals only.
    #[must_use]
    pub fn bar(&self, length: u64, template: &str) -> ProgressBar {
        let target = if self.shows_progress { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        // The templates are constant. If one were wrong, the bar would have its default look.
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::with_draw_target(Some(length), target).with_style(style.progress_chars("━╸─"))
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

fn visible(text: &str) -> String {
    escape(text, |c| c.escape_unicode().to_string())
}

/// Replaces control characters, and the characters that change the direction of the text after them.
fn escape(text: &str, replace: impl Fn(char) -> String) -> String {
    let is_hidden = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if is_hidden(c) { replace(c) } else { c.to_string() }).collect()
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
    use super::{Output, Tone, counted};

    #[test]
    fn control_characters_are_visible_and_colours_remain() {
        let text = "a\u{1b}]0;b\u{7}\u{9b}2J\n\u{202e}c \u{e4}";
        let coloured = Output { has_colour: true, ..Output::plain(false) };
        let escaped = "a\\u{1b}]0;b\\u{7}\\u{9b}2J\\u{a}\\u{202e}c \u{e4}";
        assert_eq!(coloured.escape(text), escaped);
        assert_eq!(coloured.paint(Tone::Bad, text), format!("\u{1b}[31m{escaped}\u{1b}[0m"));
        let json = Output::plain(true).escape(&serde_json::to_string(text).unwrap());
        assert!(json.contains(r"\u009b") && !json.contains('\u{202e}'), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }

    #[test]
    fn noun_follows_its_number() {
        let letters = [0, 1, 2].map(|number| counted(number, "dead letter", "dead letters"));
        assert_eq!(letters, ["0 dead letters", "1 dead letter", "2 dead letters"]);
    }
}
