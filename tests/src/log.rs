//! The log of a test.

use tempfile::NamedTempFile;
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing::{Dispatch, Level};

/// Records what this thread logs, down to a level, until it is dropped.
pub struct Log {
    file: NamedTempFile,
    _guard: DefaultGuard,
    /// A second subscriber. With a single one, `tracing` caches for all threads whether an event is enabled, and the thread
    /// that reaches the event first may belong to another test.
    _second: Dispatch,
}

impl Log {
    /// Starts to record.
    pub fn listen(level: Level) -> Self {
        let file = NamedTempFile::new().expect("a file");
        let subscriber = tracing_subscriber::fmt().with_max_level(level).with_ansi(false);
        let subscriber = subscriber.with_writer(file.reopen().expect("the file can be written")).finish();
        let second = Dispatch::new(NoSubscriber::new());
        Self { file, _guard: tracing::subscriber::set_default(subscriber), _second: second }
    }

    /// The log so far.
    pub fn text(&self) -> String {
        std::fs::read_to_string(&self.file).expect("the file can be read")
    }
}
