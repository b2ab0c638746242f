//! The parameters of a query, and the errors at them.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;

use crate::problem::{ApiError, FieldError, MAX_NAME};

/// The rule that an unknown parameter breaks.
pub const UNKNOWN: &str = "is not a parameter of this call";

/// The decoded parameters. [`Query`] alone would replace bytes that are not UTF-8, and the call would look for another text.
pub struct Parameters(pub Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let malformed = || ApiError::Malformed("The query is not percent-encoded UTF-8.".to_owned());
        percent_decode_str(parts.uri.query().unwrap_or_default()).decode_utf8().map_err(|_| malformed())?;
        let query = Query::from_request_parts(parts, state).await;
        query.map(|Query(pairs)| Self(pairs)).map_err(|_| malformed())
    }
}

/// An error at a parameter.
pub fn at(name: &str, detail: &str) -> FieldError {
    FieldError::new(format!("?{}", name.chars().take(MAX_NAME).collect::<String>()), detail)
}
