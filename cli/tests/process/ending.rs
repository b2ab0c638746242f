//! Commands that end early: the reader closes the pipe, or a signal comes.

mod outages;

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::api::{Api, Manner};
use super::{command, json, text};

/// The time-out of every wait.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn at(api: &Api, arguments: &[&str]) -> Command {
    let mut command = command(arguments, &[("ORDERMILL_URL", &api.url()), ("ORDERMILL_TOKEN", "a.e30.b")]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what} does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The exit status and the rest of both outputs.
pub fn end(child: Child) -> Output {
    let (pid, (sender, outputs)) = (Pid::from_child(&child), channel());
    std::thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
    outputs.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        kill_process(pid, Signal::KILL).unwrap();
        panic!("the command does not end")
    })
}

pub fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// The exit status after an interrupt.
pub fn interrupt(child: Child) -> Option<i32> {
    send(&child, Signal::INT);
    end(child).status.code()
}

/// Checks that the command ends as a closed pipe ends it, and prints nothing more.
fn assert_silent_end(child: Child) {
    let output = end(child);
    let is_silent = output.stdout.is_empty() && output.stderr.is_empty();
    assert!(output.status.code() == Some(141) && is_silent, "{output:?}");
}

#[test]
fn tail_ends_silently_once_its_pipe_is_closed() {
    let api = Api::start(Manner::Sound);
    api.add("o-1");
    for arguments in [&["tail"][..], &["tail", "--json"], &["tail", "o-1"]] {
        let mut child = at(&api, arguments).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("o-1"), "{line}");
        assert_silent_end(child);
    }
}

#[test]
fn load_and_doctor_end_silently_at_a_closed_pipe() {
    let api = Api::start(Manner::Sound);
    for arguments in [&["load", "-n", "1000", "-r", "20"][..], &["doctor"], &["--json", "doctor"]] {
        let mut child = at(&api, arguments).spawn().unwrap();
        drop(child.stdout.take());
        assert_silent_end(child);
    }
}

#[test]
fn output_that_can_not_be_written_is_an_error() {
    let api = Api::start(Manner::Sound);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = at(&api, &["doctor"]).stdout(full).output().unwrap();
    let is_named = text(&output.stderr).contains("the output can't be written");
    assert!(output.status.code() == Some(1) && is_named, "{output:?}");
}

#[test]
fn load_interrupted_while_it_creates_reports_what_it_has() {
    let api = Api::start(Manner::Sound);
    let child = at(&api, &["load", "-n", "1000", "-r", "50", "--json"]).spawn().unwrap();
    wait_until("an order", || api.accepted() >= 5);
    send(&child, Signal::INT);
    let output = end(child);
    let report = json(&output);
    assert_eq!((output.status.code(), &report["ok"]), (Some(130), &false.into()));
    assert!((5..1000).contains(&api.accepted()), "{report}");
    let accepted = Value::from(api.accepted());
    assert_eq!((&report["accepted"], &report["unfinished"], &report["lost"]), (&accepted, &accepted, &0.into()));
    assert!(report["acceptance"]["p50"].is_number(), "{report}");
}

#[test]
fn load_interrupted_twice_ends_at_once() {
    let api = Api::start(Manner::SilentTo(""));
    let mut child = at(&api, &["load", "-n", "3"]).spawn().unwrap();
    wait_until("a call", || api.calls("") > 0);
    send(&child, Signal::INT);
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("interrupted"), "{line}");
    let begun = Instant::now();
    assert_eq!(interrupt(child), Some(130));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

/// Interrupts a command once the service has got a call. It must end within 5 s. Returns its output.
fn interrupted(manner: Manner, arguments: &[&str], signal: Signal, has_call: fn(&Api) -> bool) -> Output {
    let api = Api::start(manner);
    let child = at(&api, arguments).spawn().unwrap();
    wait_until("the call", || has_call(&api));
    send(&child, signal);
    let begun = Instant::now();
    let output = end(child);
    assert!(begun.elapsed() < Duration::from_secs(5), "{arguments:?} took {:?}", begun.elapsed());
    assert!(text(&output.stderr).contains("interrupted"), "{output:?}");
    output
}

/// How the service answers, the call that the signal follows, the signal, and then the exit status, the accepted orders and what the
/// report says.
type Interruption = (Manner, fn(&Api) -> bool, Signal, i32, i32, &'static str);

#[test]
fn interrupted_load_ends_with_its_report_though_a_call_hangs() {
    let is_called = |api: &Api| api.calls("") > 0;
    let is_created = |api: &Api| api.accepted() == 3;
    let is_followed = |api: &Api| api.calls("/status") > 0;
    let is_read = |api: &Api| api.calls("order_id=") > 0;
    let unread = "interrupted; the orders could not be read in time";
    let cases: [Interruption; 6] = [
        (Manner::Sound, is_followed, Signal::INT, 130, 3, "interrupted"),
        (Manner::Sound, is_followed, Signal::TERM, 143, 3, "interrupted"),
        (Manner::SilentTo(""), is_called, Signal::INT, 130, 0, "interrupted"),
        (Manner::SilentTo(""), is_called, Signal::TERM, 143, 0, "interrupted"),
        (Manner::SilentTo("POST"), is_created, Signal::INT, 130, 0, "interrupted"),
        (Manner::SilentTo("limit=200"), is_read, Signal::INT, 130, 3, unread),
    ];
    for (manner, has_call, signal, code, accepted, incomplete) in cases {
        let output = interrupted(manner, &["load", "-n", "3", "--json"], signal, has_call);
        let report = json(&output);
        let shown = (output.status.code(), &report["accepted"], &report["incomplete"]);
        assert_eq!(shown, (Some(code), &accepted.into(), &incomplete.into()), "{report}");
    }
    let shown = interrupted(Manner::Sound, &["load", "-n", "3"], Signal::INT, is_followed);
    assert!(text(&shown.stdout).contains("interrupted; 3 unfinished."), "{shown:?}");
}

#[test]
fn export_of_a_service_that_never_answers_ends_with_its_report() {
    let folder = tempfile::tempdir().unwrap();
    for (number, manner) in [Manner::SilentTo(""), Manner::Unavailable].into_iter().enumerate() {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let file = folder.path().join(format!("{number}-{code}")).display().to_string();
            let arguments = ["export", "--json", "--from", "2026-01-01", "--file", &file];
            let output = interrupted(manner, &arguments, signal, |api| api.calls("") > 0);
            assert_eq!((output.status.code(), &json(&output)["complete"]), (Some(code), &false.into()));
        }
    }
}

#[test]
fn load_reports_the_orders_that_it_read_before_a_read_failed() {
    for (lists, completed) in [(0, 0), (1, 100)] {
        let api = Api::start(Manner::Listing(lists));
        let output = at(&api, &["load", "-n", "150"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let report = text(&output.stdout);
        for (name, count) in [("accepted", 150), ("completed", completed), ("lost", 0)] {
            assert!(report.contains(&format!("{name:11}{count:8}")), "{name}: {report}");
        }
        // The service has counted the other orders too.
        assert!(report.contains("404") && !report.contains("the service counted"), "{report}");
    }
}

#[test]
fn load_waits_as_long_as_its_oldest_active_order_asks_for() {
    let api = Api::start(Manner::Sound);
    let child = at(&api, &["load", "-n", "3", "-c", "1"]).spawn().unwrap();
    wait_until("a status", || api.calls("/status") > 0);
    assert!(api.calls("-0/status") > 0);
    assert_eq!(interrupt(child), Some(130));
}

#[test]
fn load_shows_its_report_though_the_plot_can_not_be_written() {
    let api = Api::start(Manner::Sound);
    let arguments = ["load", "-n", "3", "--patience", "1", "--svg", "/dev/full", "--json"];
    let output = at(&api, &arguments).output().unwrap();
    assert_eq!((output.status.code(), &json(&output)["unfinished"]), (Some(1), &3.into()));
    assert!(text(&output.stderr).contains("/dev/full can't be written"), "{output:?}");
}
