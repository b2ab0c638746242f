//! What must hold of alarms, of the dashboard and of how a new version comes into use.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::rules::{Template, breach, listed, named};

/// The metrics there are, by namespace, and the dimension that each is asked for by. Of AWS's own, what its documentation lists:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/aws-services-cloudwatch-metrics.html>
const METRICS: [(&str, &str, &[&str]); 5] = [
    (
        "Ordermill",
        "Stack",
        &[
            "OrdersAccepted",
            "OrdersReplayed",
            "OrdersCompleted",
            "OrdersFailed",
            "OrdersRetried",
            "OrdersRequeued",
            "OldestOverdue",
            "PausedFor",
            "ClaimToFinish",
            "DatabaseRoundTrip",
        ],
    ),
    ("AWS/ApiGateway", "ApiId", &["4xx", "5xx", "Count", "IntegrationLatency", "Latency"]),
    ("AWS/Lambda", "FunctionName", &["ConcurrentExecutions", "Duration", "Errors", "Invocations", "Throttles"]),
    (
        "AWS/SQS",
        "QueueName",
        &[
            "ApproximateAgeOfOldestMessage",
            "ApproximateNumberOfMessagesDelayed",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesVisible",
        ],
    ),
    (
        "AWS/RDS",
        "DBInstanceIdentifier",
        &["CPUUtilization", "DatabaseConnections", "FreeStorageSpace", "FreeableMemory"],
    ),
];

fn is_known(namespace: &str, name: &str, dimension: &str) -> bool {
    METRICS.iter().any(|(space, by, names)| *space == namespace && *by == dimension && names.contains(&name))
}

/// Each alarm tells somebody when it begins and when it ends, and names what to do.
pub fn alarms(template: &Template) -> Vec<String> {
    let flawed = |(name, alarm): (&str, &Value)| {
        let tells = |key: &str| listed(&alarm[key]).iter().any(|topic| template.is_a("AWS::SNS::Topic", named(topic)));
        let told = tells("AlarmActions") && tells("OKActions") && alarm["ActionsEnabled"] != false;
        let explained = section(alarm).is_some_and(|section| sections().contains_key(section));
        breach(!told || !explained, format!("{name}: tells nobody, or not what to do"))
    };
    template.resources("AWS::CloudWatch::Alarm").into_iter().filter_map(flawed).collect()
}

/// The section of the runbook that an alarm's description names.
pub fn section(alarm: &Value) -> Option<&str> {
    alarm["AlarmDescription"].as_str()?.split_once("docs/operations.md#").map(|(_, section)| section)
}

/// The runbook.
const RUNBOOK: &str = include_str!("../../../docs/operations.md");

/// The runbook's sections, as links name them, and what each says.
pub fn sections() -> BTreeMap<String, &'static str> {
    let parts = RUNBOOK.split("\n## ").skip(1).filter_map(|part| part.split_once('\n'));
    parts.map(|(heading, text)| (slug(heading), text)).collect()
}

/// A heading as links name it.
fn slug(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
}

/// Each metric that is watched or shown is one that there is.
pub fn metrics(template: &Template) -> Vec<String> {
    let watched = template.resources("AWS::CloudWatch::Alarm").into_iter().flat_map(|(name, alarm)| {
        let parts = alarm["Metrics"].as_array().into_iter().flatten().map(|part| &part["MetricStat"]["Metric"]);
        let all = parts.filter(|metric| !metric.is_null()).chain(alarm.get("MetricName").map(|_| alarm));
        all.map(move |metric| (name, [&metric["Namespace"], &metric["MetricName"], &metric["Dimensions"][0]["Name"]]))
    });
    let widgets = template.dashboard();
    let shown = widgets.iter().flat_map(|widget| widget["properties"]["metrics"].as_array().into_iter().flatten());
    let shown = shown.map(|metric| ("OperatorDashboard", [&metric[0], &metric[1], &metric[2]]));
    watched
        .chain(shown)
        .filter_map(|(name, metric)| {
            let [namespace, metric, dimension] = metric.map(|text| text.as_str().unwrap_or_default());
            breach(!is_known(namespace, metric, dimension), format!("{name}: there is no {namespace} {metric}"))
        })
        .collect()
}

/// What moves to a new version little by little is taken back by alarms that there are.
pub fn canaries(template: &Template) -> Vec<String> {
    let alarms = template.resources("AWS::CloudWatch::Alarm");
    let exists = |alarm: &Value| {
        alarms.iter().any(|(name, properties)| *name == named(alarm) || Some(alarm) == properties.get("AlarmName"))
    };
    let flawed = |(name, group): (&str, &Value)| {
        let watching = group["AlarmConfiguration"]["Alarms"].as_array();
        let watched = watching.is_some_and(|all| !all.is_empty() && all.iter().all(|alarm| exists(&alarm["Name"])));
        let stops =
            listed(&group["AutoRollbackConfiguration"]["Events"]).iter().any(|e| **e == "DEPLOYMENT_STOP_ON_ALARM");
        let enabled =
            group["AlarmConfiguration"]["Enabled"] == true && group["AutoRollbackConfiguration"]["Enabled"] == true;
        breach(!(watched && stops && enabled), format!("{name}: no alarm takes a new version back"))
    };
    template.resources("AWS::CodeDeploy::DeploymentGroup").into_iter().filter_map(flawed).collect()
}

/// Who calls a function that has an alias calls it by that, or the alias would be of no use.
pub fn callers(template: &Template) -> Vec<String> {
    let functions: BTreeSet<_> =
        template.resources("AWS::Lambda::Alias").into_iter().map(|(_, alias)| named(&alias["FunctionName"])).collect();
    let mappings = template.resources("AWS::Lambda::EventSourceMapping").into_iter();
    let mappings = mappings.map(|(name, mapping)| (name, mapping["FunctionName"].to_string()));
    let schedules = template.resources("AWS::Events::Rule").into_iter();
    let schedules = schedules.map(|(name, rule)| (name, rule["Targets"].to_string()));
    let gateways = template.resources("AWS::ApiGatewayV2::Api").into_iter();
    let gateways = gateways.map(|(name, api)| (name, api["Body"]["paths"].to_string()));
    let past = |(name, text): (&str, String)| {
        let direct = functions.iter().find(|function| {
            [format!("${{{function}.Arn}}"), format!("\"{function}\"")].iter().any(|call| text.contains(call))
        });
        direct.map(|function| format!("{name}: calls {function} past its alias"))
    };
    mappings.chain(schedules).chain(gateways).filter_map(past).collect()
}
