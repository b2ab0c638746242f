//! TLS to the database: the client checks the certificate and the name before it sends anything.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use shared::db::{Database, DbConfig};
use shared::deadline::Deadline;
use shared::error::Chain;
use tests::{Authority, Log, TlsPostgres, store};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::Level;

/// An expiry year in the future.
const VALID: u16 = 2099;

/// Executes a statement with these variables. Returns the error as logged, or an empty string.
async fn ask(variables: &[(&str, &str)]) -> String {
    let answered = store(&variables.iter().copied().collect()).ping().await;
    answered.err().map(|error| Chain(&error).to_string()).unwrap_or_default()
}

async fn ask_by(url: &str, authority: &Authority) -> String {
    ask(&[("DATABASE_URL", url), ("DATABASE_CA_FILE", authority.file().to_str().unwrap())]).await
}

#[tokio::test]
async fn server_needs_a_trusted_authority_and_the_right_name() {
    let authority = Authority::default();
    let server = TlsPostgres::start(&authority.certify("localhost", 2020..VALID)).await;
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
async fn expired_certificate_is_refused_and_logged() {
    let authority = Authority::default();
    let server = TlsPostgres::start(&authority.certify("localhost", 2020..2021)).await;
    let (log, url) = (Log::listen(Level::INFO), server.url("localhost"));
    let expired = ask_by(&url, &authority).await;
    assert!(expired.contains("certificate has expired") && log.text().contains("certificate has expired"), "{expired}");
    let (_, password) = url.split_once('@').unwrap().0.rsplit_once(':').unwrap();
    assert!(!log.text().contains(password));
}

/// Forwards the first connection to this port, and leaves all others without an answer. Returns its own port and the number of
/// connections.
async fn forward_the_first(port: u16) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (own, accepted) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&accepted);
    tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        counted.fetch_add(1, Relaxed);
        tokio::spawn(async move {
            let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let _ = copy_bidirectional(&mut first, &mut server).await;
        });
        let mut silent = Vec::new();
        loop {
            silent.push(listener.accept().await.unwrap());
            counted.fetch_add(1, Relaxed);
        }
    });
    (own, accepted)
}

#[tokio::test]
async fn connection_is_kept_if_the_server_answers_no_cancellation() {
    let authority = Authority::default();
    let server = TlsPostgres::start(&authority.certify("localhost", 2020..VALID)).await;
    let (port, accepted) = forward_the_first(server.port()).await;
    let url = server.url("localhost").replace(&server.port().to_string(), &port.to_string());
    let env = [("DATABASE_URL", &*url), ("DATABASE_CA_FILE", authority.file().to_str().unwrap())];
    let database = Database::new(DbConfig::from_env(&env.into_iter().collect()).unwrap());
    let read = async |seconds| {
        let store = database.until(Deadline::after(Duration::from_secs(seconds)));
        store.read_order(&"o-1".parse().unwrap(), None).await
    };
    read(10).await.unwrap();
    server.execute("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE").await;
    read(1).await.unwrap_err();
    server.execute("COMMIT").await;
    read(10).await.unwrap();
    assert_eq!(accepted.load(Relaxed), 2, "the login and the cancellation");
}

/// A server that answers the first message of two connections with `answer`, because a statement is tried twice. The task
/// returns everything that the client sent afterwards.
async fn listen(answer: &'static [u8]) -> (u16, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let listening = tokio::spawn(async move {
        let mut received = Vec::new();
        for _ in 0..2 {
            let (mut connection, _) = listener.accept().await.unwrap();
            connection.read_exact(&mut [0; 8]).await.unwrap();
            connection.write_all(answer).await.unwrap();
            // An error means that the client has reset the connection, after all its bytes.
            let _ = connection.read_to_end(&mut received).await;
        }
        received
    });
    (port, listening)
}

#[tokio::test]
async fn client_sends_no_plain_text_without_true_tls() {
    // The second server accepts TLS, and then asks for the password without encryption.
    for (answer, query, why) in [
        (b"N".as_slice(), "?sslmode=prefer", "server does not support TLS"),
        (b"SR\0\0\0\x08\0\0\0\x03", "", "TLS handshake"),
    ] {
        let (port, listening) = listen(answer).await;
        let url = format!("postgres://the_user:the_password@localhost:{port}/d{query}");
        let refused = ask(&[("DATABASE_URL", &url)]).await;
        assert!(refused.contains(why), "{refused}");
        let received = timeout(Duration::from_secs(10), listening).await.expect("a statement is tried twice").unwrap();
        let received = String::from_utf8_lossy(&received);
        assert!(!received.contains("the_user") && !received.contains("the_password"), "{received}");
        assert_eq!(received.is_empty(), answer == b"N", "{received}");
    }
}
