//! The schema: numbered migrations, forward only, each applied once.

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
}

/// Brings the schema up to date. Gives the names of the migrations that were applied now, in order.
pub async fn migrate(config: &DbConfig) -> Result<Vec<String>, SchemaError> {
    let mut client = config.connect().await?;
    // Held until the connection closes with `client`, at the end of this function.
    client
        .query_typed("SELECT pg_advisory_lock($1)", &[(&LOCK, tokio_postgres::types::Type::INT8)])
        .await
        .map_err(DbError::from)?;
    // A release that is rolled back to finds migrations applied that it does not have; it can work with them, because they
    // only add.
    let report = embedded::migrations::runner().set_abort_missing(false).run_async(&mut client).await?;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}
