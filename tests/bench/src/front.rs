//! A thin HTTP front before the api's environments: what API Gateway is to the deployed function, without its checks.
//!
//! An event is put together from pieces that are made once, and of an answer no more is read than is passed on, so that the
//! front takes little of the machine from what is measured.

use std::borrow::Cow;
use std::sync::Arc;

use sandbox::Result;
use sandbox::runtime::Pool;
use sandbox::server::{Request, Response, Server, json};
use serde::Deserialize;
use serde_json::Value;

/// The event of `sam local`, of which every call is a variation.
const EVENT: &str = include_str!("../../events/create_order.json");
/// What stands in the event where a call differs, in this order.
const PLACES: [&str; 3] = ["@body@", "@query@", "@path@"];

/// A front before some environments.
#[derive(Clone)]
pub struct Front {
    pool: Arc<Pool>,
    /// What stands before, between and after the places.
    pieces: Arc<Pieces>,
}

struct Pieces {
    get: Vec<String>,
    post: Vec<String>,
}

/// What the function answers.
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
    /// A front before these, whose every caller is an administrator.
    #[must_use]
    pub fn new(pool: Arc<Pool>) -> Self {
        Self { pool, pieces: Arc::new(Pieces { get: pieces("GET"), post: pieces("POST") }) }
    }

    /// Serves HTTP.
    pub async fn serve(&self) -> Result<Server> {
        let front = self.clone();
        Server::start(move |request| {
            let front = front.clone();
            async move { front.answer(request).await }
        })
        .await
    }

    /// Makes a call and gives the status and the body.
    pub async fn call(&self, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
        let answer = self.pool.invoke(self.event(method, path, body).into()).await;
        let answer = answer.map_err(|error| format!("{method} {path}: {error:?}"))?;
        let answer: Answer<'_> = serde_json::from_slice(&answer)?;
        Ok((answer.status_code, answer.body.into_owned()))
    }

    /// The gateway's event of a call, of a front that need not be fast.
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
        let (status, body) = self.call(request.method().as_str(), path, body).await.ok()?;
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

/// The event of a call of this method, cut where calls differ.
fn pieces(method: &str) -> Vec<String> {
    let mut event: Value = serde_json::from_str(EVENT).expect("the event is JSON");
    (event["body"], event["rawPath"], event["rawQueryString"]) = ("@body@".into(), "@path@".into(), "@query@".into());
    let context = &mut event["requestContext"];
    context["http"]["method"] = method.into();
    context["http"]["path"] = "@path@".into();
    context["authorizer"]["jwt"]["claims"]["scope"] = "orders/read orders/write orders/admin".into();
    // The body's quotes come with the body.
    let text = event.to_string().replace("\"@body@\"", "@body@");
    let mut pieces = vec![text];
    for place in PLACES {
        pieces = pieces.into_iter().flat_map(|piece| cut(&piece, place)).collect();
    }
    pieces
}

fn cut(piece: &str, place: &str) -> Vec<String> {
    let mut cut = Vec::new();
    for (index, part) in piece.split(place).enumerate() {
        if index > 0 {
            cut.push(place.to_owned());
        }
        cut.push(part.to_owned());
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_what_was_called_and_with_what() {
        let event = Front::event_of("GET", "/orders?limit=1", "{\"a\": \"b\"}");
        let event: Value = serde_json::from_str(&event).unwrap();
        assert_eq!(event["rawPath"], "/orders");
        assert_eq!(event["rawQueryString"], "limit=1");
        assert_eq!(event["requestContext"]["http"]["method"], "GET");
        assert_eq!(event["requestContext"]["http"]["path"], "/orders");
        assert_eq!(event["body"], "{\"a\": \"b\"}");
    }
}
