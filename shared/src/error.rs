//! Errors in the log.

use std::error::Error;
use std::fmt;

use tokio_postgres::error::DbError;

/// Displays an error and its causes in one line: `could not claim orders: the statement failed: db error: ERROR: relation …`. It leaves
/// out the detail of the database's error, which may quote a whole row.
pub struct Chain<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            match error.downcast_ref::<DbError>() {
                Some(answer) => write!(f, ": {}: {}", answer.severity(), answer.message())?,
                None => write!(f, ": {error}")?,
            }
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{DbError, StoreError};

    #[test]
    fn chain_names_every_cause() {
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        let error = StoreError::new("claim orders", DbError::Unavailable(Box::new(refused)));
        let chain = "could not claim orders: could not reach the database: connection refused";
        assert_eq!(Chain(&error).to_string(), chain);
    }
}
