//! A load of clients that each create one order after the other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sandbox::Result;
use sandbox::progress::note;
use sandbox::runtime::Pool;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::account::{cpu_ms_of, memory_kib, own_cpu_ms};
use crate::client::Client;
use crate::front::Front;
use crate::stats::{count, ms, percentile};
use crate::world::World;

/// A client's time-out.
const PATIENCE: Duration = Duration::from_secs(10);
/// The next order's number, so that no order is created twice.
static NUMBER: AtomicUsize = AtomicUsize::new(0);

#[derive(Clone)]
pub enum Target {
    Http(SocketAddr),
    /// The function, directly through the Runtime API.
    Direct(Front),
}

#[derive(Debug, Clone, Default)]
pub struct Load {
    /// Orders accepted a second.
    pub rate: f64,
    /// The latencies of the accepted requests, in milliseconds.
    pub latencies: Vec<f64>,
    /// How many requests failed or timed out.
    pub errors: usize,
    /// The use of the machine for each accepted order: the target's CPU time and the growth of its memory, PostgreSQL's CPU time
    /// and the driver's, in milliseconds and KiB.
    pub used: [f64; 4],
}

impl Load {
    /// A percentile of the latencies, in milliseconds.
    pub fn percentile(&self, share: f64) -> f64 {
        percentile(&self.latencies, share)
    }
}

/// The time of an answer, its latency, and whether the request succeeded.
type Answered = (Instant, Duration, bool);

/// Loads the api through an HTTP server in front of its environments.
pub async fn run_on(world: &World, api: &Arc<Pool>, clients: usize, list: usize) -> Result<Load> {
    let server = Front::new(Arc::clone(api)).serve().await?;
    run(world, Target::Http(server.address()), clients, list, &api.process_ids()).await
}

/// Runs a load of so many clients on a target, which runs in these processes. A request creates `list` orders: one by
/// `/orders`, more by `/orders/batch`.
pub async fn run(world: &World, target: Target, clients: usize, list: usize, processes: &[i32]) -> Result<Load> {
    world.clear().await?;
    let used = || {
        let memory = processes.iter().map(|process| memory_kib(*process)).sum();
        [cpu_ms_of(processes), memory, world.database_cpu_ms(), own_cpu_ms()]
    };
    let (stop, mut tasks, (warm_up, time)) = (Arc::new(AtomicBool::new(false)), JoinSet::new(), world.options.load());
    for _ in 0..clients {
        tasks.spawn(create_until(target.clone(), list, Arc::clone(&stop)));
    }
    sleep(warm_up).await;
    let (begin, used_before) = (Instant::now(), used());
    sleep(time).await;
    let (end, used_after) = (Instant::now(), used());
    stop.store(true, Ordering::Relaxed);
    let answers: Vec<_> = tasks.join_all().await.into_iter().collect::<Result<Vec<_>>>()?.concat();
    let within: Vec<_> = answers.iter().filter(|(at, ..)| (begin..=end).contains(at)).collect();
    let accepted: Vec<_> = within.iter().filter(|(.., is_accepted)| *is_accepted).collect();
    let orders = count(accepted.len()) * count(list);
    Ok(Load {
        rate: orders / (end - begin).as_secs_f64(),
        latencies: accepted.iter().map(|(_, took, _)| ms(*took)).collect(),
        errors: within.len() - accepted.len(),
        used: std::array::from_fn(|index| (used_after[index] - used_before[index]) / orders),
    })
}

async fn create_until(target: Target, list: usize, stop: Arc<AtomicBool>) -> Result<Vec<Answered>> {
    let mut caller = Caller::new(&target).await?;
    let mut answers = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let (path, body) = request(list);
        let begin = Instant::now();
        let refusal = match timeout(PATIENCE, caller.post(path, &body)).await {
            Ok(Ok(200..=299)) => None,
            Ok(Ok(status)) => Some(format!("status {status}")),
            Ok(Err(error)) => Some(error.to_string()),
            Err(elapsed) => Some(elapsed.to_string()),
        };
        answers.push((Instant::now(), begin.elapsed(), refusal.is_none()));
        if let Some(refusal) = refusal {
            note(&format!("a create failed after {:.0} ms: {refusal}", ms(begin.elapsed())));
            // A late answer on the old connection would be read as the answer to the next request.
            caller = Caller::new(&target).await?;
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

/// The path and the body of a request that creates this many orders.
pub fn request(list: usize) -> (&'static str, String) {
    request_of((0..list).map(|_| order()))
}

/// The same for orders without ids, so that the service generates them.
pub fn unnamed(list: usize) -> (&'static str, String) {
    request_of((0..list).map(|_| json(None, fastrand::usize(..))))
}

/// The path and the body of a request that creates these orders.
pub fn request_of(orders: impl Iterator<Item = String>) -> (&'static str, String) {
    let orders: Vec<_> = orders.collect();
    match orders.as_slice() {
        [order] => ("/orders", order.clone()),
        _ => ("/orders/batch", format!(r#"{{"orders":[{}]}}"#, orders.join(","))),
    }
}

/// The JSON of a new order.
pub fn order() -> String {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    json(Some(&format!("order-{number:09}")), number)
}

/// The JSON of an order of one of a thousand users. The service generates an id if there is none.
pub fn json(id: Option<&str>, user: usize) -> String {
    let id = id.map(|id| format!(r#""order_id":"{id}","#)).unwrap_or_default();
    format!(r#"{{{id}"user_id":"user-{}","item_ids":["book-1","pen-7"],"total_amount":59.98}}"#, user % 1000)
}
