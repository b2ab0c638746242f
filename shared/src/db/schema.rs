//! The schema: numbered migrations, forward only, each applied once.

use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::types::Type;

use super::connect::Connection;
use super::role::RoleName;
use super::{DbConfig, DbError};
use crate::deadline::Deadline;
use crate::error::Chain;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// What an advisory lock is taken on while migrations run, so that two runs follow one another. Any number does, as long
/// as nothing else in the database uses it: these are the letters "ordermil".
const LOCK: i64 = i64::from_be_bytes(*b"ordermil");

/// The pause between two attempts to connect.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The database can't be reached, or the lock can't be taken.
    #[error(transparent)]
    Database(#[from] DbError),
    /// A migration failed or differs from the one that was applied under its number; it left nothing behind.
    #[error("a migration failed")]
    Migration(#[from] refinery::Error),
    /// The role that the functions are to sign in as is the one that owns the tables.
    #[error("the role {0} owns the tables, so it can't be confined to their rows; name another")]
    OwnRole(RoleName),
    /// The role is not there, and its creator would lose its own password by letting it sign in by IAM.
    #[error(
        "there is no role {0}; create it, or let the owner sign in by IAM (rds_iam) too, which could not sign in any more otherwise"
    )]
    LocksOwnerOut(RoleName),
}

/// Brings the schema up to date. Tries to connect until `deadline`. Returns the names of the migrations that were applied
/// now, in order.
pub async fn migrate(config: &DbConfig, deadline: Deadline) -> Result<Vec<String>, SchemaError> {
    let mut connection = lock(config, deadline).await?;
    // A release that is rolled back to finds migrations applied that it does not have; it can work with them, because they
    // only add.
    let report = embedded::migrations::runner().set_abort_missing(false).run_async(connection.client()).await?;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

/// The number of the newest migration that this code comes with.
pub(super) fn newest() -> i32 {
    embedded::migrations::runner().get_migrations().iter().map(refinery::Migration::version).max().unwrap_or(0)
}

/// Opens a connection that holds the lock of migrations until it is closed. A database that can't be reached yet is tried
/// again until `deadline`: the name of a new one may not resolve for a while, and a failover takes a minute.
pub(super) async fn lock(config: &DbConfig, deadline: Deadline) -> Result<Connection, DbError> {
    let mut connection = loop {
        match config.connect(deadline).await {
            Err(error) if deadline.remaining() > RECONNECT_PAUSE => {
                tracing::info!(error = %Chain(&error), "could not connect to the database; trying again");
                sleep(RECONNECT_PAUSE).await;
            }
            opened => break opened?,
        }
    };
    connection.query("SELECT pg_advisory_lock($1)", &[(&LOCK, Type::INT8)]).await?;
    Ok(connection)
}
