//! Request bodies: declared as JSON, not too large, and deserialized into the type that a handler needs.

use std::str::FromStr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Number;

use crate::Api;
use crate::problem::ApiError;

/// The largest body of an order or of options, in bytes. Every valid order fits, unless whitespace between its values makes it
/// larger: with each character as the escapes of a surrogate pair, 500 items of 128 characters are 768,000 bytes, 20 entries of
/// metadata of 540 characters are 129,600, and the rest of the order is less than 10,000.
pub const MAX_BYTES: usize = 1024 * 1024;
/// The most characters of serde's message that an answer repeats. The message quotes the body.
const MAX_MESSAGE: usize = 200;

/// Reads a body that is declared as JSON, at most `max_bytes`.
pub async fn read(request: Request, max_bytes: usize) -> Result<Bytes, ApiError> {
    if !is_json(&request) {
        return Err(not_json());
    }
    if !is_unencoded(&request) {
        return Err(ApiError::NotJson("Send JSON without a Content-Encoding."));
    }
    axum::body::to_bytes(request.into_body(), max_bytes).await.map_err(|_| ApiError::TooLarge(max_bytes))
}

fn not_json() -> ApiError {
    ApiError::NotJson("Send JSON, with the header Content-Type: application/json.")
}

fn is_json(request: &Request) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    essence == "application/json" || essence.starts_with("application/") && essence.ends_with("+json")
}

/// Whether the body has no content encoding, such as compression.
fn is_unencoded(request: &Request) -> bool {
    let codings = request.headers().get_all(header::CONTENT_ENCODING);
    codings.iter().all(|coding| coding.is_empty() || coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The options of a call, as a JSON object. Without a body, or with a body of `null`, they have their defaults.
pub struct OptionalBody<T>(pub T);

impl<T: DeserializeOwned + Default> FromRequest<Arc<Api>> for OptionalBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<Api>) -> Result<Self, ApiError> {
        let body = if request.headers().contains_key(header::CONTENT_TYPE) {
            read(request, MAX_BYTES).await?
        } else {
            // A body without a content type is refused, and not ignored.
            axum::body::to_bytes(request.into_body(), 0).await.map_err(|_| not_json())?
        };
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        Ok(Self(members::<Option<T>>(&body)?.unwrap_or_default()))
    }
}

/// Deserializes an object. Refuses an array: serde would read its elements as the members' values.
pub fn members<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(ApiError::invalid("#", "must be an object"));
    }
    serde_json::from_slice(body).map_err(|error| refusal(&error))
}

/// A whole number. JSON may write it with a point too: a schema treats `10.0` as an integer.
pub fn whole<'de, D: Deserializer<'de>, T: FromStr>(deserializer: D) -> Result<T, D::Error> {
    let text = Number::deserialize(deserializer)?.to_string();
    let digits = text.strip_suffix(".0").unwrap_or(&text);
    digits.parse().map_err(|_| D::Error::custom(format!("{text} is not a whole number, or is out of range")))
}

/// Turns serde's error into a refusal. Its text names the bad member and the reason.
fn refusal(error: &serde_json::Error) -> ApiError {
    if error.is_data() { ApiError::invalid("#", message(error)) } else { malformed(error) }
}

/// The refusal of a body that is not a JSON object.
pub fn malformed(error: &serde_json::Error) -> ApiError {
    ApiError::Malformed(format!("The body is not a JSON object: {}.", message(error)))
}

fn message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.char_indices().nth(MAX_MESSAGE).map(|(end, _)| end);
    end.map_or(text.clone(), |end| format!("{}…", &text[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}

    #[test]
    fn message_about_a_long_body_is_cut() {
        let body = format!("{{\"{}\": 1}}", "\\u0001".repeat(100_000));
        let Err(ApiError::Invalid(errors)) = members::<Nothing>(body.as_bytes()) else { panic!("it is read") };
        assert_eq!(errors[0].detail.chars().count(), MAX_MESSAGE + 1);
    }
}
