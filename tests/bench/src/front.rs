//! A thin HTTP server in front of the api's environments. It stands for API Gateway, without its checks.
//!
//! It fills a prepared event and parses only the parts of an answer that it passes on, so that it uses little of the machine's
//! CPU.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use sandbox::Result;
use sandbox::gateway::{Claims, event};
use sandbox::progress::note;
use sandbox::runtime::Pool;
use sandbox::server::{Request, Response, Server, json};
use serde::Deserialize;

/// Every caller.
const ADMIN: Claims<'_> = Claims { sub: "alice", scope: "orders/read orders/write orders/admin" };
/// The gateway's event, with placeholders for the parts that differ between calls.
static EVENT: LazyLock<String> =
    LazyLock::new(|| event("@method@", "@path@?@query@", Some(ADMIN), Some("@body@".to_owned())).to_string());

/// A server in front of a pool of environments.
#[derive(Clone)]
pub struct Front(Arc<Pool>);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer<'a> {
    pub status_code: u16,
    #[serde(borrow, default)]
    pub body: Cow<'a, str>,
}

impl Front {
    /// A front for this pool. Every caller is an administrator.
    pub fn new(pool: Arc<Pool>) -> Self {
        Self(pool)
    }

    pub async fn serve(&self) -> Result<Server> {
        let front = self.clone();
        Server::start(move |request| front.clone().answer(request)).await
    }

    /// Calls the api, and returns the status and the body.
    pub async fn call(&self, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
        let answer = self.0.invoke(event_of(method, path, body).into()).await;
        let answer = answer.map_err(|error| format!("{method} {path}: {error:?}"))?;
        let answer: Answer<'_> = serde_json::from_slice(&answer)?;
        Ok((answer.status_code, answer.body.into_owned()))
    }

    /// Calls the api, and returns the body. Fails for any other status than 2xx.
    pub async fn expect(&self, method: &str, path: &str, body: &str) -> Result<String> {
        match self.call(method, path, body).await? {
            (200..=299, answer) => Ok(answer),
            (status, answer) => Err(format!("{method} {path}: {status} {answer}").into()),
        }
    }

    async fn answer(self, request: Request) -> Option<Response> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let body = std::str::from_utf8(request.body()).ok()?;
        let answer = self.call(request.method().as_str(), path, body).await;
        let (status, body) = answer.inspect_err(|error| note(&error.to_string())).ok()?;
        Some(json(status, body))
    }
}

pub fn event_of(method: &str, path: &str, body: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let body = serde_json::to_string(body).unwrap_or_default(); // With its quotes.
    let event = EVENT.replace("@method@", method).replace("@path@", path).replace("@query@", query);
    event.replace("\"@body@\"", &body)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn event_contains_method_path_query_and_body() {
        let event = event_of("GET", "/orders?limit=1", "{\"a\": \"b\"}");
        let event: Value = serde_json::from_str(&event).unwrap();
        assert_eq!(event["rawPath"], "/orders");
        assert_eq!(event["rawQueryString"], "limit=1");
        assert_eq!(event["requestContext"]["http"]["method"], "GET");
        assert_eq!(event["requestContext"]["http"]["path"], "/orders");
        assert_eq!(event["body"], "{\"a\": \"b\"}");
    }
}
