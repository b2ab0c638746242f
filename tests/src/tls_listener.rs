//! A server that speaks TLS and has nothing to say.

use std::net::TcpListener;

use openssl::pkey::PKey;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::X509;

use crate::Certificate;

/// A server of a test's own. It shakes hands with everybody and hangs up, until the process ends.
pub struct TlsListener {
    port: u16,
}

impl TlsListener {
    /// Starts a server that shows this certificate.
    #[must_use]
    pub fn start(certificate: &Certificate) -> Self {
        let acceptor = acceptor(certificate);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever does not believe the certificate breaks off.
                drop(acceptor.accept(stream));
            }
        });
        Self { port }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

fn acceptor(certificate: &Certificate) -> SslAcceptor {
    let mut builder = SslAcceptor::mozilla_intermediate(SslMethod::tls()).expect("OpenSSL works");
    let key = PKey::private_key_from_pem(certificate.key.as_bytes()).expect("a key");
    let certificate = X509::from_pem(certificate.certificate.as_bytes()).expect("a certificate");
    builder.set_private_key(&key).expect("OpenSSL takes the key");
    builder.set_certificate(&certificate).expect("OpenSSL takes the certificate");
    builder.build()
}
