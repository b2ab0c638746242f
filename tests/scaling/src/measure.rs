//! What PostgreSQL takes for an order: the product's own statements, on a database of their own on the server of the stack
//! that is up, and the CPU time of all of the server's processes meanwhile.

use std::time::Duration;

use shared::config::Env;
use shared::db::intake::{Created, Intake, Wanted};
use shared::db::work::{self, End, PutOff};
use shared::db::{Db, DbConfig};
use shared::order::{Amount, ItemIds, NewOrder, OrderId};
use time::OffsetDateTime;
use tokio_postgres::{Client, NoTls};

use crate::Result;
use crate::measured::{DATABASE, Database, Line};
use crate::stations::count;

const NAME: &str = "ordermill_scaling";
const FEW: usize = 10;
const MANY: usize = 100;
/// How many orders are measured one by one, and in batches of each size.
const SINGLE: usize = 2_000;
const BATCHED: usize = 10_000;
const LEASE: Duration = Duration::from_mins(5);

/// Measures, and writes it down.
pub async fn run() -> Result<()> {
    let url =
        std::env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set: `make up`, then `set -a; . .local/env`")?;
    let (server, _) = url.rsplit_once('/').ok_or("DATABASE_URL names no database")?;
    let admin = connect(&url).await?;
    admin.batch_execute(&format!("DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")).await?;
    admin.batch_execute(&format!("CREATE DATABASE {NAME}")).await?;
    let measured = measure(&format!("{server}/{NAME}")).await;
    admin.batch_execute(&format!("DROP DATABASE {NAME} WITH (FORCE)")).await?;
    let text = serde_json::to_string_pretty(&measured?)? + "\n";
    print!("{text}");
    Ok(std::fs::write(DATABASE, text)?)
}

async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn measure(url: &str) -> Result<Database> {
    let sql = connect(url).await?;
    migrate(&sql).await?;
    let env = Env::from_iter([("DATABASE_URL", url), ("DATABASE_TLS", "off")]);
    let bench = Bench { db: Db::new(DbConfig::from_env(&env)?), server: server_of(&sql).await?, sql };
    bench.batches(FEW, FEW * FEW).await?; // Warms up.
    let create_one_ms = bench.one_by_one().await?;
    let few = bench.batches(FEW, BATCHED).await?;
    let logged = bench.logged().await?;
    let many = bench.batches(MANY, BATCHED).await?;
    let log_bytes_per_order = (bench.logged().await? - logged) / count(BATCHED);
    let line = |step: usize| Line::through((10.0, few[step]), (100.0, many[step]));
    let bytes_per_order = bench.bytes_per_order().await?;
    let [create_ms, claim_ms, put_off_ms, finish_ms] = [0, 1, 2, 3].map(line);
    Ok(Database { create_one_ms, create_ms, claim_ms, put_off_ms, finish_ms, bytes_per_order, log_bytes_per_order })
}

async fn migrate(sql: &Client) -> Result<()> {
    let directory = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/migrations"))?;
    let mut files = directory.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    for file in files {
        sql.batch_execute(&std::fs::read_to_string(file)?).await?;
    }
    Ok(())
}

struct Bench {
    db: Db,
    sql: Client,
    server: u32,
}

impl Bench {
    /// CPU milliseconds of creating an order alone.
    async fn one_by_one(&self) -> Result<f64> {
        let (intake, before) = (Intake::new(Duration::ZERO), cpu_ms(self.server));
        for _ in 0..SINGLE {
            intake.create(&self.db, wanted()?).await?;
        }
        Ok((cpu_ms(self.server) - before) / count(SINGLE))
    }

    /// CPU milliseconds of a batch: of creating it, claiming it, having it wait, and finishing it.
    async fn batches(&self, size: usize, orders: usize) -> Result<[f64; 4]> {
        let (intake, mut used) = (Intake::new(Duration::ZERO), [0.0; 4]);
        for _ in 0..orders / size {
            let mut before = cpu_ms(self.server);
            let mut lap = |step: usize| {
                let now = cpu_ms(self.server);
                used[step] += now - before;
                before = now;
            };
            let batch = (0..size).map(|_| wanted()).collect::<Result<Vec<_>>>()?;
            let created =
                intake.create_all(&self.db, batch).await.into_iter().collect::<std::result::Result<Vec<_>, _>>()?;
            lap(0);
            let ids: Vec<OrderId> = created.into_iter().filter_map(id).collect();
            let claim = work::claim(&self.db, &ids, LEASE).await?;
            lap(1);
            let due_at = OffsetDateTime::now_utc() - time::Duration::SECOND;
            let put_off: Vec<_> =
                ids.iter().map(|order_id| PutOff { order_id, due_at, counts_as_attempt: false }).collect();
            work::put_off(&self.db, claim.token, &put_off).await?;
            lap(2);
            let claim = work::claim(&self.db, &ids, LEASE).await?;
            lap(1);
            let ends: Vec<_> = ids.iter().map(|order_id| End { order_id, failure: None }).collect();
            work::finish(&self.db, claim.token, &ends, 0).await?;
            lap(3);
        }
        used[1] /= 2.0;
        Ok(used.map(|used| used / count(orders / size)))
    }

    /// How many bytes were ever written to the write-ahead log.
    async fn logged(&self) -> Result<f64> {
        let sql = "SELECT (pg_current_wal_lsn() - '0/0')::float8 AS bytes";
        Ok(self.sql.query_one(sql, &[]).await?.try_get("bytes")?)
    }

    /// Of the orders that ended here, in batches as they would.
    async fn bytes_per_order(&self) -> Result<f64> {
        self.sql.batch_execute("VACUUM orders").await?;
        let size = "SELECT pg_total_relation_size('orders')::float8 / count(*) AS bytes FROM orders";
        Ok(self.sql.query_one(size, &[]).await?.try_get("bytes")?)
    }
}

fn id(created: Created) -> Option<OrderId> {
    match created {
        Created::New(order) => Some(order.order_id),
        _ => None,
    }
}

/// An order of two items, for one of a thousand users.
fn wanted() -> Result<Wanted> {
    let user_id = format!("user-{}", fastrand::u32(0..1000)).parse()?;
    let item_ids = ItemIds::try_from(vec!["book-1".to_owned(), "pen-7".to_owned()]).map_err(|_| "no items")?;
    let total_amount: Amount = "59.98".parse()?;
    Ok(Wanted::new(NewOrder { order_id: None, user_id, item_ids, total_amount }, None))
}

/// The process that all of the server's are children of.
async fn server_of(sql: &Client) -> Result<u32> {
    let backend: i32 = sql.query_one("SELECT pg_backend_pid() AS pid", &[]).await?.try_get("pid")?;
    let stat = std::fs::read_to_string(format!("/proc/{backend}/stat"))?;
    let parent = stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(1)?.parse().ok());
    parent.ok_or_else(|| "the server's process is not found".into())
}

/// The CPU time that a process and its children have used, in milliseconds.
fn cpu_ms(process: u32) -> f64 {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let all = children.split_whitespace().map(str::to_owned).chain([process.to_string()]);
    let nanos = all.filter_map(|process| {
        let text = std::fs::read_to_string(format!("/proc/{process}/schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanos.sum::<f64>() / 1e6
}
