//! Rules for alarms, for the dashboard and for callers of functions.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::read_to_string;
use std::path::Path;

use serde_json::Value;

use super::rules::{Template, breach, listed, named, number};
use super::template;
use crate::documents::anchor;
use crate::walls::files;

/// AWS's metrics by namespace, with their dimension:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/aws-services-cloudwatch-metrics.html>
const METRICS: [(&str, &str, &[&str]); 4] = [
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
        &["CPUUtilization", "DatabaseConnections", "FreeStorageSpace", "FreeableMemory", "MaximumUsedTransactionIDs"],
    ),
];

/// The code that writes the service's own metrics.
const OWN: &str = include_str!("../../../shared/src/telemetry/metric.rs");

fn is_known(namespace: &str, name: &str, dimension: &str) -> bool {
    let is_own = (namespace, dimension) == ("Ordermill", "Stack") && OWN.contains(&format!("=> (\"{name}\", "));
    is_own || METRICS.iter().any(|(space, by, names)| (*space, *by) == (namespace, dimension) && names.contains(&name))
}

/// Each alarm notifies a topic when it starts and when it ends, links to a section of the runbook, and is evaluated however few calls
/// there are.
pub fn alarms(template: &Template) -> Vec<String> {
    let flawed = |(name, alarm): (&str, &Value)| {
        let notifies =
            |key: &str| listed(&alarm[key]).iter().any(|topic| template.is_a("AWS::SNS::Topic", named(topic)));
        let is_announced = notifies("AlarmActions") && notifies("OKActions") && alarm["ActionsEnabled"] != false;
        let is_explained = section(alarm).is_some_and(|section| sections().contains_key(section));
        let needs_many_calls = alarm["EvaluateLowSampleCountPercentile"] == "ignore";
        let is_flawed = !is_announced || !is_explained || needs_many_calls;
        breach(is_flawed, format!("{name}: has no notification or no section in the runbook, or waits for many calls"))
    };
    template.resources("AWS::CloudWatch::Alarm").into_iter().filter_map(flawed).collect()
}

/// The section of the runbook in an alarm's description.
fn section(alarm: &Value) -> Option<&str> {
    alarm["AlarmDescription"].as_str()?.split_once("docs/operations.md#").map(|(_, section)| section)
}

/// The text of the runbook.
const RUNBOOK: &str = include_str!("../../../docs/operations.md");

/// The text of the runbook's sections, by their anchors.
fn sections() -> BTreeMap<String, &'static str> {
    let parts = RUNBOOK.split("\n## ").skip(1).filter_map(|part| part.split_once('\n'));
    parts.map(|(heading, text)| (anchor(heading), text)).collect()
}

/// The alarms that the runbook names.
fn named_in_the_runbook() -> BTreeSet<&'static str> {
    RUNBOOK.split('`').filter(|word| word.ends_with("Alarm") && word.chars().all(char::is_alphabetic)).collect()
}

/// The metrics of the alarms, with the alarm's name. CloudWatch charges for each.
fn watched(template: &Template) -> Vec<(&str, [&Value; 3])> {
    let alarms = template.resources("AWS::CloudWatch::Alarm").into_iter();
    let watched = alarms.flat_map(|(name, alarm)| {
        let parts = alarm["Metrics"].as_array().into_iter().flatten().map(|part| &part["MetricStat"]["Metric"]);
        let all = parts.filter(|metric| !metric.is_null()).chain(alarm.get("MetricName").map(|_| alarm));
        all.map(move |metric| (name, [&metric["Namespace"], &metric["MetricName"], &metric["Dimensions"][0]["Name"]]))
    });
    watched.collect()
}

/// The metrics of the dashboard's widgets.
fn shown(widgets: &[Value]) -> impl Iterator<Item = [&Value; 3]> {
    let metrics = widgets.iter().flat_map(|widget| widget["properties"]["metrics"].as_array().into_iter().flatten());
    metrics.map(|metric| [&metric[0], &metric[1], &metric[2]])
}

/// Each metric of an alarm or of the dashboard exists.
pub fn metrics(template: &Template) -> Vec<String> {
    let widgets = template.dashboard();
    let shown = shown(&widgets).map(|metric| ("OperatorDashboard", metric));
    let unknown = |(name, metric): (&str, [&Value; 3])| {
        let [namespace, metric, dimension] = metric.map(|text| text.as_str().unwrap_or_default());
        breach(!is_known(namespace, metric, dimension), format!("{name}: there is no {namespace} {metric}"))
    };
    watched(template).into_iter().chain(shown).filter_map(unknown).collect()
}

/// All callers of a function with an alias call the alias.
pub fn callers(template: &Template) -> Vec<String> {
    let functions: BTreeSet<_> =
        template.resources("AWS::Lambda::Alias").into_iter().map(|(_, alias)| named(&alias["FunctionName"])).collect();
    let mappings = template.resources("AWS::Lambda::EventSourceMapping").into_iter();
    let mappings = mappings.map(|(name, mapping)| (name, mapping["FunctionName"].to_string()));
    let schedules = template.resources("AWS::Events::Rule").into_iter();
    let schedules = schedules.map(|(name, rule)| (name, rule["Targets"].to_string()));
    let gateways = template.resources("AWS::ApiGatewayV2::Api").into_iter();
    let gateways = gateways.map(|(name, api)| (name, api["Body"]["paths"].to_string()));
    let direct_call = |(name, text): (&str, String)| {
        let direct = functions.iter().find(|function| {
            [format!("${{{function}.Arn}}"), format!("\"{function}\"")].iter().any(|call| text.contains(call))
        });
        direct.map(|function| format!("{name}: calls {function} past its alias"))
    };
    mappings.chain(schedules).chain(gateways).filter_map(direct_call).collect()
}

#[test]
fn every_alarm_has_a_section_with_a_test_that_moves_its_metric() {
    let source: String = files(Path::new("integration")).iter().map(|path| read_to_string(path).unwrap()).collect();
    let sections = sections();
    let template = template(&["EventBus=shop"]);
    let all = template.resources("AWS::CloudWatch::Alarm");
    assert_eq!(all.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>(), named_in_the_runbook());
    for (name, alarm) in all {
        let text = sections[section(alarm).unwrap()];
        assert!(text.contains(&format!("`{name}`")), "its section does not name {name}");
        let moved_by = text.split_once("Moved on one machine by*").and_then(|(_, rest)| rest.split('`').nth(1));
        let is_moved = moved_by.is_some_and(|test| source.contains(&format!("fn {test}()")));
        assert!(is_moved || text.contains("Untested on AWS; nothing moves it on one machine"), "{name}: {moved_by:?}");
    }
}

/// A shop with a few orders an hour loses no larger share of them unnoticed than one with many.
#[test]
fn alarms_of_failed_orders_ring_at_the_same_share() {
    let template = template(&[]);
    let [minute, hour] = ["FailedShareAlarm", "FailedHourAlarm"].map(|name| template.properties(name));
    assert_eq!((number(&minute["Threshold"]), number(&hour["Threshold"])), (10, 10));
    let expression = hour["Metrics"][0]["Expression"].as_str().unwrap();
    assert_eq!(expression, "IF(failed >= 3, 100 * failed / (failed + FILL(completed, 0)), 0)");
    let periods = hour["Metrics"].as_array().unwrap().iter().skip(1).map(|part| number(&part["MetricStat"]["Period"]));
    assert_eq!(periods.collect::<Vec<_>>(), [3600, 3600]);
}

#[test]
fn dashboard_shows_the_metric_of_every_alarm() {
    let template = template(&["EventBus=shop"]);
    let widgets = template.dashboard();
    let shown: Vec<_> = shown(&widgets).collect();
    let hidden: Vec<_> = watched(&template).into_iter().filter(|(_, metric)| !shown.contains(metric)).collect();
    assert!(hidden.is_empty(), "{hidden:?}");
}

/// A deployment creates most resources at once, and a database takes a quarter of an hour.
#[test]
fn alarm_for_missing_data_waits_for_the_schedule() {
    let template = template(&["EventBus=shop"]);
    let alarms = template.resources("AWS::CloudWatch::Alarm").into_iter();
    let breaching: Vec<_> = alarms.filter(|(_, alarm)| alarm["TreatMissingData"] == "breaching").collect();
    assert_eq!(breaching.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["OverdueAlarm"]);
    assert!(template.is_a("AWS::Events::Rule", "SweeperFunctionEachMinute"));
    assert_eq!(template.0["Resources"]["OverdueAlarm"]["DependsOn"], "SweeperFunctionEachMinute");
}

#[test]
fn idle_cost_counts_the_metrics() {
    let count = watched(&template(&[])).len();
    // An idle deployment writes `OldestOverdue` and `DatabaseRoundTrip`. The others have no values without an order, a fault, a pause or a bus.
    let own = OWN.matches("=> (\"").count() - 11;
    let cents = 10 * count + 30 * own;
    let price = format!("${}.{:02}", cents / 100, cents % 100);
    let row = format!("| {count} metrics with an alarm at $0.10, {own} metrics at $0.30 | {price} | {price} |");
    assert!(include_str!("../../../docs/deploying.md").contains(&row), "{row}");
}
