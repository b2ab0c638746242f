//! Access to AWS.
//!
//! | variable | meaning |
//! |---|---|
//! | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` | the credentials |
//! | `AWS_REGION` or `AWS_DEFAULT_REGION` | the region |
//! | `AWS_ENDPOINT_URL` | an emulator's URL |

use std::error::Error;
use std::time::Duration;

use aws_sdk_lambda::config::http::HttpResponse;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_sdk_lambda::error::{ProvideErrorMetadata, SdkError};
use aws_types::SdkConfig;
use shared::aws::Http;
use shared::config::Env;
use shared::error::Chain;

/// How long a call may take, repeats included.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call waits at most before its first repeat. Somebody waits for the answer.
const BACKOFF: Duration = Duration::from_millis(100);

/// The configuration of an AWS client. Names the first variable that is missing.
pub fn configure(env: &Env) -> Result<SdkConfig, String> {
    let required = |name: &str| env.text(name).ok_or_else(|| format!("give {name}"));
    let region = env.text("AWS_REGION").or_else(|| env.text("AWS_DEFAULT_REGION")).ok_or("give AWS_REGION")?;
    let (id, secret) = (required("AWS_ACCESS_KEY_ID")?, required("AWS_SECRET_ACCESS_KEY")?);
    let session = env.text("AWS_SESSION_TOKEN").map(str::to_owned);
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(region.to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            id,
            secret,
            session,
            None,
            "environment",
        )))
        .timeout_config(TimeoutConfig::builder().operation_timeout(TIMEOUT).build())
        .retry_config(RetryConfig::standard().with_initial_backoff(BACKOFF))
        .http_client(Http::of_this_machine());
    config.set_endpoint_url(env.text("AWS_ENDPOINT_URL").map(str::to_owned));
    Ok(config.build())
}

/// Says why a call failed.
pub fn describe<E: ProvideErrorMetadata + Error + 'static>(error: &SdkError<E, HttpResponse>) -> String {
    let answer = error.raw_response().map(|response| response.status().as_u16());
    match (answer, error.source()) {
        (Some(status), cause) => {
            let said = error.message().map(str::to_owned).or_else(|| cause.map(|cause| Chain(cause).to_string()));
            format!("AWS answers {status}: {}", said.unwrap_or_default())
        }
        (None, Some(cause)) => format!("AWS can't be reached: {}", Chain(cause)),
        (None, None) => format!("AWS can't be reached: {error}"),
    }
}
