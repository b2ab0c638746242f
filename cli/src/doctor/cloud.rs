//! AWS, or why it is out of reach.

use shared::config::Env;

use crate::aws;

/// The services of AWS.
pub struct Services {
    pub events: aws_sdk_eventbridge::Client,
    pub gateway: aws_sdk_apigatewayv2::Client,
    pub lambda: aws_sdk_lambda::Client,
    pub sqs: aws_sdk_sqs::Client,
}

/// AWS, if the variables give access to it.
pub struct Cloud(Result<Services, String>);

impl Cloud {
    /// Reads the variables.
    pub fn of(env: &Env) -> Self {
        Self(aws::configure(env).map(|config| Services {
            events: aws_sdk_eventbridge::Client::new(&config),
            gateway: aws_sdk_apigatewayv2::Client::new(&config),
            lambda: aws_sdk_lambda::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
        }))
    }

    /// The services, or what to give.
    pub fn services(&self) -> Result<&Services, String> {
        self.0.as_ref().map_err(Clone::clone)
    }
}
