//! The command `ordermill`: `doctor` finds each planted fault and no other, by its name and with its remedy; `load` notices
//! a service that loses orders.

mod cloud;
mod database;
mod loading;
mod network;

use std::path::Path;

use ordermill::deployment::Deployment;
use ordermill::doctor::{Finding, Verdict, examine};
use ordermill::options::Target;
use serde_json::json;
use tests::{Issuer, Signature, Stack};

/// A deployment as described to `doctor` by its options and variables.
pub struct Patient {
    target: Target,
    variables: Vec<(String, String)>,
}

impl Patient {
    /// A deployment with only the URL of its API.
    fn at(url: &str) -> Self {
        let target = Target { url: Some(url.to_owned()), ..Target::default() };
        Self { target, variables: Vec::new() }
    }

    /// Adds the credentials of the emulated AWS.
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

    /// What doctor finds by this check.
    async fn finding(&self, check: &str) -> Finding {
        let found = self.findings().await.into_iter().find(|finding| finding.check == check);
        found.unwrap_or_else(|| panic!("no finding by {check}"))
    }

    /// Checks that doctor finds this check wrong, with these words and this remedy.
    async fn assert_wrong(&self, check: &str, what: &str, remedy: &str) {
        let findings = self.findings().await;
        let found = findings.iter().find(|finding| finding.check == check && finding.state == Verdict::Wrong);
        let found = found.unwrap_or_else(|| panic!("{check} is not found wrong: {findings:#?}"));
        assert!(found.what.contains(what) && found.remedy.as_ref().unwrap().contains(remedy), "{found:#?}");
    }
}

/// The names of the checks that found something wrong.
fn wrong(findings: &[Finding]) -> Vec<&str> {
    findings.iter().filter(|finding| finding.state == Verdict::Wrong).map(|finding| finding.check).collect()
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn doctor_finds_no_fault_in_the_deployed_stack() {
    let stack = Stack::running();
    let names = ["DATABASE_URL", "QUEUE_URL", "DLQ_URL", "PROCESSOR_FUNCTION", "SWEEPER_FUNCTION"];
    let api =
        Patient::at(stack.get("API_URL")).bearing(stack.get("TOKEN_ADMIN")).with_aws().with("DATABASE_TLS", "off");
    let patient = names.into_iter().fold(api, |patient, name| patient.with(name, stack.get(name)));
    let findings = patient.findings().await;
    // Other tests leave dead letters, create enough orders that some are late, and hold connections.
    let affected_by_others = ["connections", "dead-letters", "overdue"];
    let wrong: Vec<_> = wrong(&findings).into_iter().filter(|check| !affected_by_others.contains(check)).collect();
    assert!(wrong.is_empty(), "{findings:#?}");
    assert!(findings.len() > 30, "{findings:#?}");
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn doctor_reports_what_it_could_not_check() {
    let findings = Patient::at(Stack::running().get("API_URL")).findings().await;
    let state = |check: &str, subject: &str| {
        let found = findings.iter().find(|finding| finding.check == check && finding.place == subject);
        found.unwrap_or_else(|| panic!("{check} of {subject}: {findings:#?}")).state
    };
    for (check, subject) in [
        ("token", "ORDERMILL_TOKEN"),
        ("database", "DATABASE_URL"),
        ("queue", "QUEUE_URL"),
        ("queue", "DLQ_URL"),
        ("function", "PROCESSOR_FUNCTION"),
        ("function", "SWEEPER_FUNCTION"),
        ("overdue", "GET /metrics"),
        ("dead-letters", "GET /metrics"),
    ] {
        assert_eq!(state(check, subject), Verdict::NotChecked, "{check} of {subject}");
    }
    assert_eq!(state("health", "GET /healthz"), Verdict::Ok);
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn doctor_finds_each_fault_of_a_token_and_its_refusal() {
    let stack = Stack::running();
    let (url, issuer) = (stack.get("API_URL"), Issuer::of(&stack));
    let bearing = |token: &str| Patient::at(url).bearing(token).with_aws();
    let claims = issuer.claims("alice", "orders/read orders/write");
    let accepted = "`https://other.example`, and the gateway accepts `http://127.0.0.1:";
    let audience = "`shop`, and the gateway accepts ordermill";
    for (claim, value, [check, what, remedy], [status, why]) in [
        ("exp", json!(1_600_000_000), ["token.expiry", "expired", "get a new one"], ["401", "has not expired"]),
        ("iss", json!("https://other.example"), ["token.issuer", accepted, "JwtIssuer"], ["401", "issuer"]),
        ("aud", json!("shop"), ["token.audience", audience, "JwtAudience"], ["401", "audience"]),
        (
            "scope",
            json!("openid"),
            ["token.scopes", "none of orders/read", "orders/read orders/write"],
            ["403", "scopes"],
        ),
    ] {
        let mut claims = claims.clone();
        claims[claim] = value;
        let patient = bearing(&issuer.token(&claims));
        patient.assert_wrong(check, what, remedy).await;
        patient.assert_wrong("access", status, why).await;
    }
    bearing("abc").assert_wrong("token", "does not have the three parts of a JWT", "get a new one").await;
    let foreign = bearing(&issuer.token_with(("typ", "JWT"), &claims, Signature::Strangers));
    foreign.assert_wrong("access", "401", "issuer").await;
}
