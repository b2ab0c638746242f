//! The log of a test.

use std::sync::{Arc, Mutex};

use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing::{Dispatch, Level};

/// Records what this thread logs, down to a level, until it is dropped.
pub struct Log {
    text: Text,
    _guard: DefaultGuard,
    /// A second subscriber. With a single one, `tracing` caches for all threads whether an event is enabled, and the thread
    /// that reaches the event first may belong to another test.
    _second: Dispatch,
}

#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Starts to record.
    pub fn listen(level: Level) -> Self {
        let text = Text::default();
        let writer = text.clone();
        let subscriber = tracing_subscriber::fmt().with_max_level(level).with_ansi(false);
        let subscriber = subscriber.with_writer(move || writer.clone()).finish();
        let second = Dispatch::new(NoSubscriber::new());
        Self { text, _guard: tracing::subscriber::set_default(subscriber), _second: second }
    }

    /// The log so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.0.lock().expect("no thread panicked while it held the lock")).into_owned()
    }
}

impl std::io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no thread panicked while it held the lock").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
