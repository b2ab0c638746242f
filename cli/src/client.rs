//! The API's client: a call, its status, its headers, its body.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use reqwest::{Certificate, Method, RequestBuilder};
use serde::de::DeserializeOwned;
use serde_json::Value;
use shared::error::Chain;

use crate::exit::Failure;
use crate::http;
use crate::place::Place;

/// How long a call may take: as long as the gateway waits for a function.
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a call is made that may be made again, and the waits between.
const TRIES: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A client of one deployment's API.
pub struct Client<'a> {
    http: reqwest::Client,
    place: &'a Place,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl<'a> Client<'a> {
    /// A client that has not connected yet.
    pub fn new(place: &'a Place) -> Result<Self, Failure> {
        let unusable = |error: reqwest::Error| Failure::Usage(format!("--ca-file can't be used: {}", Chain(&error)));
        let mut builder = http::builder().timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT);
        if let Some(pem) = &place.authorities {
            let authorities = Certificate::from_pem_bundle(pem.as_bytes()).map_err(unusable)?;
            builder = authorities.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
        }
        Ok(Self { http: builder.build().map_err(unusable)?, place })
    }

    /// Reads, with the token.
    pub async fn get(&self, path: &str) -> Result<Answer, String> {
        send(self.with_token(self.request(Method::GET, path))).await
    }

    /// The same for whoever is in no hurry: what gets no answer, or is asked to come again, is asked again a few times.
    pub async fn follow(&self, path: &str) -> Result<Answer, Failure> {
        self.follow_unless(path, None).await
    }

    /// The same, unless the body is still the one that has this tag.
    pub async fn follow_unless(&self, path: &str, etag: Option<&str>) -> Result<Answer, Failure> {
        let mut tries = 1;
        loop {
            let request = self.with_token(self.request(Method::GET, path));
            let answer =
                send(etag.into_iter().fold(request, |request, etag| request.header("if-none-match", etag))).await;
            if tries == TRIES || !answer.as_ref().map_or(true, Answer::is_for_now) {
                return answer.map_err(|problem| Failure::Unreachable(format!("the API can't be reached: {problem}")));
            }
            let asked_for = answer.ok().and_then(|answer| answer.retry_after());
            tokio::time::sleep(asked_for.unwrap_or_default().clamp(FIRST_WAIT * tries, LONGEST_WAIT)).await;
            tries += 1;
        }
    }

    /// Reads as somebody without a token.
    pub async fn get_as_nobody(&self, path: &str) -> Result<Answer, String> {
        send(self.request(Method::GET, path)).await
    }

    /// Posts JSON, with the token.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer, String> {
        let request = self.with_token(self.request(Method::POST, path)).header(CONTENT_TYPE, "application/json");
        send(request.body(body.to_string())).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.place.at(path)).header(ACCEPT, "application/json")
    }

    fn with_token(&self, request: RequestBuilder) -> RequestBuilder {
        self.place.token.iter().fold(request, RequestBuilder::bearer_auth)
    }
}

async fn send(request: RequestBuilder) -> Result<Answer, String> {
    let described = |error: reqwest::Error| Chain(&error.without_url()).to_string();
    let response = request.send().await.map_err(described)?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Answer { status, headers, body: response.text().await.map_err(described)? })
}

impl Answer {
    /// The body, where the status is 200.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        if self.status != 200 {
            return Err(self.refusal());
        }
        serde_json::from_str(&self.body).map_err(|error| Failure::Other(format!("the answer can't be read: {error}")))
    }

    /// What the answer says against the call.
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
                "the API does not accept the token ({problem}); `ordermill doctor` says why"
            )),
            403 => Failure::Unreachable(format!("the token may not do that ({problem})")),
            429 | 502.. => Failure::Unreachable(format!("the API is not able to answer ({problem})")),
            _ => Failure::Other(format!("the API answered {problem}")),
        }
    }

    /// Whether the same call may well be answered otherwise in a moment.
    #[must_use]
    pub fn is_for_now(&self) -> bool {
        matches!(self.status, 408 | 429 | 500 | 502..=504)
    }

    /// A header's text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// In how many seconds the service would like to be asked again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.header("retry-after")?.parse().ok().map(Duration::from_secs)
    }
}
