//! TLS for a single test: certificate authorities, and servers with their certificates.

use std::net::TcpListener;
use std::ops::Range;
use std::path::Path;

use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name};
use sandbox::postgres::Postgres;
use tempfile::NamedTempFile;
use tokio_postgres::Client;
use uuid::Uuid;

/// A certificate authority.
pub struct Authority {
    key: PKey<Private>,
    certificate: X509,
    file: NamedTempFile,
}

/// A server's certificate and private key, as PEM.
pub struct Certificate {
    certificate: String,
    key: String,
}

impl Default for Authority {
    fn default() -> Self {
        let (key, certificate) = Self::create().expect("OpenSSL works");
        let file = NamedTempFile::new().expect("a file");
        std::fs::write(&file, certificate.to_pem().expect("PEM")).expect("it can be written");
        Self { key, certificate, file }
    }
}

impl Authority {
    /// The path of the authority's own certificate, for clients that trust it.
    pub fn file(&self) -> &Path {
        self.file.path()
    }

    /// Issues a certificate for a host name, valid from the beginning of the first year until that of the last one.
    pub fn certify(&self, host: &str, years: Range<u16>) -> Certificate {
        let (key, certificate) = self.issue(host, years).expect("OpenSSL works");
        Certificate { certificate: pem(certificate.to_pem()), key: pem(key.private_key_to_pem_pkcs8()) }
    }

    fn create() -> Result<(PKey<Private>, X509), ErrorStack> {
        let key = new_key()?;
        // A unique name, so that OpenSSL does not confuse it with another authority whose signature does not match.
        let subject = Uuid::new_v4().to_string();
        let mut builder = unsigned(&subject, &key, 2020..2100)?;
        builder.set_issuer_name(&*name(&subject)?)?;
        builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
        builder.sign(&key, MessageDigest::sha256())?;
        Ok((key, builder.build()))
    }

    fn issue(&self, host: &str, years: Range<u16>) -> Result<(PKey<Private>, X509), ErrorStack> {
        let key = new_key()?;
        let mut builder = unsigned("server", &key, years)?;
        builder.set_issuer_name(self.certificate.subject_name())?;
        let alternative = SubjectAlternativeName::new().dns(host).build(&builder.x509v3_context(None, None))?;
        builder.append_extension(alternative)?;
        builder.sign(&self.key, MessageDigest::sha256())?;
        Ok((key, builder.build()))
    }
}

fn new_key() -> Result<PKey<Private>, ErrorStack> {
    PKey::from_ec_key(EcKey::generate(&*EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?)?)
}

fn unsigned(subject: &str, key: &PKey<Private>, years: Range<u16>) -> Result<X509Builder, ErrorStack> {
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_subject_name(&*name(subject)?)?;
    let beginning = |year| Asn1Time::from_str(&format!("{year}0101000000Z"));
    builder.set_not_before(&*beginning(years.start)?)?;
    builder.set_not_after(&*beginning(years.end)?)?;
    builder.set_pubkey(key)?;
    Ok(builder)
}

fn name(common: &str) -> Result<X509Name, ErrorStack> {
    let mut name = X509Name::builder()?;
    name.append_entry_by_nid(Nid::COMMONNAME, common)?;
    Ok(name.build())
}

fn pem(bytes: Result<Vec<u8>, ErrorStack>) -> String {
    String::from_utf8(bytes.expect("OpenSSL works")).expect("PEM is text")
}

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

/// A PostgreSQL server for a single test.
pub struct TlsPostgres {
    postgres: Postgres,
    admin: Client,
}

impl TlsPostgres {
    /// Starts a server with this certificate.
    pub async fn start(certificate: &Certificate) -> Self {
        let postgres = Postgres::start().await.expect("PostgreSQL starts");
        let admin = postgres.connect().await.expect("PostgreSQL answers");
        postgres.enable_tls(&certificate.certificate, &certificate.key).await.expect("PostgreSQL has TLS");
        Self { postgres, admin }
    }

    /// The URL of its database with this host name, which has to be a name of this machine.
    pub fn url(&self, host: &str) -> String {
        let address = self.postgres.address();
        self.postgres.url(address).replace(&address.to_string(), &format!("{host}:{}", address.port()))
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.postgres.address().port()
    }

    /// Makes the role sign in by a cleartext password over TLS, which is how RDS receives tokens.
    pub async fn require_cleartext_password(&self, role: &str) {
        let rules = format!("hostssl all {role} all password\nhost all ordermill all scram-sha-256");
        self.postgres.write_file("pg_hba.conf", &rules).await.expect("the rules can be written");
        self.postgres.reload("SELECT count(*) = 2 FROM pg_hba_file_rules").await.expect("PostgreSQL reads them");
    }

    /// Runs SQL as a superuser.
    pub async fn execute(&self, sql: &str) {
        self.admin.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}
