//! How a command ends.

use std::fmt;
use std::process::ExitCode;

/// What the exit status says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything is as it should be.
    Fine = 0,
    /// Something is wrong: it was named.
    Wrong = 1,
    /// The command can't be meant so.
    Usage = 2,
    /// The service can't be reached, or lets the caller do nothing.
    Unreachable = 3,
    /// Ctrl-C ended it: 128 and the signal's number, as for the next two.
    Interrupted = 130,
    /// The pipe that it writes to was closed.
    Unread = 141,
    /// SIGTERM ended it.
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do what it is for.
#[derive(Debug)]
pub enum Failure {
    /// It can't be meant so.
    Usage(String),
    /// Nobody answers, or the answer is a refusal.
    Unreachable(String),
    /// Something else went wrong.
    Other(String),
}

impl Failure {
    /// The exit status of it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Unreachable(_) => Exit::Unreachable,
            Self::Other(_) => Exit::Wrong,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Usage(text) | Self::Unreachable(text) | Self::Other(text)) = self;
        f.write_str(text)
    }
}
