//! A thin HTTP server in front of the api's environments. It stands for API Gateway, without its checks.
//!
//! It assembles events from prepared pieces and parses only the parts of an answer that it passes on, so that it uses little
//! of the machine's CPU.

use std::borrow::Cow;
use std::sync::Arc;

use sandbox::Result;
use sandbox::gateway::{Claims, event};
use sandbox::runtime::Pool;
use sandbox::server::{Request, Response, Server, json};
use serde::Deserialize;

use crate::progress::note;

/// Every caller.
const ADMIN: Claims<'_> = Claims { sub: "alice", scope: "orders/read orders/write orders/admin" };
/// The placeholders in the event for the parts that differ between calls.
const PLACEHOLDERS: [&str; 3] = ["@body@", "@query@", "@path@"];

/// A server in front of a pool of environments.
#[derive(Clone)]
pub struct Front {
    pool: Arc<Pool>,
    /// The prepared pieces of the event.
    pieces: Arc<Pieces>,
}

struct Pieces {
    get: Vec<String>,
    post: Vec<String>,
}

/// The function's answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer<'a> {
    /// The HTTP status.
    pub status_code: u16,
    /// The body.
    #[serde(borrow, default)]
    pub body: Cow<'a, str>,
}

impl Front {
    /// A front for this pool. Every caller is an administrator.
    #[must_use]
    pub fn new(pool: Arc<Pool>) -> Self {
        Self { pool, pieces: Arc::new(Pieces { get: pieces("GET"), post: pieces("POST") }) }
    }

    /// Starts the HTTP server.
    pub async fn serve(&self) -> Result<Server> {
        let front = self.clone();
        Server::start(move |request| {
            let front = front.clone();
            async move { front.answer(request).await }
        })
        .await
    }

    /// Calls the api, and returns the status and the body.
    pub async fn call(&self, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
        let answer = self.pool.invoke(self.event(method, path, body).into()).await;
        let answer = answer.map_err(|error| format!("{method} {path}: {error:?}"))?;
        let answer: Answer<'_> = serde_json::from_slice(&answer)?;
        Ok((answer.status_code, answer.body.into_owned()))
    }

    /// The gateway's event for a call. It is slower than [`Self::call`], because it prepares the pieces each time.
    #[must_use]
    pub fn event_of(method: &str, path: &str, body: &str) -> String {
        assemble(&pieces(method), path, body)
    }

    fn event(&self, method: &str, path: &str, body: &str) -> String {
        assemble(if method == "POST" { &self.pieces.post } else { &self.pieces.get }, path, body)
    }

    async fn answer(&self, request: Request) -> Option<Response> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let body = std::str::from_utf8(request.body()).ok()?;
        let answer = self.call(request.method().as_str(), path, body).await;
        let (status, body) = answer.inspect_err(|error| note(&error.to_string())).ok()?;
        Some(json(status, body))
    }
}

fn assemble(pieces: &[String], path: &str, body: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let body = serde_json::to_string(body).unwrap_or_default();
    let mut event = String::with_capacity(2048 + body.len());
    for piece in pieces {
        match piece.as_str() {
            "@body@" => event += &body,
            "@query@" => event += query,
            "@path@" => event += path,
            text => event += text,
        }
    }
    event
}

/// The event for this method, split at the placeholders, which stay as pieces of their own.
fn pieces(method: &str) -> Vec<String> {
    let event = event(method, "@path@?@query@", Some(ADMIN), Some("@body@".to_owned()));
    // The inserted body has its own quotes.
    let text = event.to_string().replace("\"@body@\"", "@body@");
    let mut pieces = vec![text];
    for placeholder in PLACEHOLDERS {
        pieces = pieces.into_iter().flat_map(|piece| split(&piece, placeholder)).collect();
    }
    pieces
}

fn split(piece: &str, placeholder: &str) -> Vec<String> {
    let mut parts = Vec::new();
    for (index, part) in piece.split(placeholder).enumerate() {
        if index > 0 {
            parts.push(placeholder.to_owned());
        }
        parts.push(part.to_owned());
    }
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn event_contains_method_path_query_and_body() {
        let event = Front::event_of("GET", "/orders?limit=1", "{\"a\": \"b\"}");
        let event: Value = serde_json::from_str(&event).unwrap();
        assert_eq!(event["rawPath"], "/orders");
        assert_eq!(event["rawQueryString"], "limit=1");
        assert_eq!(event["requestContext"]["http"]["method"], "GET");
        assert_eq!(event["requestContext"]["http"]["path"], "/orders");
        assert_eq!(event["body"], "{\"a\": \"b\"}");
    }
}
