//! apalis-postgres: a worker that fetches batches and runs their jobs concurrently, set up like its example `basic.rs`.

use apalis::prelude::*;
use apalis_postgres::{Config, PgPool, PostgresStorage};
use futures::stream;
use sqlx_apalis::postgres::PgPoolOptions;

use crate::{Countdown, FINISH, Result, done, ready};

const QUEUE: &str = "finish";
const BATCH: usize = 100;

async fn finish(order: String, orders: Data<PgPool>, left: Data<Countdown>) -> std::result::Result<(), BoxDynError> {
    sqlx_apalis::query(FINISH).bind(order).execute(&*orders).await?;
    left.count();
    Ok(())
}

pub async fn run(url: &str, jobs: usize) -> Result<()> {
    let pool = PgPoolOptions::new().max_connections(25).connect(url).await?;
    PostgresStorage::setup(&pool).await?;
    let config = Config::default().queue(QUEUE).batch_size(BATCH).lock_tasks(false);
    let mut backend = PostgresStorage::new(&pool).with_config(config).with_pubsub();
    backend.push_all(stream::iter((1..=jobs).map(|n| Task::new(format!("job-{n}"))))).await?;
    let left = Countdown::new(jobs);
    let worker = WorkerBuilder::new(format!("bench-{}", std::process::id()))
        .backend(backend)
        .data(pool.clone())
        .data(left.clone())
        .parallelize(tokio::spawn)
        .build(finish);
    let begin = ready()?;
    let running = tokio::spawn(worker.run());
    left.over().await;
    while unrecorded(&pool).await? > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let took = begin.elapsed();
    running.abort();
    done(jobs, took)
}

/// How many jobs are not yet recorded as done.
async fn unrecorded(pool: &PgPool) -> Result<i64> {
    let sql = "SELECT count(*) FROM apalis.jobs WHERE job_type = $1 AND status <> 'Done'";
    Ok(sqlx_apalis::query_scalar(sql).bind(QUEUE).fetch_one(pool).await?)
}
