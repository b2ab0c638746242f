//! The exit status of a command.

use std::fmt;

/// An exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything is right.
    Fine = 0,
    /// Something is wrong, and the output names it.
    Wrong = 1,
    /// Wrong usage.
    Usage = 2,
    /// The service is out of reach, or refuses the token.
    Unreachable = 3,
    /// Ctrl-C ended it. This and the next two are 128 and the signal's number.
    Interrupted = 130,
    /// The reader closed the pipe.
    Unread = 141,
    /// SIGTERM ended it.
    Terminated = 143,
}

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// Wrong usage.
    Usage(String),
    /// There is no answer, or the answer is a refusal.
    Unreachable(String),
    /// Something else went wrong.
    Other(String),
}

impl Failure {
    /// The exit status for this failure.
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
