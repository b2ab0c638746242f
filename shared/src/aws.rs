//! What every client of AWS is told: who we are, and where AWS is.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` | set by the Lambda runtime | |
//! | `AWS_ENDPOINT_URL` | where an emulator is | AWS |

use aws_credential_types::Credentials;

use crate::config::{ConfigError, Env};

/// Who we are, and where AWS is. It comes straight from the variables that the Lambda runtime sets: an environment never
/// outlives the credentials it was given.
pub(crate) struct Access {
    pub credentials: Credentials,
    pub region: String,
    pub endpoint_url: Option<String>,
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
}
