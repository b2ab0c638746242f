//! The token: where it goes, and what a command says without a usable one.

use std::io::ErrorKind;
use std::net::TcpListener;

use super::api::{Api, Manner};
use super::cloud::ACCESS;
use super::ending::at;
use super::{NOWHERE, assert_refused, finding, json, run, text};

#[test]
fn token_is_not_sent_by_plain_http_to_another_machine() {
    for command in [&["load"][..], &["tail"], &["export", "--from", "2026-01-01"]] {
        let output = run(command, &[("ORDERMILL_URL", "http://192.0.2.1"), ("ORDERMILL_TOKEN", "a.e30.b")]);
        assert_refused(&output, "is plain HTTP to another machine");
    }
}

/// A call by plain HTTP would show a proxy the token.
#[test]
fn no_call_of_the_api_or_of_aws_reaches_a_proxy() {
    let api = Api::start(Manner::Sound);
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let named = format!("http://{}", proxy.local_addr().unwrap());
    let proxies = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    for arguments in [&["doctor"][..], &["load", "-n", "1", "--patience", "1"], &["tail", "no-such-order"]] {
        let mut command = at(&api, arguments);
        command.envs(ACCESS).envs([("AWS_ENDPOINT_URL", NOWHERE), ("QUEUE_URL", "http://127.0.0.1:1/0/orders")]);
        let output = command.envs(proxies.map(|name| (name, &named))).output().unwrap();
        let seen = proxy.accept().map(|_| ()).map_err(|error| error.kind());
        assert_eq!(seen, Err(ErrorKind::WouldBlock), "{arguments:?} went to the proxy: {output:?}");
    }
    assert!(api.calls("/healthz") > 0 && api.accepted() == 1 && api.calls("/orders/no-such-order") == 1);
}

#[test]
fn missing_or_refused_token_is_named_and_ends_with_three() {
    let api = Api::start(Manner::HealthyBut(401));
    for command in [&["load", "-n", "1"][..], &["tail"], &["tail", "o-1"], &["export", "--from", "2026-01-01"]] {
        let refused = at(&api, command).output().unwrap();
        assert_eq!(refused.status.code(), Some(3), "{command:?}: {refused:?}");
        let missing = run(command, &[("ORDERMILL_URL", &*api.url())]);
        assert!(text(&missing.stderr).contains("give --token or ORDERMILL_TOKEN"), "{command:?}: {missing:?}");
    }
    let doctor = at(&api, &["doctor"]).output().unwrap();
    assert_eq!(doctor.status.code(), Some(3), "{doctor:?}");
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
fn variable_that_is_no_token_is_refused_by_its_name() {
    let output = run(&["load"], &[("ORDERMILL_URL", NOWHERE), ("ORDERMILL_TOKEN", "abc")]);
    assert_refused(&output, "ordermill: ORDERMILL_TOKEN is no token");
}

#[test]
fn secret_is_shown_nowhere() {
    let secret = "eyJzZWNyZXQ.e30.c2VjcmV0";
    let url = format!("http://user:{secret}@127.0.0.1:1");
    for arguments in
        [&["doctor"][..], &["doctor", "--json"], &["load", "-n", "1"], &["--help"], &["doctor", "--url", &url]]
    {
        let output = run(arguments, &[("ORDERMILL_URL", NOWHERE), ("ORDERMILL_TOKEN", secret)]);
        assert!(![&output.stdout, &output.stderr].iter().any(|bytes| text(bytes).contains(secret)), "{output:?}");
    }
}
