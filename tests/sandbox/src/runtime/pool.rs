//! The environments of a function: as many as there are calls at once, up to a limit, and no call waits for a dead one.

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
    environments: Mutex<Environments>,
}

#[derive(Default)]
struct Environments {
    all: Vec<Arc<Environment>>,
    idle: Vec<Arc<Environment>>,
}

impl Pool {
    /// A pool of at most so many environments. None is started yet.
    #[must_use]
    pub fn new(function: Function, limit: usize) -> Self {
        let environments = Mutex::default();
        Self { function, limit: Semaphore::new(limit), started: AtomicUsize::new(0), environments }
    }

    /// Starts so many environments ahead of the first call, to see that they do start and to measure without cold starts.
    pub async fn warm(&self, count: usize) -> Result<()> {
        for _ in 0..count {
            let environment = self.start().await?;
            self.lock().idle.push(environment);
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
        if environment.is_running() {
            self.lock().idle.push(environment);
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

    fn take_idle(&self) -> Option<Arc<Environment>> {
        let mut environments = self.lock();
        loop {
            let environment = environments.idle.pop()?;
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
        Ok(environment)
    }

    fn lock(&self) -> MutexGuard<'_, Environments> {
        self.environments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
