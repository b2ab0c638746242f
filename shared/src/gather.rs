//! Doing together what is asked for at the same time.
//!
//! Where an environment serves one call at a time, nothing ever waits and each thing is done by itself. Where it serves many,
//! what is asked for while a round trip is under way goes with the next one, all of it: the more there is to do, the less each
//! costs.

use std::sync::{Mutex, PoisonError};

use tokio::sync::{Semaphore, oneshot};

/// Gathers things that are asked for by many and done together.
pub struct Gather<T, R> {
    waiting: Mutex<Vec<(T, oneshot::Sender<R>)>>,
    turn: Semaphore,
    most: usize,
}

impl<T, R> Gather<T, R> {
    /// Gathers at most so many at a time.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { waiting: Mutex::new(Vec::new()), turn: Semaphore::const_new(1), most }
    }

    /// Has the thing done, by this call or with another's, and gives what came of it; nothing where whoever did it broke off.
    /// `together` gives what came of each, in their order.
    pub async fn submit<F>(&self, thing: T, together: impl Fn(Vec<T>) -> F) -> Option<R>
    where
        F: Future<Output = Vec<R>>,
    {
        let (answer, mut answered) = oneshot::channel();
        self.lock().push((thing, answer));
        loop {
            tokio::select! {
                biased;
                answered = &mut answered => return answered.ok(),
                turn = self.turn.acquire() => {
                    let _turn = turn.ok()?;
                    let (things, answers): (Vec<_>, Vec<_>) = self.take().into_iter().unzip();
                    for (answer, result) in answers.into_iter().zip(together(things).await) {
                        let _ = answer.send(result); // Whoever asked may have gone.
                    }
                }
            }
        }
    }

    fn take(&self) -> Vec<(T, oneshot::Sender<R>)> {
        let mut waiting = self.lock();
        let count = waiting.len().min(self.most);
        waiting.drain(..count).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(T, oneshot::Sender<R>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::future::join_all;
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn what_is_asked_for_meanwhile_is_done_together_and_each_gets_its_own_answer() {
        let (gather, batches) = (Gather::new(3), Mutex::new(Vec::new()));
        let double = |numbers: Vec<i32>| {
            batches.lock().unwrap().push(numbers.clone());
            async move {
                yield_now().await;
                numbers.into_iter().map(|number| number * 2).collect()
            }
        };
        let answers = join_all((0..6).map(|number| gather.submit(number, double))).await;
        assert_eq!(answers, (0..6).map(|number| Some(number * 2)).collect::<Vec<_>>());
        assert_eq!(*batches.lock().unwrap(), [vec![0], vec![1, 2, 3], vec![4, 5]]);
    }

    #[tokio::test]
    async fn who_asks_alone_waits_for_nobody() {
        let gather = Gather::new(3);
        assert_eq!(gather.submit(1, |numbers| async { numbers }).await, Some(1));
    }

    #[tokio::test]
    async fn what_was_broken_off_has_no_answer() {
        let gather = Gather::<_, i32>::new(3);
        assert_eq!(gather.submit(1, |_| async { Vec::new() }).await, None);
    }
}
