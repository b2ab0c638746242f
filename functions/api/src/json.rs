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

/// The largest body of an order or of options, in bytes. Every valid order is below it, unless spaces between its values make
/// it larger: 500 items of 128 characters, each character as the escapes of a surrogate pair, are 768,000 bytes, and all
/// around them is less than 10,000.
pub const MAX_BYTES: usize = 1024 * 1024;
/// How much is repeated of what serde says of a body, in characters: it quotes the body.
const MAX_MESSAGE: usize = 200;

/// The bytes of a body that is said to be JSON, at most `max_bytes`.
pub async fn read(request: Request, max_bytes: usize) -> Result<Bytes, ApiError> {
    if !is_json(&request) {
        return Err(not_json());
    }
    if !is_as_it_is(&request) {
        return Err(ApiError::NotJson("Send JSON as it is, without a Content-Encoding."));
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

/// Whether nothing was done to the body: it is not compressed.
fn is_as_it_is(request: &Request) -> bool {
    let codings = request.headers().get_all(header::CONTENT_ENCODING);
    codings.iter().all(|coding| coding.is_empty() || coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Options that a call may be given as a JSON object; without a body, or with `null` for one, they have their defaults.
pub struct Options<T>(pub T);

impl<T: DeserializeOwned + Default> FromRequest<Arc<Api>> for Options<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<Api>) -> Result<Self, ApiError> {
        let body = if request.headers().contains_key(header::CONTENT_TYPE) {
            read(request, MAX_BYTES).await?
        } else {
            // A body that does not say what it is must not pass for none.
            axum::body::to_bytes(request.into_body(), 0).await.map_err(|_| not_json())?
        };
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
        ApiError::Invalid(vec![FieldError { pointer: "#".to_owned(), detail: message(error) }])
    } else {
        malformed(error)
    }
}

/// Refuses a body that is no JSON object.
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
    fn message_of_a_long_body_is_cut() {
        let body = format!("{{\"{}\": 1}}", "\\u0001".repeat(100_000));
        let Err(ApiError::Invalid(errors)) = members::<Nothing>(body.as_bytes()) else { panic!("it is read") };
        assert_eq!(errors[0].detail.chars().count(), MAX_MESSAGE + 1);
    }
}
