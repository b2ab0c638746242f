//! A PostgreSQL server with TLS.

use std::time::Duration;

use sandbox::postgres::Postgres;
use tokio_postgres::Client;

use crate::{Certificate, eventually};

/// A server for a single test.
pub struct TlsPostgres {
    postgres: Postgres,
    admin: Client,
}

impl TlsPostgres {
    /// Starts a server with this certificate.
    pub async fn start(certificate: &Certificate) -> Self {
        let postgres = Postgres::start().await.unwrap_or_else(|error| panic!("PostgreSQL: {error}"));
        let admin = postgres.connect().await.unwrap_or_else(|error| panic!("PostgreSQL: {error}"));
        let server = Self { postgres, admin };
        server.write("server.crt", &certificate.certificate).await;
        server.write("server.key", &certificate.key).await;
        server.execute("ALTER SYSTEM SET ssl = on").await;
        server.reload("SELECT current_setting('ssl') = 'on'").await;
        server
    }

    /// The URL of its database with this host name, which has to be a name of this machine.
    #[must_use]
    pub fn url(&self, host: &str) -> String {
        let address = self.postgres.address();
        self.postgres.url(address).replace(&address.to_string(), &format!("{host}:{}", address.port()))
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.postgres.address().port()
    }

    /// Makes the role sign in by a cleartext password over TLS, which is how RDS receives tokens.
    pub async fn require_cleartext_password(&self, role: &str) {
        self.write("pg_hba.conf", &format!("hostssl all {role} all password\nhost all ordermill all scram-sha-256"))
            .await;
        self.reload("SELECT count(*) = 2 FROM pg_hba_file_rules").await;
    }

    /// Runs SQL as a superuser.
    pub async fn execute(&self, sql: &str) {
        self.admin.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Writes a file of the data directory as the server's own user. No other user may read a key.
    async fn write(&self, name: &str, text: &str) {
        let lines = format!("SELECT unnest(string_to_array('{text}', E'\\n'))");
        self.execute(&format!("COPY ({lines}) TO PROGRAM 'umask 077; cat > {name}'")).await;
    }

    /// Makes the server reload its settings, and waits until the query `done` returns true.
    async fn reload(&self, done: &str) {
        self.execute("SELECT pg_reload_conf()").await;
        eventually("the settings are in force", Duration::from_secs(10), async || {
            let row = self.admin.query_one(done, &[]).await.expect("an answer");
            row.get::<_, bool>(0).then_some(())
        })
        .await;
    }
}
