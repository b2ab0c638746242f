//! `tail` follows orders through what happens to them.

use std::io::{BufRead, BufReader};
use std::process::Child;

use serde_json::json;

use super::api::{Api, Manner};
use super::ending::{PATIENCE, at, interrupt, wait_until};
use super::text;

#[test]
fn tail_of_an_order_shows_each_change_while_it_is_active() {
    let api = Api::start(Manner::Sound);
    api.add("o-1");
    let (child, next) = following(&api, &["tail", "o-1"]);
    assert!(next().contains("pending"));
    api.change("o-1", &json!({"attempts": 1}));
    assert!(next().ends_with("attempt 1, busy"));
    assert_eq!(interrupt(child), Some(0));
}

#[test]
fn tail_of_an_order_says_whether_its_history_is_complete() {
    let api = Api::start(Manner::Sound);
    for (order_id, attempts, said) in
        [("o-1", 1, ""), ("o-2", 100, "ordermill: the order o-2 has so many changes that some are not recorded\n")]
    {
        api.add(order_id);
        api.change(order_id, &json!({"status": "failed", "attempts": attempts}));
        let output = at(&api, &["tail", order_id]).output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(1), said));
    }
}

/// Starts a `tail`. Returns it, and what waits for its next line.
fn following(api: &Api, arguments: &[&str]) -> (Child, impl Fn() -> String) {
    let mut child = at(api, arguments).args(["--interval", "0.1"]).spawn().unwrap();
    let (sender, lines) = std::sync::mpsc::channel();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || stdout.lines().try_for_each(|line| sender.send(line.unwrap())));
    (child, move || lines.recv_timeout(PATIENCE).unwrap())
}

#[test]
fn tail_goes_on_after_an_order_is_deleted_or_retried() {
    let api = Api::start(Manner::Sound);
    api.add("o-1");
    api.add("o-2");
    let (child, next) = following(&api, &["tail"]);
    assert!(next().contains("o-1") && next().contains("o-2"));
    api.delete("o-1");
    wait_until("the deleted order's 404", || api.calls("/orders/o-1") > 0);
    let time = "2026-01-01T00:00:01.000000Z";
    api.change("o-2", &json!({"status": "failed", "finished_at": time, "failure": "busy"}));
    assert!(next().contains("failed"));
    api.change("o-2", &json!({"status": "pending", "finished_at": null, "failure": null}));
    let lists = api.calls("/orders?");
    wait_until("another list", || api.calls("/orders?") > lists + 1);
    api.change("o-2", &json!({"status": "processing", "started_at": time}));
    assert!(next().contains("processing"));
    assert_eq!(interrupt(child), Some(0));
}

#[test]
fn tail_shows_what_a_list_says_before_it_reads_other_orders() {
    let api = Api::start(Manner::SilentTo("/orders/"));
    for number in 0..200 {
        api.add_created(&format!("o-{number}"), &format!("2026-01-{:02}T{:02}:00:00Z", number / 24 + 1, number % 24));
    }
    let (child, next) = following(&api, &["tail", "--last", "1"]);
    assert!(next().contains("o-199"));
    api.add_created("new", "2026-02-01T00:00:00Z");
    assert!(next().contains("new"));
    // The oldest order is in no list any more.
    wait_until("a read of it", || api.calls("/orders/o-0") > 0);
    assert_eq!(interrupt(child), Some(0));
}

#[test]
fn tail_shows_the_outcome_of_a_retry_that_ends_between_polls() {
    let api = Api::start(Manner::Sound);
    api.add("o-1");
    let (child, next) = following(&api, &["tail"]);
    assert!(next().contains("pending"));
    let end_at = |status, second: u32| {
        let [started_at, finished_at] = [second, second + 1].map(|second| format!("2026-01-01T00:00:0{second}Z"));
        api.change("o-1", &json!({"status": status, "started_at": started_at, "finished_at": finished_at}));
    };
    end_at("failed", 1);
    assert!(next().contains("processing") && next().contains("failed"));
    end_at("completed", 3);
    assert!(next().contains("processing") && next().contains("completed"));
    assert_eq!(interrupt(child), Some(0));
}

#[test]
fn tail_shows_an_order_that_is_committed_after_many_newer_ones() {
    let api = Api::start(Manner::Sound);
    let add = |order_id: &str, millisecond: u32| {
        api.add_created(order_id, &format!("2026-01-01T00:00:00.{millisecond:03}Z"));
    };
    (0..500).for_each(|number| add(&format!("o-{number}"), number));
    let (child, next) = following(&api, &["tail", "--last", "1"]);
    assert!(next().contains("o-499"));
    // Orders that are older than the first list stay out of the output.
    let lists = api.calls("/orders?");
    wait_until("a poll", || api.calls("/orders?") > lists + 2);
    add("late", 400);
    assert!(next().contains("late"));
    assert_eq!(interrupt(child), Some(0));
}
