//! TLS to the database: the certificate and the name are checked, and nothing goes out before they are.

use std::time::Duration;

use shared::config::Env;
use shared::db::{Database, DbConfig};
use shared::deadline::Deadline;
use shared::error::Chain;
use tests::{Authority, Log, Stack, TlsPostgres};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::Level;

/// A year that certificates are still good in.
const GOOD: u16 = 2099;

/// What comes of a statement there: nothing, or the error as it is logged.
async fn ask(variables: &[(&str, &str)]) -> String {
    let db = Database::new(DbConfig::from_env(&variables.iter().copied().collect::<Env>()).unwrap())
        .until(Deadline::after(Duration::from_mins(1)));
    db.ping().await.err().map(|error| Chain(&error).to_string()).unwrap_or_default()
}

async fn ask_by(url: &str, authority: &Authority) -> String {
    ask(&[("DATABASE_URL", url), ("DATABASE_CA_FILE", authority.file().to_str().unwrap())]).await
}

#[tokio::test]
async fn a_server_is_believed_by_its_authority_and_its_name_together() {
    let authority = Authority::default();
    let server = TlsPostgres::start(&authority.certify("localhost", GOOD)).await;
    let url = server.url("localhost");
    assert_eq!(ask_by(&url, &authority).await, "");

    let unknown = ask_by(&url, &Authority::default()).await;
    assert!(unknown.contains("certificate verify failed") && unknown.contains("issuer"), "{unknown}");
    let not_of_rds = ask(&[("DATABASE_URL", &url)]).await;
    assert!(not_of_rds.contains("certificate verify failed") && not_of_rds.contains("issuer"), "{not_of_rds}");

    let by_address = ask_by(&server.url("127.0.0.1"), &authority).await;
    assert!(by_address.contains("IP address mismatch"), "{by_address}");
    let elsewhere = format!("{}?hostaddr=127.0.0.1", server.url("db.example.com"));
    let by_name = ask_by(&elsewhere, &authority).await;
    assert!(by_name.contains("hostname mismatch"), "{by_name}");
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_refused_and_the_log_says_so() {
    let authority = Authority::default();
    let server = TlsPostgres::start(&authority.certify("localhost", 2021)).await;
    let (log, url) = (Log::listen(Level::INFO), server.url("localhost"));
    let expired = ask_by(&url, &authority).await;
    assert!(expired.contains("certificate has expired") && log.text().contains("certificate has expired"), "{expired}");
    let (_, password) = url.split_once('@').unwrap().0.rsplit_once(':').unwrap();
    assert!(!log.text().contains(password));
}

#[tokio::test]
async fn a_server_without_tls_is_refused() {
    let stack = Stack::running();
    let refused = ask(&[("DATABASE_URL", stack.get("DATABASE_URL"))]).await;
    assert!(refused.contains("server does not support TLS"), "{refused}");
}

/// Something that answers a first message with this and keeps what follows, on both tries of a statement.
async fn listen(answer: &'static [u8]) -> (u16, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let listening = tokio::spawn(async move {
        let mut said = Vec::new();
        for _ in 0..2 {
            let (mut connection, _) = listener.accept().await.unwrap();
            connection.read_exact(&mut [0; 8]).await.unwrap();
            connection.write_all(answer).await.unwrap();
            // A connection that is reset has said what it had to say.
            let _ = connection.read_to_end(&mut said).await;
        }
        said
    });
    (port, listening)
}

async fn said(listening: JoinHandle<Vec<u8>>) -> Vec<u8> {
    timeout(Duration::from_secs(10), listening).await.expect("a statement is tried twice").unwrap()
}

#[tokio::test]
async fn nothing_is_said_to_a_server_that_turns_tls_down() {
    let (port, listening) = listen(b"N").await;
    let refused =
        ask(&[("DATABASE_URL", &format!("postgres://the_user:the_password@localhost:{port}/d?sslmode=prefer"))]).await;
    assert!(refused.contains("server does not support TLS"), "{refused}");
    assert_eq!(said(listening).await, b"");
}

#[tokio::test]
async fn nothing_is_said_in_the_clear_to_a_server_that_only_pretends() {
    // It accepts TLS and goes on in the clear, asking for the password.
    let (port, listening) = listen(b"SR\0\0\0\x08\0\0\0\x03").await;
    let refused = ask(&[("DATABASE_URL", &format!("postgres://the_user:the_password@localhost:{port}/d"))]).await;
    assert!(refused.contains("TLS handshake"), "{refused}");
    let said = String::from_utf8_lossy(&said(listening).await).into_owned();
    assert!(!said.contains("the_user") && !said.contains("the_password"), "{said}");
}
