//! Bodies: said to be JSON, not too large, and read into the type that a handler asks for.

use std::str::FromStr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Number;

use crate::Api;
use crate::problem::{ApiError, FieldError};

/// The largest body of an order or of options, in bytes. The largest valid order is well below it.
pub const MAX_BYTES: usize = 256 * 1024;

/// The bytes of a body that is said to be JSON, at most `max_bytes`.
pub async fn read(request: Request, max_bytes: usize) -> Result<Bytes, ApiError> {
    if !is_json(&request) {
        return Err(ApiError::NotJson);
    }
    axum::body::to_bytes(request.into_body(), max_bytes).await.map_err(|_| ApiError::TooLarge)
}

fn is_json(request: &Request) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    essence == "application/json" || essence.starts_with("application/") && essence.ends_with("+json")
}

/// Options that a call may be given as a JSON object; without a body, or with `null` for one, they have their defaults.
pub struct Options<T>(pub T);

impl<T: DeserializeOwned + Default> FromRequest<Arc<Api>> for Options<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<Api>) -> Result<Self, ApiError> {
        let is_absent = request.headers().get(header::CONTENT_TYPE).is_none();
        let body = if is_absent { Bytes::new() } else { read(request, MAX_BYTES).await? };
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        Ok(Self(members::<Option<T>>(&body)?.unwrap_or_default()))
    }
}

/// Reads an object into its type. An array serde would take for the members' values in their order.
pub fn members<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(ApiError::Invalid(vec![FieldError {
            pointer: "#".to_owned(),
            detail: "must be an object".to_owned(),
        }]));
    }
    serde_json::from_slice(body).map_err(|error| refusal(&error))
}

/// A whole number, which JSON may write with a point too: `10.0` is an integer to a schema.
pub fn whole<'de, D: Deserializer<'de>, T: FromStr>(deserializer: D) -> Result<T, D::Error> {
    let text = Number::deserialize(deserializer)?.to_string();
    let digits = text.strip_suffix(".0").unwrap_or(&text);
    digits.parse().map_err(|_| D::Error::custom(format!("{text} is not a whole number, or is out of range")))
}

/// The error says which member is wrong, and how.
fn refusal(error: &serde_json::Error) -> ApiError {
    if error.is_data() {
        ApiError::Invalid(vec![FieldError { pointer: "#".to_owned(), detail: error.to_string() }])
    } else {
        ApiError::Malformed(format!("The body is not a JSON object: {error}."))
    }
}
