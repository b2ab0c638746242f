//! Creates the orders that a measurement needs beforehand.

use sandbox::Result;
use sandbox::mapping;

use crate::front::Front;
use crate::load::{json, request_of};
use crate::stats::numbers;
use crate::world::World;

/// The most orders of a request.
const LIST: usize = 500;

/// Creates this many due orders without messages, `drain-0` and so on.
pub async fn due(world: &World, orders: usize) -> Result<()> {
    let api = Front::new(world.pool(world.function("api", &[]), 1).await?);
    all(&api, orders).await?;
    drop(world.queues.steal(usize::MAX));
    let sql = world.sql().await?;
    sql.batch_execute("VACUUM ANALYZE orders, order_work").await?;
    Ok(sql.batch_execute("CHECKPOINT").await?)
}

/// Creates this many due orders, `drain-0` and so on, in lists.
pub async fn all(api: &Front, orders: usize) -> Result<()> {
    for list in numbers(orders, LIST) {
        create(api, "drain", list).await?;
    }
    Ok(())
}

/// Creates the orders with these numbers in one request.
pub async fn create(api: &Front, name: &str, numbers: std::ops::Range<usize>) -> Result<()> {
    let (path, body) = request_of(numbers.map(|number| json(Some(&format!("{name}-{number}")), number)));
    api.expect("POST", path, &body).await.map(drop)
}

/// The event of a batch of the orders `drain-…` with these numbers.
pub fn batch(orders: impl Iterator<Item = usize>) -> bytes::Bytes {
    mapping::messages(&orders.map(|order| format!("drain-{order}")).collect::<Vec<_>>())
}

/// The event of the first delivery of a message for each of the orders `drain-…` with these numbers.
pub fn delivery(world: &World, orders: impl Iterator<Item = usize>) -> bytes::Bytes {
    mapping::event(&world.queues.deliver(orders.map(|order| format!("drain-{order}"))))
}
