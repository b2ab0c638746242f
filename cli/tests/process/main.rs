//! The program as a user runs it: its exit status and its output. Tests with an order need the stack that `make test` or
//! `make up` starts.

#![expect(clippy::unwrap_used, clippy::panic, reason = "an unwrap that fails is a test that fails")]

mod api;
mod cloud;
mod ending;
mod exporting;
mod tailing;
mod tokens;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output};

use serde_json::Value;

use api::{Api, Manner};
use ending::at;

/// The URL of a service that can't be reached.
const NOWHERE: &str = "http://127.0.0.1:1";

/// The program, without this process's environment.
fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ordermill"));
    command.args(arguments).env_clear().env("STACK_DIR", "/nowhere").envs(variables.iter().copied());
    command
}

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    command(arguments, variables).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The finding of this check in a report of doctor.
fn finding<'a>(report: &'a Value, check: &str) -> &'a Value {
    let found = report["findings"].as_array().unwrap().iter().find(|finding| finding["check"] == check);
    found.unwrap_or_else(|| panic!("{check}: {report}"))
}

/// Checks that the command was refused: it ended with 2, and printed this complaint and no result.
fn assert_refused(output: &Output, complaint: &str) {
    let is_refused = output.status.code() == Some(2) && output.stdout.is_empty();
    assert!(is_refused && text(&output.stderr).contains(complaint), "{complaint}: {output:?}");
}

#[test]
fn wrong_usage_ends_with_two_and_its_cause_before_a_call() {
    let api = Api::start(Manner::Sound);
    for (wrong, complaint) in [
        (&["mend"][..], "mend"),
        (&["load", "--orders", "0"], "--orders"),
        (&["load", "--batch", "501"], "--batch"),
        (&["load", "--token", "abc"], "ordermill: --token is no token"),
        (&["load", "--svg", "/nowhere/plot.svg"], "ordermill: /nowhere/plot.svg can't be written"),
        (&["tail", "--interval", "no"], "--interval"),
        (&["tail", ""], "must be 1 to 64 characters"),
        (&["tail", "a/b"], "must be 1 to 64 characters"),
        (&["tail", ".."], "must be 1 to 64 characters"),
        (&["tail", "--user", ""], "must be 1 to 128 characters"),
        (&["export", "--format", "csv"], "--from"),
        (&["export", "--from", "yesterday"], "--from"),
        (&["export", "--from", "2026-01-01", "--resume", "state"], "--file"),
        (&["export", "--from", "2026-01-01", "--format", "xml"], "--format"),
        (&["doctor", "--url", ""], "--url"),
        (&["doctor", "--token", ""], "--token"),
        (&["doctor", "--ca-file", ""], "--ca-file"),
        (&["doctor", "--env-file", ""], "--env-file"),
    ] {
        assert_refused(&at(&api, wrong).output().unwrap(), complaint);
    }
    assert_eq!(api.calls(""), 0);
    assert_refused(&run(&["doctor"], &[]), "ordermill: no deployment is named");
    assert_refused(&run(&["doctor"], &[]), "give --url or ORDERMILL_URL");
}

#[test]
fn empty_variables_count_as_unset() {
    let names = ["ORDERMILL_URL", "ORDERMILL_TOKEN", "ORDERMILL_CA_FILE", "ORDERMILL_ENV_FILE"];
    assert_refused(&run(&["doctor"], &names.map(|name| (name, ""))), "ordermill: no deployment is named");
}

#[test]
fn variable_that_is_not_utf_8_is_refused_by_its_name() {
    for name in ["ORDERMILL_TOKEN", "ORDERMILL_CA_FILE", "ORDERMILL_ENV_FILE"] {
        let mut command = command(&["doctor"], &[("ORDERMILL_URL", NOWHERE)]);
        let output = command.env(name, OsStr::from_bytes(b"\xff")).output().unwrap();
        assert_refused(&output, &format!("ordermill: {name} is not valid UTF-8\n"));
    }
}

#[test]
fn unreachable_service_is_one_fault_and_ends_with_three() {
    let [shown, listed] =
        [&["doctor"][..], &["--json", "doctor"]].map(|doctor| run(doctor, &[("ORDERMILL_URL", NOWHERE)]));
    assert_eq!([shown.status.code(), listed.status.code()], [Some(3); 2], "{shown:?}");
    let has_colours = shown.stdout.contains(&0x1b);
    assert!(text(&shown.stdout).contains("wrong") && !has_colours, "{shown:?}");
    let report = json(&listed);
    assert_eq!((&report["url"], &report["wrong"]), (&"http://127.0.0.1:1/".into(), &1.into()));
    for finding in report["findings"].as_array().unwrap() {
        assert_eq!(finding["state"] == "wrong", finding["remedy"].is_string(), "{finding}");
    }
    let load = run(&["load", "-n", "1"], &[("ORDERMILL_URL", NOWHERE), ("ORDERMILL_TOKEN", "a.e30.b")]);
    assert_eq!(load.status.code(), Some(3), "{load:?}");
}

#[test]
fn doctor_of_an_api_that_is_healthy_alone_ends_with_three() {
    let api = Api::start(Manner::HealthyBut(503));
    let output = at(&api, &["--json", "doctor"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let without_token = run(&["--json", "doctor"], &[("ORDERMILL_URL", &*api.url())]);
    assert_eq!(without_token.status.code(), Some(1), "{without_token:?}");
}

#[test]
fn help_lists_every_exit_status() {
    let help = run(&["--help"], &[]);
    assert_eq!(help.status.code(), Some(0));
    for status in ["0", "1", "2", "3", "130", "141", "143"] {
        assert!(text(&help.stdout).contains(&format!("\n  {status:>3}  ")), "{status}: {help:?}");
    }
    assert!(text(&help.stdout).contains("[variable: `ORDERMILL_URL`]"), "{help:?}");
}

#[test]
fn help_of_a_command_has_its_own_flags_first() {
    for (command, last) in [("load", "--svg"), ("tail", "--last"), ("export", "--rate")] {
        let help = run(&[command, "--help"], &[]);
        let (own, of_all) = text(&help.stdout).split_once("Deployment:").unwrap();
        assert!(own.contains(last) && own.contains("--json") && !own.contains("--url"), "{own}");
        assert!(of_all.contains("--url") && of_all.contains("--env-file"), "{of_all}");
    }
}

#[test]
fn file_without_a_certificate_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem").display().to_string();
    for text in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&file, text).unwrap();
        let output = run(&["doctor", "--url", NOWHERE, "--ca-file", &file], &[]);
        assert_refused(&output, &format!("ordermill: {file} "));
    }
}

#[test]
fn help_and_errors_have_no_colours_in_a_pipeline() {
    // CLICOLOR_FORCE stands for a terminal.
    for (variable, has_colours) in [(("LANG", "C"), true), (("CI", "true"), false), (("NO_COLOR", "1"), false)] {
        for arguments in [&["--help"][..], &["mend"]] {
            let output = run(arguments, &[variable, ("CLICOLOR_FORCE", "1")]);
            let printed = [output.stdout, output.stderr].concat();
            assert_eq!(printed.contains(&0x1b), has_colours, "{variable:?} {arguments:?}: {}", text(&printed));
        }
    }
}

#[test]
#[ignore = "needs the deployed stack: `make test` runs it"]
fn tail_of_an_order_has_a_line_a_status_and_ends_with_it() {
    let file = std::env::var("STACK_ENV").unwrap_or_else(|_| "../.local/env".to_owned());
    let run = |arguments: &[&str]| run(&[&["--env-file", &file], arguments].concat(), &[]);
    let loaded = run(&["load", "-n", "1", "--json"]);
    assert_eq!(loaded.status.code(), Some(0), "{loaded:?}");
    let order_id = format!("{}-0", json(&loaded)["run"].as_str().unwrap());
    let tailed = run(&["tail", &order_id, "--json"]);
    assert_eq!(tailed.status.code(), Some(0), "{tailed:?}");
    let lines: Vec<Value> = text(&tailed.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["order_id"] == order_id.as_str()), "{lines:?}");
    let statuses: Vec<_> = lines.iter().map(|line| line["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["pending", "processing", "completed"]);
    let unknown = run(&["tail", "no-such-order"]);
    assert!(unknown.status.code() == Some(1) && text(&unknown.stderr).contains("404"), "{unknown:?}");
}
