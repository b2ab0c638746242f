//! Clients that each place one order after the other, and how the service bears it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sandbox::Result;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::client::Client;
use crate::front::Front;
use crate::stats::{count, ms, percentile};

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Numbers orders, so that none is placed twice.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Where orders are placed.
#[derive(Clone)]
pub enum Target {
    /// At an HTTP server.
    Http(SocketAddr),
    /// At the function, by the Runtime API alone.
    Direct(Front),
}

/// What was measured.
#[derive(Debug, Clone, Default)]
pub struct Load {
    /// Orders accepted a second.
    pub rate: f64,
    /// How long each took, in milliseconds.
    pub latencies: Vec<f64>,
    /// How many requests got another answer, or none in time.
    pub errors: usize,
    /// What `used` counted up meanwhile, for each order accepted.
    pub used: Vec<f64>,
}

impl Load {
    /// A percentile of the latencies, in milliseconds.
    #[must_use]
    pub fn percentile(&self, share: f64) -> f64 {
        percentile(&self.latencies, share)
    }
}

/// A load, and where it goes.
#[derive(Clone)]
pub struct Plan {
    /// Where.
    pub target: Target,
    /// How many clients.
    pub clients: usize,
    /// How long before it is measured.
    pub warm_up: Duration,
    /// How long it is measured.
    pub time: Duration,
    /// How many orders a request holds; one goes to `/orders`, more to `/orders/batch`.
    pub list: usize,
}

/// An answer's time, how long it took, and whether it was a success.
type Answered = (Instant, Duration, bool);

/// Puts the load on. `used` counts what the service uses up, at the beginning and at the end.
pub async fn run(plan: &Plan, used: impl Fn() -> Vec<f64>) -> Result<Load> {
    let (stop, mut clients) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
    for _ in 0..plan.clients {
        clients.spawn(place_all(plan.clone(), Arc::clone(&stop)));
    }
    sleep(plan.warm_up).await;
    let (begin, used_before) = (Instant::now(), used());
    sleep(plan.time).await;
    let (end, used_after) = (Instant::now(), used());
    stop.store(true, Ordering::Relaxed);
    let answers: Vec<_> = clients.join_all().await.into_iter().collect::<Result<Vec<_>>>()?.concat();
    let within: Vec<_> = answers.iter().filter(|(at, ..)| (begin..=end).contains(at)).collect();
    let accepted: Vec<_> = within.iter().filter(|(.., is_accepted)| *is_accepted).collect();
    let orders = count(accepted.len()) * count(plan.list);
    Ok(Load {
        rate: orders / (end - begin).as_secs_f64(),
        latencies: accepted.iter().map(|(_, took, _)| ms(*took)).collect(),
        errors: within.len() - accepted.len(),
        used: used_after.iter().zip(used_before).map(|(after, before)| (after - before) / orders).collect(),
    })
}

async fn place_all(plan: Plan, stop: Arc<AtomicBool>) -> Result<Vec<Answered>> {
    let mut caller = Caller::new(&plan.target).await?;
    let mut answers = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let (path, body) = request(plan.list);
        let begin = Instant::now();
        let is_accepted = matches!(timeout(PATIENCE, caller.post(path, &body)).await, Ok(Ok(200..=299)));
        answers.push((Instant::now(), begin.elapsed(), is_accepted));
        if !is_accepted {
            // What comes after an answer that was not waited for would be taken for the next one's.
            caller = Caller::new(&plan.target).await?;
        }
    }
    Ok(answers)
}

enum Caller {
    Http(Client),
    Direct(Front),
}

impl Caller {
    async fn new(target: &Target) -> Result<Self> {
        Ok(match target {
            Target::Http(address) => Self::Http(Client::connect(*address).await?),
            Target::Direct(front) => Self::Direct(front.clone()),
        })
    }

    async fn post(&mut self, path: &str, body: &str) -> Result<u16> {
        match self {
            Self::Http(client) => client.post(path, body).await,
            Self::Direct(front) => front.call("POST", path, body).await.map(|(status, _)| status),
        }
    }
}

/// A request that places so many orders: where it goes, and what it says.
#[must_use]
pub fn request(list: usize) -> (&'static str, String) {
    if list == 1 {
        return ("/orders", order());
    }
    let orders: Vec<_> = std::iter::repeat_with(order).take(list).collect();
    ("/orders/batch", format!(r#"{{"orders":[{}]}}"#, orders.join(",")))
}

/// The same for orders without identifiers: the service generates them.
#[must_use]
pub fn unnamed(list: usize) -> (&'static str, String) {
    let order = || {
        let user = fastrand::u32(0..1000);
        format!(r#"{{"user_id":"user-{user}","item_ids":["book-1","pen-7"],"total_amount":59.98}}"#)
    };
    if list == 1 {
        return ("/orders", order());
    }
    let orders: Vec<_> = std::iter::repeat_with(order).take(list).collect();
    ("/orders/batch", format!(r#"{{"orders":[{}]}}"#, orders.join(",")))
}

/// An order that was not placed before.
#[must_use]
pub fn order() -> String {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let user = number % 1000;
    format!(
        r#"{{"order_id":"order-{number:09}","user_id":"user-{user}","item_ids":["book-1","pen-7"],"total_amount":59.98}}"#
    )
}
