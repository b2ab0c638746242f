//! The policies of the roles, the queues and the endpoints against the calls that functions make: each is allowed, and nothing
//! else is. `tests/calls.json` names the calls; the crate `iam-rs` evaluates the policies.

use iam_rs::{Arn, Context, Decision, IAMPolicy, IAMRequest, Principal, PrincipalId, evaluate_policies};
use sandbox::calls::known;
use serde_json::{Value, json};

use super::Broken;
use super::pipeline::policy;
use super::rules::{Template, listed, named};

/// The region, account and stack of the deployment that the policies are resolved for.
const REGION: &str = "eu-central-1";
const ACCOUNT: &str = "111122223333";
const STACK: &str = "ordermill-dev";

/// Lambda writes a function's output to its log with the function's role. No test sees these calls.
const LOGGING: [&str; 2] = ["logs:CreateLogStream", "logs:PutLogEvents"];
/// The event source mapping receives and deletes messages: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-lambda-function-trigger.html>
const POLLING: [&str; 3] = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"];
/// Lambda needs this right to connect a function to a VPC, and `AWSLambdaENIManagementAccess` does not have it:
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html>
const CONNECTING: &str = "ec2:DescribeSubnets";
/// With `Tracing=Active`, Lambda sends parts of traces.
const TRACING: [&str; 2] = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"];
/// `migrate` answers CloudFormation by a signed address: <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/vpc-interface-endpoints.html>
const ANSWERING: (&str, &str) = ("s3:PutObject", "arn:aws:s3:::cloudformation-custom-resource-response-eucentral1/*");

/// An action on a resource.
#[derive(Debug, Clone, PartialEq)]
struct Call {
    action: String,
    resource: String,
}

impl Call {
    fn new(action: &str, resource: impl Into<String>) -> Self {
        Self { action: action.to_owned(), resource: resource.into() }
    }
}

/// A function's role, the function's own calls, and those that AWS makes with the role.
struct Function<'a> {
    role: &'a str,
    own: Vec<Call>,
    of_aws: Vec<Call>,
}

impl Template {
    /// The calls that a policy wrongly refuses, and the actions that it allows without need.
    pub fn policy_breaches(&self) -> Vec<String> {
        let functions: Vec<_> = known().keys().map(|name| self.calls_of(name)).collect();
        let mut breaches = Vec::new();
        for Function { role, own, of_aws } in &functions {
            let all = [own.as_slice(), of_aws].concat();
            let layers = [(*role, self.policies_of(role)), ("the boundary", vec![policy("boundary")])];
            for (name, policies) in &layers {
                breaches.extend(all.iter().filter_map(|call| refusal(name, policies, call, Decision::Allow)));
            }
            breaches.extend(superfluous(role, &layers[0].1, &all));
        }
        let called: Vec<_> = functions.into_iter().flat_map(|function| function.own).collect();
        breaches.extend(self.endpoint_breaches(&called));
        breaches.extend(self.queue_breaches(&called));
        breaches
    }

    /// The breaches of the endpoints, which the functions' own calls go through.
    fn endpoint_breaches(&self, called: &[Call]) -> Vec<String> {
        let mut breaches = Vec::new();
        for (name, endpoint) in self.resources("AWS::EC2::VPCEndpoint") {
            let calls: Vec<_> = match endpoint["ServiceName"]["Fn::Sub"].as_str().unwrap().rsplit('.').next().unwrap() {
                "s3" => vec![Call::new(ANSWERING.0, ANSWERING.1)],
                service => called.iter().filter(|call| call.action.starts_with(service)).cloned().collect(),
            };
            let policies = [self.resolved(&endpoint["PolicyDocument"])];
            breaches.extend(calls.iter().filter_map(|call| refusal(name, &policies, call, Decision::Allow)));
            breaches.extend(superfluous(name, &policies, &calls));
        }
        breaches
    }

    /// A queue's policy refuses no call and, as the roles allow them, allows none.
    fn queue_breaches(&self, called: &[Call]) -> Vec<String> {
        let mut breaches = Vec::new();
        for (name, policy) in self.resources("AWS::SQS::QueuePolicy") {
            let queue = self.attribute(named(&policy["Queues"][0]), "Arn");
            let policies = [self.resolved(&policy["PolicyDocument"])];
            let calls = called.iter().filter(|call| call.resource == queue);
            breaches.extend(calls.filter_map(|call| refusal(name, &policies, call, Decision::NotApplicable)));
            breaches.extend(superfluous(name, &policies, &[]));
        }
        breaches
    }

    fn calls_of(&self, name: &str) -> Function<'_> {
        let logical_id = format!("{}{}Function", name[..1].to_uppercase(), &name[1..]);
        let function = self.properties(&logical_id);
        let log = self.attribute(named(&function["LoggingConfig"]["LogGroup"]), "Arn");
        let mut of_aws: Vec<_> = LOGGING.iter().map(|action| Call::new(action, &log)).collect();
        if name == "processor" {
            of_aws.extend(POLLING.iter().map(|action| Call::new(action, self.attribute("OrderQueue", "Arn"))));
        }
        if function.get("VpcConfig").is_some() {
            of_aws.push(Call::new(CONNECTING, "*"));
        }
        if function["TracingConfig"]["Mode"] == "Active" {
            of_aws.extend(TRACING.iter().map(|action| Call::new(action, "*")));
        }
        let variables = self.resolved(&function["Environment"]["Variables"]);
        let recorded = known()[name].iter().filter_map(|call| self.recorded(call, &variables));
        Function { role: named(&function["Role"]), own: recorded.chain(self.sign_in(&variables)).collect(), of_aws }
    }

    /// A call of the record, in a deployment with these variables; a secret is read where there is one, and a bus called.
    fn recorded(&self, call: &str, variables: &Value) -> Option<Call> {
        let (action, resource) = call.split_once(" on ").unwrap();
        let resource = match resource {
            "EventBus" => match variables["EVENT_BUS"].as_str().filter(|bus| !bus.is_empty())? {
                arn if arn.starts_with("arn:") && action == "events:DescribeEventBus" => return None,
                arn if arn.starts_with("arn:") => arn.to_owned(),
                name => format!("arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{name}"),
            },
            "DatabaseSecret" => variables["DATABASE_SECRET_ARN"].as_str().filter(|arn| !arn.is_empty())?.to_owned(),
            queue => self.attribute(queue, "Arn"),
        };
        Some(Call::new(action, resource))
    }

    /// Signing in by IAM, as the URL's user, calls no AWS: `credentials.rs` shows what is sent to the database.
    fn sign_in(&self, variables: &Value) -> Option<Call> {
        let user = variables["DATABASE_URL"].as_str()?.split_once("://")?.1.split_once('@')?.0;
        let is_created = self.is_a("AWS::RDS::DBInstance", "Database");
        let database = if is_created { self.attribute("Database", "DbiResourceId") } else { "db-A".to_owned() };
        let arn = format!("arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:{database}/{user}");
        (variables["DATABASE_AUTH"] == "iam").then(|| Call::new("rds-db:connect", arn))
    }

    /// A role's policies but for AWS's own.
    fn policies_of(&self, role: &str) -> Vec<Value> {
        let role = self.properties(role);
        let inline = role["Policies"].as_array().unwrap().iter().map(|policy| &policy["PolicyDocument"]);
        let attached = role["ManagedPolicyArns"].as_array().unwrap().iter().map(named).filter(|name| !name.is_empty());
        let attached = attached.map(|name| &self.properties(name)["PolicyDocument"]);
        inline.chain(attached).map(|policy| self.resolved(policy)).collect()
    }

    /// The value with references to other resources put in; each has its logical name behind the stack's.
    pub fn resolved(&self, value: &Value) -> Value {
        match value {
            Value::Array(each) => each.iter().map(|each| self.resolved(each)).collect(),
            Value::Object(entries) => {
                let text = |key: &str| entries.get(key).and_then(Value::as_str);
                let pair = |key: &str| Some((entries.get(key)?[0].as_str()?, self.resolved(&entries[key][1])));
                match (text("Ref"), text("Fn::Sub"), entries.get("Fn::GetAtt"), pair("Fn::Join"), pair("Fn::Split")) {
                    (Some(name), ..) => self.reference(name).into(),
                    (_, Some(text), ..) => self.substituted(text).into(),
                    (_, _, Some(path), ..) => {
                        self.attribute(path[0].as_str().unwrap(), path[1].as_str().unwrap()).into()
                    }
                    (.., Some((between, texts)), _) => {
                        listed(&texts).into_iter().map(self::text).collect::<Vec<_>>().join(between).into()
                    }
                    (.., Some((at, whole))) => self::text(&whole).split(at).collect(),
                    _ => entries.iter().map(|(key, each)| (key.clone(), self.resolved(each))).collect(),
                }
            }
            plain => plain.clone(),
        }
    }

    fn substituted(&self, text: &str) -> String {
        let Some((before, (name, after))) =
            text.split_once("${").and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
        else {
            return text.to_owned();
        };
        let value =
            name.split_once('.').map_or_else(|| self.reference(name), |(name, of_it)| self.attribute(name, of_it));
        format!("{before}{value}{}", self.substituted(after))
    }

    fn reference(&self, name: &str) -> String {
        match name {
            "AWS::Partition" => "aws".to_owned(),
            "AWS::Region" => REGION.to_owned(),
            "AWS::AccountId" => ACCOUNT.to_owned(),
            "AWS::StackName" => STACK.to_owned(),
            name if self.0["Resources"].get(name).is_some() => format!("{STACK}-{name}"),
            name => format!("${{{name}}}"),
        }
    }

    fn attribute(&self, name: &str, attribute: &str) -> String {
        let given = &self.properties(name)["QueueName"]["Fn::Sub"];
        let own = given.as_str().map_or_else(|| self.reference(name), |name| self.substituted(name));
        match (self.0["Resources"][name]["Type"].as_str(), attribute) {
            (Some("AWS::SQS::Queue"), "Arn") => format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{own}"),
            (Some("AWS::Logs::LogGroup"), "Arn") => format!("arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{own}:*"),
            _ => format!("{own}.{attribute}"),
        }
    }
}

/// Evaluates the policies for a call over TLS.
pub fn decide(policies: &[Value], action: &str, resource: &str, context: Context) -> Decision {
    let policies: Vec<IAMPolicy> =
        policies.iter().map(|policy| serde_json::from_value(policy.clone()).unwrap()).collect();
    let principal = Principal::Aws(PrincipalId::String(format!("arn:aws:sts::{ACCOUNT}:assumed-role/role/function")));
    // An action without resources, such as X-Ray's, takes any.
    let resource = if resource == "*" { format!("arn:aws:any:{REGION}:{ACCOUNT}:any") } else { resource.to_owned() };
    let context = context.with_boolean("aws:SecureTransport", true);
    let request = IAMRequest::new_with_context(principal, action, Arn::parse(&resource).unwrap(), context);
    evaluate_policies(&policies, &request).unwrap_or_else(|error| panic!("{action} on {resource}: {error}"))
}

fn refusal(name: &str, policies: &[Value], call: &Call, expected: Decision) -> Option<String> {
    let decision = decide(policies, &call.action, &call.resource, Context::new());
    (decision != expected).then(|| format!("{name}: {decision} of {} on {}", call.action, call.resource))
}

/// The actions that the policies allow and that are not among these calls.
fn superfluous(name: &str, policies: &[Value], calls: &[Call]) -> Vec<String> {
    let statements = policies.iter().flat_map(|policy| listed(&policy["Statement"]));
    let allowed = statements.filter(|statement| statement["Effect"] == "Allow").flat_map(|statement| {
        let resources = listed(&statement["Resource"]);
        let on = move |action: &Value| {
            let call = |resource: &&Value| Call::new(&text(action), text(resource));
            resources.iter().map(call).collect::<Vec<_>>()
        };
        listed(&statement["Action"]).into_iter().flat_map(on)
    });
    let unused = allowed.filter(|call| !calls.contains(call));
    unused.map(|call| format!("{name}: nothing calls {} on {}", call.action, call.resource)).collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Policies that allow too little or too much.
pub fn broken() -> [Broken; 18] {
    [
        ("SweeperRole", "SweeperRole/Policies/0/PolicyDocument/Statement/1/Resource", json!("*")),
        ("ApiRole", "ApiRole/Policies/0/PolicyDocument/Statement/1/Action", json!("sqs:SendMessage")),
        ("ApiRole", "ApiRole/Policies/0/PolicyDocument/Statement/1/Action", json!("sqs:*")),
        ("ApiRole", "ApiRole/Policies/0/PolicyDocument/Statement/1/Effect", json!("Deny")),
        ("ApiRole", "ApiRole/Policies/0/PolicyDocument/Statement/1/Resource", json!("*")),
        ("ApiRole", "ApiRole/Policies/0/PolicyDocument/Statement/2/Action/0", json!("sqs:PurgeQueue")),
        ("SiteRole", "SiteRole/Policies/0/PolicyDocument/Statement/0/Action", json!("logs:PutLogEvents")),
        ("ProcessorRole", "ProcessorRole/Policies/0/PolicyDocument/Statement/1/Action/0", json!("sqs:SendMessage")),
        (
            "ProcessorRole",
            "ProcessorRole/Policies/0/PolicyDocument/Statement/2/Resource",
            json!({"Fn::GetAtt": ["OrderQueue", "Arn"]}),
        ),
        ("SweeperRole", "SweeperRole/ManagedPolicyArns", json!([])),
        ("MigrateRole", "MigrateRole/Policies/0/PolicyDocument/Statement/1/Action", json!("rds-db:*")),
        ("the boundary", "OrderQueue/QueueName", json!({"Fn::Sub": "orders"})),
        ("SqsEndpoint", "SqsEndpoint/PolicyDocument/Statement/0/Action", json!("sqs:*")),
        ("SqsEndpoint", "SqsEndpoint/PolicyDocument/Statement/0/Resource", json!("*")),
        ("S3Endpoint", "S3Endpoint/PolicyDocument/Statement/0/Action", json!("s3:GetObject")),
        ("OrderQueuePolicy", "OrderQueuePolicy/PolicyDocument/Statement/Condition", Value::Null),
        ("DeadLetterQueuePolicy", "DeadLetterQueuePolicy/PolicyDocument/Statement/Effect", json!("Allow")),
        (
            "ApiRole",
            "DatabasePolicy/PolicyDocument/Statement/0/Resource",
            json!("arn:aws:rds-db:*:111122223333:dbuser:*"),
        ),
    ]
}
