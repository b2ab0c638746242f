//! `ordermill` at the terminal: `doctor` finds each fault that is planted here, by its name and with its remedy, and no
//! other; `load` knows a service that loses orders.

mod cloud;
mod database;
mod loading;
mod network;
mod tokens;

use std::path::Path;

use ordermill::deployment::Deployment;
use ordermill::doctor::{Finding, State, examine};
use ordermill::options::Target;
use tests::Stack;

/// A deployment as doctor is told of it.
pub struct Patient {
    target: Target,
    variables: Vec<(String, String)>,
}

impl Patient {
    /// One whose API is there, and of which nothing else is known.
    fn at(url: &str) -> Self {
        let target = Target { url: Some(url.to_owned()), ..Target::default() };
        Self { target, variables: Vec::new() }
    }

    /// The deployed stack, as its file describes it.
    fn deployed() -> Self {
        let stack = Stack::running();
        let names = ["DATABASE_URL", "QUEUE_URL", "DLQ_URL", "PROCESSOR_FUNCTION", "SWEEPER_FUNCTION"];
        let patient =
            Self::at(stack.get("API_URL")).bearing(stack.get("TOKEN_ADMIN")).with_aws().with("DATABASE_TLS", "off");
        names.into_iter().fold(patient, |patient, name| patient.with(name, stack.get(name)))
    }

    /// With access to the emulated AWS.
    fn with_aws(self) -> Self {
        let names = ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"];
        names.into_iter().fold(self, |patient, name| patient.with(name, Stack::running().get(name)))
    }

    fn bearing(mut self, token: &str) -> Self {
        self.target.token = Some(token.to_owned());
        self
    }

    fn trusting(mut self, file: &Path) -> Self {
        self.target.ca_file = Some(file.to_owned());
        self
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn place(&self) -> Deployment {
        let variables = self.variables.iter().map(|(name, value)| (name.into(), value.into()));
        Deployment::find(&self.target, variables).unwrap()
    }

    async fn findings(&self) -> Vec<Finding> {
        examine(&self.place()).await
    }

    /// Checks that doctor finds this check wrong, with these words and this remedy.
    async fn ails(&self, check: &str, what: &str, remedy: &str) {
        let findings = self.findings().await;
        let found = findings.iter().find(|finding| finding.check == check && finding.state == State::Wrong);
        let found = found.unwrap_or_else(|| panic!("{check} is not found wrong: {findings:#?}"));
        assert!(found.what.contains(what) && found.remedy.as_ref().unwrap().contains(remedy), "{found:#?}");
    }
}

/// The names of the checks that found something wrong.
fn wrong(findings: &[Finding]) -> Vec<&str> {
    findings.iter().filter(|finding| finding.state == State::Wrong).map(|finding| finding.check).collect()
}

#[tokio::test]
async fn doctor_finds_the_deployed_stack_well() {
    let findings = Patient::deployed().findings().await;
    // Other tests leave dead letters there, so many orders that some are late, and hold connections.
    let of_others = ["connections", "dead-letters", "overdue"];
    let wrong: Vec<_> = wrong(&findings).into_iter().filter(|check| !of_others.contains(check)).collect();
    assert!(wrong.is_empty(), "{findings:#?}");
    assert!(findings.len() > 30, "{findings:#?}");
}

#[tokio::test]
async fn doctor_calls_nothing_well_that_it_was_not_given_to_look_at() {
    let findings = Patient::at(Stack::running().get("API_URL")).findings().await;
    let state = |check: &str, place: &str| {
        let found = findings.iter().find(|finding| finding.check == check && finding.place == place);
        found.unwrap_or_else(|| panic!("{check} at {place}: {findings:#?}")).state
    };
    for (check, place) in [
        ("token", "ORDERMILL_TOKEN"),
        ("database", "DATABASE_URL"),
        ("queue", "QUEUE_URL"),
        ("queue", "DLQ_URL"),
        ("function", "PROCESSOR_FUNCTION"),
        ("function", "SWEEPER_FUNCTION"),
        ("overdue", "GET /metrics"),
        ("dead-letters", "GET /metrics"),
    ] {
        assert_eq!(state(check, place), State::NotChecked, "{check} at {place}");
    }
    assert_eq!(state("health", "GET /healthz"), State::Ok);
}
