//! A server that only completes TLS handshakes.

use std::net::TcpListener;

use openssl::pkey::PKey;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::X509;

use crate::Certificate;

/// A server that accepts every TLS handshake and then closes the connection, until the process ends.
pub struct TlsListener {
    port: u16,
}

impl TlsListener {
    /// Starts a server with this certificate.
    pub fn start(certificate: &Certificate) -> Self {
        let acceptor = acceptor(certificate);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // The handshake fails if the client rejects the certificate.
                drop(acceptor.accept(stream));
            }
        });
        Self { port }
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }
}

fn acceptor(certificate: &Certificate) -> SslAcceptor {
    let mut builder = SslAcceptor::mozilla_intermediate(SslMethod::tls()).expect("OpenSSL works");
    let key = PKey::private_key_from_pem(certificate.key.as_bytes()).expect("a key");
    let certificate = X509::from_pem(certificate.certificate.as_bytes()).expect("a certificate");
    builder.set_private_key(&key).expect("OpenSSL accepts the key");
    builder.set_certificate(&certificate).expect("OpenSSL accepts the certificate");
    builder.build()
}
