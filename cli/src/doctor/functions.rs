//! Checks the functions on Lambda: their state, the order of their times, the mapping and the schedule.

use aws_sdk_eventbridge::operation::describe_rule::DescribeRuleOutput;
use aws_sdk_eventbridge::types::RuleState;
use aws_sdk_lambda::operation::get_function_configuration::{
    GetFunctionConfigurationError, GetFunctionConfigurationOutput,
};
use aws_sdk_lambda::operation::list_aliases::ListAliasesError;
use aws_sdk_lambda::types::{AliasConfiguration, EventSourceMappingConfiguration, FunctionResponseType, State};
use shared::config::Env;
use shared::events::EVENT_BUS;

use super::cloud::{Cloud, Services};
use super::finding::Finding;
use super::timing;
use crate::aws::describe;

/// The alias in the template.
const ALIAS: &str = "live";

/// A function as its callers invoke it: by its alias, if it has one.
pub struct Function<'a> {
    pub services: &'a Services,
    pub name: String,
    /// The ARNs that invoke it: its own, and that of each alias. AWS lists the mappings and the rules of each by itself.
    arns: Vec<String>,
    pub timeout: i64,
    state: Option<State>,
    variables: Env,
}

/// Processor and sweeper, or why each could not be read.
pub struct Functions<'a> {
    pub processor: Result<Function<'a>, Finding>,
    pub sweeper: Result<Function<'a>, Finding>,
}

impl<'a> Functions<'a> {
    /// Reads both functions.
    pub async fn read(cloud: &'a Cloud, env: &Env) -> Self {
        let (processor, sweeper) = tokio::join!(
            Function::read(cloud, env, "PROCESSOR_FUNCTION"),
            Function::read(cloud, env, "SWEEPER_FUNCTION")
        );
        Self { processor, sweeper }
    }
}

impl<'a> Function<'a> {
    async fn read(cloud: &'a Cloud, env: &Env, variable: &'static str) -> Result<Self, Finding> {
        let name =
            env.text(variable).ok_or_else(|| Finding::not_checked("function", variable, format!("give {variable}")))?;
        let not_checked = |why| Finding::not_checked("function", name, why);
        let services = cloud.services().map_err(not_checked)?;
        let aliases = match services.lambda.list_aliases().function_name(name).send().await {
            Ok(found) => found.aliases.unwrap_or_default(),
            Err(error) if error.as_service_error().is_some_and(ListAliasesError::is_resource_not_found_exception) => {
                Vec::new()
            }
            Err(error) => return Err(not_checked(describe(&error))),
        };
        let qualifier = invoked(&aliases).and_then(|alias| alias.name.clone());
        let is_missing = GetFunctionConfigurationError::is_resource_not_found_exception;
        match services.lambda.get_function_configuration().function_name(name).set_qualifier(qualifier).send().await {
            Ok(found) => Ok(Self::of(services, name, aliases, found)),
            Err(error) if error.as_service_error().is_some_and(is_missing) => {
                let remedy = "take the name from the stack's outputs (ProcessorFunctionName, SweeperFunctionName), or deploy again";
                Err(Finding::wrong("function", name, format!("there is no such function ({variable})"), remedy))
            }
            Err(error) => Err(not_checked(describe(&error))),
        }
    }

    fn of(
        services: &'a Services,
        name: &str,
        aliases: Vec<AliasConfiguration>,
        found: GetFunctionConfigurationOutput,
    ) -> Self {
        let variables = found.environment.and_then(|environment| environment.variables);
        // The first seven parts, without a qualifier.
        let own = found.function_arn.unwrap_or_default().split(':').take(7).collect::<Vec<_>>().join(":");
        Self {
            services,
            name: name.to_owned(),
            arns: aliases.into_iter().filter_map(|alias| alias.alias_arn).chain([own]).collect(),
            timeout: found.timeout.unwrap_or(3).into(),
            state: found.state,
            variables: variables.unwrap_or_default().into_iter().collect(),
        }
    }

    /// The account that it belongs to.
    pub fn account(&self) -> Option<&str> {
        account(self.arns.first()?)
    }

    /// The event bus that it announces ends on.
    pub fn bus(&self) -> Option<&str> {
        self.variables.text(EVENT_BUS)
    }
}

/// The alias that callers invoke: that of the template if there is one.
fn invoked(aliases: &[AliasConfiguration]) -> Option<&AliasConfiguration> {
    aliases.iter().find(|alias| alias.name() == Some(ALIAS)).or_else(|| aliases.first())
}

/// Checks both functions, the mapping and the schedule.
pub async fn examine(env: &Env, functions: &Functions<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &functions.processor {
        Ok(processor) => {
            let timing = timing::of_processor(&processor.name, &processor.variables);
            findings.extend([running(processor), concurrency(processor).await]);
            findings.extend([timing, timeout_variable(processor)]);
            findings.extend(same_queue(processor, env));
            findings.extend(mapping(env, processor).await);
        }
        Err(finding) => findings.push(finding.clone()),
    }
    match &functions.sweeper {
        Ok(sweeper) => {
            let timing = timing::of_sweeper(&sweeper.name, &sweeper.variables);
            findings.extend([running(sweeper), concurrency(sweeper).await]);
            findings.extend([timing, schedule(sweeper).await]);
            findings.extend(same_queue(sweeper, env));
        }
        Err(finding) => findings.push(finding.clone()),
    }
    findings
}

fn running(function: &Function<'_>) -> Finding {
    let inactive = function.state.as_ref().filter(|state| **state != State::Active);
    let what = inactive.map_or_else(|| "active".to_owned(), |state| format!("its state is {state}"));
    let remedy = "see StateReason of `aws lambda get-function-configuration`; an inactive function becomes active when it is invoked";
    Finding::held("function", &function.name, inactive.is_none(), what, remedy)
}

/// An operator can stop a function by a reserved concurrency of 0, and forget it. The limit is the function's, for all its aliases.
async fn concurrency(function: &Function<'_>) -> Finding {
    let (check, place) = ("function.concurrency", &function.name);
    let reserved = match function.services.lambda.get_function_concurrency().function_name(place).send().await {
        Ok(found) => found.reserved_concurrent_executions,
        Err(error) => return Finding::not_checked(check, place, describe(&error)),
    };
    let what = match reserved {
        None => "no reserved concurrency".to_owned(),
        Some(0) => "its reserved concurrency is 0, so Lambda does not run it".to_owned(),
        Some(reserved) => format!("its reserved concurrency is {reserved}"),
    };
    let remedy = format!(
        "remove the limit: `aws lambda delete-function-concurrency --function-name {place}`; orders wait until then, none is lost"
    );
    Finding::held(check, place, reserved != Some(0), what, remedy)
}

/// The processor's variable must equal its real time-out.
fn timeout_variable(processor: &Function<'_>) -> Finding {
    let variable = processor.variables.number("FUNCTION_TIMEOUT_SECONDS", 15, ..).unwrap_or(0);
    let what = format!("its time-out is {} s, its variable says {variable} s", processor.timeout);
    let remedy = "set FUNCTION_TIMEOUT_SECONDS to the function's Timeout: otherwise Lambda stops it in the middle, or it gives up early";
    Finding::held("function.timeout", &processor.name, variable == processor.timeout, what, remedy)
}

fn same_queue(function: &Function<'_>, env: &Env) -> Option<Finding> {
    let (theirs, ours) = (function.variables.text("QUEUE_URL")?, env.text("QUEUE_URL")?);
    let remedy = "set the function's QUEUE_URL to the orders' queue, or give doctor the right one";
    Some(Finding::held("function.queue", &function.name, theirs == ours, format!("uses {theirs}"), remedy))
}

/// Checks the mapping from the queue to the processor.
async fn mapping(env: &Env, processor: &Function<'_>) -> Vec<Finding> {
    let place = &processor.name;
    let all = match mappings(processor).await {
        Ok(all) => all,
        Err(why) => return vec![Finding::not_checked("mapping", place, why)],
    };
    let queue = env.text("QUEUE_URL").and_then(|url| url.rsplit('/').next());
    let Some(mapping) = of_queue(&all, queue) else {
        let remedy = "create an event source mapping from the orders' queue to the processor, like ProcessorMapping of template.yaml";
        return vec![Finding::wrong("mapping", place, "no mapping brings the queue's messages to it", remedy)];
    };
    vec![enabled(place, mapping), partial(place, mapping)]
}

/// The mapping from a queue, or from any if none is named; an enabled one if there is one.
fn of_queue<'a>(
    all: &'a [EventSourceMappingConfiguration],
    queue: Option<&str>,
) -> Option<&'a EventSourceMappingConfiguration> {
    let is_ours = |mapping: &&EventSourceMappingConfiguration| {
        let source = mapping.event_source_arn().unwrap_or_default();
        queue.is_none_or(|queue| source.rsplit(':').next() == Some(queue))
    };
    all.iter().filter(is_ours).min_by_key(|mapping| !brings(mapping))
}

async fn mappings(function: &Function<'_>) -> Result<Vec<EventSourceMappingConfiguration>, String> {
    let mut all = Vec::new();
    for arn in &function.arns {
        let call = function.services.lambda.list_event_source_mappings().function_name(arn);
        let found = call.send().await.map_err(|error| describe(&error))?;
        all.extend(found.event_source_mappings.unwrap_or_default());
    }
    Ok(all)
}

/// Whether a mapping brings messages, or is about to.
fn brings(mapping: &EventSourceMappingConfiguration) -> bool {
    ["Enabled", "Enabling", "Updating"].contains(&mapping.state().unwrap_or_default())
}

fn enabled(place: &str, mapping: &EventSourceMappingConfiguration) -> Finding {
    let state = mapping.state().unwrap_or_default();
    let remedy =
        "enable it: `aws lambda update-event-source-mapping --enabled --uuid …`; orders wait until then, none is lost";
    Finding::held("mapping", place, brings(mapping), format!("its mapping is {state}"), remedy)
}

fn partial(place: &str, mapping: &EventSourceMappingConfiguration) -> Finding {
    let is_partial = mapping.function_response_types().contains(&FunctionResponseType::ReportBatchItemFailures);
    let what = if is_partial { "messages fail one by one" } else { "one failed message fails its whole batch" };
    let remedy = "set the mapping's FunctionResponseTypes to ReportBatchItemFailures: without it failed messages are deleted as done";
    Finding::held("mapping.partial", place, is_partial, what, remedy)
}

/// Checks the schedule of the sweeper.
async fn schedule(sweeper: &Function<'_>) -> Finding {
    let place = &sweeper.name;
    let rules = match rules(sweeper).await {
        Ok(rules) => rules,
        Err(why) => return Finding::not_checked("schedule", place, why),
    };
    let remedy = "enable the rule that invokes it each minute (`aws events enable-rule`), or deploy again: only the sweeper finds lost messages";
    let Some(rule) = rules.first() else {
        return Finding::wrong("schedule", place, "no schedule invokes it", remedy);
    };
    let state = rule.state().map_or("", RuleState::as_str);
    let what = format!("{} is {}", rule.schedule_expression().unwrap_or_default(), state.to_lowercase());
    Finding::held("schedule", place, is_enabled(rule), what, remedy)
}

/// The rules that invoke a function, by its own name or by an alias; the enabled ones first.
async fn rules(function: &Function<'_>) -> Result<Vec<DescribeRuleOutput>, String> {
    let events = &function.services.events;
    let mut rules = Vec::new();
    for arn in &function.arns {
        let call = events.list_rule_names_by_target().target_arn(arn);
        let named = call.send().await.map_err(|error| describe(&error))?;
        for name in named.rule_names() {
            rules.push(events.describe_rule().name(name).send().await.map_err(|error| describe(&error))?);
        }
    }
    rules.sort_by_key(|rule| !is_enabled(rule));
    Ok(rules)
}

/// The account in an ARN.
pub fn account(arn: &str) -> Option<&str> {
    arn.split(':').nth(4)
}

fn is_enabled(rule: &DescribeRuleOutput) -> bool {
    rule.state() == Some(&RuleState::Enabled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alias_of_the_template_is_preferred() {
        let alias = |name: &&str| AliasConfiguration::builder().name(*name).build();
        for (names, preferred) in
            [(&["blue", "live"][..], Some("live")), (&["blue", "green"], Some("blue")), (&[], None)]
        {
            let aliases: Vec<_> = names.iter().map(alias).collect();
            assert_eq!(invoked(&aliases).and_then(AliasConfiguration::name), preferred);
        }
    }

    #[test]
    fn enabled_mapping_of_the_queue_is_preferred() {
        let mapping = |(queue, state): &(&str, &str)| {
            let source = format!("arn:aws:sqs:us-east-1:000000000000:{queue}");
            EventSourceMappingConfiguration::builder().event_source_arn(source).state(*state).build()
        };
        let of = |mappings: &[(&str, &str)]| {
            let all: Vec<_> = mappings.iter().map(mapping).collect();
            of_queue(&all, Some("orders")).and_then(|found| found.state().map(str::to_owned))
        };
        assert_eq!(of(&[("other", "Enabled"), ("orders", "Disabled")]).as_deref(), Some("Disabled"));
        assert_eq!(of(&[("orders", "Disabled"), ("orders", "Updating")]).as_deref(), Some("Updating"));
        assert_eq!(of(&[("other", "Enabled")]), None);
    }
}
