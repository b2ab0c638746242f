//! The parts of SQS's JSON protocol, and of that of event buses, that the functions and tests use.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::store::{Message, Sent};
use super::{CallRuling, Shared, Sighting};
use crate::calls;
use crate::server::{self, Request, Response};

/// Asks the hook, executes the call and answers it.
pub async fn answer(shared: Arc<Shared>, request: Request) -> Option<Response> {
    let (action, environment) = (action(&request), environment(&request));
    let Ok(input) = serde_json::from_slice::<Value>(request.body()) else { return Some(refusal(400)) };
    let queue = target(&input);
    calls::note(&environment, &action, &queue);
    let sighting = Sighting { environment, action: action.clone(), queue: queue.clone(), bodies: bodies(&input) };
    let ruling = (shared.hook)(sighting).await;
    match ruling {
        // `Half` and `NoBus` concern the bus alone.
        CallRuling::Pass | CallRuling::LoseAnswer | CallRuling::Half | CallRuling::NoBus => {}
        CallRuling::Late(time) => sleep(time).await,
        CallRuling::Hang => return std::future::pending().await,
        CallRuling::Refuse(status) => return Some(refusal(status)),
        CallRuling::LoseCall => return None,
    }
    let output = match action.as_str() {
        "DescribeEventBus" if ruling == CallRuling::NoBus => return Some(no_such_bus()),
        "DescribeEventBus" => Some(json!({"Name": queue})),
        "PutEvents" => shared.bus.put(&input, ruling),
        _ => perform(&shared, &action, &queue, &input).await,
    };
    if ruling == CallRuling::LoseAnswer {
        return None;
    }
    Some(output.map_or_else(|| refusal(400), |output| server::json(200, output.to_string())))
}

async fn perform(shared: &Shared, action: &str, queue: &str, input: &Value) -> Option<Value> {
    match action {
        "SendMessage" => send(shared, queue, input),
        "SendMessageBatch" => batch(input, |entry| send(shared, queue, entry)),
        "ReceiveMessage" => Some(receive(shared, queue, input).await),
        "ChangeMessageVisibilityBatch" => batch(input, |entry| change_visibility(shared, queue, entry)),
        "DeleteMessageBatch" => batch(input, |entry| Some(delete(shared, queue, entry))),
        "GetQueueAttributes" => attributes(shared, queue),
        _ => None,
    }
}

/// Calls `each` for each entry. Each entry succeeds or fails by itself.
fn batch(input: &Value, each: impl Fn(&Value) -> Option<Value>) -> Option<Value> {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for entry in input["Entries"].as_array()? {
        match each(entry) {
            Some(mut done) => {
                done["Id"] = entry["Id"].clone();
                successful.push(done);
            }
            None => failed.push(json!({"Id": entry["Id"], "Code": "InvalidParameterValue", "SenderFault": true})),
        }
    }
    Some(json!({"Successful": successful, "Failed": failed}))
}

fn send(shared: &Shared, queue: &str, input: &Value) -> Option<Value> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let (body, group) = (text(&input["MessageBody"])?, text(&input["MessageGroupId"]));
    if group.as_ref().is_some_and(|group| !is_group(group)) {
        return None;
    }
    let trace = text(&input["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"]);
    let delay = seconds(&input["DelaySeconds"]).unwrap_or_default();
    let id = shared.send(queue, Sent { body, group, trace, delay })?;
    Some(json!({"MessageId": id}))
}

/// Whether SQS takes this as a message's group: 1 to 128 letters, digits and punctuation.
fn is_group(group: &str) -> bool {
    (1..=128).contains(&group.len()) && group.chars().all(|c| c.is_ascii_graphic())
}

async fn receive(shared: &Shared, queue: &str, input: &Value) -> Value {
    let max = input["MaxNumberOfMessages"].as_u64().and_then(|max| usize::try_from(max).ok()).unwrap_or(1);
    let wait = seconds(&input["WaitTimeSeconds"]).unwrap_or_default();
    let received = shared.receive(queue, max, wait).await;
    if let Some(time) = seconds(&input["VisibilityTimeout"]) {
        for message in &received {
            shared.with(queue, |queue| queue.change_visibility(&message.receipt, time));
        }
    }
    json!({"Messages": received.iter().map(message).collect::<Vec<_>>()})
}

fn message(message: &Message) -> Value {
    json!({
        "MessageId": message.id,
        "ReceiptHandle": message.receipt,
        "Body": message.body,
        "Attributes": message.attributes(),
    })
}

fn change_visibility(shared: &Shared, queue: &str, input: &Value) -> Option<Value> {
    let (receipt, time) = (input["ReceiptHandle"].as_str()?, seconds(&input["VisibilityTimeout"])?);
    shared.with(queue, |queue| queue.change_visibility(receipt, time))?.then(|| json!({}))
}

/// Deletes a message. As on SQS, deleting a deleted message succeeds too.
fn delete(shared: &Shared, queue: &str, input: &Value) -> Value {
    shared.with(queue, |queue| queue.delete(input["ReceiptHandle"].as_str().unwrap_or_default()));
    json!({})
}

fn attributes(shared: &Shared, queue: &str) -> Option<Value> {
    let counts = shared.with(queue, |queue| queue.counts())?;
    Some(json!({"Attributes": {
        "ApproximateNumberOfMessages": counts.visible.to_string(),
        "ApproximateNumberOfMessagesDelayed": counts.delayed.to_string(),
        "ApproximateNumberOfMessagesNotVisible": counts.in_flight.to_string(),
    }}))
}

fn refusal(status: u16) -> Response {
    let kind = match status {
        403 => "AccessDenied",
        500.. => "ServiceUnavailable",
        _ => "InvalidParameterValue",
    };
    server::json(status, json!({"__type": format!("com.amazonaws.sqs#{kind}"), "message": "refused"}).to_string())
}

fn no_such_bus() -> Response {
    let error = json!({"__type": "ResourceNotFoundException", "message": "Event bus does not exist."});
    server::json(400, error.to_string())
}

fn seconds(value: &Value) -> Option<Duration> {
    value.as_u64().map(Duration::from_secs)
}

/// The action of `X-Amz-Target: AmazonSQS.SendMessage`.
fn action(request: &Request) -> String {
    header(request, "x-amz-target").rsplit('.').next().unwrap_or_default().to_owned()
}

/// The caller's access key, read from the request's signature. `runtime` sets it to the environment's name.
fn environment(request: &Request) -> String {
    let signature = header(request, "authorization");
    let key = signature.split_once("Credential=").and_then(|(_, rest)| rest.split('/').next());
    key.unwrap_or_default().to_owned()
}

fn header<'a>(request: &'a Request, name: &str) -> &'a str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The name of the queue or of the bus.
fn target(input: &Value) -> String {
    if let Some(bus) = input["Entries"][0]["EventBusName"].as_str().or(input["Name"].as_str()) {
        return bus.to_owned();
    }
    input["QueueUrl"].as_str().and_then(|url| url.rsplit('/').next()).unwrap_or_default().to_owned()
}

fn bodies(input: &Value) -> Vec<String> {
    let entries = input["Entries"].as_array().map_or(std::slice::from_ref(input), Vec::as_slice);
    entries
        .iter()
        .filter_map(|entry| entry["MessageBody"].as_str().or(entry["Detail"].as_str()))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{DEAD_LETTERS, Queues, ruled_by};

    #[tokio::test]
    async fn receive_makes_messages_invisible_for_the_time_that_it_names() {
        let queues = Queues::start(Duration::from_mins(1), 10, ruled_by(|_| CallRuling::Pass)).await.unwrap();
        send(&queues.shared, DEAD_LETTERS, &json!({"MessageBody": "o-1"})).unwrap();
        for (asked, received) in [(json!(0), 1), (json!(null), 1), (json!(0), 0)] {
            let answer = receive(&queues.shared, DEAD_LETTERS, &json!({"VisibilityTimeout": asked})).await;
            assert_eq!(answer["Messages"].as_array().map(Vec::len), Some(received), "{asked}");
        }
    }
}
