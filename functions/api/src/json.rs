//! Request bodies: declared as JSON, not too large, and deserialized into the type that a handler needs.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, header};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Number;
use serde_json::value::RawValue;
use serde_path_to_error::{Path, Segment};

use crate::Api;
use crate::problem::ApiError;
use crate::query::{self, Parameters};

/// The largest body of an order or of options, in bytes. Every valid order fits, unless whitespace between its values makes it
/// larger: with each character as the escapes of a surrogate pair, 500 items of 128 characters are 768,000 bytes, 20 entries of
/// metadata of 540 characters are 129,600, and the rest of the order is less than 10,000.
pub const MAX_BYTES: usize = 1024 * 1024;
/// The most characters of serde's message that an answer repeats. The message quotes the body.
const MAX_MESSAGE: usize = 200;

/// Reads a body that is declared as JSON, at most `max_bytes`.
pub async fn read(request: Request, max_bytes: usize) -> Result<Bytes, ApiError> {
    check_declared(request.headers())?;
    bytes(request, max_bytes).await
}

/// Reads a body. Refuses a query parameter: the options of a call with a body are its members, and `?dry_run=true` must not be ignored.
async fn bytes(request: Request, max_bytes: usize) -> Result<Bytes, ApiError> {
    let (mut parts, body) = request.into_parts();
    let Parameters(pairs) = Parameters::from_request_parts(&mut parts, &()).await?;
    let unknown = pairs.iter().map(|(name, _)| query::at(name, query::UNKNOWN));
    ApiError::unless_valid(Some(()), unknown.collect())?;
    let body = axum::body::to_bytes(body, max_bytes).await.map_err(|_| ApiError::TooLarge(max_bytes))?;
    // RFC 8259, section 8.1: a parser may ignore a byte order mark.
    Ok(if body.starts_with("\u{feff}".as_bytes()) { body.slice("\u{feff}".len()..) } else { body })
}

/// Checks that the body is declared as JSON in UTF-8 without an encoding.
fn check_declared(headers: &HeaderMap) -> Result<(), ApiError> {
    if !is_json(headers) {
        return Err(ApiError::NotJson);
    }
    if !is_utf8(headers) {
        return Err(ApiError::NotUtf8);
    }
    if is_unencoded(headers) { Ok(()) } else { Err(ApiError::Encoded) }
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("")
}

fn is_json(headers: &HeaderMap) -> bool {
    let essence = content_type(headers).split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    essence == "application/json" || essence.starts_with("application/") && essence.ends_with("+json")
}

/// Whether the content type names no charset, or only UTF-8 and its part ASCII.
fn is_utf8(headers: &HeaderMap) -> bool {
    let parameters = content_type(headers).split(';').filter_map(|parameter| parameter.split_once('='));
    let mut charsets = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    charsets.all(|(_, charset)| {
        let charset = charset.trim().trim_matches('"').to_ascii_lowercase();
        ["utf-8", "utf8", "us-ascii"].contains(&charset.as_str())
    })
}

/// Whether the body has no content encoding, such as compression.
fn is_unencoded(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(header::CONTENT_ENCODING);
    codings.iter().all(|coding| coding.is_empty() || coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The options of a call, as a JSON object. Without a body, or with a body of `null`, they have their defaults. Any other body must be
/// declared as JSON, so that none is ignored.
pub struct OptionalBody<T>(pub T);

/// The options of a call that has none: it refuses the options of its neighbours, such as `dry_run`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoOptions {}

impl<T: DeserializeOwned + Default> FromRequest<Arc<Api>> for OptionalBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<Api>) -> Result<Self, ApiError> {
        let declared = check_declared(request.headers());
        let body = bytes(request, MAX_BYTES).await?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        declared?;
        if body.trim_ascii() == b"null" { Ok(Self(T::default())) } else { members(&body).map(Self) }
    }
}

/// Deserializes an object, or names the first member that is not valid.
pub fn members<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut deserializer);
    // Serde would also read an array as the members' values, and calls an unknown value of an enumeration bad syntax.
    let is_array = body.trim_ascii_start().starts_with(b"[");
    if is_array || read.is_err() || deserializer.end().is_err() {
        serde_json::from_slice::<HashMap<String, &RawValue>>(body).map_err(|error| malformed(&error))?;
    }
    read.map_err(|error| refusal(error.path(), error.inner()))
}

/// A whole number. JSON may write it with a point too: a schema treats `10.0` as an integer.
pub fn whole<'de, D: Deserializer<'de>, T: FromStr>(deserializer: D) -> Result<T, D::Error> {
    let text = Number::deserialize(deserializer)?.to_string();
    let digits = text.strip_suffix(".0").unwrap_or(&text);
    digits.parse().map_err(|_| D::Error::custom(format!("{text} is not a whole number, or is out of range")))
}

/// Turns serde's error about a member into a refusal with the member's JSON pointer. The line and the column say no more than that.
fn refusal(path: &Path, error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let segments = path.iter().filter(|segment| !matches!(segment, Segment::Unknown));
    let named = |kind: &str| text.strip_prefix(kind).and_then(|rest| rest.strip_suffix('`'));
    let (member, detail) = match (named("missing field `"), named("duplicate field `")) {
        (Some(name), _) => (Some(name), "is missing"),
        (_, Some(name)) => (Some(name), "appears more than once"),
        _ if text == "expected value" => (None, "is none of the values that it can have"),
        _ => (None, text),
    };
    let member = member.map(|name| format!("/{name}"));
    let pointer: String = std::iter::once("#".to_owned()).chain(segments.map(part)).chain(member).collect();
    ApiError::invalid(pointer, cut(detail))
}

/// The part of a JSON pointer.
fn part(segment: &Segment) -> String {
    let name = match segment {
        Segment::Seq { index } => index.to_string(),
        other => other.to_string(),
    };
    format!("/{}", pointer_part(&cut(&name)))
}

/// Escapes a name for a JSON pointer (RFC 6901).
pub fn pointer_part(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The refusal of a body that is not a JSON object.
pub fn malformed(error: &serde_json::Error) -> ApiError {
    let why = if error.is_data() { String::new() } else { format!(": {}", cut(&error.to_string())) };
    ApiError::Malformed(format!("The body is not a JSON object{why}."))
}

fn cut(text: &str) -> String {
    let end = text.char_indices().nth(MAX_MESSAGE).map(|(end, _)| end);
    end.map_or(text.to_owned(), |end| format!("{}…", &text[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Options {
        #[serde(deserialize_with = "whole", default)]
        #[expect(dead_code, reason = "the test reads refusals")]
        limit: i64,
        #[expect(dead_code, reason = "the test reads refusals")]
        reason: String,
        #[expect(dead_code, reason = "the test reads refusals")]
        status: Option<Status>,
        #[expect(dead_code, reason = "the test reads refusals")]
        ids: Option<Vec<String>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Status {
        Failed,
    }

    #[test]
    fn refusal_has_the_pointer_of_the_member() {
        for (body, pointer, detail) in [
            (r#"{"limit": "5", "reason": ""}"#, "#/limit", "invalid type: string \"5\", expected a JSON number"),
            (r#"{"limit": 1.5, "reason": ""}"#, "#/limit", "1.5 is not a whole number, or is out of range"),
            (r#"{"limit": 1}"#, "#/reason", "is missing"),
            (r#"{"limit": 1, "limit": 1}"#, "#/limit", "appears more than once"),
            (r#"{"reason": "", "status": 5}"#, "#/status", "is none of the values that it can have"),
            (r#"{"reason": "", "status": "new"}"#, "#/status", "unknown variant `new`, expected `failed`"),
            (r#"{"reason": "", "ids": ["a", 7]}"#, "#/ids/1", "invalid type: integer `7`, expected a string"),
            (r#"{"a/b": 1}"#, "#/a~1b", "unknown field `a/b`, expected one of `limit`, `reason`, `status`, `ids`"),
        ] {
            let Err(ApiError::Invalid(errors)) = members::<Options>(body.as_bytes()) else { panic!("{body}") };
            assert_eq!((errors[0].pointer.as_str(), errors[0].detail.as_str()), (pointer, detail), "{body}");
        }
        for body in ["[]", "null", "\"x\"", "7", "{", "{} {}", r#"{"a": 1,}"#] {
            assert!(matches!(members::<Options>(body.as_bytes()), Err(ApiError::Malformed(_))), "{body}");
        }
    }

    #[test]
    fn message_about_a_long_body_is_cut() {
        let body = format!("{{\"{}\": 1}}", "\\u0001".repeat(100_000));
        let Err(ApiError::Invalid(errors)) = members::<NoOptions>(body.as_bytes()) else { panic!("it is read") };
        assert_eq!(errors[0].detail.chars().count(), MAX_MESSAGE + 1);
        assert!(errors[0].pointer.len() < 2 * MAX_MESSAGE);
    }
}
