//! Proxies in the environment: a call by plain HTTP would show them the token.

use std::io::ErrorKind;
use std::net::TcpListener;

use super::api::{Api, Manner};
use super::command;

const VARIABLES: [&str; 6] = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

#[test]
fn no_call_of_the_api_or_of_aws_reaches_a_proxy() {
    let api = Api::start(Manner::Sound);
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let named = format!("http://{}", proxy.local_addr().unwrap());
    let deployment = [
        ("ORDERMILL_URL", api.url()),
        ("ORDERMILL_TOKEN", "a.e30.b".to_owned()),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "id".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("QUEUE_URL", "http://127.0.0.1:1/0/orders".to_owned()),
    ];
    for arguments in [&["doctor"][..], &["load", "-n", "1", "--patience", "1"], &["tail", "no-such-order"]] {
        let mut command = command(arguments, &[]);
        command.envs(deployment.iter().map(|(name, value)| (name, value)));
        let output = command.envs(VARIABLES.map(|name| (name, &named))).output().unwrap();
        let seen = proxy.accept().map(|_| ()).map_err(|error| error.kind());
        assert_eq!(seen, Err(ErrorKind::WouldBlock), "{arguments:?} went to the proxy: {output:?}");
    }
    assert!(api.calls("/healthz") > 0 && api.accepted() == 1 && api.calls("/orders/no-such-order") == 1);
}
