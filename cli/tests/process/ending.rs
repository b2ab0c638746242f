//! Commands that end early: the reader closes the pipe, or a signal comes.

mod outages;

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::api::{Api, Manner};
use super::command;

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
pub fn end(mut child: Child) -> (Option<i32>, String, String) {
    let end = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > end {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the command does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let read = |stream: Option<&mut dyn Read>| {
        let mut text = String::new();
        stream.map_or(Ok(0), |stream| stream.read_to_string(&mut text)).unwrap();
        text
    };
    let stdout = read(child.stdout.as_mut().map(|stream| stream as _));
    (status.code(), stdout, read(child.stderr.as_mut().map(|stream| stream as _)))
}

pub fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// The exit status after an interrupt.
pub fn interrupt(child: Child) -> Option<i32> {
    send(&child, Signal::INT);
    end(child).0
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
        assert_eq!(end(child), (Some(141), String::new(), String::new()), "{arguments:?}");
    }
}

#[test]
fn load_and_doctor_end_silently_at_a_closed_pipe() {
    let api = Api::start(Manner::Sound);
    for arguments in [&["load", "-n", "1000", "-r", "20"][..], &["doctor"], &["--json", "doctor"]] {
        let mut child = at(&api, arguments).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(end(child), (Some(141), String::new(), String::new()), "{arguments:?}");
    }
}

#[test]
fn output_that_can_not_be_written_is_an_error() {
    let api = Api::start(Manner::Sound);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (status, _, complaint) = end(at(&api, &["doctor"]).stdout(full).spawn().unwrap());
    assert!(status == Some(1) && complaint.contains("the output can't be written"), "{status:?}: {complaint}");
}

#[test]
fn load_interrupted_while_it_creates_reports_what_it_has() {
    let api = Api::start(Manner::Sound);
    let child = at(&api, &["load", "-n", "1000", "-r", "50", "--json"]).spawn().unwrap();
    wait_until("an order", || api.accepted() >= 5);
    send(&child, Signal::INT);
    let (status, stdout, stderr) = end(child);
    let report: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
    assert_eq!((status, &report["ok"], &report["incomplete"]), (Some(130), &false.into(), &"interrupted".into()));
    assert!((5..1000).contains(&api.accepted()), "{report}");
    let accepted = Value::from(api.accepted());
    assert_eq!((&report["accepted"], &report["unfinished"], &report["lost"]), (&accepted, &accepted, &0.into()));
    assert!(report["acceptance"]["p50"].is_number(), "{report}");
}

#[test]
fn load_interrupted_while_it_follows_reports_what_it_has() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let (status, stdout) = interrupted(Manner::Sound, &["load", "-n", "3"], signal, |api| api.calls("/status") > 0);
        assert_eq!(status, Some(code), "{stdout}");
        assert!(stdout.contains("accepted          3") && stdout.contains("interrupted; 3 unfinished."), "{stdout}");
    }
}

#[test]
fn load_interrupted_twice_ends_at_once() {
    let api = Api::start(Manner::Silent);
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

/// Interrupts a command once the service has got a call. It must end within 5 s. Returns its exit status and standard output.
fn interrupted(
    manner: Manner,
    arguments: &[&str],
    signal: Signal,
    has_call: fn(&Api) -> bool,
) -> (Option<i32>, String) {
    let api = Api::start(manner);
    let child = at(&api, arguments).spawn().unwrap();
    wait_until("the call", || has_call(&api));
    send(&child, signal);
    let begun = Instant::now();
    let (status, stdout, stderr) = end(child);
    assert!(begun.elapsed() < Duration::from_secs(5), "{arguments:?} took {:?}", begun.elapsed());
    assert!(stderr.contains("interrupted"), "{stderr}");
    (status, stdout)
}

/// How the service answers, the call that the signal follows, the signal, and then the exit status, the accepted orders and what the
/// report says.
type Silence = (Manner, fn(&Api) -> bool, Signal, i32, i32, &'static str);

#[test]
fn load_of_a_service_that_falls_silent_ends_with_its_report() {
    let is_called = |api: &Api| api.calls("") > 0;
    let is_created = |api: &Api| api.accepted() == 3;
    let is_read = |api: &Api| api.calls("order_id=") > 0;
    let unread = "interrupted; the orders could not be read in time";
    let cases: [Silence; 4] = [
        (Manner::Silent, is_called, Signal::INT, 130, 0, "interrupted"),
        (Manner::Silent, is_called, Signal::TERM, 143, 0, "interrupted"),
        (Manner::SilentToCreates, is_created, Signal::INT, 130, 0, "interrupted"),
        (Manner::SilentToLists, is_read, Signal::INT, 130, 3, unread),
    ];
    for (manner, has_call, signal, code, accepted, incomplete) in cases {
        let (status, stdout) = interrupted(manner, &["load", "-n", "3", "--json"], signal, has_call);
        let report: Value = serde_json::from_str(&stdout).unwrap();
        let shown = (status, &report["accepted"], &report["incomplete"]);
        assert_eq!(shown, (Some(code), &accepted.into(), &incomplete.into()), "{report}");
    }
    let (_, stdout) = interrupted(Manner::Silent, &["load", "-n", "3"], Signal::INT, is_called);
    let line = stdout.lines().find(|line| line.contains("accepted ")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["accepted", "0"], "no order has no speed");
}

#[test]
fn export_of_a_service_that_never_answers_ends_with_its_report() {
    let folder = tempfile::tempdir().unwrap();
    for (number, manner) in [Manner::Silent, Manner::Unavailable].into_iter().enumerate() {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let file = folder.path().join(format!("{number}-{code}")).display().to_string();
            let arguments = ["export", "--json", "--from", "2026-01-01", "--file", &file];
            let (status, stdout) = interrupted(manner, &arguments, signal, |api| api.calls("") > 0);
            let report: Value = serde_json::from_str(&stdout).unwrap();
            assert_eq!((status, &report["complete"]), (Some(code), &false.into()));
        }
    }
}

#[test]
fn load_reports_even_if_it_can_not_read_the_orders() {
    let api = Api::start(Manner::WithoutLists);
    let (status, stdout, stderr) = end(at(&api, &["load", "-n", "3", "--json"]).spawn().unwrap());
    let report: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
    assert_eq!((status, &report["accepted"], &report["lost"]), (Some(1), &3.into(), &0.into()));
    assert!(report["incomplete"].as_str().unwrap().contains("404"), "{report}");
}

#[test]
fn load_reports_the_orders_that_it_read_before_a_read_failed() {
    let api = Api::start(Manner::ListingOnce);
    let (status, stdout, stderr) = end(at(&api, &["load", "-n", "150"]).spawn().unwrap());
    assert_eq!(status, Some(1), "{stdout}{stderr}");
    let counts =
        stdout.lines().filter_map(|line| line.split_whitespace().collect::<Vec<_>>().get(..2)?.try_into().ok());
    let counts: Vec<[&str; 2]> = counts.collect();
    for count in [["accepted", "150"], ["completed", "100"], ["lost", "0"]] {
        assert!(counts.contains(&count), "{count:?}: {stdout}");
    }
    // The service has counted the other orders too.
    assert!(stdout.contains("404") && !stdout.contains("the service counted"), "{stdout}");
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
    let (status, stdout, stderr) = end(at(&api, &arguments).spawn().unwrap());
    let report: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
    assert_eq!((status, &report["unfinished"]), (Some(1), &3.into()));
    assert!(stderr.contains("/dev/full can't be written"), "{stderr}");
}
