//! Rules for versions, time-outs and quotas of the account.

use serde_json::{Value, json};

use super::rules::{Template, breach, listed, named, number};

/// How long an unused function waits for a network interface, with the repeats of the call that wakes it, in seconds.
const NETWORK_IS_LATE: u64 = 240;

/// The deadline that a function knows equals its time-out in Lambda. CloudFormation waits for the migration's, and for its network.
pub fn deadlines(template: &Template) -> Vec<String> {
    let differs = |(name, function): (&str, &Value)| {
        let variable = function["Environment"]["Variables"].get("FUNCTION_TIMEOUT_SECONDS");
        let is_required = ["ApiFunction", "ProcessorFunction", "SweeperFunction"].contains(&name);
        let differs = variable.map_or(is_required, |seconds| number(seconds) != number(&function["Timeout"]));
        breach(differs, format!("{name}: does not know its time-out"))
    };
    let functions = template.resources("AWS::Lambda::Function").into_iter().filter_map(differs);
    let impatient = |(name, resource): (&str, &Value)| {
        let timeout = number(&template.properties(named(&resource["ServiceToken"]))["Timeout"]);
        let is_short = number(&resource["ServiceTimeout"]) < timeout + NETWORK_IS_LATE;
        breach(is_short, format!("{name}: fails before its function"))
    };
    functions.chain(template.resources("Custom::Migration").into_iter().filter_map(impatient)).collect()
}

/// Lambda stops recursive invocations, so a function that sends to its own queue must allow them. Scheduled functions are not
/// retried hours later, because the next minute runs them anyway.
pub fn repetitions(template: &Template) -> Vec<String> {
    let mappings = template.resources("AWS::Lambda::EventSourceMapping").into_iter();
    let ended = mappings.filter_map(|(_, mapping)| {
        let function = named(&template.properties(named(&mapping["FunctionName"]))["FunctionName"]);
        let allowed = template.properties(function)["RecursiveLoop"] == "Allow";
        breach(!allowed, format!("{function}: is stopped as a recursive loop"))
    });
    let once = json!({"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60});
    let configured = template.resources("AWS::Lambda::EventInvokeConfig");
    let is_once = |function: &str| {
        let mut of_function = configured.iter().filter(|(_, each)| named(&each["FunctionName"]) == function);
        of_function.any(|(_, each)| once.as_object().unwrap().iter().all(|(key, value)| each[key] == *value))
    };
    let rules = template.resources("AWS::Events::Rule").into_iter();
    let targets = rules.flat_map(|(_, rule)| listed(&rule["Targets"]));
    let scheduled = targets.map(|target| named(&template.properties(named(&target["Arn"]))["FunctionName"]));
    let repeated = scheduled.filter_map(|name| breach(!is_once(name), format!("{name}: is retried late")));
    ended.chain(repeated).collect()
}

/// How many minutes the metrics of a new version may be late.
const METRICS_ARE_LATE: u64 = 3;

/// Each gradual release has existing alarms that roll it back, and lasts longer than each of them needs to react.
pub fn canaries(template: &Template) -> Vec<String> {
    let alarms = template.resources("AWS::CloudWatch::Alarm");
    let minutes = |alarm: &Value| {
        let found = alarms.iter().find(|(name, each)| *name == named(alarm) || Some(alarm) == each.get("AlarmName"));
        found.map(|(_, each)| number(&each["EvaluationPeriods"]))
    };
    let flawed = |(name, group): (&str, &Value)| {
        let (watching, rollback) = (&group["AlarmConfiguration"], &group["AutoRollbackConfiguration"]);
        let slowest =
            listed(&watching["Alarms"]).into_iter().map(|alarm| minutes(&alarm["Name"])).collect::<Option<Vec<_>>>();
        let slowest = slowest.and_then(|minutes| minutes.into_iter().max());
        let stops = listed(&rollback["Events"]).iter().any(|event| **event == "DEPLOYMENT_STOP_ON_ALARM");
        let enabled = watching["Enabled"] == true && rollback["Enabled"] == true;
        let config = group["DeploymentConfigName"].to_string();
        let tenth = config.split_once("Canary10Percent").and_then(|(_, rest)| rest.split_once("Minutes"));
        let lasts = tenth.map_or(u64::MAX, |(minutes, _)| minutes.parse().unwrap());
        let outlasts = slowest.is_some_and(|slowest| lasts >= slowest + METRICS_ARE_LATE);
        breach(!(outlasts && stops && enabled), format!("{name}: no alarm rolls a new version back in time"))
    };
    template.resources("AWS::CodeDeploy::DeploymentGroup").into_iter().filter_map(flawed).collect()
}

/// The gateway's log group needs no entry in the account's resource policy, and every role has a boundary if any has.
pub fn accounts(template: &Template) -> Vec<String> {
    let stages = template.resources("AWS::ApiGatewayV2::Stage").into_iter();
    let misnamed = stages.filter_map(|(_, stage)| {
        let group = named(&stage["AccessLogSettings"]["DestinationArn"]);
        let is_vended = template.properties(group)["LogGroupName"].to_string().contains("\"/aws/vendedlogs/");
        breach(!is_vended, format!("{group}: needs an entry in the account's resource policy"))
    });
    let bounded = template.resources("AWS::IAM::Role").into_iter();
    let bounds: Vec<_> = bounded.map(|(name, role)| (name, role.get("PermissionsBoundary"))).collect();
    let any = bounds.iter().any(|(_, bound)| bound.is_some());
    let unbounded = bounds
        .into_iter()
        .filter_map(|(name, bound)| breach(any && bound.is_none(), format!("{name}: has no permissions boundary")));
    misnamed.chain(unbounded).collect()
}
