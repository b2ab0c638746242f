//! Faults on the way to the API, and of an API.

use std::time::{Duration, SystemTime};

use sandbox::server::{Response, Server, json};
use tests::{Authority, TlsListener};
use tokio::net::TcpListener;

use super::{Patient, wrong};

#[tokio::test]
async fn doctor_finds_a_name_without_an_address() {
    Patient::at("https://nowhere.invalid").ails("dns", "the name has no address", "ApiUrl").await;
}

#[tokio::test]
async fn doctor_finds_a_port_that_nobody_listens_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    Patient::at(&url).ails("tcp", "no connection", "firewall").await;
}

#[tokio::test]
async fn doctor_finds_a_certificate_of_an_authority_that_nobody_knows() {
    let authority = Authority::default();
    let server = TlsListener::start(&authority.certify("localhost", 2099));
    let patient = Patient::at(&format!("https://localhost:{}", server.port()));
    patient.ails("tls", "issuer", "--ca-file").await;
    let findings = patient.trusting(authority.file()).findings().await;
    assert!(!wrong(&findings).contains(&"tls"), "{findings:#?}");
}

#[tokio::test]
async fn doctor_finds_a_certificate_that_has_expired_and_says_since_when() {
    let authority = Authority::default();
    let server = TlsListener::start(&authority.certify("localhost", 2021));
    let patient = Patient::at(&format!("https://localhost:{}", server.port())).trusting(authority.file());
    patient.ails("tls", "certificate has expired", "renew").await;
    patient.ails("certificate", "days ago", "renew").await;
}

#[tokio::test]
async fn doctor_finds_a_certificate_of_another_host() {
    let authority = Authority::default();
    let server = TlsListener::start(&authority.certify("api.example.com", 2099));
    let patient = Patient::at(&format!("https://localhost:{}", server.port())).trusting(authority.file());
    patient.ails("tls", "mismatch", "by a name that its certificate has").await;
}

#[tokio::test]
async fn doctor_finds_a_port_that_does_not_speak_tls() {
    let server = answering(|| json(200, "{}")).await;
    Patient::at(&format!("https://{}", server.address())).ails("tls", "", "HTTPS").await;
}

/// A server that gives everybody the same answer.
async fn answering(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Server {
    Server::start(move |_| std::future::ready(Some(answer()))).await.unwrap()
}

#[tokio::test]
async fn doctor_finds_an_api_that_has_lost_its_database() {
    let server = answering(|| json(503, r#"{"title": "The service is out of reach"}"#)).await;
    Patient::at(&format!("http://{}", server.address()))
        .ails("health", "can't reach its database", "DATABASE_URL")
        .await;
}

#[tokio::test]
async fn doctor_finds_that_something_else_answers() {
    let server = answering(|| json(404, "{}")).await;
    Patient::at(&format!("http://{}", server.address())).ails("health", "there is no Ordermill", "ApiUrl").await;
}

#[tokio::test]
async fn doctor_finds_an_api_that_lets_everybody_in() {
    let server = answering(|| json(200, "{}")).await;
    Patient::at(&format!("http://{}", server.address())).ails("closed", "without a token", "AUTH to jwt").await;
}

#[tokio::test]
async fn doctor_finds_a_clock_that_is_wrong() {
    let server = answering(|| {
        let mut answer = json(200, "{}");
        let late = httpdate::fmt_http_date(SystemTime::now() - Duration::from_mins(5));
        answer.headers_mut().insert("date", late.parse().unwrap());
        answer
    })
    .await;
    Patient::at(&format!("http://{}", server.address())).ails("clock.api", "s behind this machine's", "NTP").await;
}
