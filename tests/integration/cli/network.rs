//! Faults of the connection to the API, and of the API itself.

use std::time::{Duration, SystemTime};

use ordermill::doctor::Verdict;
use sandbox::server::{Response, Server, json};
use tests::{Authority, TlsListener};
use tokio::net::TcpListener;

use super::{Patient, wrong};

#[tokio::test]
async fn doctor_finds_a_name_without_an_address() {
    Patient::at("https://nowhere.invalid").assert_wrong("dns", "the name has no address", "ApiUrl").await;
}

#[tokio::test]
async fn doctor_finds_a_closed_port() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    Patient::at(&url).assert_wrong("tcp", "no connection", "firewall").await;
}

#[tokio::test]
async fn doctor_finds_a_certificate_of_an_unknown_authority() {
    let authority = Authority::default();
    let server = TlsListener::start(&authority.certify("localhost", 2099));
    let patient = Patient::at(&format!("https://localhost:{}", server.port()));
    patient.assert_wrong("tls", "issuer", "--ca-file").await;
    let findings = patient.trusting(authority.file()).findings().await;
    assert!(!wrong(&findings).contains(&"tls"), "{findings:#?}");
}

#[tokio::test]
async fn doctor_finds_an_expired_certificate_and_its_age() {
    let authority = Authority::default();
    let server = TlsListener::start(&authority.certify("localhost", 2021));
    let patient = Patient::at(&format!("https://localhost:{}", server.port())).trusting(authority.file());
    patient.assert_wrong("tls", "certificate has expired", "renew").await;
    patient.assert_wrong("certificate", "days ago", "renew").await;
}

#[tokio::test]
async fn doctor_finds_a_certificate_of_another_host() {
    let authority = Authority::default();
    let server = TlsListener::start(&authority.certify("api.example.com", 2099));
    let patient = Patient::at(&format!("https://localhost:{}", server.port())).trusting(authority.file());
    patient.assert_wrong("tls", "mismatch", "by a name that its certificate has").await;
}

#[tokio::test]
async fn doctor_finds_a_port_without_tls() {
    let server = answering(|| json(200, "{}")).await;
    Patient::at(&format!("https://{}", server.address())).assert_wrong("tls", "", "HTTPS").await;
}

/// A server that gives every caller the same answer.
async fn answering(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Server {
    Server::start(move |_| std::future::ready(Some(answer()))).await.unwrap()
}

#[tokio::test]
async fn doctor_finds_an_api_without_its_database() {
    let server = answering(|| json(503, r#"{"title": "The service is out of reach"}"#)).await;
    Patient::at(&format!("http://{}", server.address()))
        .assert_wrong("health", "can't reach its database", "DATABASE_URL")
        .await;
}

#[tokio::test]
async fn doctor_finds_another_service_at_the_url() {
    let server = answering(|| json(404, "{}")).await;
    Patient::at(&format!("http://{}", server.address()))
        .assert_wrong("health", "there is no Ordermill", "ApiUrl")
        .await;
}

#[tokio::test]
async fn doctor_finds_an_api_without_authentication() {
    let server = answering(|| json(200, "{}")).await;
    Patient::at(&format!("http://{}", server.address())).assert_wrong("closed", "without a token", "AUTH to jwt").await;
}

#[tokio::test]
async fn doctor_finds_a_wrong_clock() {
    let server = answering(|| {
        let mut answer = json(200, "{}");
        let late = httpdate::fmt_http_date(SystemTime::now() - Duration::from_mins(5));
        answer.headers_mut().insert("date", late.parse().unwrap());
        answer
    })
    .await;
    Patient::at(&format!("http://{}", server.address()))
        .assert_wrong("clock.api", "s behind this machine's", "NTP")
        .await;
}

#[tokio::test]
async fn doctor_finds_events_that_are_not_out() {
    let metrics = |age: &'static str| answering(move || json(200, format!(r#"{{"oldest_event_seconds": {age}}}"#)));
    let patient = |server: &Server| Patient::at(&format!("http://{}", server.address())).bearing("a token");
    let (late, in_time, none) = (metrics("301").await, metrics("299").await, metrics("null").await);
    patient(&late).assert_wrong("events", "has waited for 301 s", "Events are not out").await;
    let states = async |server| {
        let findings = patient(server).findings().await;
        findings.iter().filter(|finding| finding.check == "events").map(|finding| finding.state).collect::<Vec<_>>()
    };
    assert_eq!(states(&in_time).await, [Verdict::Ok]);
    assert_eq!(states(&none).await, [], "a deployment without an event bus");
}
