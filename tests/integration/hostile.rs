//! Input that no honest client sends: made up from the OpenAPI document, made up from nothing, and called from other origins.

mod found;
mod made_up;
mod origins;

use std::process::Command;

use tests::{Issuer, Stack};

/// How long schemathesis calls the service, in seconds, and the fewest calls that count; `make fuzz` takes longer.
const SECONDS: &str = "25";
const CASES: &str = "200";

/// As a user of its own, so that it can't get at the orders of other tests: what an administrator may do, `make fuzz` does.
#[test]
fn calls_made_up_from_the_document_are_answered_as_it_says() {
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
        .unwrap_or_else(|error| panic!("`make tools` installs what is missing: {error}"));
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}
