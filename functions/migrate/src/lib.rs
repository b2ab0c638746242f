//! A CloudFormation custom resource: brings the schema up to date when the stack is created or updated, and leaves the
//! data alone when it is deleted. The role that the other functions sign in as, where it is not the one that owns the
//! tables, is confined to their rows here too.
//!
//! A stack that rolls back asks for its older version again. There is nothing to do then: an older release works with the schema of
//! a newer one, and a failure here would leave the stack in `UPDATE_ROLLBACK_FAILED`.
//!
//! CloudFormation waits for an answer at a URL that comes with the request. Whatever happens, one is sent: the deploy
//! then fails at once, with the cause in the stack's events, rather than when its patience ends.

mod config;

use std::time::Duration;

use lambda_runtime::Error;
use serde::{Deserialize, Serialize};
use shared::config::ConfigError;
use shared::db::{role, schema};
use shared::deadline::Deadline;
use shared::error::Chain;

pub use config::Config;

/// What CloudFormation asks.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requests.html>
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Event {
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

/// The resource's properties, of an update also those before it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Properties {
    /// The version of this function that the stack wants; Lambda counts them up.
    function_version: String,
}

impl Event {
    /// Whether the stack goes back to an older version of this function.
    fn is_roll_back(&self) -> bool {
        let version = |properties: &Properties| properties.function_version.parse::<u64>().ok();
        let versions = version(&self.resource_properties).zip(version(&self.old_resource_properties));
        self.request_type == RequestType::Update && versions.is_some_and(|(new, old)| new < old)
    }
}

/// What became of the resource in the template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum RequestType {
    Create,
    Update,
    Delete,
}

/// How long the answer may take to send.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long before the deadline a migration is given up, so that the answer is still sent.
const TIME_TO_ANSWER: Duration = Duration::from_secs(15);
/// How long before that connecting to the database ends, so that the answer holds the connection's error.
const TIME_TO_MIGRATE: Duration = Duration::from_secs(5);
/// Why a migration was given up.
const OUT_OF_TIME: &str =
    "the migration took too long, or waited too long for another; it was broken off and left nothing";
/// The longest reason that is sent; CloudFormation takes answers of up to 4 KiB.
const MAX_REASON: usize = 1000;

/// What CloudFormation is answered.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html>
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    status: &'static str,
    reason: String,
    physical_resource_id: String,
    stack_id: String,
    request_id: String,
    logical_resource_id: String,
}

/// Does what is asked and answers it before `deadline`. Fails only where the answer can't be delivered.
pub async fn handle(config: &Result<Config, ConfigError>, event: Event, deadline: Deadline) -> Result<(), Error> {
    let give_up = deadline.minus(TIME_TO_ANSWER);
    let carried_out = give_up.bound(carry_out(config, &event, give_up)).await;
    let (status, reason) = match carried_out.unwrap_or_else(|_| Err(OUT_OF_TIME.into())) {
        Ok(done) => ("SUCCESS", done),
        Err(error) => {
            let reason = Chain(error.as_ref()).to_string();
            tracing::error!(error = reason, "the schema could not be brought up to date");
            ("FAILED", reason.chars().take(MAX_REASON).collect())
        }
    };
    let (response_url, answer) = answer(event, status, reason);
    tracing::info!(answer.status, answer.reason, "CloudFormation is answered");
    deliver(&response_url, &answer).await
}

async fn carry_out(config: &Result<Config, ConfigError>, event: &Event, deadline: Deadline) -> Result<String, Error> {
    if event.request_type == RequestType::Delete {
        return Ok("the schema and its data stay".to_owned());
    }
    if event.is_roll_back() {
        return Ok("the stack rolls back: the schema stays as it is".to_owned());
    }
    let Config { database, app_role } = config.as_ref().map_err(ToString::to_string)?;
    let mut done = match schema::migrate(database, deadline.minus(TIME_TO_MIGRATE)).await?.as_slice() {
        [] => vec!["the schema is up to date".to_owned()],
        applied => vec![format!("applied {}", applied.join(", "))],
    };
    if let Some(app_role) = app_role {
        role::grant(database, app_role, deadline).await?;
        done.push(format!("the role {app_role} may read and write rows"));
    }
    Ok(done.join("; "))
}

/// Where the answer goes, and the answer. The physical id never changes: a new one would make CloudFormation delete the
/// old resource.
fn answer(event: Event, status: &'static str, reason: String) -> (String, Answer) {
    let answer = Answer {
        status,
        reason,
        physical_resource_id: "ordermill-schema".to_owned(),
        stack_id: event.stack_id,
        request_id: event.request_id,
        logical_resource_id: event.logical_resource_id,
    };
    (event.response_url, answer)
}

/// The URL is signed for a request without a content type, so the body is sent as bytes. An error does not show the URL, which
/// is all that it takes to answer.
async fn deliver(url: &str, answer: &Answer) -> Result<(), Error> {
    let client = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).build()?;
    let answered = client.put(url).body(serde_json::to_vec(answer)?).send().await;
    answered.and_then(reqwest::Response::error_for_status).map_err(reqwest::Error::without_url)?;
    Ok(())
}
