//! The errors of the database: which statement failed, and the class of its cause.

use tokio_postgres::error::SqlState;

use crate::error::Chain;

/// The source of an error, for the log.
type Source = Box<dyn std::error::Error + Send + Sync>;

/// The error of a statement, which it names. Its text and its `source()` chain are for the log, never for a client.
#[derive(Debug, thiserror::Error)]
#[error("could not {statement}")]
pub struct StoreError {
    /// The name: it completes the sentence "could not …".
    statement: &'static str,
    #[source]
    cause: DbError,
}

impl StoreError {
    /// The error of this statement.
    #[must_use]
    pub const fn new(statement: &'static str, cause: DbError) -> Self {
        Self { statement, cause }
    }

    /// The same error for another order of the batch. Its cause is a text.
    pub(super) fn again(&self) -> Self {
        let text = Chain(&self.cause).to_string().into();
        let cause = if self.is_temporary() { DbError::Unavailable(text) } else { DbError::Statement(text) };
        Self::new(self.statement, cause)
    }

    /// The cause.
    #[must_use]
    pub const fn cause(&self) -> &DbError {
        &self.cause
    }

    /// Whether the same call may succeed later. A client should send it again.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        self.cause.is_temporary()
    }
}

/// Why the database did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The connection failed or was lost. The same call may succeed later.
    #[error("could not reach the database")]
    Unavailable(#[source] Source),
    /// The server only reads: it is a standby, or a demoted primary.
    #[error("the database only reads")]
    ReadOnly(#[source] Source),
    /// The server cancelled the statement: because of a lock, a deadlock, its time limit, or a lack of resources.
    #[error("the database is busy")]
    Busy(#[source] Source),
    /// The deadline passed before the statement's answer.
    #[error("the statement ran out of time")]
    OutOfTime,
    /// The statement itself failed.
    #[error("the statement failed")]
    Statement(#[source] Source),
    /// A row breaks a promise of the schema.
    #[error("a stored value is not valid: {0}")]
    Corrupt(String),
}

impl From<tokio_postgres::Error> for DbError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(state) = error.code() else {
            let is_lost = error.is_closed() || has_io_source(&error);
            return if is_lost { Self::Unavailable(Box::new(error)) } else { Self::Statement(Box::new(error)) };
        };
        if is_connection_lost(state) {
            Self::Unavailable(Box::new(error))
        } else if *state == SqlState::READ_ONLY_SQL_TRANSACTION {
            Self::ReadOnly(Box::new(error))
        } else if is_busy(state) {
            Self::Busy(Box::new(error))
        } else {
            Self::Statement(Box::new(error))
        }
    }
}

impl DbError {
    /// Whether the same statement may succeed later.
    pub(super) const fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::ReadOnly(_) | Self::Busy(_) | Self::OutOfTime)
    }

    /// Whether the statement may succeed on another connection.
    pub(super) const fn wants_another_connection(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::ReadOnly(_))
    }
}

/// Whether the connection is at fault and not the statement: it is closed, or the server stops, starts or is full.
fn is_connection_lost(state: &SqlState) -> bool {
    let stopping = [&SqlState::ADMIN_SHUTDOWN, &SqlState::CRASH_SHUTDOWN, &SqlState::CANNOT_CONNECT_NOW];
    // A pooler that does not keep prepared statements may send one to a server that does not know it, or knows another by its name.
    let unknown_statement = [&SqlState::INVALID_SQL_STATEMENT_NAME, &SqlState::DUPLICATE_PSTATEMENT];
    stopping.contains(&state)
        || unknown_statement.contains(&state)
        || *state == SqlState::TOO_MANY_CONNECTIONS
        || state.code().starts_with("08")
}

/// Whether the same statement may succeed later.
fn is_busy(state: &SqlState) -> bool {
    let states = [
        &SqlState::T_R_SERIALIZATION_FAILURE,
        &SqlState::T_R_DEADLOCK_DETECTED,
        &SqlState::LOCK_NOT_AVAILABLE,
        &SqlState::QUERY_CANCELED,
    ];
    states.contains(&state) || state.code().starts_with("53")
}

fn has_io_source(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}
