//! Bodies: said to be JSON, not too large, and read into the type that a handler asks for.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use serde::de::DeserializeOwned;

use crate::Api;
use crate::problem::{ApiError, FieldError};

/// The largest body, in bytes. The largest valid order is well below it.
const MAX_BYTES: usize = 256 * 1024;

/// The bytes of a body that is said to be JSON.
pub async fn read(request: Request, api: &Arc<Api>) -> Result<Bytes, ApiError> {
    if !is_json(&request) {
        return Err(ApiError::NotJson);
    }
    let body = Bytes::from_request(request, api).await.map_err(|_| ApiError::TooLarge)?;
    if body.len() > MAX_BYTES { Err(ApiError::TooLarge) } else { Ok(body) }
}

fn is_json(request: &Request) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    essence == "application/json" || essence.starts_with("application/") && essence.ends_with("+json")
}

/// Options that a call may be given as a JSON object; without a body they have their defaults.
pub struct Options<T>(pub T);

impl<T: DeserializeOwned + Default> FromRequest<Arc<Api>> for Options<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, ApiError> {
        let is_absent = request.headers().get(header::CONTENT_TYPE).is_none();
        let body = if is_absent { Bytes::new() } else { read(request, api).await? };
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        serde_json::from_slice(&body).map(Self).map_err(|error| refusal(&error))
    }
}

/// The error says which member is wrong, and how.
fn refusal(error: &serde_json::Error) -> ApiError {
    if error.is_data() {
        ApiError::Invalid(vec![FieldError { pointer: "#".to_owned(), detail: error.to_string() }])
    } else {
        ApiError::Malformed(format!("The body is not a JSON object: {error}."))
    }
}
