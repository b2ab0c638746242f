//! The template as CloudFormation would deploy it: rules that hold for all parameters.

mod alarms;
mod parameters;
pub mod pipeline;
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
        &[BROUGHT, SECRET, OWNER_URL, OWNER_SECRET, "Work=webhook", "WebhookUrl=https://shop.example.com/", WEBHOOK],
        &[BROUGHT, IAM],
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

/// The resource that a breach names, a property, and a value of it that breaks a rule.
type Broken = (&'static str, &'static str, Value);

#[test]
fn each_rule_notices_its_breach() {
    let sound = template(&[
        "Stage=prod",
        "Release=r1",
        "Tracing=Active",
        "PermissionsBoundaryArn=arn:aws:iam::1:policy/ordermill-boundary",
    ]);
    let broken: [Broken; 59] = [
        ("ProcessorMapping", "OrderQueue/VisibilityTimeout", json!("119")),
        ("ProcessorMapping", "ProcessorFunction/Timeout", json!(16)),
        ("OrderQueue", "DeadLetterQueue/MessageRetentionPeriod", json!(345_600)),
        ("OrderQueue", "OrderQueue/RedrivePolicy/maxReceiveCount", json!(4)),
        ("OrderQueue", "OrderQueue/SqsManagedSseEnabled", json!(false)),
        ("DeadLetterQueue", "DeadLetterQueue/SqsManagedSseEnabled", Value::Null),
        ("DeadLetterQueue", "DeadLetterQueuePolicy/PolicyDocument/Statement/Effect", json!("Allow")),
        ("OrderQueue", "OrderQueuePolicy/Queues/0", json!({"Ref": "DeadLetterQueue"})),
        ("Database", "Database/StorageEncrypted", json!(false)),
        ("Database", "Database/PubliclyAccessible", json!(true)),
        ("Database", "Database/ManageMasterUserPassword", json!(true)),
        ("Database", "Database/MasterUserAuthenticationType", Value::Null),
        ("Database", "Database/EngineLifecycleSupport", Value::Null),
        ("Database", "Database/EnableCloudwatchLogsExports", json!(["postgresql"])),
        ("ApiFunction", "ApiFunction/Timeout", json!(29)),
        ("SweeperFunction", "SweeperFunction/Environment/Variables/FUNCTION_TIMEOUT_SECONDS", Value::Null),
        ("ProcessorFunction", "ProcessorFunction/RecursiveLoop", Value::Null),
        ("SweeperFunction", "SweeperFunctionEventInvokeConfig/MaximumRetryAttempts", json!(2)),
        ("ApiFunctionDeploymentGroup", "LatencyAlarm/EvaluationPeriods", json!(8)),
        ("AccessLogGroup", "AccessLogGroup/LogGroupName", Value::Null),
        ("SiteRole", "SiteRole/PermissionsBoundary", Value::Null),
        ("Database", "DatabaseParameters/Parameters/rds.force_ssl", json!("0")),
        ("Database", "DatabaseParameters/Parameters/idle_in_transaction_session_timeout", Value::Null),
        ("SiteRole", "SiteRole/ManagedPolicyArns", json!(["arn:aws:iam::aws:policy/AdministratorAccess"])),
        ("ReleaseRole", "ReleaseRole/Policies", json!([])),
        ("SiteFunction", "SiteFunction/Role", json!({"Fn::GetAtt": ["ApiRole", "Arn"]})),
        ("ApiFunction", "ApiFunction/Environment/Variables/DATABASE_URL", json!("postgres://u:secret@h/d")),
        ("ApiFunction", "ApiFunction/Environment/Variables/DATABASE_PASSWORD", json!("secret")),
        ("ApiFunction", "ApiFunction/Environment/Variables/X", json!({"Fn::Sub": "{{resolve:secretsmanager:a}}"})),
        ("GET /metrics", "HttpApi/Body/paths/~1metrics/get/security", json!([{"NONE": []}])),
        ("GET /orders", "HttpApi/Body/paths/~1orders/get/security", json!([{"Jwt": ["orders/read"]}, {"NONE": []}])),
        ("GET /orders", "HttpApi/Body/paths/~1orders/get/security", Value::Null),
        ("POST /orders", "HttpApi/Body/paths/~1orders/post/security/0/Jwt", json!([])),
        ("GET /healthz", "HttpApiApiGatewayDefaultStage/RouteSettings/GET ~1healthz", Value::Null),
        ("the import", "HttpApi/FailOnWarnings", Value::Null),
        ("the stage", "HttpApiApiGatewayDefaultStage/DefaultRouteSettings", Value::Null),
        ("the log", "HttpApiApiGatewayDefaultStage/AccessLogSettings", Value::Null),
        ("FunctionSecurityGroup", "FunctionSecurityGroup/SecurityGroupEgress/0/CidrIp", json!("0.0.0.0/0")),
        ("DatabaseSecurityGroup", "DatabaseSecurityGroup/SecurityGroupEgress", Value::Null),
        ("DatabaseFromFunctions", "DatabaseFromFunctions/CidrIp", json!("10.0.0.0/8")),
        ("ReleaseRole", "ReleaseRole/AssumeRolePolicyDocument/Statement/Principal/Service", json!("lambda")),
        ("DeadLetterAlarm", "DeadLetterAlarm/AlarmActions", Value::Null),
        ("StorageAlarm", "StorageAlarm/OKActions/0", json!({"Ref": "OrderQueue"})),
        ("OverdueAlarm", "OverdueAlarm/ActionsEnabled", json!(false)),
        ("LatencyAlarm", "LatencyAlarm/AlarmDescription", json!("Slow. docs/operations.md#no-such-section")),
        ("LatencyAlarm", "LatencyAlarm/EvaluateLowSampleCountPercentile", json!("ignore")),
        ("LatencyAlarm", "LatencyAlarm/MetricName", json!("Latenzy")),
        ("ServerErrorsAlarm", "ServerErrorsAlarm/Metrics/1/MetricStat/Metric/MetricName", json!("5XXError")),
        ("QueueAgeAlarm", "QueueAgeAlarm/Dimensions/0/Name", json!("Queue")),
        (
            "OperatorDashboard",
            "OperatorDashboard/DashboardBody/Fn::Sub/1/DatabaseWidgets",
            json!(", {\"properties\": {\"metrics\": [[\"AWS/RDS\", \"Speed\", \"DBInstanceIdentifier\", \"a\"]]}}"),
        ),
        ("ProcessorFunctionDeploymentGroup", "FailedShareAlarm", Value::Null),
        ("ApiFunctionDeploymentGroup", "LatencyAlarm/AlarmName", json!("another")),
        ("ApiFunctionDeploymentGroup", "ApiFunctionDeploymentGroup/AlarmConfiguration/Alarms", json!([])),
        (
            "ProcessorFunctionDeploymentGroup",
            "ProcessorFunctionDeploymentGroup/AutoRollbackConfiguration/Events/1",
            json!("x"),
        ),
        ("ProcessorMapping", "ProcessorMapping/FunctionName", json!({"Ref": "ProcessorFunction"})),
        (
            "SweeperFunctionEachMinute",
            "SweeperFunctionEachMinute/Targets/0/Arn",
            json!({"Fn::GetAtt": ["SweeperFunction", "Arn"]}),
        ),
        ("UserPool", "UserPool/AdminCreateUserConfig", Value::Null),
        ("UserClient", "UserClient/AllowedOAuthScopes/0", json!("orders/admin")),
        ("UserClient", "UserClient/AllowedOAuthScopes/0", json!("orders/read.all")),
    ];
    for (resource, property, value) in broken.into_iter().chain(policies::broken()) {
        let mut broken = Template(sound.0.clone());
        set(&mut broken.0["Resources"], &format!("/{}", property.replacen('/', "/Properties/", 1)), value);
        let breaches = broken.breaches();
        let is_noticed = breaches.iter().any(|breach| breach.starts_with(&format!("{resource}: ")));
        assert!(is_noticed, "no rule noticed {property}: {breaches:?}");
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
        let of_a_function = Context::new().with_string("lambda:SourceFunctionArn", function);
        assert_eq!(decide(of_a_function), Decision::Deny, "{action}");
    }
}
