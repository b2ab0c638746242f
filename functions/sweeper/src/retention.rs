//! Retention: deletes ended orders that are older than `RETENTION_DAYS`.
//!
//! A run walks over the oldest orders, chunk by chunk, and rests after each chunk, so that creates go on at their pace. It ends at the
//! first order that is too young, and the next run begins with the oldest orders again. If its time is over before, the next run of the
//! same environment starts after the last order that it read. A large number of old orders that stay can therefore not use up each run.

use std::time::Duration;

use shared::config::{ConfigError, Env};
use shared::db::StoreError;
use shared::db::list::Position;
use shared::deadline::Deadline;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::{CHUNK_SHARE, Sweeper, Swept};

/// The most orders of a chunk. A create that commits at the same time waits until the log of the chunk is on disk.
const CHUNK: i32 = 100;
/// The rest after a chunk, as a multiple of the time that the chunk took. A database with much to do is thus left alone for longer.
/// Chunks take less than a twentieth of the time, so that even the slowest twentieth of creates is as fast as without them.
const REST: u32 = 24;
/// The most days of retention: a hundred years.
const MOST_DAYS: u64 = 36_500;

/// How long ended orders are kept.
#[derive(Debug)]
pub struct Retention {
    age: Duration,
    /// The order after which the next run starts; `None` for the oldest one.
    last: Mutex<Option<Position>>,
}

impl Retention {
    /// Reads `RETENTION_DAYS`. Returns `None` if it is 0: orders are kept.
    pub fn from_env(env: &Env) -> Result<Option<Self>, ConfigError> {
        let days = env.number("RETENTION_DAYS", 0, ..=MOST_DAYS)?;
        Ok((days > 0).then(|| Self { age: Duration::from_hours(24 * days), last: Mutex::default() }))
    }
}

impl Sweeper {
    /// Deletes old orders, if the deployment keeps them only for a time, until none is left or the time is over. It comes last: nothing
    /// else waits for it.
    pub(crate) async fn delete_old(&self, deadline: Deadline, swept: &mut Swept) -> Result<(), StoreError> {
        let Some(retention) = &self.retention else { return Ok(()) };
        let (store, last_start) = (self.database.until(deadline), deadline.minus(self.timeout / CHUNK_SHARE));
        let mut last = retention.last.lock().await;
        while !last_start.is_over() {
            let began = Instant::now();
            let chunk = store.delete_ended(retention.age, last.as_ref(), CHUNK).await?;
            swept.deleted += chunk.orders;
            *last = chunk.last;
            if last.is_none() {
                break;
            }
            sleep((began.elapsed() * REST).min(last_start.remaining())).await;
        }
        Ok(())
    }
}
