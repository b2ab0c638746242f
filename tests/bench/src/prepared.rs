//! Orders that are in the database before anything is measured.

use sandbox::Result;
use sandbox::mapping;
use sandbox::queue::Message;

use crate::world::World;

/// Puts so many orders there that are due, without a message: `drain-0` and so on.
pub async fn due(world: &World, orders: usize) -> Result<()> {
    let sql = format!(
        "WITH born AS (
            INSERT INTO orders (order_id, user_id, item_ids, total_amount)
            SELECT 'drain-' || n, 'user-' || n % 1000, '{{book-1,pen-7}}', 59.98 FROM generate_series(0, {orders} - 1) AS n
            RETURNING order_id, created_at
        )
        INSERT INTO order_work (order_id, created_at, due_at) SELECT order_id, created_at, created_at FROM born;
        VACUUM ANALYZE orders, order_work;
        CHECKPOINT"
    );
    let sql_client = world.sql().await?;
    for statement in sql.split(';') {
        sql_client.batch_execute(statement).await?;
    }
    Ok(())
}

/// The event of a batch of them.
#[must_use]
pub fn batch(orders: impl Iterator<Item = usize>) -> bytes::Bytes {
    let message = |order| Message {
        id: format!("message-{order}"),
        receipt: format!("message-{order}#1"),
        body: format!("drain-{order}"),
        receives: 1,
        trace: None,
    };
    mapping::event(&orders.map(message).collect::<Vec<_>>())
}
