//! The configuration of every AWS client: credentials, region and endpoint.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` | the Lambda runtime sets them | |
//! | `AWS_ENDPOINT_URL` | the URL of an emulator | AWS |

pub(crate) mod batch;
mod http;

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime::client::retries::{RetryPartition, TokenBucket};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;

use crate::config::{ConfigError, Env};
use crate::tls;

pub use http::Http;

/// How long one attempt at a call may take. After that the SDK tries again on a new connection: an environment that was frozen
/// may have a dead connection. A receive waits for a second.
const TRY_TIMEOUT: Duration = Duration::from_millis(1500);
/// How long a call waits at most before its second attempt. The SDK's own second would often use up the time that a call has left.
const BACKOFF: Duration = Duration::from_millis(100);
/// When the second attempt at a call begins at the latest, if the first one gets no answer.
pub const SECOND_ATTEMPT: Duration = TRY_TIMEOUT.saturating_add(BACKOFF);

/// The SDK's quota of second attempts, without a limit: deadlines bound them. Calls that hang would use up a quota, and successes refill it
/// slowly. Until then, a call over a dead connection would have no second attempt.
pub(crate) fn unlimited_retries() -> RetryPartition {
    RetryPartition::custom("ordermill").token_bucket(TokenBucket::unlimited()).build()
}

/// Reads the certificate authorities, so that the first call need not wait for that.
pub fn warm() {
    if let Err(error) = &*tls::TO_AWS {
        tracing::warn!(%error, "could not read the certificate authorities of AWS; calls to AWS will fail");
    }
}

/// Credentials, region and endpoint. They come straight from the variables that the Lambda runtime sets, because an environment
/// never outlives its credentials.
pub(crate) struct Access {
    pub credentials: Credentials,
    pub region: String,
    endpoint_url: Option<String>,
}

impl Access {
    /// Reads the variables.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let credentials = Credentials::new(
            env.required::<String>("AWS_ACCESS_KEY_ID")?,
            env.required::<String>("AWS_SECRET_ACCESS_KEY")?,
            env.text("AWS_SESSION_TOKEN").map(str::to_owned),
            None,
            "environment",
        );
        Ok(Self {
            credentials,
            region: env.required("AWS_REGION")?,
            endpoint_url: env.text("AWS_ENDPOINT_URL").map(str::to_owned),
        })
    }

    /// The configuration of an SDK client. The caller's deadline bounds each call, [`TRY_TIMEOUT`] each attempt at it.
    pub fn sdk_config(&self) -> SdkConfig {
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(self.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(self.credentials.clone()))
            // Requests and answers are a few bytes, so the time-out catches a stalled one.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(TRY_TIMEOUT).build())
            .retry_config(RetryConfig::standard().with_initial_backoff(BACKOFF))
            .http_client(Http::default());
        config.set_endpoint_url(self.endpoint_url.clone());
        config.build()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_sdk_secretsmanager::Client;
    use aws_sdk_secretsmanager::config::Builder;
    use aws_smithy_runtime_api::client::http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
    };
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
    use aws_smithy_types::body::SdkBody;
    use tokio::time::{Instant, timeout};

    use super::*;

    /// Connections that leave so many attempts without an answer.
    #[derive(Debug, Clone, Default)]
    struct Dead(Arc<AtomicUsize>);

    impl Dead {
        fn leave_unanswered(&self, attempts: usize) {
            self.0.store(attempts, Ordering::SeqCst);
        }
    }

    impl HttpClient for Dead {
        fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
            SharedHttpConnector::new(self.clone())
        }
    }

    impl HttpConnector for Dead {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            if self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                return HttpConnectorFuture::new(pending());
            }
            HttpConnectorFuture::ready(Ok(HttpResponse::new(200.try_into().unwrap(), SdkBody::from("{}"))))
        }
    }

    /// How late the two waits of a call may end: the clock's steps are a millisecond.
    const LATE: Duration = Duration::from_millis(2);

    /// A client over these connections.
    fn client(dead: &Dead) -> Client {
        let variables =
            [("AWS_REGION", "eu-central-1"), ("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret")];
        let config = Access::from_env(&Env::from_iter(variables)).unwrap().sdk_config();
        let config = config.into_builder().http_client(dead.clone()).build();
        Client::from_conf(Builder::from(&config).retry_partition(unlimited_retries()).build())
    }

    /// Calls AWS. Returns how long the answer took.
    async fn call(client: &Client) -> Duration {
        let begun = Instant::now();
        client.get_secret_value().secret_id("shop").send().await.unwrap();
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn call_over_a_dead_connection_is_sent_again_in_time() {
        // The back-off is random.
        for _ in 0..20 {
            let dead = Dead::default();
            dead.leave_unanswered(1);
            let took = call(&client(&dead)).await;
            assert!(took >= TRY_TIMEOUT && took <= SECOND_ATTEMPT + LATE, "{took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_hung_leave_a_later_one_its_second_attempt() {
        let dead = Dead::default();
        let client = client(&dead);
        dead.leave_unanswered(usize::MAX);
        for _ in 0..100 {
            // The caller's deadline ends the second attempt.
            timeout(Duration::from_secs(2), call(&client)).await.unwrap_err();
        }
        dead.leave_unanswered(1);
        assert!(call(&client).await <= SECOND_ATTEMPT + LATE);
    }
}
