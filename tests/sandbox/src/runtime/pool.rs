//! The environments of a function: as many as there are calls at once, up to a limit, and no call waits for a dead one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::{Environment, Function, InvokeError};
use crate::Result;

/// A function's environments.
pub struct Pool {
    function: Function,
    limit: Semaphore,
    started: AtomicUsize,
    timed_out: AtomicUsize,
    environments: Mutex<Environments>,
}

#[derive(Default)]
struct Environments {
    all: Vec<Arc<Environment>>,
    /// Each as often as it may be given another event.
    idle: VecDeque<Arc<Environment>>,
}

impl Pool {
    /// A pool of at most so many environments. None is started yet.
    #[must_use]
    pub fn new(function: Function, limit: usize) -> Self {
        let environments = Mutex::default();
        let limit = limit * function.concurrency();
        Self {
            function,
            limit: Semaphore::new(limit),
            started: AtomicUsize::new(0),
            timed_out: AtomicUsize::new(0),
            environments,
        }
    }

    /// Starts so many environments ahead of the first call, to see that they do start and to measure without cold starts.
    pub async fn warm(&self, count: usize) -> Result<()> {
        for _ in 0..count {
            let environment = self.start().await?;
            self.lock().idle.push_back(environment);
        }
        Ok(())
    }

    /// Hands the event to a free environment, starting one where there is none, and waits for the answer.
    pub async fn invoke(&self, event: Bytes) -> std::result::Result<Bytes, InvokeError> {
        let _permit = self.limit.acquire().await.map_err(|_| InvokeError::Died)?;
        let free = self.take_idle();
        let environment = match free {
            Some(environment) => environment,
            None => self.start().await.map_err(|_| InvokeError::Died)?,
        };
        let result = environment.invoke(event).await;
        if result == Err(InvokeError::TimedOut) {
            self.timed_out.fetch_add(1, Ordering::Relaxed);
        }
        if environment.is_running() {
            self.lock().idle.push_back(environment);
        }
        result
    }

    /// Those that run now.
    #[must_use]
    pub fn running(&self) -> Vec<Arc<Environment>> {
        let environments = self.lock();
        environments.all.iter().filter(|environment| environment.is_running()).map(Arc::clone).collect()
    }

    /// The environment of this name, if it runs.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Arc<Environment>> {
        self.running().into_iter().find(|environment| environment.name() == name)
    }

    /// How many environments were started in all.
    #[must_use]
    pub fn started(&self) -> usize {
        self.started.load(Ordering::Relaxed)
    }

    /// How many environments were killed because they took too long, without those that the harness had paused.
    #[must_use]
    pub fn timed_out(&self) -> usize {
        self.timed_out.load(Ordering::Relaxed)
    }

    /// One by one, the environment that was used last, as Lambda does; several at once, each in its turn.
    fn take_idle(&self) -> Option<Arc<Environment>> {
        let is_concurrent = self.function.concurrency() > 1;
        let mut environments = self.lock();
        loop {
            let environment = if is_concurrent { environments.idle.pop_front() } else { environments.idle.pop_back() }?;
            if environment.is_running() {
                return Some(environment);
            }
        }
    }

    async fn start(&self) -> Result<Arc<Environment>> {
        let number = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("{}-{number}", self.function.name);
        let environment = Arc::new(Environment::start(&self.function, name).await?);
        let mut environments = self.lock();
        environments.all.retain(|environment| environment.is_running());
        environments.all.push(Arc::clone(&environment));
        for _ in 1..self.function.concurrency() {
            environments.idle.push_back(Arc::clone(&environment));
        }
        Ok(environment)
    }

    fn lock(&self) -> MutexGuard<'_, Environments> {
        self.environments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
