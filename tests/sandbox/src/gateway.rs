//! The HTTP API: converts a call by a caller with verified claims into the gateway's event, and the function's result into
//! an answer.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::runtime::{InvokeError, Pool};

/// The event of `sam local`; each call changes some of its fields.
const EVENT: &str = include_str!("../../events/create_order.json");

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
    event: Value,
}

impl Gateway {
    /// A gateway in front of this pool.
    #[must_use]
    pub fn new(pool: Arc<Pool>) -> Self {
        Self { pool, event: serde_json::from_str(EVENT).expect("the event is JSON") }
    }

    /// Calls the api. The path may have a query.
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
