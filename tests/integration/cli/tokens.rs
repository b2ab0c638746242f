//! Faults of tokens for the deployed gateway.

use serde_json::json;
use tests::{Issuer, Signature, Stack};

use super::Patient;

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
