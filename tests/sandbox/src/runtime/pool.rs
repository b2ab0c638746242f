//! The environments of a function: one for each simultaneous call, up to a limit. A call never waits for an ended one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::{Environment, Function, InvokeError};
use crate::Result;

/// A function's environments.
pub struct Pool {
    function: Function,
    limit: Semaphore,
    started: AtomicUsize,
    timed_out: Mutex<Vec<(String, SystemTime)>>,
    environments: Mutex<Environments>,
}

#[derive(Default)]
struct Environments {
    all: Vec<Arc<Environment>>,
    idle: Vec<Arc<Environment>>,
}

impl Pool {
    /// A pool of at most `limit` environments. It starts none yet.
    pub fn new(function: Function, limit: usize) -> Self {
        Self {
            function,
            limit: Semaphore::new(limit),
            started: AtomicUsize::new(0),
            timed_out: Mutex::default(),
            environments: Mutex::default(),
        }
    }

    /// Starts `count` environments before the first call, to fail early and to measure without cold starts.
    pub async fn warm(&self, count: usize) -> Result<()> {
        for _ in 0..count {
            let environment = self.start().await?;
            self.environments.lock().idle.push(environment);
        }
        Ok(())
    }

    /// Sends the event to an idle environment, or to a new one, and waits for the answer.
    pub async fn invoke(&self, event: Bytes) -> std::result::Result<Bytes, InvokeError> {
        let _permit = self.limit.acquire().await.map_err(|_| InvokeError::Died)?;
        let idle = self.pop_idle();
        let environment = match idle {
            Some(environment) => environment,
            None => self.start().await.map_err(|_| InvokeError::Died)?,
        };
        let result = environment.invoke(event).await;
        if result == Err(InvokeError::TimedOut) {
            let killed = (environment.name().to_owned(), SystemTime::now());
            self.timed_out.lock().push(killed);
        }
        if environment.is_running() {
            self.environments.lock().idle.push(environment);
        }
        result
    }

    /// The running environments.
    pub fn running(&self) -> Vec<Arc<Environment>> {
        let environments = self.environments.lock();
        environments.all.iter().filter(|environment| environment.is_running()).map(Arc::clone).collect()
    }

    /// The process ids of the running environments.
    pub fn process_ids(&self) -> Vec<i32> {
        self.running().iter().map(|environment| environment.process_id()).collect()
    }

    /// The running environment of this name.
    pub fn find(&self, name: &str) -> Option<Arc<Environment>> {
        self.running().into_iter().find(|environment| environment.name() == name)
    }

    /// How many environments were started in total.
    pub fn started(&self) -> usize {
        self.started.load(Ordering::Relaxed)
    }

    /// The environments that were killed at their time-out, and when, without those that the harness had paused.
    pub fn timed_out(&self) -> Vec<(String, SystemTime)> {
        self.timed_out.lock().clone()
    }

    /// Removes and returns the idle environment that was used last, as Lambda does.
    fn pop_idle(&self) -> Option<Arc<Environment>> {
        let mut environments = self.environments.lock();
        std::iter::from_fn(|| environments.idle.pop()).find(|environment| environment.is_running())
    }

    async fn start(&self) -> Result<Arc<Environment>> {
        let number = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("{}-{number}", self.function.name);
        let environment = Arc::new(Environment::start(&self.function, name).await?);
        let mut environments = self.environments.lock();
        environments.all.retain(|environment| environment.is_running());
        environments.all.push(Arc::clone(&environment));
        Ok(environment)
    }
}
