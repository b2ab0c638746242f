//! Retention: deletes ended orders that are older than `RETENTION_DAYS`.
//!
//! A run walks over the oldest orders, chunk by chunk, and rests after each chunk, so that creates go on at their pace. It ends at the
//! first order that is too young, and the next run begins with the oldest orders again. If its time is over before, the next run of the
//! same environment starts after the last order that it read. A large number of old orders that stay can therefore not use up each run.

use std::time::Duration;

use shared::config::{ConfigError, Env};
use shared::db::list::Position;
use shared::db::{Store, StoreError};
use shared::deadline::Deadline;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

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

    /// Deletes the orders that ended before that time, until none is left or the time is over. Starts no chunk with less time left
    /// than `reserve`. Adds the number of orders that it deleted to `deleted`.
    pub async fn apply(
        &self,
        store: &Store,
        deadline: Deadline,
        reserve: Duration,
        deleted: &mut u64,
    ) -> Result<(), StoreError> {
        let mut last = self.last.lock().await;
        while deadline.remaining() > reserve {
            let began = Instant::now();
            let chunk = store.delete_ended(self.age, last.as_ref(), CHUNK).await?;
            *deleted += chunk.orders;
            *last = chunk.last;
            if last.is_none() {
                break;
            }
            sleep((began.elapsed() * REST).min(deadline.minus(reserve).remaining())).await;
        }
        Ok(())
    }
}
