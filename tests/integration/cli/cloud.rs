//! Faults of queues and functions. Each test plants them in its own queues, functions, mappings and rules in the emulated AWS.

use aws_sdk_eventbridge::types::{RuleState, Target};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{Environment, FunctionCode, Runtime};
use aws_sdk_sqs::types::QueueAttributeName;
use ordermill::doctor::Verdict;
use serde_json::{Value, json};
use tests::{Bus, Stack};
use uuid::Uuid;

use super::{Patient, wrong};

/// An empty zip file.
const EMPTY_ZIP: [u8; 22] = [b'P', b'K', 5, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn fresh(kind: &str) -> String {
    format!("doctor-{kind}-{}", Uuid::new_v4().simple())
}

/// A correct queue with its dead-letter queue.
struct Queues {
    sqs: aws_sdk_sqs::Client,
    url: String,
    dlq_url: String,
}

impl Queues {
    async fn new() -> Self {
        let sqs = Stack::running().sqs();
        let create = async |kind| sqs.create_queue().queue_name(fresh(kind)).send().await.unwrap().queue_url.unwrap();
        let queues = Self { url: create("orders").await, dlq_url: create("dead").await, sqs: sqs.clone() };
        let dlq = queues.arn(&queues.dlq_url).await;
        let redrive = json!({"deadLetterTargetArn": dlq, "maxReceiveCount": 10});
        queues.set(QueueAttributeName::RedrivePolicy, &redrive).await;
        queues.set(QueueAttributeName::VisibilityTimeout, &json!(90)).await;
        for url in [&queues.url, &queues.dlq_url] {
            let statement = json!({"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": queues.arn(url).await,
                "Condition": {"Bool": {"aws:SecureTransport": "false"}}});
            let policy = json!({"Version": "2012-10-17", "Statement": statement});
            queues.set_of(url, QueueAttributeName::Policy, &policy).await;
        }
        queues.set_of(&queues.dlq_url, QueueAttributeName::MessageRetentionPeriod, &json!(1_209_600)).await;
        queues
    }

    async fn arn(&self, url: &str) -> String {
        let asked = self.sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::QueueArn).send();
        asked.await.unwrap().attributes.unwrap().remove(&QueueAttributeName::QueueArn).unwrap()
    }

    async fn set(&self, name: QueueAttributeName, value: &Value) {
        self.set_of(&self.url, name, value).await;
    }

    async fn set_of(&self, url: &str, name: QueueAttributeName, value: &Value) {
        self.sqs.set_queue_attributes().queue_url(url).attributes(name, value.to_string()).send().await.unwrap();
    }

    fn patient(&self) -> Patient {
        let url = Stack::running().get("API_URL").to_owned();
        Patient::at(&url).with_aws().with("QUEUE_URL", &self.url).with("DLQ_URL", &self.dlq_url)
    }
}

/// Creates a function with this time-out, correct variables and these ones. Returns its name.
async fn function(queues: &Queues, timeout: i32, variables: &[(&str, &str)]) -> String {
    let (name, lambda) = (fresh("function"), Stack::running().lambda());
    // The emulated AWS creates no function without an existing role: this is the deployed processor's.
    let processor = lambda.get_function_configuration().function_name(Stack::running().get("PROCESSOR_FUNCTION"));
    let role = processor.send().await.unwrap().role.unwrap();
    let environment = Environment::builder().variables("QUEUE_URL", &queues.url);
    let environment = variables.iter().fold(environment, |all, (name, value)| all.variables(*name, *value));
    let function = lambda.create_function().function_name(&name).role(role).timeout(timeout);
    let function = function.runtime(Runtime::Providedal2023).handler("bootstrap").environment(environment.build());
    let code = FunctionCode::builder().zip_file(Blob::new(EMPTY_ZIP)).build();
    function.code(code).send().await.unwrap();
    name
}

/// Creates an event source mapping from the queue to the function.
async fn map(queues: &Queues, function: &str, is_enabled: bool) {
    let (lambda, source) = (Stack::running().lambda(), queues.arn(&queues.url).await);
    let mapping = lambda.create_event_source_mapping().function_name(function).event_source_arn(source);
    mapping.enabled(is_enabled).send().await.unwrap();
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn doctor_finds_each_fault_of_a_queue() {
    let queues = Queues::new().await;
    let patient = queues.patient();
    let findings = patient.findings().await;
    assert!(wrong(&findings).is_empty(), "{findings:#?}");
    let dlq = queues.arn(&queues.dlq_url).await;
    queues.set(QueueAttributeName::RedrivePolicy, &json!({"deadLetterTargetArn": dlq, "maxReceiveCount": 3})).await;
    patient.assert_wrong("queue.receives", "after 3 receives", "5 or more").await;
    queues.set(QueueAttributeName::MessageRetentionPeriod, &json!(1_209_600)).await;
    patient.assert_wrong("queue.retention", "kept 336 h", "MessageRetentionPeriod").await;
    queues.set(QueueAttributeName::Policy, &json!({"Version": "2012-10-17", "Statement": []})).await;
    patient.assert_wrong("queue.tls", "without TLS", "aws:SecureTransport").await;
    let elsewhere = Queues::new().await;
    elsewhere.set(QueueAttributeName::RedrivePolicy, &json!({"deadLetterTargetArn": dlq, "maxReceiveCount": 10})).await;
    elsewhere.patient().assert_wrong("queue.dead-letters", "dead-letters go to", "deadLetterTargetArn").await;
    let bare = queues.sqs.create_queue().queue_name(fresh("bare")).send().await.unwrap().queue_url.unwrap();
    let without_policy = queues.patient().with("QUEUE_URL", &bare);
    without_policy.assert_wrong("queue.dead-letters", "no dead-letter queue", "RedrivePolicy").await;
    let gone = format!("{bare}-gone");
    queues.patient().with("QUEUE_URL", &gone).assert_wrong("queue", "no such queue (QUEUE_URL)", "QueueUrl").await;
    queues.sqs.send_message().queue_url(&queues.dlq_url).message_body("o-1").send().await.unwrap();
    patient.assert_wrong("dead-letters", "1 dead letter", "/dead-letters/redrive").await;
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn doctor_finds_each_fault_of_a_function() {
    let queues = Queues::new().await;
    let name = function(&queues, 20, &[("FUNCTION_TIMEOUT_SECONDS", "15"), ("LEASE_SECONDS", "125")]).await;
    let patient = queues.patient().with("PROCESSOR_FUNCTION", &name);
    patient.assert_wrong("queue.visibility", "6 × the processor's time-out is 120 s", "to 120 or more").await;
    let times = "its time-out is 20 s, its variable says 15 s";
    patient.assert_wrong("function.timeout", times, "FUNCTION_TIMEOUT_SECONDS").await;
    let rule = "LEASE_SECONDS < VISIBILITY_TIMEOUT_SECONDS";
    patient.assert_wrong("function.timing", "LEASE_SECONDS: must be below", rule).await;
    let other = function(&Queues::new().await, 15, &[]).await;
    queues.patient().with("PROCESSOR_FUNCTION", &other).assert_wrong("function.queue", "uses http", "QUEUE_URL").await;
    let gone = queues.patient().with("SWEEPER_FUNCTION", "gone");
    gone.assert_wrong("function", "no such function (SWEEPER_FUNCTION)", "outputs").await;
    let stopped = function(&queues, 15, &[]).await;
    let lambda = Stack::running().lambda();
    let stop = lambda.put_function_concurrency().function_name(&stopped).reserved_concurrent_executions(0);
    stop.send().await.unwrap();
    for variable in ["PROCESSOR_FUNCTION", "SWEEPER_FUNCTION"] {
        let patient = queues.patient().with(variable, &stopped);
        patient.assert_wrong("function.concurrency", "reserved concurrency is 0", "delete-function-concurrency").await;
    }
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn doctor_finds_each_fault_of_an_event_source_mapping() {
    let queues = Queues::new().await;
    let name = function(&queues, 15, &[]).await;
    let patient = queues.patient().with("PROCESSOR_FUNCTION", &name);
    patient.assert_wrong("mapping", "no mapping brings the queue's messages", "event source mapping").await;
    map(&queues, &name, false).await;
    patient.assert_wrong("mapping", "its mapping is Disabled", "--enabled").await;
    patient.assert_wrong("mapping.partial", "its whole batch", "ReportBatchItemFailures").await;
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn doctor_finds_a_sweeper_without_a_schedule() {
    let queues = Queues::new().await;
    let (name, rule) = (function(&queues, 30, &[]).await, fresh("rule"));
    let patient = queues.patient().with("SWEEPER_FUNCTION", &name);
    patient.assert_wrong("schedule", "no schedule invokes it", "enable-rule").await;
    let arn = format!("arn:aws:lambda:us-east-1:000000000000:function:{name}");
    let events = Stack::running().events();
    let daily = events.put_rule().name(&rule).schedule_expression("rate(1 day)").state(RuleState::Disabled);
    daily.send().await.unwrap();
    let target = Target::builder().id("1").arn(arn).build().unwrap();
    events.put_targets().rule(&rule).targets(target).send().await.unwrap();
    patient.assert_wrong("schedule", "rate(1 day) is disabled", "enable-rule").await;
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn doctor_finds_each_fault_of_an_event_bus() {
    let (queues, bus) = (Queues::new().await, Bus::new().await);
    let announcing = async |bus| function(&queues, 15, &[("EVENT_BUS", bus)]).await;
    let (silent, lost, named) = (announcing("").await, announcing("gone").await, announcing(&bus.name).await);
    let patient = |processor: &str, sweeper: &str| {
        queues.patient().with("PROCESSOR_FUNCTION", processor).with("SWEEPER_FUNCTION", sweeper)
    };
    patient(&lost, &lost).assert_wrong("bus", "no such bus (EVENT_BUS)", "create-event-bus --name gone").await;
    patient(&named, &silent).assert_wrong("bus", "it announces on no bus", "EVENT_BUS of the api").await;
    let elsewhere = announcing("arn:aws:events:us-east-1:999988887777:event-bus/shop").await;
    let own = announcing(&format!("arn:aws:events:us-east-1:000000000000:event-bus/{}", bus.name)).await;
    for (function, state, what) in [
        (&named, Verdict::Ok, "exists"),
        (&own, Verdict::Ok, "exists"),
        (&silent, Verdict::Ok, "none"),
        (&elsewhere, Verdict::NotChecked, "another account's"),
    ] {
        let findings = patient(function, function).findings().await;
        let buses: Vec<_> = findings.iter().filter(|finding| finding.check == "bus").collect();
        let [found] = buses.as_slice() else { panic!("{buses:#?}") };
        assert!(found.state == state && found.what.contains(what), "{found:#?}");
    }
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn doctor_reports_not_checked_while_aws_is_unreachable() {
    let queues = Queues::new().await;
    let patient = queues.patient().with("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    let findings = patient.findings().await;
    let queue = findings.iter().find(|finding| finding.check == "queue").unwrap();
    assert!(queue.state == Verdict::NotChecked && queue.what.contains("AWS can't be reached"), "{queue:?}");
    assert!(wrong(&findings).is_empty(), "{findings:#?}");
}
