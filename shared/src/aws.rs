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
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;

use crate::config::{ConfigError, Env};
use crate::tls;

pub use http::Http;

/// How long one attempt at a call may take. After that the SDK tries again on another connection: an environment that was frozen
/// may have a dead connection. A receive waits for a second.
const TRY_TIMEOUT: Duration = Duration::from_millis(1500);
/// How long a call waits at most before its second attempt. The SDK's own second would often use up the time that a call has left.
const BACKOFF: Duration = Duration::from_millis(100);

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
