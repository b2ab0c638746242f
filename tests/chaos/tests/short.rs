//! The short form of the program, which breaks everything a few times.

use std::process::Command;

#[test]
fn a_minute_of_every_fault_loses_nothing_doubles_nothing_and_leaves_nothing_behind() {
    let mut chaos = Command::new(env!("CARGO_BIN_EXE_chaos"));
    let output = chaos.current_dir("../..").env("SHORT", "1").output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
