//! Commands that wait for the API, and go on after an outage.

use std::io::{BufRead, BufReader, Read};
use std::process::Child;

use rustix::process::Signal;

use super::super::api::{Api, Manner};
use super::{at, end, interrupt, send, wait_until};

/// The commands that wait for the API.
const PATIENT: [&[&str]; 2] = [&["tail"], &["export", "--from", "2026-01-01"]];

/// Starts a command. Returns it and its standard error after the first line, which names this cause of its wait.
fn waiting(api: &Api, arguments: &[&str], cause: &str) -> (Child, impl Read) {
    let mut child = at(api, arguments).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert_eq!(line, format!("ordermill: waiting for the API: {cause}\n"));
    (child, stderr)
}

#[test]
fn tail_and_export_name_a_service_that_does_not_answer() {
    for arguments in PATIENT {
        let api = Api::start(Manner::SilentTo(""));
        let (child, _stderr) = waiting(&api, arguments, "it does not answer");
        send(&child, Signal::INT);
        end(child);
    }
}

#[test]
fn tail_and_export_name_the_cause_of_a_wait_once() {
    for arguments in PATIENT {
        let api = Api::start(Manner::Unavailable);
        let (child, mut stderr) = waiting(&api, arguments, "503: Service temporarily unavailable");
        // The wait after the next try has the same cause. It has begun and ended once there is yet another try.
        let tries = api.calls("");
        wait_until("the second try", || api.calls("") >= tries + 2);
        send(&child, Signal::INT);
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).unwrap();
        assert!(!rest.contains("waiting"), "{rest}");
        end(child);
    }
}

#[test]
fn tail_outlasts_an_outage_and_says_which_orders_it_leaves_out() {
    let api = Api::start(Manner::Unavailable);
    let add = |number: u32| {
        let (minute, second) = (number / 60, number % 60);
        api.add_created(&format!("o-{number}"), &format!("2026-01-01T00:{minute:02}:{second:02}Z"));
    };
    add(0);
    api.recover();
    let mut child = at(&api, &["tail", "--interval", "0.1"]).spawn().unwrap();
    wait_until("an answer", || api.calls("/orders") > 1);
    api.relapse();
    let calls = api.calls("");
    wait_until("the seventh try", || api.calls("") > calls + 6);
    (1..=1100).for_each(add);
    api.recover();
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(stderr.next().unwrap().contains("waiting for the API: 503"));
    assert_eq!(stderr.next().unwrap(), "ordermill: the API answers again");
    let left_out = "those that were created between 2026-01-01T00:00:00Z and 2026-01-01T00:01:41Z are left out";
    assert_eq!(stderr.next().unwrap(), format!("ordermill: more than 1000 orders are new; {left_out}"));
    assert_eq!(interrupt(child), Some(0));
}
