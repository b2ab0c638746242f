//! A client can be generated from the published document.

use tests::Stack;
use tokio::process::Command;

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn generated_client_creates_and_follows_orders() {
    let stack = Stack::running();
    let mut python = Command::new("../.venv/clients/bin/python");
    python.arg("clients/follow.py").env("API_URL", stack.get("API_URL")).env("TOKEN", stack.get("TOKEN_ALICE"));
    let output = python.output().await.expect("`make tools` installs the generator");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
