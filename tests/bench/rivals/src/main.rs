//! Measures how many orders a second job queues in Rust finish. Each has one worker, tuned for throughput as its
//! documentation recommends.
//!
//! Usage: `rivals awa JOBS` or `rivals apalis JOBS`, with `DATABASE_URL`. It inserts the jobs, prints `ready`, starts when it
//! reads a line, prints the rate, and exits when it reads another line.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sqlx_awa::postgres::PgPoolOptions;
use tokio::sync::Notify;

mod apalis_queue;
mod awa_queue;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Finishes an order by its key.
const FINISH: &str =
    "UPDATE orders SET status = 'completed', started_at = now(), finished_at = now() WHERE order_id = $1";

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().collect();
    let jobs = arguments.get(2).ok_or("usage: rivals awa|apalis JOBS")?.parse()?;
    let url = std::env::var("DATABASE_URL")?;
    match arguments[1].as_str() {
        "awa" => awa_queue::run(PgPoolOptions::new().max_connections(25).connect(&url).await?, jobs).await,
        "apalis" => apalis_queue::run(&url, jobs).await,
        other => Err(format!("unknown queue: {other}").into()),
    }
}

/// Prints `ready`, and waits for a line.
fn ready() -> Result<Instant> {
    println!("ready");
    std::io::stdin().read_line(&mut String::new())?;
    Ok(Instant::now())
}

/// Prints the rate, and waits for a line.
fn done(jobs: usize, took: Duration) -> Result<()> {
    println!("{}", jobs as f64 / took.as_secs_f64());
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

/// Counts finished jobs, and notifies the waiting task after the last.
#[derive(Clone)]
struct Countdown(Arc<(AtomicUsize, Notify)>);

impl Countdown {
    fn new(jobs: usize) -> Self {
        Self(Arc::new((AtomicUsize::new(jobs), Notify::new())))
    }

    fn count(&self) {
        if self.0.0.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.1.notify_one();
        }
    }

    async fn over(&self) {
        self.0.1.notified().await;
    }
}
