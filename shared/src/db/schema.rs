//! The schema: numbered migrations, forward only, each applied once.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::role::RoleName;
use super::{DbConfig, DbError};

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// What an advisory lock is taken on while migrations run, so that two runs follow one another. Any number does, as long
/// as nothing else in the database uses it: these are the letters "ordermil".
const LOCK: i64 = i64::from_be_bytes(*b"ordermil");

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

/// Brings the schema up to date. Gives the names of the migrations that were applied now, in order.
pub async fn migrate(config: &DbConfig) -> Result<Vec<String>, SchemaError> {
    let mut client = lock(config).await?;
    // A release that is rolled back to finds migrations applied that it does not have; it can work with them, because they
    // only add.
    let report = embedded::migrations::runner().set_abort_missing(false).run_async(&mut client).await?;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

/// The number of the newest migration that this code comes with.
pub(super) fn newest() -> i32 {
    embedded::migrations::runner().get_migrations().iter().map(refinery::Migration::version).max().unwrap_or(0)
}

/// A connection that no other has the like of until it is closed.
pub(super) async fn lock(config: &DbConfig) -> Result<Client, DbError> {
    let client = config.connect().await?;
    client.query_typed("SELECT pg_advisory_lock($1)", &[(&LOCK, Type::INT8)]).await?;
    Ok(client)
}
