//! AWS, or why it is out of reach.

use serde_json::{Value, json};
use shared::config::Env;

use crate::aws::Aws;

/// AWS, if the variables give access to it.
pub struct Cloud(Result<Aws, String>);

impl Cloud {
    /// Reads the variables.
    pub fn of(env: &Env) -> Self {
        Self(Aws::from_env(env))
    }

    /// Every attribute of a queue.
    pub async fn queue(&self, url: &str) -> Result<Value, String> {
        let asked = json!({"QueueUrl": url, "AttributeNames": ["All"]});
        let found = self.aws()?.act("sqs", "AmazonSQS.GetQueueAttributes", &asked).await?;
        Ok(found["Attributes"].clone())
    }

    /// A resource of Lambda.
    pub async fn lambda(&self, path: &str) -> Result<Value, String> {
        self.aws()?.get("lambda", path).await
    }

    /// An action of `EventBridge`.
    pub async fn events(&self, action: &str, asked: &Value) -> Result<Value, String> {
        self.aws()?.act("events", &format!("AWSEvents.{action}"), asked).await
    }

    fn aws(&self) -> Result<&Aws, String> {
        self.0.as_ref().map_err(Clone::clone)
    }
}
