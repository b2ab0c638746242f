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
    bearing("abc").assert_wrong("token", "does not have the three parts of a JWT", "get a new one").await;
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn doctor_finds_each_wrong_claim_and_its_refusal() {
    let issuer = "`https://other.example`, and the gateway accepts `http://127.0.0.1:";
    let audience = "`shop`, and the gateway accepts ordermill";
    for (claim, value, [check, what, remedy], [status, why]) in [
        ("exp", json!(1_600_000_000), ["token.expiry", "expired", "get a new one"], ["401", "has not expired"]),
        ("iss", json!("https://other.example"), ["token.issuer", issuer, "JwtIssuer"], ["401", "issuer"]),
        ("aud", json!("shop"), ["token.audience", audience, "JwtAudience"], ["401", "audience"]),
        (
            "scope",
            json!("openid"),
            ["token.scopes", "none of orders/read", "orders/read orders/write"],
            ["403", "scopes"],
        ),
    ] {
        let patient = claiming(claim, value);
        patient.assert_wrong(check, what, remedy).await;
        patient.assert_wrong("access", status, why).await;
    }
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn doctor_finds_a_token_with_a_foreign_signature() {
    let claims = issuer().claims("alice", "orders/read orders/write");
    let patient = bearing(&issuer().token_with(("typ", "JWT"), &claims, Signature::Strangers));
    patient.assert_wrong("access", "401", "issuer").await;
}
