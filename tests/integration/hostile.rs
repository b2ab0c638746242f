//! Hostile input: calls generated from the OpenAPI document, random values, and calls from other origins.

mod found;
mod made_up;
mod origins;

use std::process::Command;

use tests::{Issuer, Stack};

/// How many seconds schemathesis calls the service, and the least number of calls. `make fuzz` runs longer.
const SECONDS: &str = "25";
const CASES: &str = "200";

/// The calls come from a user who can't access the orders of other tests. `make fuzz` also makes an administrator's calls.
#[test]
fn generated_calls_are_answered_as_the_document_says() {
    let stack = Stack::running();
    let issuer = Issuer::of(&stack);
    let output = Command::new("../.venv/stack/bin/python")
        .env("PYTHONPATH", ".")
        .env("API_URL", stack.get("API_URL"))
        .env("SITE_URL", stack.get("SITE_URL"))
        .env("FUZZ_TOKEN", issuer.token(&issuer.claims("fuzz", "orders/read orders/write")))
        .env("FUZZ_USER", "fuzz")
        .env("FUZZ_SECONDS", SECONDS)
        .env("FUZZ_CASES", CASES)
        .args(["-m", "stack.fuzz"])
        .output()
        .unwrap_or_else(|error| panic!("could not run Python: {error}; run `make tools`"));
    let printed = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&printed));
}
