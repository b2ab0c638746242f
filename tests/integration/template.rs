//! The template, as CloudFormation would deploy it: what must hold of it whatever the parameters are.

mod alarms;
mod parameters;
mod pipeline;
mod releases;
mod rules;

use std::collections::BTreeSet;
use std::process::{Command, Output};

use serde_json::{Value, json};

use rules::{Template, listed, named, statements};

/// What tests/stack/template.py makes of the template with these parameters.
fn translate(parameters: &[&str]) -> Output {
    Command::new("../.venv/stack/bin/python")
        .env("PYTHONPATH", ".")
        .args(["-m", "stack.template"])
        .args(parameters)
        .output()
        .unwrap_or_else(|error| panic!("`make tools` installs what is missing: {error}"))
}

/// The template with these parameters, translated and decided.
pub fn template(parameters: &[&str]) -> Template {
    let output = translate(parameters);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Template(serde_json::from_slice(&output.stdout).unwrap())
}

const BROUGHT: &str = "DatabaseUrl=postgres://app@db.example.com/orders";
const SECRET: &str = "DatabaseSecretArn=arn:aws:secretsmanager:eu-central-1:1:secret:app";
const IAM: &str = "DatabaseIamUserArn=arn:aws:rds-db:eu-central-1:1:dbuser:db-A/app";
const OWNER: &str = "OwnerDatabaseIamUserArn=arn:aws:rds-db:eu-central-1:1:dbuser:db-A/owner";
const WEBHOOK: &str = "WebhookSecretArn=arn:aws:secretsmanager:eu-central-1:1:secret:webhook";

#[test]
fn every_kind_of_deployment_keeps_the_rules() {
    for parameters in [
        &[][..],
        &["Stage=prod", "ApiReservedConcurrency=20", "Tracing=Active", "AlarmEmail=night@example.com", "Release=r7a1"],
        &["Stage=prod", "GradualRelease=false", "PermissionsBoundaryArn=arn:aws:iam::1:policy/ordermill-boundary"],
        &["JwtIssuer=https://issuer.example.com", "CorsAllowOrigins=https://shop.example.com"],
        &[BROUGHT, SECRET, "VpcSubnetIds=subnet-1", "VpcSecurityGroupIds=sg-1"],
        &[BROUGHT, IAM, "OwnerDatabaseUrl=postgres://owner@db.example.com/orders", OWNER],
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

/// Sets a value within, or takes it away where it is null.
fn set(template: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let key = &key.replace("~1", "/");
    let parent = template.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer} is not there"));
    match (parent, value) {
        (Value::Object(entries), Value::Null) => drop(entries.remove(key)),
        (Value::Object(entries), value) => drop(entries.insert(key.clone(), value)),
        (parent, value) => parent[key.parse::<usize>().unwrap()] = value,
    }
}

#[test]
fn each_rule_notices_what_breaks_it() {
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
        let said = breaches.iter().any(|breach| breach.starts_with(&format!("{resource}: ")));
        assert!(said, "{pointer} went unnoticed: {breaches:?}");
    }
}

/// The text of all integration tests.
fn tests_source() -> String {
    let files = std::fs::read_dir("integration").unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn every_alarm_has_a_section_that_names_a_test_which_moves_its_metric_or_says_that_there_is_none() {
    let (sections, source) = (alarms::sections(), tests_source());
    for (name, alarm) in template(&[]).resources("AWS::CloudWatch::Alarm") {
        let text = sections[alarms::section(alarm).unwrap()];
        assert!(text.contains(&format!("`{name}`")), "{name} is not named by its section");
        let moved_by = text.split_once("Moved on one machine by*").and_then(|(_, rest)| rest.split('`').nth(1));
        let is_moved = moved_by.is_some_and(|test| source.contains(&format!("fn {test}()")));
        assert!(is_moved || text.contains("Untested on AWS; nothing moves it on one machine"), "{name}: {moved_by:?}");
    }
}

/// What a role may do, besides writing its own log: `action on resource`.
fn allowed(template: &Template, role: &str) -> BTreeSet<String> {
    let roles = template.resources("AWS::IAM::Role");
    let (_, properties) = roles.iter().find(|(name, _)| *name == role).unwrap();
    let policies = template.resources("AWS::IAM::ManagedPolicy");
    let attached = listed(&properties["ManagedPolicyArns"]).into_iter().map(named);
    let attached = attached.flat_map(|name| policies.iter().filter(move |(policy, _)| *policy == name));
    let all = statements(properties).into_iter().chain(attached.flat_map(|(_, policy)| statements(policy)));
    let all = all.filter(|statement| statement["Effect"] == "Allow");
    let pairs = all.flat_map(|statement| {
        let resources = listed(&statement["Resource"]);
        let on = move |action| resources.clone().into_iter().map(move |resource| (action, resource));
        listed(&statement["Action"]).into_iter().flat_map(on)
    });
    let text = pairs.map(|(action, resource)| {
        let sub = resource["Fn::Sub"].as_str().or(resource.as_str()).unwrap_or_else(|| named(resource));
        format!("{} on {}", action.as_str().unwrap(), sub.rsplit(':').next().unwrap())
    });
    text.filter(|text| !text.starts_with("logs:")).collect()
}

#[test]
fn each_function_may_do_what_it_does_and_no_more() {
    let template = template(&[]);
    let sign_in = "rds-db:connect on ${Database.DbiResourceId}/ordermill_app";
    for (role, expected) in [
        ("SiteRole", &[][..]),
        ("MigrateRole", &["rds-db:connect on ${Database.DbiResourceId}/ordermill"]),
        ("SweeperRole", &[sign_in, "sqs:GetQueueAttributes on OrderQueue", "sqs:SendMessage on OrderQueue"]),
        (
            "ApiRole",
            &[
                sign_in,
                "sqs:ChangeMessageVisibility on DeadLetterQueue",
                "sqs:DeleteMessage on DeadLetterQueue",
                "sqs:GetQueueAttributes on DeadLetterQueue",
                "sqs:GetQueueAttributes on OrderQueue",
                "sqs:ReceiveMessage on DeadLetterQueue",
                "sqs:SendMessage on OrderQueue",
            ],
        ),
        (
            "ProcessorRole",
            &[
                sign_in,
                "sqs:ChangeMessageVisibility on OrderQueue",
                "sqs:DeleteMessage on OrderQueue",
                "sqs:GetQueueAttributes on OrderQueue",
                "sqs:ReceiveMessage on OrderQueue",
                "sqs:SendMessage on DeadLetterQueue",
                "sqs:SendMessage on OrderQueue",
            ],
        ),
    ] {
        assert_eq!(allowed(&template, role).iter().collect::<Vec<_>>(), expected, "{role}");
    }
}
