//! Sends a request, and reads the answer's body up to a limit.

use std::fmt;

use reqwest::{RequestBuilder, Response, Url};
use shared::error::Chain;

use super::Answer;
use crate::exit::Failure;

/// The largest body that is read, in MiB: the largest answer of a function on AWS Lambda.
const LIMIT_MIB: usize = 6;

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// The connection failed, or the answer did not come in time.
    NoAnswer(String),
    /// The body is larger than the limit. A repeat of the call does not help.
    TooLarge(Url),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer(problem) => write!(f, "no answer: {problem}"),
            Self::TooLarge(url) => write!(f, "{url} sent more than {LIMIT_MIB} MiB, the most that an answer can have"),
        }
    }
}

impl From<reqwest::Error> for CallError {
    fn from(error: reqwest::Error) -> Self {
        Self::NoAnswer(Chain(&error.without_url()).to_string())
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NoAnswer(problem) => Self::Unreachable(format!("the API can't be reached: {problem}")),
            CallError::TooLarge(_) => Self::Other(error.to_string()),
        }
    }
}

/// Sends a request, and reads the answer to its end.
pub async fn send(request: RequestBuilder) -> Result<Answer, CallError> {
    let response = request.send().await?;
    let (url, status, headers) = (response.url().clone(), response.status().as_u16(), response.headers().clone());
    Ok(Answer { url, status, headers, body: read(response).await? })
}

/// Reads a body. Characters that are not UTF-8 become U+FFFD.
async fn read(mut response: Response) -> Result<String, CallError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > LIMIT_MIB << 20 {
            return Err(CallError::TooLarge(response.url().clone()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use sandbox::server::{Server, json};

    use crate::client::Client;
    use crate::deployment::Deployment;
    use crate::options::Target;

    #[tokio::test]
    async fn body_over_the_limit_is_refused_and_not_asked_for_again() {
        for (size, is_read) in [(6 * 1024 * 1024, true), (6 * 1024 * 1024 + 1, false)] {
            let calls = Arc::new(AtomicU32::new(0));
            let counted = Arc::clone(&calls);
            let server = Server::start(move |_| {
                counted.fetch_add(1, Ordering::SeqCst);
                std::future::ready(Some(json(200, "x".repeat(size))))
            });
            let server = server.await.unwrap();
            let url = format!("http://{}", server.address());
            let target = Target { url: Some(url.clone()), ..Target::default() };
            let deployment = Deployment::find(&target, std::iter::empty()).unwrap();
            let answer = Client::new(&deployment).unwrap().follow("/orders?limit=200").await;
            let answer = answer.map(|answer| answer.body.len()).map_err(|failure| failure.to_string());
            let problem = format!("{url}/orders?limit=200 sent more than 6 MiB, the most that an answer can have");
            assert_eq!(answer, if is_read { Ok(size) } else { Err(problem) });
            assert_eq!(calls.load(Ordering::SeqCst), 1);
        }
    }
}
