//! The HTTP API: makes the gateway's event of a call, for a caller with verified claims, and an answer of the result.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::runtime::{InvokeError, Pool};

/// The event of `sam local`, of which every call is a variation.
const EVENT: &str = include_str!("../../events/create_order.json");

/// Who calls: `sub` and `scope` of a verified token.
#[derive(Debug, Clone, Copy)]
pub struct Claims<'a> {
    /// The caller's own user.
    pub sub: &'a str,
    /// What the token may be used for, with spaces between.
    pub scope: &'a str,
}

/// The function's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; null where it is not JSON.
    pub body: Value,
    /// When to come again, in seconds, if it says so.
    pub retry_after: Option<u64>,
}

/// A gateway in front of the api's environments.
pub struct Gateway {
    pool: Arc<Pool>,
    event: Value,
}

impl Gateway {
    /// A gateway in front of these.
    #[must_use]
    pub fn new(pool: Arc<Pool>) -> Self {
        Self { pool, event: serde_json::from_str(EVENT).expect("the event is JSON") }
    }

    /// Makes a call. A path may have a query.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        claims: Claims<'_>,
        body: Option<&Value>,
    ) -> Result<Answer, InvokeError> {
        let event = self.event(method, path, claims, body);
        answer(&self.pool.invoke(event).await?).ok_or_else(|| InvokeError::Function("no HTTP answer".to_owned()))
    }

    fn event(&self, method: &str, path: &str, claims: Claims<'_>, body: Option<&Value>) -> Bytes {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut event = self.event.clone();
        event["rawPath"] = path.into();
        event["rawQueryString"] = query.into();
        event["body"] = body.map_or(Value::Null, |body| body.to_string().into());
        let context = &mut event["requestContext"];
        context["http"]["method"] = method.into();
        context["http"]["path"] = path.into();
        context["authorizer"]["jwt"]["claims"] = json!({"sub": claims.sub, "scope": claims.scope});
        event.to_string().into()
    }
}

fn answer(result: &[u8]) -> Option<Answer> {
    let result: Value = serde_json::from_slice(result).ok()?;
    let status = result["statusCode"].as_u64().and_then(|status| u16::try_from(status).ok())?;
    let body = result["body"].as_str().and_then(|body| serde_json::from_str(body).ok()).unwrap_or(Value::Null);
    let retry_after = result["headers"]["retry-after"].as_str().and_then(|text| text.parse().ok());
    Some(Answer { status, body, retry_after })
}
