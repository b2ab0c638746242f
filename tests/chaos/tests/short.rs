//! A short run of the program, which injects every fault a few times.

use std::process::Command;

#[test]
#[ignore = "needs the built functions: `make test` runs it"]
fn orders_survive_every_fault_in_a_short_run() {
    let mut chaos = Command::new(env!("CARGO_BIN_EXE_chaos"));
    let output = chaos.current_dir("../..").env("SHORT", "1").output().expect("the program starts");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}");
}
