//! Faults of tokens for the deployed gateway.

use serde_json::{Value, json};
use tests::{Issuer, Signature, Stack};

use super::Patient;

fn issuer() -> Issuer {
    Issuer::of(&Stack::running())
}

/// The deployed API, with a token that is valid except for this claim.
fn claiming(name: &str, value: Value) -> Patient {
    let mut claims = issuer().claims("alice", "orders/read orders/write");
    claims[name] = value;
    bearing(&issuer().token(&claims))
}

fn bearing(token: &str) -> Patient {
    Patient::at(Stack::running().get("API_URL")).bearing(token).with_aws()
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn doctor_finds_what_is_no_token() {
    bearing("abc").assert_wrong("token", "does not have the three parts of a JWT", "without `Bearer`").await;
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn doctor_finds_an_expired_token_and_its_refusal() {
    let patient = claiming("exp", json!(1_600_000_000));
    patient.assert_wrong("token.expiry", "expired", "get a new one").await;
    patient.assert_wrong("access", "401", "has not expired").await;
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn doctor_finds_a_token_of_another_issuer() {
    let patient = claiming("iss", "https://other.example".into());
    patient
        .assert_wrong(
            "token.issuer",
            "`https://other.example`, and the gateway accepts `http://127.0.0.1:",
            "JwtIssuer",
        )
        .await;
    patient.assert_wrong("access", "401", "issuer").await;
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn doctor_finds_a_token_for_another_audience() {
    let patient = claiming("aud", "shop".into());
    patient.assert_wrong("token.audience", "`shop`, and the gateway accepts ordermill", "JwtAudience").await;
    patient.assert_wrong("access", "401", "audience").await;
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn doctor_finds_a_token_without_the_required_scopes() {
    let patient = claiming("scope", "openid".into());
    patient.assert_wrong("token.scopes", "none of orders/read", "orders/read orders/write").await;
    patient.assert_wrong("access", "403", "scopes").await;
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn doctor_finds_a_token_with_a_foreign_signature() {
    let claims = issuer().claims("alice", "orders/read orders/write");
    bearing(&issuer().token_with(("typ", "JWT"), &claims, Signature::Strangers))
        .assert_wrong("access", "401", "issuer")
        .await;
}
