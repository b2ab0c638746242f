//! The template as CloudFormation would deploy it: rules that hold for all parameters.

mod alarms;
mod parameters;
mod pipeline;
pub mod policies;
mod releases;
mod rules;
mod translator;

use iam_rs::{Context, Decision};
use serde_json::{Value, json};

use rules::{Template, listed};

/// Translates the template with these parameters. Fails with the refusal if CloudFormation would refuse them.
fn translate(parameters: &[&str]) -> Result<Value, String> {
    translator::TRANSLATOR.lock().unwrap().translate(parameters)
}

/// The translated template with these parameters, with all conditions evaluated.
pub fn template(parameters: &[&str]) -> Template {
    Template(translate(parameters).unwrap())
}

const BROUGHT: &str = "DatabaseUrl=postgres://app@db.example.com/orders";
const SECRET: &str = "DatabaseSecretArn=arn:aws:secretsmanager:eu-central-1:111122223333:secret:ordermill-app";
const IAM: &str = "DatabaseIamUserArn=arn:aws:rds-db:eu-central-1:111122223333:dbuser:db-A/app";
const OWNER: &str = "OwnerDatabaseIamUserArn=arn:aws:rds-db:eu-central-1:111122223333:dbuser:db-A/owner";
const OWNER_URL: &str = "OwnerDatabaseUrl=postgres://owner@db.example.com/orders";
const OWNER_SECRET: &str =
    "OwnerDatabaseSecretArn=arn:aws:secretsmanager:eu-central-1:111122223333:secret:ordermill-owner";
const WEBHOOK: &str = "WebhookSecretArn=arn:aws:secretsmanager:eu-central-1:111122223333:secret:ordermill-webhook";

#[test]
fn every_kind_of_deployment_keeps_the_rules() {
    for parameters in [
        &[][..],
        &["Stage=prod", "ApiReservedConcurrency=20", "Tracing=Active", "AlarmEmail=night@example.com", "Release=r7a1"],
        &["Stage=prod", "GradualRelease=false", "PermissionsBoundaryArn=arn:aws:iam::1:policy/ordermill-boundary"],
        &["JwtIssuer=https://issuer.example.com", "CorsAllowOrigins=https://shop.example.com"],
        &[BROUGHT, SECRET, "VpcSubnetIds=subnet-1", "VpcSecurityGroupIds=sg-1"],
        &[BROUGHT, IAM, OWNER_URL, OWNER],
        &["EventBus=shop"],
        &[BROUGHT, IAM, "EventBus=arn:aws:events:eu-central-1:999988887777:event-bus/shop"],
        &[
            BROUGHT,
            IAM,
            "Work=webhook",
            "WebhookUrl=https://shop.example.com/",
            WEBHOOK,
            "BatchSize=100",
            "BatchingWindowSeconds=30",
        ],
    ] {
        assert_eq!(template(parameters).breaches(), [""; 0], "{parameters:?}");
    }
}

/// Sets a value in the template, or removes it if it is null.
fn set(template: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let key = &key.replace("~1", "/");
    let parent = template.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer} does not exist"));
    match (parent, value) {
        (Value::Object(entries), Value::Null) => drop(entries.remove(key)),
        (Value::Object(entries), value) => drop(entries.insert(key.clone(), value)),
        (parent, value) => parent[key.parse::<usize>().unwrap()] = value,
    }
}

#[test]
fn each_rule_notices_its_breach() {
    let sound =
        template(&["Stage=prod", "Release=r1", "PermissionsBoundaryArn=arn:aws:iam::1:policy/ordermill-boundary"]);
    for (resource, pointer, value) in [
        ("ProcessorMapping", "OrderQueue/Properties/VisibilityTimeout", json!("119")),
        ("ProcessorMapping", "ProcessorFunction/Properties/Timeout", json!(16)),
        ("OrderQueue", "DeadLetterQueue/Properties/MessageRetentionPeriod", json!(345_600)),
        ("OrderQueue", "OrderQueue/Properties/RedrivePolicy/maxReceiveCount", json!(4)),
        ("OrderQueue", "OrderQueue/Properties/SqsManagedSseEnabled", json!(false)),
        ("DeadLetterQueue", "DeadLetterQueue/Properties/SqsManagedSseEnabled", Value::Null),
        ("DeadLetterQueue", "DeadLetterQueuePolicy/Properties/PolicyDocument/Statement/Effect", json!("Allow")),
        ("OrderQueue", "OrderQueuePolicy/Properties/Queues/0", json!({"Ref": "DeadLetterQueue"})),
        ("Database", "Database/Properties/StorageEncrypted", json!(false)),
        ("Database", "Database/Properties/PubliclyAccessible", json!(true)),
        ("Database", "Database/Properties/ManageMasterUserPassword", json!(true)),
        ("Database", "Database/Properties/MasterUserAuthenticationType", Value::Null),
        ("Database", "Database/Properties/EngineLifecycleSupport", Value::Null),
        ("Database", "Database/Properties/EnableCloudwatchLogsExports", json!(["postgresql"])),
        ("ApiFunction", "ApiFunction/Properties/Timeout", json!(29)),
        ("SweeperFunction", "SweeperFunction/Properties/Environment/Variables/FUNCTION_TIMEOUT_SECONDS", Value::Null),
        ("ProcessorFunction", "ProcessorFunction/Properties/RecursiveLoop", Value::Null),
        ("SweeperFunction", "SweeperFunctionEventInvokeConfig/Properties/MaximumRetryAttempts", json!(2)),
        ("ApiFunctionDeploymentGroup", "LatencyAlarm/Properties/EvaluationPeriods", json!(8)),
        ("AccessLogGroup", "AccessLogGroup/Properties/LogGroupName", Value::Null),
        ("SiteRole", "SiteRole/Properties/PermissionsBoundary", Value::Null),
        ("Database", "DatabaseParameters/Properties/Parameters/rds.force_ssl", json!("0")),
        ("ApiRole", "ApiRole/Properties/Policies/0/PolicyDocument/Statement/1/Action", json!("sqs:*")),
        ("SweeperRole", "SweeperRole/Properties/Policies/0/PolicyDocument/Statement/1/Resource", json!("*")),
        ("SiteRole", "SiteRole/Properties/ManagedPolicyArns", json!(["arn:aws:iam::aws:policy/AdministratorAccess"])),
        ("DatabasePolicy", "DatabasePolicy/Properties/PolicyDocument/Statement/0/Resource", json!("arn:aws:rds-db:*")),
        ("SiteFunction", "SiteFunction/Properties/Role", json!({"Fn::GetAtt": ["ApiRole", "Arn"]})),
        ("ApiFunction", "ApiFunction/Properties/Environment/Variables/DATABASE_URL", json!("postgres://u:secret@h/d")),
        ("ApiFunction", "ApiFunction/Properties/Environment/Variables/DATABASE_PASSWORD", json!("secret")),
        (
            "ApiFunction",
            "ApiFunction/Properties/Environment/Variables/X",
            json!({"Fn::Sub": "{{resolve:secretsmanager:a}}"}),
        ),
        ("GET /metrics", "HttpApi/Properties/Body/paths/~1metrics/get/security", json!([{"NONE": []}])),
        (
            "GET /orders",
            "HttpApi/Properties/Body/paths/~1orders/get/security",
            json!([{"Jwt": ["orders/read"]}, {"NONE": []}]),
        ),
        ("GET /orders", "HttpApi/Properties/Body/paths/~1orders/get/security", Value::Null),
        ("POST /orders", "HttpApi/Properties/Body/paths/~1orders/post/security/0/Jwt", json!([])),
        ("GET /healthz", "HttpApiApiGatewayDefaultStage/Properties/RouteSettings/GET ~1healthz", Value::Null),
        ("the import", "HttpApi/Properties/FailOnWarnings", json!(true)),
        ("the stage", "HttpApiApiGatewayDefaultStage/Properties/DefaultRouteSettings", Value::Null),
        ("the log", "HttpApiApiGatewayDefaultStage/Properties/AccessLogSettings", Value::Null),
        ("FunctionSecurityGroup", "FunctionSecurityGroup/Properties/SecurityGroupEgress/0/CidrIp", json!("0.0.0.0/0")),
        ("DatabaseSecurityGroup", "DatabaseSecurityGroup/Properties/SecurityGroupEgress", Value::Null),
        ("DatabaseFromFunctions", "DatabaseFromFunctions/Properties/CidrIp", json!("10.0.0.0/8")),
        ("ReleaseRole", "ReleaseRole/Properties/AssumeRolePolicyDocument/Statement/Principal/Service", json!("lambda")),
        ("DeadLetterAlarm", "DeadLetterAlarm/Properties/AlarmActions", Value::Null),
        ("StorageAlarm", "StorageAlarm/Properties/OKActions/0", json!({"Ref": "OrderQueue"})),
        ("OverdueAlarm", "OverdueAlarm/Properties/ActionsEnabled", json!(false)),
        ("LatencyAlarm", "LatencyAlarm/Properties/AlarmDescription", json!("Slow. docs/operations.md#no-such-section")),
        ("LatencyAlarm", "LatencyAlarm/Properties/EvaluateLowSampleCountPercentile", json!("ignore")),
        ("LatencyAlarm", "LatencyAlarm/Properties/MetricName", json!("Latenzy")),
        ("ServerErrorsAlarm", "ServerErrorsAlarm/Properties/Metrics/1/MetricStat/Metric/MetricName", json!("5XXError")),
        ("QueueAgeAlarm", "QueueAgeAlarm/Properties/Dimensions/0/Name", json!("Queue")),
        (
            "OperatorDashboard",
            "OperatorDashboard/Properties/DashboardBody/Fn::Sub/1/DatabaseWidgets",
            json!(", {\"properties\": {\"metrics\": [[\"AWS/RDS\", \"Speed\", \"DBInstanceIdentifier\", \"a\"]]}}"),
        ),
        ("ProcessorFunctionDeploymentGroup", "FailedShareAlarm", Value::Null),
        ("ApiFunctionDeploymentGroup", "LatencyAlarm/Properties/AlarmName", json!("another")),
        ("ApiFunctionDeploymentGroup", "ApiFunctionDeploymentGroup/Properties/AlarmConfiguration/Alarms", json!([])),
        (
            "ProcessorFunctionDeploymentGroup",
            "ProcessorFunctionDeploymentGroup/Properties/AutoRollbackConfiguration/Events/1",
            json!("x"),
        ),
        ("ProcessorMapping", "ProcessorMapping/Properties/FunctionName", json!({"Ref": "ProcessorFunction"})),
        (
            "SweeperFunctionEachMinute",
            "SweeperFunctionEachMinute/Properties/Targets/0/Arn",
            json!({"Fn::GetAtt": ["SweeperFunction", "Arn"]}),
        ),
        ("UserPool", "UserPool/Properties/AdminCreateUserConfig", Value::Null),
        ("UserClient", "UserClient/Properties/AllowedOAuthScopes/0", json!("orders/admin")),
        ("UserClient", "UserClient/Properties/AllowedOAuthScopes/0", json!("orders/read.all")),
    ] {
        let mut broken = Template(sound.0.clone());
        set(&mut broken.0["Resources"], &format!("/{pointer}"), value);
        let breaches = broken.breaches();
        let is_noticed = breaches.iter().any(|breach| breach.starts_with(&format!("{resource}: ")));
        assert!(is_noticed, "no rule noticed {pointer}: {breaches:?}");
    }
}

#[test]
fn policies_allow_each_call_of_the_functions_and_no_other() {
    let brought = |more: &[&'static str]| [&[BROUGHT][..], more].concat();
    let network = ["VpcSubnetIds=subnet-1", "VpcSecurityGroupIds=sg-1"];
    for parameters in [
        vec!["Stage=prod"],
        vec!["Tracing=Active"],
        brought(&[SECRET, network[0], network[1]]),
        brought(&[SECRET, OWNER_URL, OWNER_SECRET, "Work=webhook", "WebhookUrl=https://shop.example.com/", WEBHOOK]),
        brought(&[IAM]),
        brought(&[IAM, OWNER_URL, OWNER]),
        vec!["EventBus=shop"],
        brought(&[IAM, "EventBus=arn:aws:events:eu-central-1:999988887777:event-bus/shop"]),
    ] {
        assert_eq!(template(&parameters).policy_breaches(), [""; 0], "{parameters:?}");
    }
}

#[test]
fn policy_that_allows_too_little_or_too_much_is_noticed() {
    let sound = template(&["Tracing=Active"]);
    let statement = |policy: &str, at| format!("{policy}/PolicyDocument/Statement{at}");
    let own = |role, at| statement(&format!("{role}/Properties/Policies/0"), at);
    for (named, pointer, value) in [
        ("ApiRole", own("ApiRole", "/1/Action"), json!("sqs:SendMessage")),
        ("ApiRole", own("ApiRole", "/1/Action"), json!("sqs:*")),
        ("ApiRole", own("ApiRole", "/1/Effect"), json!("Deny")),
        ("ApiRole", own("ApiRole", "/1/Resource"), json!("*")),
        ("ApiRole", own("ApiRole", "/2/Action/0"), json!("sqs:PurgeQueue")),
        ("SiteRole", own("SiteRole", "/0/Action"), json!("logs:PutLogEvents")),
        ("ProcessorRole", own("ProcessorRole", "/1/Action/0"), json!("sqs:SendMessage")),
        ("ProcessorRole", own("ProcessorRole", "/2/Resource"), json!({"Fn::GetAtt": ["OrderQueue", "Arn"]})),
        ("SweeperRole", "SweeperRole/Properties/ManagedPolicyArns".to_owned(), json!([])),
        ("MigrateRole", own("MigrateRole", "/1/Action"), json!("rds-db:*")),
        ("the boundary", "OrderQueue/Properties/QueueName".to_owned(), json!({"Fn::Sub": "orders"})),
        ("SqsEndpoint", statement("SqsEndpoint/Properties", "/0/Action"), json!("sqs:*")),
        ("SqsEndpoint", statement("SqsEndpoint/Properties", "/0/Resource"), json!("*")),
        ("S3Endpoint", statement("S3Endpoint/Properties", "/0/Action"), json!("s3:GetObject")),
        ("OrderQueuePolicy", statement("OrderQueuePolicy/Properties", "/Condition"), Value::Null),
        ("DeadLetterQueuePolicy", statement("DeadLetterQueuePolicy/Properties", "/Effect"), json!("Allow")),
    ] {
        let mut broken = Template(sound.0.clone());
        set(&mut broken.0["Resources"], &format!("/{pointer}"), value);
        let breaches = broken.policy_breaches();
        let said = breaches.iter().any(|breach| breach.starts_with(&format!("{named}: ")));
        assert!(said, "{pointer} went unnoticed: {breaches:?}");
    }
}

#[test]
fn network_interfaces_are_made_by_lambda_not_by_functions() {
    let template = template(&[]);
    let network = template.properties("NetworkPolicy")["PolicyDocument"].clone();
    let all = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}});
    for action in listed(&network["Statement"][0]["Action"]).into_iter().filter_map(Value::as_str) {
        let decide = |context| policies::decide(&[all.clone(), template.resolved(&network)], action, "*", context);
        let function = "arn:aws:lambda:eu-central-1:111122223333:function:ordermill-dev-api";
        assert_eq!(decide(Context::new()), Decision::Allow, "{action}");
        assert_eq!(
            decide(Context::new().with_string("lambda:SourceFunctionArn", function)),
            Decision::Deny,
            "{action}"
        );
    }
}
