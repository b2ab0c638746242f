//! The API's client: makes calls, and returns status, headers and body.

mod body;
mod notices;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use reqwest::{Certificate, Method, RequestBuilder, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;
use shared::error::Chain;
use tokio::time::{Instant, sleep};

use crate::deployment::Deployment;
use crate::exit::Failure;

pub use body::CallError;
use body::send;
use notices::{Notices, REPEATED_FOR, UNANSWERED_FOR};

/// The time-out of a call: as long as the gateway waits for a function.
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The most tries of a call that can be repeated, unless the client is patient, and the bounds of the waits between.
const TRIES: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A client of one deployment's API.
pub struct Client<'a> {
    http: reqwest::Client,
    deployment: &'a Deployment,
    notices: Notices,
    is_patient: bool,
    has_answered: AtomicBool,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The URL of the call.
    pub url: Url,
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

/// Whether a refusal with this status is temporary, so that the same call can succeed later.
#[must_use]
pub fn is_temporary(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502..=504)
}

impl<'a> Client<'a> {
    /// Builds a client, without connecting. Fails if the token would go to another machine by plain HTTP.
    pub fn new(deployment: &'a Deployment) -> Result<Self, Failure> {
        if deployment.token.is_some() && deployment.url.scheme() == "http" && !deployment.is_local() {
            let problem = "is plain HTTP to another machine, and anyone on the way could read the token: use https://";
            return Err(Failure::Usage(format!("{} {problem}", deployment.url)));
        }
        let unusable = |error: reqwest::Error| Failure::Usage(format!("--ca-file can't be used: {}", Chain(&error)));
        // Ignores `HTTP_PROXY` and similar variables: calls to the local stack are plain HTTP, and a proxy would read the token.
        let mut builder = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT);
        if let Some(pem) = &deployment.authorities {
            let authorities = Certificate::from_pem_bundle(pem.as_bytes()).map_err(unusable)?;
            builder = authorities.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
        }
        let http = builder.build().map_err(unusable)?;
        let notices = Notices::default();
        Ok(Self { http, deployment, notices, is_patient: false, has_answered: AtomicBool::new(false) })
    }

    /// Lets [`Self::follow`] repeat its call as long as it takes, once the API has answered a call.
    #[must_use]
    pub const fn patient(mut self) -> Self {
        self.is_patient = true;
        self
    }

    /// Gives the function a line when [`Self::follow`] waits for long, with the cause, and when the API answers again.
    #[must_use]
    pub fn notifying(mut self, notify: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.notices = Notices::to(notify);
        self
    }

    /// Reads a path, with the token.
    pub async fn get(&self, path: &str) -> Result<Answer, CallError> {
        send(self.with_token(self.request(Method::GET, path))).await
    }

    /// Reads a path, with the token. Repeats a call that got no answer or a temporary refusal, a few times.
    pub async fn follow(&self, path: &str) -> Result<Answer, Failure> {
        self.follow_unless(path, None).await
    }

    /// The same as [`Self::follow`]; the answer is a 304 if the body still has this tag.
    pub async fn follow_unless(&self, path: &str, etag: Option<&str>) -> Result<Answer, Failure> {
        let (mut tries, begun) = (1, Instant::now());
        loop {
            let request = self.with_token(self.request(Method::GET, path));
            let request = etag.into_iter().fold(request, |request, etag| request.header("if-none-match", etag));
            let answer =
                self.notices.during(Instant::now() + UNANSWERED_FOR, "it does not answer", send(request)).await;
            let problem = match &answer {
                Ok(answer) if !answer.is_temporary() => {
                    self.has_answered.store(true, Ordering::Relaxed);
                    self.notices.end();
                    None
                }
                Ok(answer) => Some(answer.problem()),
                Err(CallError::NoAnswer(problem)) => Some(problem.clone()),
                Err(CallError::TooLarge(_)) => None,
            };
            let waits_on = self.is_patient && self.has_answered.load(Ordering::Relaxed);
            let Some(problem) = problem.filter(|_| tries < TRIES || waits_on) else {
                return answer.map_err(Failure::from);
            };
            let asked_for = answer.ok().and_then(|answer| answer.retry_after()).unwrap_or_default();
            // `clamp` panics once the first bound is above the second.
            let pause = sleep(asked_for.max(FIRST_WAIT * tries).min(LONGEST_WAIT));
            self.notices.during(begun + REPEATED_FOR, &problem, pause).await;
            tries += 1;
        }
    }

    /// Reads a path without a token.
    pub async fn get_without_token(&self, path: &str) -> Result<Answer, CallError> {
        send(self.request(Method::GET, path)).await
    }

    /// Posts JSON to a path, with the token.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer, CallError> {
        let request = self.with_token(self.request(Method::POST, path)).header(CONTENT_TYPE, "application/json");
        send(request.body(body.to_string())).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.deployment.at(path)).header(ACCEPT, "application/json")
    }

    fn with_token(&self, request: RequestBuilder) -> RequestBuilder {
        self.deployment.token.iter().fold(request, RequestBuilder::bearer_auth)
    }
}

impl Answer {
    /// Parses the body if the status is 200.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        if self.status != 200 {
            return Err(self.refusal());
        }
        serde_json::from_str(&self.body).map_err(|error| {
            Failure::Other(format!("the answer of {} is not Ordermill's ({error}): check --url", self.url))
        })
    }

    /// The status and the reason of a refusal.
    #[must_use]
    pub fn problem(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let said = ["detail", "title", "message"].iter().find_map(|name| body[name].as_str());
        said.map_or_else(|| self.status.to_string(), |said| format!("{}: {said}", self.status))
    }

    fn refusal(&self) -> Failure {
        let problem = self.problem();
        match self.status {
            401 => Failure::Unreachable(format!(
                "the call needs a valid token ({problem}): give --token or ORDERMILL_TOKEN; `ordermill doctor` says what is wrong with one"
            )),
            403 => Failure::Unreachable(format!("the token does not allow this call ({problem}){}", self.needed())),
            429 | 502.. => Failure::Unreachable(format!("the API can't answer now ({problem})")),
            _ => Failure::Other(format!("the API answered {problem}")),
        }
    }

    /// The scopes that the gateway asks for, as the rest of a sentence; empty if it names none.
    fn needed(&self) -> String {
        let scopes =
            self.header("www-authenticate").and_then(|header| header.split_once("scope=\"")?.1.split_once('"'));
        scopes.map(|(scopes, _)| format!("; it needs one of {}", scopes.replace(' ', ", "))).unwrap_or_default()
    }

    /// [`is_temporary`] of its status.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        is_temporary(self.status)
    }

    /// The value of a header, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The time in `Retry-After`, if it is in seconds.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.header("retry-after")?.parse().ok().map(Duration::from_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: HeaderMap, body: &str) -> Answer {
        Answer { url: Url::parse("https://shop.example/orders").unwrap(), status, headers, body: body.to_owned() }
    }

    #[test]
    fn answer_that_is_not_the_services_is_named_by_its_url() {
        let failure = answer(200, HeaderMap::new(), "<html>").read::<Value>().unwrap_err().to_string();
        assert!(
            failure.starts_with("the answer of https://shop.example/orders is not Ordermill's (expected"),
            "{failure}"
        );
        assert!(failure.ends_with("check --url"), "{failure}");
    }

    #[test]
    fn refusal_names_the_scopes_that_the_answer_names() {
        let refusal = |header: &str, body: &str| {
            let headers = HeaderMap::from_iter([(reqwest::header::WWW_AUTHENTICATE, header.parse().unwrap())]);
            answer(403, headers, body).refusal().to_string()
        };
        let gateway = refusal(
            r#"Bearer scope="orders/read orders/admin" error="insufficient_scope""#,
            r#"{"message": "Forbidden"}"#,
        );
        assert!(gateway.ends_with("(403: Forbidden); it needs one of orders/read, orders/admin"), "{gateway}");
        let api = refusal("Bearer", r#"{"detail": "The token lacks the scope orders/read.all."}"#);
        assert!(api.ends_with("(403: The token lacks the scope orders/read.all.)"), "{api}");
    }
}
