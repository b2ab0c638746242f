//! Work by webhook: the merchant's fulfilment endpoint is told of the order, and its answer is the outcome.
//!
//! The request is a POST of the order as JSON, with
//! - `Idempotency-Key`: the order's id. The endpoint may be told of an order several times, and has to act once;
//! - `Ordermill-Signature: t=<seconds since 1970>,v1=<hex>`: HMAC-SHA256 of `<t>.<body>` under the shared secret.
//!
//! | answer | outcome |
//! |---|---|
//! | 202 with `Retry-After`, in seconds | the order waits, and the endpoint is told again |
//! | any other 2xx | complete |
//! | 408, 409, 425, 429, 5xx, none in time, no connection | retry |
//! | any other, redirects included | fail |
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `WEBHOOK_URL` | the endpoint; https, but for `dev` | required |
//! | `WEBHOOK_SECRET` | the shared secret, at least 16 characters | required |
//! | `WEBHOOK_TIMEOUT_SECONDS` | how long a call may take in all, 1 to 10 | 5 |
//! | `WEBHOOK_CONCURRENCY` | how many calls an execution environment makes at once, at least 1 | 10 |

mod guard;
mod signature;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Serialize;
use shared::config::{ConfigError, Env, Stage};
use shared::db::work::Claimed;
use shared::db::{Db, orders};
use shared::deadline::Deadline;
use shared::error::Chain;
use shared::order::Order;
use time::OffsetDateTime;
use tokio::sync::Semaphore;

use self::guard::{Resolver, check_url};
use self::signature::sign;
use super::{Outcome, Work};

/// How long connecting may take, of the whole time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How much of an answer's body is read, so that the connection can be used again; a longer one is cut off.
const MAX_BODY: usize = 64 * 1024;
/// The longest wait that an endpoint may ask for: a day.
const MAX_WAIT: Duration = Duration::from_hours(24);
/// The shortest secret, in bytes.
const MIN_SECRET: usize = 16;

/// Tells the merchant's endpoint of orders.
pub struct Webhook {
    client: Client,
    url: Url,
    secret: String,
    timeout: Duration,
    calls: Semaphore,
}

/// What the endpoint is sent.
#[derive(Serialize)]
struct Notice<'a> {
    order_id: &'a str,
    user_id: &'a str,
    item_ids: &'a [String],
    total_amount: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    attempt: i32,
}

impl Webhook {
    /// Reads and checks the variables.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let is_dev = env.required::<Stage>("STAGE")? == Stage::Dev;
        let url: Url = env.required("WEBHOOK_URL")?;
        check_url(&url, is_dev).map_err(|problem| ConfigError::new("WEBHOOK_URL", problem))?;
        let secret: String = env.required("WEBHOOK_SECRET")?;
        if secret.len() < MIN_SECRET {
            return Err(ConfigError::new("WEBHOOK_SECRET", "must be at least 16 characters"));
        }
        let timeout = env.seconds("WEBHOOK_TIMEOUT_SECONDS", 5)?;
        if !(Duration::from_secs(1)..=Duration::from_secs(10)).contains(&timeout) {
            return Err(ConfigError::new("WEBHOOK_TIMEOUT_SECONDS", "must be 1 to 10"));
        }
        let concurrency = env.optional("WEBHOOK_CONCURRENCY")?.unwrap_or(10);
        if !(1..=Semaphore::MAX_PERMITS).contains(&concurrency) {
            return Err(ConfigError::new("WEBHOOK_CONCURRENCY", "must be at least 1"));
        }
        let client = client(timeout, is_dev)?;
        Ok(Self { client, url, secret, timeout, calls: Semaphore::new(concurrency) })
    }

    async fn call(&self, order: &Order, attempt: i32) -> Result<Response, reqwest::Error> {
        let body = body(order, attempt);
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", order.order_id.as_str())
            .header("ordermill-signature", sign(&self.secret, unix_now(), &body));
        request.body(body).send().await
    }
}

impl Work for Webhook {
    async fn run(&self, claimed: &Claimed, db: &Db, deadline: Deadline) -> Outcome {
        let latest_start = deadline.minus(self.timeout);
        let Ok(Ok(_permit)) = latest_start.bound(self.calls.acquire()).await else { return Outcome::NoTime };
        let order = match orders::get(db, &claimed.order_id, None).await {
            Ok(Some(order)) => order,
            Ok(None) => return Outcome::Fail("the order is no longer there".to_owned()),
            Err(error) => {
                tracing::warn!(order.id = %claimed.order_id, error = %Chain(&error), "could not read an order for its webhook");
                return Outcome::NoTime;
            }
        };
        if latest_start.is_over() {
            return Outcome::NoTime;
        }
        match self.call(&order, claimed.attempts + 1).await {
            Ok(mut response) => {
                let outcome = outcome(response.status(), retry_after(&response));
                drain(&mut response).await;
                outcome
            }
            Err(error) => Outcome::Retry { cause: cause(&error), after: None },
        }
    }
}

fn client(timeout: Duration, is_dev: bool) -> Result<Client, ConfigError> {
    Client::builder()
        .timeout(timeout)
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(Resolver { is_dev })
        .user_agent("ordermill")
        .no_proxy()
        .build()
        .map_err(|error| ConfigError::new("WEBHOOK_URL", format!("can't be called: {error}")))
}

/// The answer's meaning, see the table above.
fn outcome(status: StatusCode, retry_after: Option<Duration>) -> Outcome {
    let said = format!("the fulfilment endpoint answered {status}");
    match (status, retry_after) {
        (StatusCode::ACCEPTED, Some(wait)) => Outcome::Wait(wait.min(MAX_WAIT)),
        _ if status.is_success() => Outcome::Complete,
        _ if status.is_server_error() || matches!(status.as_u16(), 408 | 409 | 425 | 429) => {
            Outcome::Retry { cause: said, after: None }
        }
        _ => Outcome::Fail(said),
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Reads what little is worth reading.
async fn drain(response: &mut Response) {
    let mut read = 0;
    while read < MAX_BODY {
        match response.chunk().await {
            Ok(Some(chunk)) => read += chunk.len(),
            Ok(None) | Err(_) => return,
        }
    }
}

/// Why there was no answer, without the URL, which may hold a secret.
fn cause(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "did not answer in time"
    } else if error.is_connect() {
        "can't be connected to"
    } else {
        "did not answer properly"
    };
    format!("the fulfilment endpoint {what}")
}

fn body(order: &Order, attempt: i32) -> String {
    let notice = Notice {
        order_id: order.order_id.as_str(),
        user_id: &order.user_id,
        item_ids: &order.item_ids,
        total_amount: order.total_amount.to_string(),
        created_at: order.created_at,
        attempt,
    };
    // Strings and numbers alone can't fail to be written.
    serde_json::to_string(&notice).unwrap_or_default()
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_means_what_the_table_says() {
        let of = |status: u16| outcome(StatusCode::from_u16(status).unwrap(), None);
        assert!([200, 201, 202, 204].map(of).iter().all(|outcome| *outcome == Outcome::Complete));
        assert!(
            [408, 409, 425, 429, 500, 502, 503, 504]
                .map(of)
                .iter()
                .all(|outcome| matches!(outcome, Outcome::Retry { .. }))
        );
        assert!(
            [301, 304, 307, 400, 401, 403, 404, 410, 422]
                .map(of)
                .iter()
                .all(|outcome| matches!(outcome, Outcome::Fail(_)))
        );
        let asked = |seconds| outcome(StatusCode::ACCEPTED, Some(Duration::from_secs(seconds)));
        assert_eq!((asked(7), asked(u64::MAX)), (Outcome::Wait(Duration::from_secs(7)), Outcome::Wait(MAX_WAIT)));
    }

    #[test]
    fn variables_are_checked_and_named() {
        let refusal = |name: &'static str, value: &'static str| {
            let good = [
                ("STAGE", "prod"),
                ("WEBHOOK_URL", "https://shop.example.com/fulfil"),
                ("WEBHOOK_SECRET", "0123456789abcdef"),
            ];
            let error = Webhook::from_env(&good.into_iter().chain([(name, value)]).collect()).err();
            error.map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(refusal("WEBHOOK_CONCURRENCY", "3"), "");
        for (name, value) in [
            ("WEBHOOK_URL", "http://shop.example.com"),
            ("WEBHOOK_URL", "shop"),
            ("WEBHOOK_SECRET", "short"),
            ("WEBHOOK_TIMEOUT_SECONDS", "11"),
            ("WEBHOOK_CONCURRENCY", "0"),
        ] {
            assert!(refusal(name, value).starts_with(&format!("{name}: ")), "{name}={value}");
        }
    }
}
