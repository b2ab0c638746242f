//! awa: jobs inserted by COPY, and one runtime that claims batches for as many concurrent handlers as its own benchmark uses.

use std::time::Duration;

use awa::{Client, InsertOpts, JobArgs, JobResult, QueueConfig, insert_many_copy_from_pool, migrations};
use serde::{Deserialize, Serialize};
use sqlx_awa::PgPool;

use crate::{Countdown, FINISH, Result, done, ready};

const QUEUE: &str = "finish";
const HANDLERS: u32 = 100;

#[derive(Debug, Serialize, Deserialize, JobArgs)]
struct Finish {
    order: String,
}

pub async fn run(pool: PgPool, jobs: usize) -> Result<()> {
    migrations::run(&pool).await?;
    // The first start of a runtime activates the queue storage of 0.6.
    let first = client(pool.clone(), Countdown::new(usize::MAX))?;
    first.start().await?;
    first.shutdown(Duration::from_secs(5)).await;
    let orders: Vec<_> = (1..=jobs).collect();
    for chunk in orders.chunks(1_000) {
        let params = chunk.iter().map(|n| {
            let opts = InsertOpts { queue: QUEUE.into(), ..InsertOpts::default() };
            awa::model::insert::params_with(&Finish { order: format!("job-{n}") }, opts)
        });
        insert_many_copy_from_pool(&pool, &params.collect::<std::result::Result<Vec<_>, _>>()?).await?;
    }
    let left = Countdown::new(jobs);
    let client = client(pool, left.clone())?;
    let begin = ready()?;
    client.start().await?;
    left.over().await;
    // The shutdown records the completions that still wait in a batch.
    client.shutdown(Duration::from_secs(10)).await;
    done(jobs, begin.elapsed())
}

fn client(pool: PgPool, left: Countdown) -> Result<Client> {
    let config = QueueConfig {
        max_workers: HANDLERS,
        poll_interval: Duration::from_millis(50),
        deadline_duration: Duration::ZERO,
        ..QueueConfig::default()
    };
    let orders = pool.clone();
    let builder = Client::builder(pool).queue(QUEUE, config).register::<Finish, _, _>(move |job, _| {
        let (orders, left) = (orders.clone(), left.clone());
        async move {
            let finished = sqlx_awa::query(FINISH).bind(&job.order).execute(&orders).await;
            finished.map_err(awa::JobError::retryable)?;
            left.count();
            Ok(JobResult::Completed)
        }
    });
    Ok(builder.build()?)
}
