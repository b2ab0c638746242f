//! What is logged while a test runs.

use std::sync::{Arc, Mutex};

use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing::{Dispatch, Level};

/// What this thread logs, from here on and down to a level, for as long as this is there.
pub struct Log {
    text: Text,
    _guard: DefaultGuard,
    /// While there is only one subscriber, whether an event is wanted is decided for all threads by the one that comes to it
    /// first, which may be another test's. So there are two.
    _second: Dispatch,
}

#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Begins to listen.
    #[must_use]
    pub fn listen(level: Level) -> Self {
        let text = Text::default();
        let writer = text.clone();
        let subscriber = tracing_subscriber::fmt().with_max_level(level).with_ansi(false);
        let subscriber = subscriber.with_writer(move || writer.clone()).finish();
        let second = Dispatch::new(NoSubscriber::new());
        Self { text, _guard: tracing::subscriber::set_default(subscriber), _second: second }
    }

    /// What was logged so far.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.0.lock().expect("nobody panicked meanwhile")).into_owned()
    }
}

impl std::io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panicked meanwhile").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
