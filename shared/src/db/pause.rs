//! The pause of processing: one row, which operators set and clear.
//!
//! Other statements read the row as part of their own work: a claim takes no order while processing is paused, a sweep requeues none
//! and sends no first messages, and the metrics show the pause. The processor then acknowledges the messages of orders that are due, so
//! that a pause costs no receive. After the pause these orders have no message. The sweeper finds them by `resumed_at`: an order that was
//! due by then counts as overdue at once. The same holds for one that fell due while the resume was committed; if it has its message, it
//! gets another.

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::{DbError, Store, StoreError};

/// The condition that processing is paused.
pub(super) const IS_PAUSED: &str = "EXISTS (SELECT FROM processing_pause WHERE paused_at IS NOT NULL)";

/// A pause of processing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// When it began.
    pub since: OffsetDateTime,
    /// Why an operator paused processing.
    pub reason: String,
    /// The operator who began it: the subject of the token.
    pub by: String,
}

impl Store {
    /// Pauses processing. A pause that has begun keeps its start and its operator, and gets this reason.
    ///
    /// Conflicts: of two calls at the same time, the second sets the reason.
    pub async fn pause_processing(&self, reason: &str, by: &str) -> Result<Pause, StoreError> {
        let sql = "UPDATE processing_pause SET paused_at = coalesce(paused_at, now()), reason = $1, paused_by = coalesce(paused_by, $2)
            RETURNING paused_at, reason, paused_by";
        let rows = self.query("pause processing", sql, &[(&reason, Type::TEXT), (&by, Type::TEXT)]).await?;
        rows.one(|row| paused(row)?.ok_or_else(|| DbError::Corrupt("the pause has no start".to_owned())))
    }

    /// Ends the pause, and returns it; `None` if processing was not paused. The statement may wait for the row, so the pause ends by
    /// the clock and not at the statement's start.
    ///
    /// Conflicts: of two calls at the same time, the second returns `None`.
    pub async fn resume_processing(&self) -> Result<Option<Pause>, StoreError> {
        let sql = "WITH pause AS (
                SELECT paused_at, reason, paused_by FROM processing_pause WHERE paused_at IS NOT NULL FOR UPDATE
            ), resumed AS (
                UPDATE processing_pause SET paused_at = NULL, reason = NULL, paused_by = NULL, resumed_at = clock_timestamp()
                WHERE EXISTS (SELECT FROM pause)
            )
            SELECT paused_at, reason, paused_by FROM pause";
        let rows = self.query("resume processing", sql, &[]).await?;
        rows.first(paused).map(Option::flatten)
    }
}

/// Reads the pause from the columns of `processing_pause`; `None` while processing runs.
pub(super) fn paused(row: &Row) -> Result<Option<Pause>, DbError> {
    let Some(since) = row.try_get("paused_at")? else { return Ok(None) };
    Ok(Some(Pause { since, reason: row.try_get("reason")?, by: row.try_get("paused_by")? }))
}
