//! Checks the functions on Lambda: their state, the order of their times, the mapping and the schedule.

use std::time::Duration;

use serde_json::{Value, json};
use shared::config::{Env, Timing, time_limit};

use super::cloud::Cloud;
use super::finding::Finding;

/// A function as it is deployed.
pub struct Function {
    pub name: String,
    pub arn: String,
    pub timeout: i64,
    state: String,
    variables: Env,
    queue_url: Option<String>,
}

/// Processor and sweeper, or why each could not be read.
pub struct Functions {
    pub processor: Result<Function, Finding>,
    pub sweeper: Result<Function, Finding>,
}

impl Functions {
    /// Reads both functions.
    pub async fn read(cloud: &Cloud, env: &Env) -> Self {
        let (processor, sweeper) = tokio::join!(
            Function::read(cloud, env, "PROCESSOR_FUNCTION"),
            Function::read(cloud, env, "SWEEPER_FUNCTION")
        );
        Self { processor, sweeper }
    }
}

impl Function {
    async fn read(cloud: &Cloud, env: &Env, variable: &'static str) -> Result<Self, Finding> {
        let name =
            env.text(variable).ok_or_else(|| Finding::not_checked("function", variable, format!("give {variable}")))?;
        match cloud.lambda(&format!("/2015-03-31/functions/{name}/configuration")).await {
            Ok(found) => Ok(Self::of(name, &found)),
            Err(why) if why.contains("404") => {
                let remedy = "take the name from the stack's outputs (ProcessorFunctionName, SweeperFunctionName), or deploy again";
                Err(Finding::wrong("function", name, format!("there is no such function ({variable})"), remedy))
            }
            Err(why) => Err(Finding::not_checked("function", name, why)),
        }
    }

    fn of(name: &str, found: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let variables = found["Environment"]["Variables"].as_object().into_iter().flatten();
        let variables: Vec<_> = variables.map(|(name, value)| (name.clone(), text(value))).collect();
        Self {
            name: name.to_owned(),
            arn: text(&found["FunctionArn"]),
            timeout: found["Timeout"].as_i64().unwrap_or(3),
            state: text(&found["State"]),
            queue_url: variables.iter().find(|(name, _)| name == "QUEUE_URL").map(|(_, url)| url.clone()),
            variables: variables.into_iter().collect(),
        }
    }

    /// The event bus that it announces ends on.
    pub fn bus(&self) -> Option<&str> {
        self.variables.text("EVENT_BUS")
    }
}

/// Checks both functions, the mapping and the schedule.
pub async fn examine(cloud: &Cloud, env: &Env, functions: &Functions) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &functions.processor {
        Ok(processor) => {
            findings.extend([running(processor), timing(processor), timeout_variable(processor)]);
            findings.extend(same_queue(processor, env));
            findings.extend(mapping(cloud, env, processor).await);
        }
        Err(finding) => findings.push(finding.clone()),
    }
    match &functions.sweeper {
        Ok(sweeper) => {
            findings.extend([running(sweeper), timing(sweeper), schedule(cloud, sweeper).await]);
            findings.extend(same_queue(sweeper, env));
        }
        Err(finding) => findings.push(finding.clone()),
    }
    findings
}

fn running(function: &Function) -> Finding {
    let is_active = ["Active", ""].contains(&function.state.as_str());
    let what = if is_active { "active".to_owned() } else { format!("its state is {}", function.state) };
    let remedy = "see StateReason of `aws lambda get-function-configuration`; an inactive function becomes active when it is invoked";
    Finding::held("function", &function.name, is_active, what, remedy)
}

/// Checks the order of the four times with the function's own code.
fn timing(function: &Function) -> Finding {
    let times =
        time_limit(&function.variables, 15).and_then(|limit| Ok((limit, Timing::from_env(&function.variables)?)));
    match times {
        Ok((timeout, Timing { lease, grace })) => {
            let seconds = |time: Duration| time.as_secs();
            let what = format!(
                "time-out {} s < lease {} s < visibility < grace {} s",
                seconds(timeout),
                seconds(lease),
                seconds(grace)
            );
            Finding::ok("function.timing", &function.name, what)
        }
        Err(error) => {
            let remedy = "set FUNCTION_TIMEOUT_SECONDS < LEASE_SECONDS < VISIBILITY_TIMEOUT_SECONDS < SWEEP_GRACE_SECONDS; the function does not start otherwise";
            Finding::wrong("function.timing", &function.name, error.to_string(), remedy)
        }
    }
}

/// The processor's variable must equal its real time-out.
fn timeout_variable(processor: &Function) -> Finding {
    let variable =
        processor.variables.seconds("FUNCTION_TIMEOUT_SECONDS", 15).map_or(0, |time| time.as_secs().cast_signed());
    let what = format!("its time-out is {} s, its variable says {variable} s", processor.timeout);
    let remedy = "set FUNCTION_TIMEOUT_SECONDS to the function's Timeout: otherwise Lambda stops it in the middle, or it gives up early";
    Finding::held("function.timeout", &processor.name, variable == processor.timeout, what, remedy)
}

fn same_queue(function: &Function, env: &Env) -> Option<Finding> {
    let (theirs, ours) = (function.queue_url.as_deref()?, env.text("QUEUE_URL")?);
    let remedy = "set the function's QUEUE_URL to the orders' queue, or give doctor the right one";
    Some(Finding::held("function.queue", &function.name, theirs == ours, format!("uses {theirs}"), remedy))
}

/// Checks the mapping from the queue to the processor.
async fn mapping(cloud: &Cloud, env: &Env, processor: &Function) -> Vec<Finding> {
    let place = &processor.name;
    let path = format!("/2015-03-31/event-source-mappings/?FunctionName={place}");
    let found = match cloud.lambda(&path).await {
        Ok(found) => found,
        Err(why) => return vec![Finding::not_checked("mapping", place, why)],
    };
    let all = found["EventSourceMappings"].as_array().cloned().unwrap_or_default();
    let queue = env.text("QUEUE_URL").and_then(|url| url.rsplit('/').next());
    let is_ours = |mapping: &&Value| {
        let source = mapping["EventSourceArn"].as_str().unwrap_or_default();
        queue.is_none_or(|queue| source.rsplit(':').next() == Some(queue))
    };
    let Some(mapping) = all.iter().find(is_ours) else {
        let remedy = "create an event source mapping from the orders' queue to the processor, like ProcessorMapping of template.yaml";
        return vec![Finding::wrong("mapping", place, "no mapping brings the queue's messages to it", remedy)];
    };
    vec![enabled(place, mapping), partial(place, mapping)]
}

fn enabled(place: &str, mapping: &Value) -> Finding {
    let state = mapping["State"].as_str().unwrap_or_default();
    let remedy =
        "enable it: `aws lambda update-event-source-mapping --enabled --uuid …`; orders wait until then, none is lost";
    Finding::held(
        "mapping",
        place,
        ["Enabled", "Enabling", "Updating"].contains(&state),
        format!("its mapping is {state}"),
        remedy,
    )
}

fn partial(place: &str, mapping: &Value) -> Finding {
    let is_partial = mapping["FunctionResponseTypes"]
        .as_array()
        .is_some_and(|types| types.contains(&"ReportBatchItemFailures".into()));
    let what = if is_partial { "messages fail one by one" } else { "one failed message fails its whole batch" };
    let remedy = "set the mapping's FunctionResponseTypes to ReportBatchItemFailures: without it failed messages are deleted as done";
    Finding::held("mapping.partial", place, is_partial, what, remedy)
}

/// Checks the schedule of the sweeper.
async fn schedule(cloud: &Cloud, sweeper: &Function) -> Finding {
    let place = &sweeper.name;
    let rules = match rules(cloud, sweeper).await {
        Ok(rules) => rules,
        Err(why) => return Finding::not_checked("schedule", place, why),
    };
    let remedy = "enable the rule that invokes it each minute (`aws events enable-rule`), or deploy again: only the sweeper finds lost messages";
    let Some(rule) = rules.first() else {
        return Finding::wrong("schedule", place, "no schedule invokes it", remedy);
    };
    let text = |name: &str| rule[name].as_str().unwrap_or_default();
    let what = format!("{} is {}", text("ScheduleExpression"), text("State").to_lowercase());
    Finding::held("schedule", place, text("State") == "ENABLED", what, remedy)
}

/// The rules that invoke a function, by its own name or by an alias; the enabled ones first.
async fn rules(cloud: &Cloud, function: &Function) -> Result<Vec<Value>, String> {
    let aliases = cloud.lambda(&format!("/2015-03-31/functions/{}/aliases", function.name)).await.unwrap_or_default();
    let aliases = aliases["Aliases"].as_array().cloned().unwrap_or_default();
    let arns = aliases.iter().filter_map(|alias| alias["AliasArn"].as_str()).chain([function.arn.as_str()]);
    let mut rules = Vec::new();
    for arn in arns {
        let named = cloud.events("ListRuleNamesByTarget", &json!({"TargetArn": arn})).await?;
        for name in named["RuleNames"].as_array().into_iter().flatten() {
            rules.push(cloud.events("DescribeRule", &json!({"Name": name})).await?);
        }
    }
    rules.sort_by_key(|rule| rule["State"] != "ENABLED");
    Ok(rules)
}
