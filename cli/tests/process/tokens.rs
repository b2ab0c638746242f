//! The token: where it goes, and what a command says without a usable one.

use super::api::{Api, Manner};
use super::ending::at;
use super::{finding, json, run, text};

#[test]
fn token_is_not_sent_by_plain_http_to_another_machine() {
    for command in [&["load"][..], &["tail"], &["export", "--from", "2026-01-01"]] {
        let output = run(command, &[("ORDERMILL_URL", "http://192.0.2.1"), ("ORDERMILL_TOKEN", "a.e30.b")]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stderr).contains("is plain HTTP to another machine"), "{output:?}");
    }
}

#[test]
fn refused_token_ends_each_command_with_three() {
    let api = Api::start(Manner::HealthyBut(401));
    for command in [&["doctor"][..], &["load", "-n", "1"], &["tail"], &["export", "--from", "2026-01-01"]] {
        let output = at(&api, command).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{command:?}: {output:?}");
    }
}

#[test]
fn token_that_only_creates_orders_needs_no_access_to_a_list() {
    let api = Api::start(Manner::HealthyBut(403));
    // `{"scope": "orders/write"}`, `{"scope": "orders/read"}` and `{"scope": "openid"}`.
    for (claims, state, code) in [
        ("eyJzY29wZSI6ICJvcmRlcnMvd3JpdGUifQ", "not_checked", 1),
        ("eyJzY29wZSI6ICJvcmRlcnMvcmVhZCJ9", "wrong", 3),
        ("eyJzY29wZSI6ICJvcGVuaWQifQ", "wrong", 3),
    ] {
        let token = format!("e30.{claims}.e30");
        let output = run(&["--json", "doctor"], &[("ORDERMILL_URL", &*api.url()), ("ORDERMILL_TOKEN", &token)]);
        let (report, status) = (json(&output), output.status.code());
        assert_eq!((&finding(&report, "access")["state"], status), (&state.into(), Some(code)), "{report}");
    }
}

#[test]
fn call_without_a_token_says_how_to_give_one() {
    let api = Api::start(Manner::HealthyBut(401));
    for command in [&["load", "-n", "1"][..], &["tail"], &["tail", "o-1"], &["export", "--from", "2026-01-01"]] {
        let output = run(command, &[("ORDERMILL_URL", &*api.url())]);
        assert!(text(&output.stderr).contains("give --token or ORDERMILL_TOKEN"), "{command:?}: {output:?}");
    }
}

#[test]
fn error_about_a_token_names_where_it_is_from() {
    let url = "http://127.0.0.1:1";
    let flag = run(&["load", "--token", "abc"], &[("ORDERMILL_URL", url)]);
    assert!(text(&flag.stderr).starts_with("ordermill: --token is no token"), "{flag:?}");
    let variable = run(&["load"], &[("ORDERMILL_URL", url), ("ORDERMILL_TOKEN", "abc")]);
    assert!(text(&variable.stderr).starts_with("ordermill: ORDERMILL_TOKEN is no token"), "{variable:?}");
}

#[test]
fn secret_is_shown_nowhere() {
    let secret = "eyJzZWNyZXQ.e30.c2VjcmV0";
    let url = format!("http://user:{secret}@127.0.0.1:1");
    for arguments in
        [&["doctor"][..], &["doctor", "--json"], &["load", "-n", "1"], &["--help"], &["doctor", "--url", &url]]
    {
        let output = run(arguments, &[("ORDERMILL_URL", "http://127.0.0.1:1"), ("ORDERMILL_TOKEN", secret)]);
        assert!(![&output.stdout, &output.stderr].iter().any(|bytes| text(bytes).contains(secret)), "{output:?}");
    }
}
