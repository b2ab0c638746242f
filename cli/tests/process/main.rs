//! The program as a user runs it: its exit status and its output. Tests with an order need the stack that `make test` or
//! `make up` starts.

#![expect(clippy::unwrap_used, clippy::panic, reason = "an unwrap that fails is a test that fails")]

mod api;
mod cloud;
mod ending;
mod exporting;
mod proxy;
mod tailing;
mod tokens;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output};

use serde_json::Value;

use api::{Api, Manner};
use ending::at;

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

#[test]
fn wrong_usage_ends_with_two() {
    for wrong in [
        &["mend"][..],
        &["load", "--orders", "0"],
        &["load", "--batch", "501"],
        &["tail", "--interval", "no"],
        &["export", "--format", "csv"],
        &["export", "--from", "yesterday"],
        &["export", "--from", "2026-01-01", "--resume", "state"],
        &["export", "--from", "2026-01-01", "--format", "xml"],
        &["doctor"],
    ] {
        let output = run(wrong, &[]);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{output:?}");
    }
    let unnamed = run(&["doctor"], &[]);
    assert!(text(&unnamed.stderr).contains("give --url or ORDERMILL_URL"), "{unnamed:?}");
}

#[test]
fn tail_refuses_what_is_no_identifier_before_a_call() {
    let api = Api::start(Manner::Sound);
    for (what, rule) in [
        (&[""][..], "must be 1 to 64 characters"),
        (&["a/b"], "must be 1 to 64 characters"),
        (&[".."], "must be 1 to 64 characters"),
        (&["--user", ""], "must be 1 to 128 characters"),
    ] {
        let output = at(&api, &[&["tail"], what].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stderr).contains(rule), "{output:?}");
    }
    assert_eq!(api.calls(""), 0);
}

#[test]
fn empty_variables_count_as_unset() {
    let names = ["ORDERMILL_URL", "ORDERMILL_TOKEN", "ORDERMILL_CA_FILE", "ORDERMILL_ENV_FILE"];
    let output = run(&["doctor"], &names.map(|name| (name, "")));
    assert!(text(&output.stderr).starts_with("ordermill: no deployment is named"), "{output:?}");
    for flag in ["--url", "--token", "--ca-file", "--env-file"] {
        let refused = run(&["doctor", flag, ""], &[("ORDERMILL_URL", "http://127.0.0.1:1")]);
        assert!(refused.status.code() == Some(2) && text(&refused.stderr).contains(flag), "{refused:?}");
    }
}

#[test]
fn variable_that_is_not_utf_8_is_refused_by_its_name() {
    for name in ["ORDERMILL_TOKEN", "ORDERMILL_CA_FILE", "ORDERMILL_ENV_FILE"] {
        let mut command = command(&["doctor"], &[("ORDERMILL_URL", "http://127.0.0.1:1")]);
        let output = command.env(name, OsStr::from_bytes(b"\xff")).output().unwrap();
        assert_eq!(text(&output.stderr), format!("ordermill: {name} is not valid UTF-8\n"));
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
}

#[test]
fn unreachable_service_ends_with_status_three() {
    let nowhere = [("ORDERMILL_URL", "http://127.0.0.1:1"), ("ORDERMILL_TOKEN", "a.e30.b")];
    for command in [&["doctor"][..], &["load", "-n", "1"]] {
        let output = run(command, &nowhere);
        assert_eq!(output.status.code(), Some(3), "{command:?}: {output:?}");
    }
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
        let output = run(&["doctor", "--url", "http://127.0.0.1:1", "--ca-file", &file], &[]);
        assert_eq!(output.status.code(), Some(2), "{text}: {output:?}");
        assert!(self::text(&output.stderr).starts_with(&format!("ordermill: {file} ")), "{output:?}");
    }
}

#[test]
fn load_refuses_a_file_that_it_can_not_write_before_its_run() {
    let api = Api::start(Manner::Sound);
    let output = at(&api, &["load", "-n", "1", "--svg", "/nowhere/plot.svg"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stderr).starts_with("ordermill: /nowhere/plot.svg can't be written"), "{output:?}");
    assert_eq!(api.calls(""), 0);
}

#[test]
fn output_to_a_file_or_pipe_has_no_colours() {
    let output = run(&["doctor", "--url", "http://127.0.0.1:1"], &[]);
    assert!(text(&output.stdout).contains("wrong") && !output.stdout.contains(&0x1b), "{output:?}");
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
fn findings_are_one_document_with_a_remedy_for_each_fault() {
    let output = run(&["--json", "doctor", "--url", "http://127.0.0.1:1"], &[]);
    let report = json(&output);
    assert_eq!((&report["url"], &report["wrong"]), (&"http://127.0.0.1:1/".into(), &1.into()));
    for finding in report["findings"].as_array().unwrap() {
        assert_eq!(finding["state"] == "wrong", finding["remedy"].is_string(), "{finding}");
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
