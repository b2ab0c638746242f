//! A CloudFormation custom resource. It brings the schema up to date when the stack is created or updated, and leaves the data
//! unchanged when the stack is deleted. If the other functions sign in as another role than the owner of the tables, it also
//! restricts that role to the rows.
//!
//! A stack that rolls back requests its older version again. This does nothing then: an older release works with the schema of a
//! newer one, and a failure here would leave the stack in `UPDATE_ROLLBACK_FAILED`.
//!
//! CloudFormation waits for an answer at the URL in the request. This always sends one: after an error, the deployment then fails at
//! once, with the cause in the stack's events, and not after CloudFormation's own time-out.

mod config;

use std::time::Duration;

use lambda_runtime::Error;
use serde::{Deserialize, Serialize};
use shared::config::ConfigError;
use shared::db::{role, schema};
use shared::deadline::Deadline;
use shared::error::Chain;

pub use config::{DEFAULT_TIMEOUT, MigrateConfig};

/// The request of CloudFormation.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requests.html>
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ResourceRequest {
    request_type: RequestType,
    #[serde(rename = "ResponseURL")]
    response_url: String,
    stack_id: String,
    request_id: String,
    logical_resource_id: String,
    #[serde(default)]
    resource_properties: Properties,
    #[serde(default)]
    old_resource_properties: Properties,
}

/// The resource's properties. An update has the earlier ones too.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Properties {
    /// The ARN of this function's version that the stack requests. It ends with the version, which Lambda numbers upwards.
    function_version: String,
}

impl ResourceRequest {
    /// Whether the stack returns to an older version of this function.
    fn is_roll_back(&self) -> bool {
        let version = |properties: &Properties| properties.function_version.rsplit(':').next()?.parse::<u64>().ok();
        let versions = version(&self.resource_properties).zip(version(&self.old_resource_properties));
        self.request_type == RequestType::Update && versions.is_some_and(|(new, old)| new < old)
    }
}

/// The change of the resource in the template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum RequestType {
    Create,
    Update,
    Delete,
}

/// The time limit for sending the answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The time reserved before the deadline for sending the answer. The work for the request ends by then.
const TIME_TO_ANSWER: Duration = Duration::from_secs(15);
/// The longest reason in an answer, in characters. CloudFormation accepts answers of up to 4 KiB.
const MAX_REASON: usize = 1000;

/// The answer to CloudFormation.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html>
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ResourceAnswer {
    status: &'static str,
    reason: String,
    physical_resource_id: String,
    stack_id: String,
    request_id: String,
    logical_resource_id: String,
}

/// Builds the client that sends the answers. It uses no proxy, even if the environment names one. It keeps no connection: a frozen
/// environment does not learn that one has ended.
pub fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(ANSWER_TIMEOUT).build()
}

/// Handles a request and sends the answer before `deadline`. Fails only if the answer can't be delivered.
pub async fn handle(
    config: &Result<MigrateConfig, ConfigError>,
    client: &reqwest::Client,
    request: ResourceRequest,
    deadline: Deadline,
) -> Result<(), Error> {
    let (status, reason) = match carry_out(config, &request, deadline.minus(TIME_TO_ANSWER)).await {
        Ok(done) => ("SUCCESS", done),
        Err(error) => {
            let reason = Chain(error.as_ref()).to_string();
            tracing::error!(error = reason, "could not bring the schema up to date");
            ("FAILED", reason)
        }
    };
    let (response_url, answer) = answer(request, status, &reason);
    tracing::info!(answer.status, answer.reason, "answered CloudFormation");
    deliver(client, &response_url, &answer).await
}

async fn carry_out(
    config: &Result<MigrateConfig, ConfigError>,
    request: &ResourceRequest,
    deadline: Deadline,
) -> Result<String, Error> {
    if request.request_type == RequestType::Delete {
        return Ok("kept the schema and its data".to_owned());
    }
    if request.is_roll_back() {
        return Ok("the stack rolls back: kept the schema unchanged".to_owned());
    }
    let MigrateConfig { database, app_role, .. } = config.as_ref().map_err(ToString::to_string)?;
    if let Some(app_role) = app_role {
        role::prepare(database, app_role, deadline).await?;
    }
    let done = match schema::migrate(database, deadline).await?.as_slice() {
        [] => "the schema is up to date".to_owned(),
        applied => format!("applied {}", applied.join(", ")),
    };
    let Some(app_role) = app_role else { return Ok(done) };
    match role::grant(database, app_role, deadline).await {
        Ok(()) => Ok(format!("{done}; the role {app_role} may read and write rows")),
        Err(error) => {
            Err(format!("{done}, but the rights of the role {app_role} are unchanged: {}", Chain(&error)).into())
        }
    }
}

/// The answer, and the URL for it. The physical id never changes: with a new one, CloudFormation would delete the old resource.
fn answer(request: ResourceRequest, status: &'static str, reason: &str) -> (String, ResourceAnswer) {
    let answer = ResourceAnswer {
        status,
        reason: reason.chars().take(MAX_REASON).collect(),
        physical_resource_id: "ordermill-schema".to_owned(),
        stack_id: request.stack_id,
        request_id: request.request_id,
        logical_resource_id: request.logical_resource_id,
    };
    (request.response_url, answer)
}

/// Sends the answer. The URL is signed for a request without a content type, so the body is sent as bytes. An error does not show
/// the URL, because the URL alone authorizes an answer.
async fn deliver(client: &reqwest::Client, url: &str, answer: &ResourceAnswer) -> Result<(), Error> {
    let answered = client.put(url).body(serde_json::to_vec(answer)?).send().await;
    answered.and_then(reqwest::Response::error_for_status).map_err(reqwest::Error::without_url)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_is_within_cloudformations_limit() {
        let request = include_str!("../../../tests/events/migrate.json");
        let request: ResourceRequest = serde_json::from_str(request).unwrap();
        let applied = (1..1000).map(|number| format!("V{number}__a_change")).collect::<Vec<_>>().join(", ");
        let (_, answer) = answer(request, "SUCCESS", &format!("applied {applied}"));
        let bytes = serde_json::to_vec(&answer).unwrap().len();
        assert!(bytes <= 4096, "{bytes}");
    }
}
