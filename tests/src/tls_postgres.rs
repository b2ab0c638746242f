//! A PostgreSQL server with TLS.

use sandbox::postgres::Postgres;
use tokio_postgres::Client;

use crate::Certificate;

/// A server for a single test.
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
