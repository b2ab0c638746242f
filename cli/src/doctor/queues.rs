//! Checks the queues: SQS delivers a failed message again in time, moves it to the dead-letter queue in the end, and keeps it
//! there long enough.

use std::collections::HashMap;

use aws_sdk_sqs::operation::get_queue_attributes::GetQueueAttributesError;
use aws_sdk_sqs::types::QueueAttributeName as Attribute;
use serde_json::Value;
use shared::config::Env;
use shared::queue::DEPTH;

use super::cloud::Cloud;
use super::figures::dead_letters;
use super::finding::Finding;
use super::functions::Functions;
use crate::aws::describe;

/// The visibility timeout in time-outs of the function, as AWS advises: <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>.
const TIMEOUTS: i64 = 6;
/// The least `maxReceiveCount`, as AWS advises.
const RECEIVES: i64 = 5;

/// A queue's attributes, and its name.
struct ExaminedQueue {
    name: String,
    attributes: HashMap<Attribute, String>,
}

impl ExaminedQueue {
    async fn read(cloud: &Cloud, env: &Env, variable: &'static str) -> Result<Self, Finding> {
        let url =
            env.text(variable).ok_or_else(|| Finding::not_checked("queue", variable, format!("give {variable}")))?;
        let name = url.rsplit('/').next().unwrap_or(url).to_owned();
        let not_checked = |why| Finding::not_checked("queue", &name, why);
        let services = cloud.services().map_err(not_checked)?;
        let call = services.sqs.get_queue_attributes().queue_url(url).attribute_names(Attribute::All);
        let is_missing = GetQueueAttributesError::is_queue_does_not_exist;
        match call.send().await {
            Ok(found) => Ok(Self { attributes: found.attributes.unwrap_or_default(), name }),
            Err(error) if error.as_service_error().is_some_and(is_missing) => {
                let remedy =
                    "take the URL from the stack's outputs QueueUrl and DlqUrl; if the queue was deleted, deploy again";
                Err(Finding::wrong("queue", name, format!("there is no such queue ({variable})"), remedy))
            }
            Err(error) => Err(not_checked(describe(&error))),
        }
    }

    fn text(&self, name: &Attribute) -> &str {
        self.attributes.get(name).map(String::as_str).unwrap_or_default()
    }

    fn number(&self, name: &Attribute) -> i64 {
        self.text(name).parse().unwrap_or_default()
    }

    fn policy(&self, name: &Attribute) -> Value {
        serde_json::from_str(self.text(name)).unwrap_or_default()
    }
}

/// Checks both queues.
pub async fn examine(cloud: &Cloud, env: &Env, functions: &Functions<'_>) -> Vec<Finding> {
    let (orders, dead) =
        tokio::join!(ExaminedQueue::read(cloud, env, "QUEUE_URL"), ExaminedQueue::read(cloud, env, "DLQ_URL"));
    let mut findings = Vec::new();
    if let Ok(orders) = &orders {
        findings.push(visibility(orders, functions));
        findings.extend(redrive(orders, dead.as_ref().ok()));
        findings.push(encrypted(orders));
    }
    if let Ok(dead) = &dead {
        findings.push(encrypted(dead));
        findings.push(dead_letters(&dead.name, DEPTH.iter().map(|name| dead.number(name)).sum()));
    }
    findings.extend([orders.err(), dead.err()].into_iter().flatten());
    findings
}

fn visibility(orders: &ExaminedQueue, functions: &Functions<'_>) -> Finding {
    let visibility = orders.number(&Attribute::VisibilityTimeout);
    let Ok(processor) = &functions.processor else {
        return Finding::not_checked(
            "queue.visibility",
            &orders.name,
            format!("{visibility} s; give PROCESSOR_FUNCTION to compare"),
        );
    };
    let least = TIMEOUTS * processor.timeout;
    let what = format!("visible again after {visibility} s; {TIMEOUTS} × the processor's time-out is {least} s");
    let remedy = format!("set the queue's VisibilityTimeout (and VISIBILITY_TIMEOUT_SECONDS) to {least} or more");
    Finding::held("queue.visibility", &orders.name, visibility >= least, what, remedy)
}

fn redrive(orders: &ExaminedQueue, dead: Option<&ExaminedQueue>) -> Vec<Finding> {
    let policy = orders.policy(&Attribute::RedrivePolicy);
    let Some(target) = policy["deadLetterTargetArn"].as_str() else {
        let remedy = "set the queue's RedrivePolicy to the dead-letter queue, as template.yaml does: otherwise SQS delivers a bad message for ever";
        return vec![Finding::wrong("queue.dead-letters", &orders.name, "has no dead-letter queue", remedy)];
    };
    let receives =
        policy["maxReceiveCount"].as_i64().or_else(|| policy["maxReceiveCount"].as_str()?.parse().ok()).unwrap_or(0);
    let remedy = "set maxReceiveCount to 5 or more: throttled invocations count as receives too";
    let what = format!("dead-lettered after {receives} receives");
    let mut findings = vec![Finding::held("queue.receives", &orders.name, receives >= RECEIVES, what, remedy)];
    let Some(dead) = dead else {
        findings.push(Finding::not_checked("queue.dead-letters", &orders.name, "give DLQ_URL to compare"));
        return findings;
    };
    let is_wired = target == dead.text(&Attribute::QueueArn);
    let remedy = "set deadLetterTargetArn to the queue of DLQ_URL: operators look for dead letters there";
    findings.push(Finding::held(
        "queue.dead-letters",
        &orders.name,
        is_wired,
        format!("dead-letters go to {target}"),
        remedy,
    ));
    findings.push(retention(orders, dead));
    findings
}

fn retention(orders: &ExaminedQueue, dead: &ExaminedQueue) -> Finding {
    let [kept, kept_dead] = [orders, dead].map(|queue| queue.number(&Attribute::MessageRetentionPeriod));
    let what = format!("kept {} h, in the orders' queue {} h", kept_dead / 3600, kept / 3600);
    let remedy = "set the dead-letter queue's MessageRetentionPeriod above the other's (14 days): a dead letter keeps the age it came with";
    Finding::held("queue.retention", &dead.name, kept_dead > kept, what, remedy)
}

fn encrypted(queue: &ExaminedQueue) -> Finding {
    let policy = queue.policy(&Attribute::Policy);
    let statements = match &policy["Statement"] {
        Value::Array(several) => several.iter().collect(),
        one => vec![one],
    };
    let is_denied = statements.into_iter().any(denies_plain_text);
    let what = if is_denied { "TLS alone" } else { "the policy lets it be called without TLS" };
    let remedy = "deny sqs:* where aws:SecureTransport is false in the queue's policy, as template.yaml does";
    Finding::held("queue.tls", &queue.name, is_denied, what, remedy)
}

fn denies_plain_text(statement: &Value) -> bool {
    let secure = &statement["Condition"]["Bool"]["aws:SecureTransport"];
    let is_of_everybody = statement["Principal"] == "*" || statement["Principal"]["AWS"] == "*";
    let is_of_everything = ["sqs:*", "SQS:*", "*"].iter().any(|all| statement["Action"] == *all);
    statement["Effect"] == "Deny" && is_of_everybody && is_of_everything && (secure == "false" || secure == false)
}
