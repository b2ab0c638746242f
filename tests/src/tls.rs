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
use openssl::x509::{X509, X509Extension, X509Name, X509v3Context};
use sandbox::postgres::Postgres;
use tempfile::NamedTempFile;
use tokio_postgres::Client;
use uuid::Uuid;

/// A certificate authority.
pub struct Authority {
    own: Certificate,
    file: NamedTempFile,
}

/// A certificate and its private key.
pub struct Certificate {
    certificate: X509,
    key: PKey<Private>,
}

impl Default for Authority {
    fn default() -> Self {
        // A unique name, so that OpenSSL does not confuse it with another authority whose signature does not match.
        let name = Uuid::new_v4().to_string();
        let is_authority = |_: &X509v3Context| BasicConstraints::new().critical().ca().build();
        let own = certificate(&name, 2020..2100, is_authority, None).expect("OpenSSL works");
        let file = NamedTempFile::new().expect("a file");
        std::fs::write(&file, pem(own.certificate.to_pem())).expect("it can be written");
        Self { own, file }
    }
}

impl Authority {
    /// The path of the authority's own certificate, for clients that trust it.
    pub fn file(&self) -> &Path {
        self.file.path()
    }

    /// Issues a certificate for a host name, valid from the beginning of the first year until that of the last one.
    pub fn certify(&self, host: &str, years: Range<u16>) -> Certificate {
        let of_host = |context: &X509v3Context| SubjectAlternativeName::new().dns(host).build(context);
        certificate("server", years, of_host, Some(&self.own)).expect("OpenSSL works")
    }
}

/// Makes a certificate with this extension, which the issuer signs, or its own key.
fn certificate(
    subject: &str,
    years: Range<u16>,
    extension: impl FnOnce(&X509v3Context) -> Result<X509Extension, ErrorStack>,
    issuer: Option<&Certificate>,
) -> Result<Certificate, ErrorStack> {
    let key = PKey::from_ec_key(EcKey::generate(&*EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?)?)?;
    let mut name = X509Name::builder()?;
    name.append_entry_by_nid(Nid::COMMONNAME, subject)?;
    let name = name.build();
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(issuer.map_or(&*name, |issuer| issuer.certificate.subject_name()))?;
    let beginning = |year| Asn1Time::from_str(&format!("{year}0101000000Z"));
    builder.set_not_before(&*beginning(years.start)?)?;
    builder.set_not_after(&*beginning(years.end)?)?;
    builder.set_pubkey(&key)?;
    let extension = extension(&builder.x509v3_context(None, None))?;
    builder.append_extension(extension)?;
    builder.sign(issuer.map_or(&key, |issuer| &issuer.key), MessageDigest::sha256())?;
    Ok(Certificate { certificate: builder.build(), key })
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
    builder.set_private_key(&certificate.key).expect("OpenSSL accepts the key");
    builder.set_certificate(&certificate.certificate).expect("OpenSSL accepts the certificate");
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
        let (certificate, key) = (certificate.certificate.to_pem(), certificate.key.private_key_to_pem_pkcs8());
        postgres.enable_tls(&pem(certificate), &pem(key)).await.expect("PostgreSQL has TLS");
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
