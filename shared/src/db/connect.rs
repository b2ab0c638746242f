//! Connecting: over verified TLS, or to this very machine.

use std::time::Duration;

use native_tls::{Certificate, TlsConnector};
use postgres_native_tls::MakeTlsConnector;
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, NoTls};

use super::DbError;
use crate::config::{ConfigError, Env};
use crate::error::Chain;

/// The certificate authorities of RDS and its proxies, compiled in: nothing is fetched, and no other authority counts.
const RDS_AUTHORITIES: &[u8] = include_bytes!("../../certs/rds.pem");

/// How long connecting may take, TLS and authentication included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Where the database is and how to get in.
pub struct DbConfig {
    params: tokio_postgres::Config,
    tls: Option<MakeTlsConnector>,
}

impl DbConfig {
    /// Reads the `DATABASE_…` variables, see [`crate::config`].
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        // The parser's own message may quote the URL, so only its kind is passed on.
        let url = env.required::<String>("DATABASE_URL")?;
        let mut params: tokio_postgres::Config = url
            .parse()
            .map_err(|_| ConfigError::new("DATABASE_URL", "must be postgres://user[:password]@host[:port]/database"))?;
        if let Some(password) = env.text("DATABASE_PASSWORD") {
            params.password(password);
        }
        let tls = tls(env, &params)?;
        params
            .ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable })
            .application_name("ordermill")
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_user_timeout(CONNECT_TIMEOUT)
            .keepalives_idle(Duration::from_secs(30));
        Ok(Self { params, tls })
    }

    /// Opens a connection and leaves a task behind that drives it until it closes.
    pub async fn connect(&self) -> Result<Client, DbError> {
        let connecting = async {
            match &self.tls {
                Some(tls) => self.params.connect(tls.clone()).await.map(|(client, connection)| {
                    tokio::spawn(drive(connection));
                    client
                }),
                None => self.params.connect(NoTls).await.map(|(client, connection)| {
                    tokio::spawn(drive(connection));
                    client
                }),
            }
        };
        match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(client)) => Ok(client),
            // Whatever kept the connection from opening, a refused password included, may be mended while we run.
            Ok(Err(error)) => Err(DbError::Unavailable(Box::new(error))),
            Err(elapsed) => Err(DbError::Unavailable(Box::new(elapsed))),
        }
    }
}

/// Ends with the connection; what cut it is also reported to the statement that was under way.
async fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    if let Err(error) = connection.await {
        tracing::info!(error = %Chain(&error), "a database connection was closed");
    }
}

/// The TLS that `DATABASE_TLS` asks for; none only where the database is on this machine.
fn tls(env: &Env, params: &tokio_postgres::Config) -> Result<Option<MakeTlsConnector>, ConfigError> {
    match env.text("DATABASE_TLS") {
        None | Some("verify-full") => verify_full(env).map(Some),
        Some("off") if is_on_this_machine(params) => Ok(None),
        Some("off") => Err(ConfigError::new("DATABASE_TLS", "can be off only for a database on this machine")),
        Some(_) => Err(ConfigError::new("DATABASE_TLS", "must be verify-full or off")),
    }
}

/// Whether every address that could be connected to is: the hosts, and those that stand in for them.
fn is_on_this_machine(params: &tokio_postgres::Config) -> bool {
    let hosts = params.get_hosts();
    !hosts.is_empty() && hosts.iter().all(is_local) && params.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback)
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
        Host::Unix(_) => true,
    }
}

/// Certificate and host name are both checked, against the RDS authorities or those of `DATABASE_CA_FILE` alone.
fn verify_full(env: &Env) -> Result<MakeTlsConnector, ConfigError> {
    let unusable = |problem: String| ConfigError::new("DATABASE_CA_FILE", problem);
    let pem = match env.text("DATABASE_CA_FILE") {
        Some(path) => std::fs::read(path).map_err(|error| unusable(format!("can't be read: {error}")))?,
        None => RDS_AUTHORITIES.to_vec(),
    };
    let mut builder = TlsConnector::builder();
    builder.disable_built_in_roots(true);
    let authorities = Certificate::stack_from_pem(&pem).map_err(|error| unusable(format!("is not PEM: {error}")))?;
    for authority in authorities {
        builder.add_root_certificate(authority);
    }
    let connector = builder.build().map_err(|error| unusable(format!("can't be used: {error}")))?;
    Ok(MakeTlsConnector::new(connector))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<const N: usize>(pairs: [(&str, &str); N]) -> String {
        DbConfig::from_env(&Env::from_iter(pairs)).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_built_in_authorities_can_all_be_read() {
        assert!(Certificate::stack_from_pem(RDS_AUTHORITIES).unwrap().len() > 80);
        assert_eq!(refusal([("DATABASE_URL", "postgres://u@db.example.com/d")]), "");
    }

    #[test]
    fn plain_text_is_for_this_machine_alone() {
        let off = ("DATABASE_TLS", "off");
        for local in ["postgres://u@127.0.0.1/d", "postgres://u@localhost/d", "postgres://u@[::1]/d"] {
            assert_eq!(refusal([off, ("DATABASE_URL", local)]), "");
        }
        for remote in [
            "postgres://u@db.example.com/d",
            "postgres://u@localhost/d?hostaddr=192.0.2.1",
            "postgres:///d?hostaddr=192.0.2.1",
            "postgres:///d",
        ] {
            let refused = refusal([off, ("DATABASE_URL", remote)]);
            assert!(refused.starts_with("DATABASE_TLS: can be off only"), "{remote}: {refused}");
        }
    }

    #[test]
    fn a_bad_url_is_named_without_its_password() {
        let problem = refusal([("DATABASE_URL", "postgres://u:s3cret@host:port/d")]);
        assert!(problem.starts_with("DATABASE_URL: must be") && !problem.contains("s3cret"), "{problem}");
    }

    #[test]
    fn a_certificate_file_that_is_missing_is_named() {
        let problem = refusal([("DATABASE_URL", "postgres://u@h/d"), ("DATABASE_CA_FILE", "/nowhere.pem")]);
        assert!(problem.starts_with("DATABASE_CA_FILE: can't be read"), "{problem}");
    }
}
