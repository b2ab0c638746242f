//! Says why a call takes long: each cause once, and when the API answers again.

use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Repeats are not mentioned before this time.
pub const REPEATED_FOR: Duration = Duration::from_secs(2);
/// The same of a call that is not answered. A large answer of a slow service takes seconds.
pub const UNANSWERED_FOR: Duration = Duration::from_secs(10);

/// Writes the lines, and remembers the causes that it has named since the last answer.
pub struct Notices {
    notify: Box<dyn Fn(&str) + Send + Sync>,
    named: Mutex<Vec<String>>,
}

impl Default for Notices {
    fn default() -> Self {
        Self::to(|_| {})
    }
}

impl Notices {
    /// Gives each line to this function.
    pub fn to(notify: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { notify: Box::new(notify), named: Mutex::default() }
    }

    /// Waits for the work. Names the cause of the wait if the work has not ended by `long_at`.
    pub async fn during<T>(&self, long_at: Instant, cause: &str, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = sleep_until(long_at) => self.name(cause),
        }
        work.await
    }

    /// The API has answered.
    pub fn end(&self) {
        if !std::mem::take(&mut *self.named()).is_empty() {
            (self.notify)("the API answers again");
        }
    }

    fn name(&self, cause: &str) {
        let mut named = self.named();
        if !named.iter().any(|other| other == cause) {
            named.push(cause.to_owned());
            (self.notify)(&format!("waiting for the API: {cause}"));
        }
    }

    fn named(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn cause_of_a_long_wait_is_named_once_until_an_answer() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let notices = Notices::to(move |line| kept.lock().unwrap().push(line.to_owned()));
        let wait = async |cause, seconds| {
            notices.during(Instant::now() + REPEATED_FOR, cause, sleep(Duration::from_secs(seconds))).await;
        };
        wait("it is busy", 1).await;
        notices.end();
        assert_eq!(*lines.lock().unwrap(), [""; 0]);
        for (cause, seconds) in [("it is busy", 3), ("it is slow", 3), ("it is busy", 3)] {
            wait(cause, seconds).await;
        }
        notices.end();
        notices.end();
        wait("it is slow", 3).await;
        let busy = "waiting for the API: it is busy";
        let slow = "waiting for the API: it is slow";
        assert_eq!(*lines.lock().unwrap(), [busy, slow, "the API answers again", slow]);
    }
}
