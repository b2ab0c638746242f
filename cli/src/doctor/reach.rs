//! Checks the way to the API: its name, its port, its certificate.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use native_tls::{Certificate, HandshakeError, TlsConnector};
use openssl::asn1::Asn1Time;
use openssl::x509::X509;
use shared::error::Chain;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::finding::Finding;
use crate::deployment::Deployment;
use crate::output::counted;

/// The time-out of a step.
const PATIENCE: Duration = Duration::from_secs(5);
/// The least number of days that a certificate should still be valid.
const RENEWED_BEFORE: i32 = 14;

/// Runs the checks up to the first that fails.
pub async fn examine(deployment: &Deployment) -> Vec<Finding> {
    let (host, address) =
        (deployment.url.host_str().unwrap_or_default().trim_matches(['[', ']']), deployment.address());
    let port = deployment.url.port_or_known_default().unwrap_or_default();
    let found = timeout(PATIENCE, tokio::net::lookup_host((host, port))).await;
    let addresses = match found.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())).map(Vec::from_iter) {
        Ok(addresses) if !addresses.is_empty() => addresses,
        Ok(_) => return vec![no_name(host, "no address")],
        Err(error) => return vec![no_name(host, &error.to_string())],
    };
    let dns = Finding::ok("dns", host, counted(addresses.len() as u64, "address", "addresses"));
    let connected = {
        let addresses = addresses.clone();
        // Connecting blocks its thread, and the other checks need this one.
        spawn_blocking(move || connect(&addresses).map(drop))
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
    };
    if let Err(error) = connected {
        let remedy =
            "check the URL's port, and for a firewall or a proxy in between; locally, `make up` starts the stack";
        return vec![dns, Finding::wrong("tcp", address, format!("no connection: {error}"), remedy)];
    }
    let tcp = Finding::ok("tcp", &address, "accepts connections");
    [vec![dns, tcp], tls(deployment, host, addresses).await].concat()
}

fn no_name(host: &str, problem: &str) -> Finding {
    let remedy = "check the URL (the stack's output ApiUrl) and this machine's name server";
    Finding::wrong("dns", host, format!("the name has no address: {problem}"), remedy)
}

fn connect(addresses: &[SocketAddr]) -> std::io::Result<TcpStream> {
    let mut last = Err(std::io::ErrorKind::AddrNotAvailable.into());
    for address in addresses {
        last = TcpStream::connect_timeout(address, PATIENCE);
        if last.is_ok() {
            break;
        }
    }
    let stream = last?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

async fn tls(deployment: &Deployment, host: &str, addresses: Vec<SocketAddr>) -> Vec<Finding> {
    let address = deployment.address();
    if deployment.url.scheme() == "http" {
        let remedy = "use https://: without TLS anyone on the way can read the token";
        return vec![Finding::held("tls", address, deployment.is_local(), "plain HTTP", remedy)];
    }
    let (host, authorities) = (host.to_owned(), deployment.authorities.clone());
    let read = spawn_blocking(move || read_certificate(&host, &addresses, authorities.as_deref())).await;
    let CertificateState { refusal, days } = match read.unwrap_or_else(|error| Err(error.to_string())) {
        Ok(state) => state,
        Err(problem) => return vec![Finding::wrong("tls", address, problem, "check that the port is one of HTTPS")],
    };
    let tls = match &refusal {
        None => Finding::ok("tls", &address, "the certificate is trusted and names the host"),
        Some(problem) => Finding::wrong("tls", &address, problem, remedy(problem)),
    };
    let Some(days) = days else { return vec![tls] };
    let what = if days < 0 { format!("expired {} days ago", -days) } else { format!("valid for {days} days") };
    let renew = "renew the certificate: API Gateway renews its own, the owner of a custom domain renews that one";
    vec![tls, Finding::held("certificate", address, days >= RENEWED_BEFORE, what, renew)]
}

/// Whether a server's certificate is trusted, and for how long.
struct CertificateState {
    /// Why it is not trusted.
    refusal: Option<String>,
    /// How many days it is still valid, if the server sent one.
    days: Option<i32>,
}

/// Reads the server's certificate. Fails if no handshake succeeds, even one that trusts every certificate.
fn read_certificate(
    host: &str,
    addresses: &[SocketAddr],
    authorities: Option<&str>,
) -> Result<CertificateState, String> {
    let refusal = match handshake(host, addresses, authorities, false) {
        Ok(certificate) => return Ok(CertificateState { refusal: None, days: days_left(certificate) }),
        Err(refusal) => refusal,
    };
    // This handshake only reads the certificate; the program sends no data.
    match handshake(host, addresses, authorities, true) {
        Ok(certificate) => Ok(CertificateState { refusal: Some(refusal), days: days_left(certificate) }),
        Err(_) => Err(refusal),
    }
}

/// The certificate that the server sends in a handshake.
fn handshake(
    host: &str,
    addresses: &[SocketAddr],
    authorities: Option<&str>,
    is_lenient: bool,
) -> Result<Option<Certificate>, String> {
    let described = |error: &dyn std::error::Error| Chain(error).to_string();
    let mut builder = TlsConnector::builder();
    builder.danger_accept_invalid_certs(is_lenient).danger_accept_invalid_hostnames(is_lenient);
    for authority in Certificate::stack_from_pem(authorities.unwrap_or_default().as_bytes()).unwrap_or_default() {
        builder.add_root_certificate(authority);
    }
    let connector = builder.build().map_err(|error| described(&error))?;
    let stream = connect(addresses).map_err(|error| described(&error))?;
    let stream = connector.connect(host, stream).map_err(|error| match error {
        HandshakeError::Failure(error) => described(&error),
        HandshakeError::WouldBlock(_) => "the handshake takes too long".to_owned(),
    })?;
    stream.peer_certificate().map_err(|error| described(&error))
}

/// The whole days that the certificate is still valid; -1 or less if it has expired.
fn days_left(certificate: Option<Certificate>) -> Option<i32> {
    let certificate = X509::from_der(&certificate?.to_der().ok()?).ok()?;
    let left = Asn1Time::days_from_now(0).ok()?.diff(certificate.not_after()).ok()?;
    Some(left.days - i32::from(left.secs < 0))
}

/// The remedy for a refusal of OpenSSL.
fn remedy(problem: &str) -> &'static str {
    if problem.contains("expired") {
        "renew the server's certificate; if it is valid, this machine's clock is wrong"
    } else if problem.contains("not yet valid") {
        "set this machine's clock, for instance by NTP; if it is right, wait until the server's certificate is valid"
    } else if problem.contains("mismatch") {
        "call the API by a name that its certificate has"
    } else if problem.contains("self-signed") || problem.contains("self signed") || problem.contains("issuer") {
        "give --ca-file the authority that issued it, or use a public one; a proxy that terminates TLS sends its own certificate"
    } else {
        "check that the port is one of HTTPS, and that it speaks TLS 1.2 or later"
    }
}
