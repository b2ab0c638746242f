//! Work by webhook: posts the order to the merchant's fulfilment endpoint. Its answer is the outcome.
//!
//! The request is a POST of the order as JSON, with these headers:
//! - `Idempotency-Key`: the order's id. The endpoint may get an order several times and must act once. The body has the same bytes
//!   each time, unless the user of a failed order was erased before a retry;
//! - `Ordermill-Attempt`: the number of the attempt;
//! - `webhook-id`, `webhook-timestamp` and `webhook-signature` by Standard Webhooks: see [`signature`].
//!
//! | answer | outcome |
//! |---|---|
//! | 202 | the order waits for the time in `Retry-After`, and then there is another call |
//! | any other 2xx | complete |
//! | 401, 403, 404, 408, 409, 423, 425, 429, 5xx, no answer in time, no connection | retry, after `Retry-After` at the earliest |
//! | any other, redirects included | fail |
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `STAGE` | `dev`, `staging` or `prod` | required |
//! | `WEBHOOK_URL` | the endpoint; https, in `dev` also http, which the template accepts only for 127.0.0.1 | required |
//! | `WEBHOOK_SECRET` | the shared secret, or two separated by a space or a comma during a rotation | required |
//! | `WEBHOOK_TIMEOUT_SECONDS` | the time limit of a call, 1 to 10, and at most a batch's time for work | 5 |
//! | `WEBHOOK_CONCURRENCY` | the most calls of an execution environment at once, at least 1 | 10 |

mod answer;
mod guard;
mod signature;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Response, Url};
use shared::config::{ConfigError, Env, Stage};
use shared::db::Store;
use shared::db::claim::Claimed;
use shared::deadline::Deadline;
use shared::error::Chain;
use shared::order::OrderId;
use shared::view::Notice;
use tokio::sync::Semaphore;

use self::guard::{Resolver, check_url};
use self::signature::Keys;
use super::{Outcome, Work};
use crate::budget;

/// The time limit for connecting, within the call's.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a connection is kept for the next call: less than the 5 s after which Node.js, Apache httpd and Uvicorn close one. While an
/// environment is frozen it may not learn of the end (<https://github.com/DataDog/datadog-lambda-extension/pull/1248>), and a call on a
/// dead connection costs the order an attempt.
const MAX_IDLE: Duration = Duration::from_secs(4);
/// The most bytes of an answer's body that are read, so that the connection can be used again. A longer body is cut.
const MAX_BODY: usize = 64 * 1024;
/// The time limit for reading the body. A body that is slower costs its connection, but not the outcome.
const BODY_TIMEOUT: Duration = Duration::from_millis(250);

/// Calls the merchant's endpoint for orders.
pub struct Webhook {
    client: Client,
    url: Url,
    keys: Keys,
    timeout: Duration,
    calls: Semaphore,
}

impl Webhook {
    /// Reads and checks the variables.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let is_dev = env.required::<Stage>("STAGE")? == Stage::Dev;
        let url: Url = env.required("WEBHOOK_URL")?;
        check_url(&url, is_dev).map_err(|problem| ConfigError::new("WEBHOOK_URL", problem))?;
        let secrets: String = env.required("WEBHOOK_SECRET")?;
        let keys = Keys::parse(&secrets).map_err(|problem| ConfigError::new("WEBHOOK_SECRET", problem))?;
        let timeout = timeout(env)?;
        let concurrency = env.number("WEBHOOK_CONCURRENCY", 10, 1..=Semaphore::MAX_PERMITS)?;
        let client = client(timeout, is_dev)?;
        Ok(Self { client, url, keys, timeout, calls: Semaphore::new(concurrency) })
    }

    async fn call(&self, order_id: &OrderId, attempt: i32, body: String) -> Result<Response, reqwest::Error> {
        // Dots separate the signed text, so the identifier must have none. No order's id has a tilde.
        let id = order_id.as_str().replace('.', "~");
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let signature = self.keys.sign(&id, time, &body);
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", order_id.as_str())
            .header("ordermill-attempt", attempt)
            .header("webhook-id", id)
            .header("webhook-timestamp", time)
            .header("webhook-signature", signature);
        request.body(body).send().await
    }
}

impl Work for Webhook {
    /// Reads the order's content when a call is free, so that memory holds no more orders than there are calls.
    async fn run(&self, claimed: &Claimed, store: &Store, deadline: Deadline) -> Outcome {
        let latest_start = deadline.minus(self.timeout);
        let Ok(Ok(_permit)) = latest_start.bound(self.calls.acquire()).await else { return Outcome::NotStarted };
        // A read that ends later leads to no call, and would hold up the outcomes of the other orders.
        let store = store.until(latest_start);
        if store.is_over() {
            return Outcome::NotStarted;
        }
        let body = match store.read_order(&claimed.order_id, None).await {
            // Serialising strings and a stored time can't fail.
            Ok(Some(order)) => serde_json::to_string(&Notice::from(order)).unwrap_or_default(),
            Ok(None) => return Outcome::Fail("the order no longer exists".to_owned()),
            Err(error) => {
                tracing::warn!(order.id = %claimed.order_id, error = %Chain(&error), "could not read the order for its webhook; another worker will retry");
                if error.is_temporary() {
                    return Outcome::NotStarted;
                }
                return Outcome::Retry { cause: "the order could not be read".to_owned(), after: None };
            }
        };
        if latest_start.is_over() {
            return Outcome::NotStarted;
        }
        match self.call(&claimed.order_id, claimed.attempts + 1, body).await {
            Ok(mut response) => {
                let outcome = answer::outcome(response.status(), response.headers(), SystemTime::now());
                // A body that does not end in time does not change the outcome.
                let _ = deadline.at_most(BODY_TIMEOUT).bound(drain(&mut response)).await;
                outcome
            }
            Err(error) => Outcome::Retry { cause: cause(&error), after: None },
        }
    }
}

/// The time limit of a call. A call starts only if it can end within its batch, so this refuses a limit that never fits.
fn timeout(env: &Env) -> Result<Duration, ConfigError> {
    let name = "WEBHOOK_TIMEOUT_SECONDS";
    let timeout = env.seconds(name, 5, 1..=10)?;
    let function_timeout = budget::function_timeout(env)?;
    let most = budget::least_time_for_work(function_timeout).as_secs();
    if timeout > Duration::from_secs(most) {
        let function_timeout = function_timeout.as_secs();
        let problem = format!(
            "must be at most {most} where FUNCTION_TIMEOUT_SECONDS is {function_timeout}: a longer call doesn't fit"
        );
        return Err(ConfigError::new(name, problem));
    }
    Ok(timeout)
}

fn client(timeout: Duration, is_dev: bool) -> Result<Client, ConfigError> {
    Client::builder()
        .timeout(timeout)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(MAX_IDLE)
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(Resolver { is_dev })
        .user_agent("ordermill")
        .no_proxy()
        .build()
        .map_err(|error| ConfigError::new("WEBHOOK_URL", format!("has no usable HTTP client: {error}")))
}

/// Reads a short body, so that the connection can be used again.
async fn drain(response: &mut Response) {
    let mut read = 0;
    while read < MAX_BODY {
        match response.chunk().await {
            Ok(Some(chunk)) => read += chunk.len(),
            Ok(None) | Err(_) => return,
        }
    }
}

/// The reason for a missing answer, without the URL, which may hold a secret.
fn cause(error: &reqwest::Error) -> String {
    // A connection that takes too long is a time-out as well, but the endpoint has not got the order.
    let what = if error.is_connect() {
        "can't be connected to"
    } else if error.is_timeout() {
        "did not answer in time"
    } else {
        "did not answer properly"
    };
    format!("the fulfilment endpoint {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error for these variables on top of valid ones; empty if they are valid too.
    fn refusal(more: &[(&'static str, &'static str)]) -> String {
        let good = [
            ("STAGE", "prod"),
            ("WEBHOOK_URL", "https://shop.example.com/fulfil"),
            ("WEBHOOK_SECRET", "0123456789abcdef"),
        ];
        let error = Webhook::from_env(&good.iter().chain(more).copied().collect()).err();
        error.map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn variables_are_checked_and_named() {
        assert_eq!(refusal(&[]), "");
        assert_eq!(refusal(&[("WEBHOOK_CONCURRENCY", "3")]), "");
        assert_eq!(refusal(&[("WEBHOOK_SECRET", "0123456789abcdef fedcba9876543210")]), "");
        for (name, value) in [
            ("WEBHOOK_URL", "http://shop.example.com"),
            ("WEBHOOK_URL", "shop"),
            ("WEBHOOK_SECRET", "short"),
            ("WEBHOOK_SECRET", "whsec_short"),
            ("WEBHOOK_TIMEOUT_SECONDS", "0"),
            ("WEBHOOK_TIMEOUT_SECONDS", "11"),
            ("WEBHOOK_CONCURRENCY", "0"),
        ] {
            assert!(refusal(&[(name, value)]).starts_with(&format!("{name}: ")), "{name}={value}");
        }
    }

    #[test]
    fn call_that_does_not_fit_into_a_batch_is_refused() {
        let with =
            |call, function| refusal(&[("WEBHOOK_TIMEOUT_SECONDS", call), ("FUNCTION_TIMEOUT_SECONDS", function)]);
        let expected = "WEBHOOK_TIMEOUT_SECONDS: must be at most 5 where FUNCTION_TIMEOUT_SECONDS is 15: a longer call doesn't fit";
        assert_eq!((with("5", "15").as_str(), with("6", "15").as_str()), ("", expected));
        assert_eq!((with("1", "5"), with("10", "26")), (String::new(), String::new()));
        assert!(with("2", "5").contains("must be at most 1 where FUNCTION_TIMEOUT_SECONDS is 5"));
        assert!(with("10", "25").contains("must be at most 9 where FUNCTION_TIMEOUT_SECONDS is 25"));
    }
}
