//! Rules for every deployment. A rule returns its breaches as sentences.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{alarms, releases};

/// A translated template.
pub struct Template(pub Value);

impl Template {
    /// The names and properties of all resources of a type.
    pub fn resources(&self, kind: &str) -> Vec<(&str, &Value)> {
        let all = self.0["Resources"].as_object().expect("resources");
        let of_kind = all.iter().filter(|(_, resource)| resource["Type"] == kind);
        of_kind.map(|(name, resource)| (name.as_str(), &resource["Properties"])).collect()
    }

    /// The properties of the resource of this name.
    pub fn properties(&self, name: &str) -> &Value {
        &self.0["Resources"][name]["Properties"]
    }

    /// Whether the resource of this name is of this type.
    pub fn is_a(&self, kind: &str, name: &str) -> bool {
        self.0["Resources"][name]["Type"] == kind
    }

    /// The properties of the function that this name or its alias refers to.
    fn function(&self, name: &str) -> &Value {
        let alias = self.properties(name);
        if self.is_a("AWS::Lambda::Alias", name) { self.properties(named(&alias["FunctionName"])) } else { alias }
    }

    /// The widgets of the dashboard, with unresolved references.
    pub fn dashboard(&self) -> Vec<Value> {
        let (_, dashboard) = self.resources("AWS::CloudWatch::Dashboard")[0];
        let parts = &dashboard["DashboardBody"]["Fn::Sub"];
        let more = &parts[1]["DatabaseWidgets"];
        let more = more["Fn::Sub"].as_str().or(more.as_str()).unwrap_or_default();
        let body = parts[0].as_str().unwrap_or_default().replace("${DatabaseWidgets}", more);
        let body: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("the dashboard: {error}"));
        body["widgets"].as_array().cloned().unwrap_or_default()
    }

    /// All breaches of all rules.
    pub fn breaches(&self) -> Vec<String> {
        let rules =
            [visibility, retention, queues, databases, foreign_policies, roles, variables, routes, networks, users];
        let watching = [alarms::alarms, alarms::metrics, alarms::callers];
        let releasing = [releases::deadlines, releases::repetitions, releases::canaries, releases::accounts];
        let all = rules.iter().chain(&watching).chain(&releasing);
        all.flat_map(|rule| rule(self)).chain(self.policy_breaches()).collect()
    }
}

/// The name of the resource in a `Ref` or `Fn::GetAtt`.
pub fn named(reference: &Value) -> &str {
    reference["Ref"].as_str().or_else(|| reference["Fn::GetAtt"][0].as_str()).unwrap_or_default()
}

/// A number that is written as a number or as text.
pub fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_default()
}

/// The items of a list, or a single value as a list.
pub fn listed(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |list| list.iter().collect())
}

/// Returns the sentence if the rule is broken.
pub fn breach(broken: bool, what: String) -> Option<String> {
    broken.then_some(what)
}

/// The visibility timeout is at least six times the function's time-out plus the longest batching window, as AWS advises, so
/// that no message is delivered again while a function processes it.
fn visibility(template: &Template) -> Vec<String> {
    let short = |(name, mapping): (&str, &Value)| {
        let timeout = number(&template.function(named(&mapping["FunctionName"]))["Timeout"]);
        let visibility = number(&template.properties(named(&mapping["EventSourceArn"]))["VisibilityTimeout"]);
        let window = number(&template.0["Parameters"]["BatchingWindowSeconds"]["MaxValue"]);
        let short = visibility < 6 * timeout + window;
        breach(short, format!("{name}: visibility of {visibility} s for a time-out of {timeout} s"))
    };
    template.resources("AWS::Lambda::EventSourceMapping").into_iter().filter_map(short).collect()
}

/// A dead letter keeps the age of its message, so its queue needs a longer retention.
fn retention(template: &Template) -> Vec<String> {
    let short = |(name, queue): (&str, &Value)| {
        let policy = &queue["RedrivePolicy"];
        let dead = &template.properties(named(policy.get("deadLetterTargetArn")?))["MessageRetentionPeriod"];
        let lost = number(dead) <= number(&queue["MessageRetentionPeriod"]);
        let few = number(&policy["maxReceiveCount"]) < 5;
        breach(lost || few, format!("{name}: expires dead letters early, or allows too few receives"))
    };
    template.resources("AWS::SQS::Queue").into_iter().filter_map(short).collect()
}

/// Queues are encrypted at rest and accept only TLS.
fn queues(template: &Template) -> Vec<String> {
    let policies = template.resources("AWS::SQS::QueuePolicy");
    let plain = |(name, queue): (&str, &Value)| {
        let policy = policies.iter().find(|(_, policy)| named(&policy["Queues"][0]) == name);
        let statement = policy.map_or(&Value::Null, |(_, policy)| &policy["PolicyDocument"]["Statement"]);
        let everything = json!({"Effect": "Deny", "Principal": "*", "Action": "sqs:*"});
        let denied = everything.as_object()?.iter().all(|(key, value)| statement[key] == *value);
        let tls_only = denied && statement["Condition"] == json!({"Bool": {"aws:SecureTransport": "false"}});
        breach(queue["SqsManagedSseEnabled"] != true || !tls_only, format!("{name}: is not encrypted"))
    };
    template.resources("AWS::SQS::Queue").into_iter().filter_map(plain).collect()
}

fn databases(template: &Template) -> Vec<String> {
    let exposed = |(name, database): (&str, &Value)| {
        let parameters = &template.properties(named(&database["DBParameterGroupName"]))["Parameters"];
        let safe = database["StorageEncrypted"] == true
            && database["PubliclyAccessible"] == false
            && database["MasterUserAuthenticationType"] == "iam-db-auth"
            && database["EnableIAMDatabaseAuthentication"] == true
            && ["MasterUserPassword", "ManageMasterUserPassword"].iter().all(|key| database.get(*key).is_none())
            && database["EngineLifecycleSupport"] == "open-source-rds-extended-support-disabled"
            && listed(&database["EnableCloudwatchLogsExports"]).iter().any(|log| **log == "iam-db-auth-error")
            && parameters["rds.force_ssl"] == "1"
            && parameters["idle_in_transaction_session_timeout"] == "600000";
        let flaws = "is unencrypted, public, has a password, lacks a log or a time limit, or costs extended support";
        breach(!safe, format!("{name}: {flaws}"))
    };
    template.resources("AWS::RDS::DBInstance").into_iter().filter_map(exposed).collect()
}

/// AWS's own policies are those for connecting functions to a VPC and for `CodeDeploy`, whose role has no other.
fn foreign_policies(template: &Template) -> Vec<String> {
    let strange = |(name, role): (&str, &Value)| {
        let releases =
            role["AssumeRolePolicyDocument"]["Statement"]["Principal"]["Service"] == "codedeploy.amazonaws.com";
        let policy = if releases { "/AWSCodeDeployRoleForLambdaLimited" } else { "/AWSLambdaENIManagementAccess" };
        let attached = role["ManagedPolicyArns"].as_array().into_iter().flatten();
        let strange = attached.filter(|arn| named(arn).is_empty()).any(|arn| !arn.to_string().contains(policy));
        breach(strange || releases && role.get("Policies").is_some(), format!("{name}: allows more than it names"))
    };
    template.resources("AWS::IAM::Role").into_iter().filter_map(strange).collect()
}

fn roles(template: &Template) -> Vec<String> {
    let mut seen = HashSet::new();
    let functions = template.resources("AWS::Lambda::Function").into_iter();
    let sharing = functions.filter(|(_, each)| !seen.insert(named(&each["Role"])));
    sharing.map(|(name, _)| format!("{name}: shares a role")).collect()
}

/// No function's variable contains a password. The webhook's signing secret is the only exception.
fn variables(template: &Template) -> Vec<String> {
    let secret = |function: &str, (name, value): (&String, &Value)| {
        let text = value.to_string();
        let user = text.split_once("://").and_then(|(_, rest)| rest.split_once('@')).map_or("", |(user, _)| user);
        let resolved = text.contains("{{resolve:") && name != "WEBHOOK_SECRET";
        let is_secret = name.contains("PASSWORD") || user.contains(':') || resolved;
        breach(is_secret, format!("{function}: {name} is a password"))
    };
    let functions = template.resources("AWS::Lambda::Function").into_iter();
    let of_function = |(name, function): (&str, &Value)| {
        let variables = function["Environment"]["Variables"].as_object();
        variables.into_iter().flatten().filter_map(|each| secret(name, each)).collect::<Vec<_>>()
    };
    functions.flat_map(of_function).collect()
}

/// The paths that need no token by design.
const OPEN: [&str; 7] =
    ["/healthz", "/openapi.json", "/docs", "/docs/{proxy+}", "/dashboard", "/dashboard/{proxy+}", "/$default"];

/// Every other path needs a token with a scope. The open paths have their own throttling, and the log contains no token. A warning fails
/// the import: without that, API Gateway leaves out the guarded routes if it can't read the issuer. Its parser warns of a path without a
/// slash, so that `$default` has one: <https://github.com/aws/serverless-application-model/pull/2726>
fn routes(template: &Template) -> Vec<String> {
    let api = template.resources("AWS::ApiGatewayV2::Api")[0].1;
    let stage = template.resources("AWS::ApiGatewayV2::Stage")[0].1;
    let paths = api["Body"]["paths"].as_object().expect("paths").iter();
    let all = paths.flat_map(|(path, methods)| methods.as_object().into_iter().flatten().map(move |each| (path, each)));
    let open = |(path, (method, operation)): (&String, (&String, &Value))| {
        let only =
            operation["security"].as_array().filter(|ways| ways.len() == 1).map_or(&Value::Null, |ways| &ways[0]);
        let guarded = listed(&only["Jwt"]).iter().any(|scope| scope.is_string());
        let key = if path == "/$default" { "$default".to_owned() } else { format!("{} {path}", method.to_uppercase()) };
        let throttled = stage["RouteSettings"][&key]["ThrottlingRateLimit"].is_number();
        breach(!(guarded || throttled && OPEN.contains(&path.as_str())), format!("{key}: is open"))
    };
    let log = stage["AccessLogSettings"]["Format"].as_str().unwrap_or_default();
    let leaks = !log.contains("requestId") || log.to_lowercase().contains("header");
    let bounded = stage["DefaultRouteSettings"]["ThrottlingRateLimit"].is_number();
    let of_stage = [
        breach(api["FailOnWarnings"] != true, "the import: passes over a warning".to_owned()),
        breach(leaks, "the log: has a token or nothing".to_owned()),
        breach(!bounded, "the stage: is not throttled".to_owned()),
    ];
    all.filter_map(open).chain(of_stage.into_iter().flatten()).collect()
}

/// Security groups refer to each other. That of `migrate` is the only one with open egress.
fn networks(template: &Template) -> Vec<String> {
    let wide = |(name, group): (&str, &Value)| {
        let egress = group["SecurityGroupEgress"].as_array();
        let addresses = egress.into_iter().flatten().filter_map(|rule| rule.get("CidrIp"));
        let open = addresses.filter(|address| *address != "127.0.0.1/32").count();
        let reaches = egress.is_none() || (open > 0 && name != "MigrateSecurityGroup");
        breach(reaches || group["SecurityGroupIngress"].is_array(), format!("{name}: reaches anything, or lets it in"))
    };
    let ingress = template.resources("AWS::EC2::SecurityGroupIngress").into_iter();
    let entered =
        ingress.filter_map(|(name, rule)| breach(rule.get("CidrIp").is_some(), format!("{name}: lets anything in")));
    template.resources("AWS::EC2::SecurityGroup").into_iter().filter_map(wide).chain(entered).collect()
}

/// No person can sign up by themselves, and no user gets the scope that reaches other users' orders.
fn users(template: &Template) -> Vec<String> {
    let pools = template.resources("AWS::Cognito::UserPool").into_iter();
    let closed = |pool: &Value| pool["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] == true;
    let open = pools.filter_map(|(name, pool)| breach(!closed(pool), format!("{name}: allows self sign-up")));
    let admin = |(name, client): (&str, &Value)| {
        let has = |key: &str, text: &str| listed(&client[key]).iter().any(|value| *value == text);
        let far = ["orders/admin", "orders/read.all", "orders/write.all"];
        let flawed = has("AllowedOAuthFlows", "code") && far.iter().any(|scope| has("AllowedOAuthScopes", scope));
        breach(flawed || has("AllowedOAuthFlows", "implicit"), format!("{name}: makes every user an administrator"))
    };
    open.chain(template.resources("AWS::Cognito::UserPoolClient").into_iter().filter_map(admin)).collect()
}
