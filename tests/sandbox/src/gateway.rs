//! The HTTP API: converts a call by a caller with verified claims into the gateway's event, and the function's result into
//! an answer.

use std::sync::{Arc, LazyLock};

use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::runtime::{InvokeError, Pool};

/// The event of `sam local`; each call changes some of its fields.
static EVENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../events/create_order.json")).expect("the event is JSON"));

/// The caller: `sub` and `scope` of a verified token.
#[derive(Debug, Clone, Copy)]
pub struct Claims<'a> {
    /// The caller's user id.
    pub sub: &'a str,
    /// The scopes, separated by spaces.
    pub scope: &'a str,
}

/// The function's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, or null if it is not JSON.
    pub body: Value,
    /// `Retry-After` in seconds.
    pub retry_after: Option<u64>,
}

/// A gateway in front of the api's environments.
pub struct Gateway {
    pool: Arc<Pool>,
}

impl Gateway {
    /// A gateway in front of this pool.
    pub fn new(pool: Arc<Pool>) -> Self {
        Self { pool }
    }

    /// Calls the api. The path may have a query.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        claims: Claims<'_>,
        body: Option<&Value>,
    ) -> Result<Answer, InvokeError> {
        let event = event(method, path, Some(claims), body.map(Value::to_string));
        answer(&self.pool.invoke(event.to_string().into()).await?)
            .ok_or_else(|| InvokeError::Function("no HTTP answer".to_owned()))
    }
}

/// The gateway's event for a call. The path may have a query. As an HTTP API does, this decodes the path and leaves the query as it is.
/// Without claims the event has no authorizer.
pub fn event(method: &str, path: &str, claims: Option<Claims<'_>>, body: Option<String>) -> Value {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let path = percent_decode_str(path).decode_utf8_lossy();
    let mut event = EVENT.clone();
    event["rawPath"] = path.as_ref().into();
    event["rawQueryString"] = query.into();
    event["body"] = body.into();
    let context = &mut event["requestContext"];
    context["http"]["method"] = method.into();
    context["http"]["path"] = path.as_ref().into();
    match claims {
        Some(Claims { sub, scope }) => {
            let claims = &mut context["authorizer"]["jwt"]["claims"];
            (claims["sub"], claims["scope"]) = (sub.into(), scope.into());
        }
        None => context["authorizer"] = Value::Null,
    }
    event
}

fn answer(result: &[u8]) -> Option<Answer> {
    let result: Value = serde_json::from_slice(result).ok()?;
    let status = result["statusCode"].as_u64().and_then(|status| u16::try_from(status).ok())?;
    let body = result["body"].as_str().and_then(|body| serde_json::from_str(body).ok()).unwrap_or(Value::Null);
    let retry_after = result["headers"]["retry-after"].as_str().and_then(|text| text.parse().ok());
    Some(Answer { status, body, retry_after })
}
