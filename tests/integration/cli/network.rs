//! Faults of the connection to the API, and of the API itself.

use std::time::{Duration, SystemTime};

use ordermill::doctor::Verdict;
use sandbox::server::{Request, Response, Server, json, silent};
use tests::{Authority, TlsListener};

use super::{Patient, wrong};

#[tokio::test]
async fn doctor_finds_what_keeps_it_from_the_api() {
    Patient::at("https://nowhere.invalid").assert_wrong("dns", "the name has no address", "ApiUrl").await;
    let (listener, url) = silent().await.unwrap();
    drop(listener);
    Patient::at(&url).assert_wrong("tcp", "no connection", "firewall").await;
    let without_tls = Server::answering(|| json(200, "{}")).await.unwrap();
    Patient::at(&format!("https://{}", without_tls.address())).assert_wrong("tls", "", "HTTPS").await;
}

#[tokio::test]
async fn doctor_finds_each_fault_of_a_certificate() {
    let authority = Authority::default();
    for (host, years, is_trusted, check, what, remedy) in [
        ("localhost", 2020..2099, false, "tls", "issuer", "--ca-file"),
        ("localhost", 2020..2021, true, "tls", "certificate has expired", "renew"),
        ("localhost", 2020..2021, true, "certificate", "days ago", "renew"),
        ("localhost", 2098..2099, true, "tls", "not yet valid", "clock"),
        ("api.example.com", 2020..2099, true, "tls", "mismatch", "by a name that its certificate has"),
    ] {
        let server = TlsListener::start(&authority.certify(host, years));
        let patient = Patient::at(&format!("https://localhost:{}", server.port()));
        let patient = if is_trusted { patient.trusting(authority.file()) } else { patient };
        patient.assert_wrong(check, what, remedy).await;
    }
    let sound = TlsListener::start(&authority.certify("localhost", 2020..2099));
    let patient = Patient::at(&format!("https://localhost:{}", sound.port())).trusting(authority.file());
    let findings = patient.findings().await;
    assert!(!wrong(&findings).contains(&"tls"), "{findings:#?}");
}

#[tokio::test]
async fn doctor_finds_each_wrong_answer_of_the_api() {
    let unavailable = r#"{"title": "The service is out of reach"}"#;
    for (status, body, check, what, remedy) in [
        (503, unavailable, "health", "can't reach its database", "DATABASE_URL"),
        (503, r#"{"message": "Service Unavailable"}"#, "health", "can't run the api function", "concurrency to 0"),
        (404, "{}", "health", "there is no Ordermill", "ApiUrl"),
        (401, r#"{"message": "Unauthorized"}"#, "health", "there is no Ordermill", "ApiUrl"),
        (200, "{}", "health", "something else answers", "ApiUrl"),
        (200, r#"{"orders": [], "next_cursor": null}"#, "closed", "without a token", "AUTH to jwt"),
    ] {
        let server = Server::answering(move || json(status, body)).await.unwrap();
        Patient::at(&server.url()).assert_wrong(check, what, remedy).await;
    }
}

#[tokio::test]
async fn doctor_takes_no_other_server_for_the_api() {
    let server = Server::answering(|| json(200, "<html></html>")).await.unwrap();
    let findings = Patient::at(&server.url()).bearing("a.e30.b").findings().await;
    let of = |check: &str| findings.iter().find(|finding| finding.check == check).unwrap();
    assert_eq!(of("health").state, Verdict::Wrong, "{findings:#?}");
    for check in ["closed", "access", "pause", "overdue", "dead-letters", "events"] {
        let finding = of(check);
        assert_eq!((finding.state, &*finding.what), (Verdict::NotChecked, "the answer is not Ordermill's"), "{check}");
    }
}

/// A server that answers the question for its health by this status, and gives every other call the same answer or closes its connection.
async fn with_health(health: u16, answer: impl Fn() -> Option<Response> + Clone + Send + Sync + 'static) -> Server {
    Server::start(move |request: Request| {
        let is_health = request.uri().path() == "/healthz";
        std::future::ready(if is_health { Some(json(health, r#"{"status": "ok"}"#)) } else { answer() })
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn doctor_finds_a_healthy_api_that_fails_every_other_call() {
    let problem = r#"{"title": "Service temporarily unavailable"}"#;
    for (health, status, what) in [
        (200, Some(503), "answered 503: Service temporarily unavailable"),
        // Others call it too often.
        (429, Some(503), "answered 503: Service temporarily unavailable"),
        (200, Some(500), "answered 500"),
        (200, Some(404), "answered 404"),
        (200, Some(200), "the answer is not Ordermill's"),
        (200, None, "no answer: "),
    ] {
        let server = with_health(health, move || status.map(|status| json(status, problem))).await;
        let patient = Patient::at(&server.url()).bearing("a token");
        for check in ["closed", "access", "metrics"] {
            patient.assert_wrong(check, what, "the api function's log").await;
        }
    }
}

#[tokio::test]
async fn doctor_finds_no_fault_in_a_refusal_of_too_many_calls() {
    let server = with_health(200, || Some(json(429, r#"{"message": "Too Many Requests"}"#))).await;
    let patient = Patient::at(&server.url()).bearing("a token");
    assert_eq!(wrong(&patient.findings().await), ["token"]);
    let access = patient.finding("access").await;
    assert_eq!((access.state, &*access.what), (Verdict::NotChecked, "answered 429: Too Many Requests"));
}

#[tokio::test]
async fn doctor_finds_a_wrong_clock() {
    let server = Server::answering(|| {
        let mut answer = json(200, "{}");
        let late = httpdate::fmt_http_date(SystemTime::now() - Duration::from_mins(5));
        answer.headers_mut().insert("date", late.parse().unwrap());
        answer
    })
    .await
    .unwrap();
    let patient = Patient::at(&server.url());
    patient.assert_wrong("clock.api", "s behind this machine's", "NTP").await;
}

#[tokio::test]
async fn doctor_finds_events_that_are_not_out() {
    // A deployment without an event bus has no such finding.
    for (age, state) in [("301", Some(Verdict::Wrong)), ("299", Some(Verdict::Ok)), ("null", None)] {
        let metrics = format!(r#"{{"status_counts": {{}}, "oldest_event_seconds": {age}}}"#);
        let server = Server::answering(move || json(200, metrics.clone())).await.unwrap();
        let patient = Patient::at(&server.url()).bearing("a token");
        let findings = patient.findings().await;
        let states: Vec<_> =
            findings.iter().filter(|finding| finding.check == "events").map(|found| found.state).collect();
        assert_eq!(states, Vec::from_iter(state), "{age}");
        let message = "could not read the depths of the queues";
        patient.assert_wrong("queue", "the api can't reach a queue", message).await;
        if state == Some(Verdict::Wrong) {
            patient.assert_wrong("events", "has waited for 301 s", "Events are not yet published").await;
        }
    }
}
