//! What every client of AWS is told: who we are, and where AWS is.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` | set by the Lambda runtime | |
//! | `AWS_ENDPOINT_URL` | where an emulator is | AWS |

mod http;

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;

use crate::config::{ConfigError, Env};
use crate::tls;

use http::Http;

/// How long one try of a call may take before the SDK makes another, on another connection: a frozen environment's
/// connection can be dead without saying so. A receive waits for a second.
const TRY_TIMEOUT: Duration = Duration::from_millis(1500);

/// Does what a first call would otherwise wait for: reads the certificate authorities.
pub fn warm() {
    if let Err(error) = &*tls::TO_AWS {
        tracing::warn!(%error, "AWS can't be called over TLS");
    }
}

/// Who we are, and where AWS is. It comes straight from the variables that the Lambda runtime sets: an environment never
/// outlives the credentials it was given.
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

    /// The configuration of an SDK's client. Each call is bounded by its caller's deadline; one try of it by [`TRY_TIMEOUT`].
    pub fn sdk_config(&self) -> SdkConfig {
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(self.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(self.credentials.clone()))
            // All that is sent and answered is a few bytes: what stalls runs into the time-out.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(TRY_TIMEOUT).build())
            .http_client(Http::default());
        config.set_endpoint_url(self.endpoint_url.clone());
        config.build()
    }
}
