//! The errors of the database: which statement failed, and the class of its cause.

use std::fmt::{self, Display};

use tokio_postgres::error::{Severity, SqlState};

use crate::error::Chain;

/// An error of any crate. It is the source of one of ours, for the log.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

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

    /// Whether the same call may succeed later. A client should send it again.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        self.cause.is_temporary()
    }

    /// Whether the statement took too long. One that reads less may succeed.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        matches!(self.cause, DbError::OutOfTime) || self.code() == Some(&SqlState::QUERY_CANCELED)
    }

    /// Whether the role lacks a right for the statement.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE)
    }

    /// The server's code, if it refused or cancelled the statement.
    fn code(&self) -> Option<&SqlState> {
        let (DbError::Statement(source) | DbError::Busy(source)) = &self.cause else { return None };
        source.downcast_ref::<tokio_postgres::Error>()?.code()
    }
}

/// Why the database did not do what it should.
#[derive(thiserror::Error)]
pub enum DbError {
    /// The connection failed or was lost. The same call may succeed later.
    #[error("could not reach the database")]
    Unavailable(#[source] BoxError),
    /// The server only reads: it is a standby, or a demoted primary.
    #[error("the database only reads")]
    ReadOnly(#[source] BoxError),
    /// The server cancelled the statement: because of a lock, a deadlock, its time limit, or a lack of resources.
    #[error("the database is busy")]
    Busy(#[source] BoxError),
    /// The deadline passed before the statement's answer.
    #[error("the statement ran out of time")]
    OutOfTime,
    /// The statement itself failed.
    #[error("the statement failed")]
    Statement(#[source] BoxError),
    /// A row breaks a promise of the schema.
    #[error("a stored value is not valid: {0}")]
    Corrupt(String),
}

/// As the log shows it: Lambda's runtime logs the error of an invocation by this. A derived one would show the detail of the
/// server's answer, which can quote a row.
impl fmt::Debug for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Chain(self).fmt(f)
    }
}

impl From<tokio_postgres::Error> for DbError {
    fn from(error: tokio_postgres::Error) -> Self {
        class(&error)(Box::new(error))
    }
}

/// The error of a login. An operator may mend any cause while the function runs, even a refused password. A server that has no
/// connection left (class 53) would have none for a second attempt of the call either.
pub(super) fn of_login(error: tokio_postgres::Error) -> DbError {
    let is_full = error.code().is_some_and(|state| state.code().starts_with("53"));
    if is_full { DbError::Busy(Box::new(error)) } else { DbError::Unavailable(Box::new(error)) }
}

/// Whether the statement of a driver's error may succeed later.
pub(super) fn is_temporary(error: &tokio_postgres::Error) -> bool {
    class(error)("".into()).is_temporary()
}

/// The class of a driver's error.
fn class(error: &tokio_postgres::Error) -> fn(BoxError) -> DbError {
    match error.as_db_error() {
        None if error.is_closed() || has_io_source(error) => DbError::Unavailable,
        Some(answer) if is_connection_lost(answer) => DbError::Unavailable,
        Some(answer) if *answer.code() == SqlState::READ_ONLY_SQL_TRANSACTION => DbError::ReadOnly,
        Some(answer) if is_busy(answer.code()) => DbError::Busy,
        _ => DbError::Statement,
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

/// Whether the connection is at fault and not the statement. A server ends the session with an error that is fatal: it stops, starts
/// or is full, or a time limit of the session has passed.
fn is_connection_lost(error: &tokio_postgres::error::DbError) -> bool {
    // Poolers may send the severity only as a text, which a server may translate.
    let is_fatal = matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
        || ["FATAL", "PANIC"].contains(&error.severity());
    // A pooler that does not keep prepared statements may send one to a server that does not know it, or knows another by its name.
    let unknown_statement = [&SqlState::INVALID_SQL_STATEMENT_NAME, &SqlState::DUPLICATE_PSTATEMENT];
    // A migration has changed the type of a column that the prepared statement returns. Other errors have this code too.
    let is_outdated =
        *error.code() == SqlState::FEATURE_NOT_SUPPORTED && error.routine() == Some("RevalidateCachedQuery");
    is_fatal || is_outdated || unknown_statement.contains(&error.code()) || error.code().code().starts_with("08")
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

#[cfg(test)]
pub(super) mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use tokio_postgres::NoTls;

    use super::*;

    /// A server's error as it is sent.
    pub fn message(severity: &str, code: &str) -> Vec<u8> {
        let fields = format!("S{severity}\0V{severity}\0C{code}\0Mtest\0DFailing row contains (alice).\0\0");
        let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
        [b"E", &length[..], fields.as_bytes()].concat()
    }

    /// The error of a statement that a server answers with this error.
    async fn answered(severity: &str, code: &str) -> DbError {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgres://u@{}/d", listener.local_addr().unwrap());
        let error = message(severity, code);
        std::thread::spawn(move || {
            let mut connection = listener.accept().unwrap().0;
            for answer in [b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I", error.as_slice()] {
                assert!(connection.read(&mut [0; 1024]).unwrap() > 0);
                connection.write_all(answer).unwrap();
            }
        });
        let (client, driver) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(driver);
        client.batch_execute("SELECT").await.unwrap_err().into()
    }

    #[tokio::test]
    async fn log_of_an_error_leaves_out_the_row_that_its_detail_quotes() {
        let error = answered("ERROR", "23514").await;
        let shown = "the statement failed: db error: ERROR: test";
        assert_eq!((Chain(&error).to_string(), format!("{error:?}")), (shown.to_owned(), shown.to_owned()));
    }

    #[tokio::test]
    async fn only_a_statement_that_took_too_long_is_slow() {
        // Its time limit, a lock that was not free, and a full server.
        for (code, is_slow) in [("57014", true), ("55P03", false), ("53300", false)] {
            assert_eq!(StoreError::new("list orders", answered("ERROR", code).await).is_slow(), is_slow, "{code}");
        }
        assert!(StoreError::new("list orders", DbError::OutOfTime).is_slow());
    }

    #[tokio::test]
    async fn error_that_ends_the_session_is_a_lost_connection() {
        // An administrator's command, three time limits of a session, and a crash.
        for code in ["57P01", "57P05", "25P03", "25P04"] {
            assert!(matches!(answered("FATAL", code).await, DbError::Unavailable(_)), "{code}");
        }
        assert!(matches!(answered("PANIC", "XX000").await, DbError::Unavailable(_)));
        assert!(matches!(answered("ERROR", "XX000").await, DbError::Statement(_)));
    }
}
