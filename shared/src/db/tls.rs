//! The transport: verified TLS, or plain text to this machine. There is no third mode and no fallback.

use tokio_postgres::config::Host;

use crate::config::{ConfigError, Env};
use crate::tls::{self, BuildResult, Connector};

/// A connector to the database that trusts its certificate authorities.
pub(super) type ToDatabase = Connector<Box<dyn FnOnce() -> BuildResult + Send>>;

/// The connector that `DATABASE_TLS` selects. `None` is possible only for a database on this machine.
pub(super) fn from_env(env: &Env, params: &tokio_postgres::Config) -> Result<Option<ToDatabase>, ConfigError> {
    match env.text("DATABASE_TLS") {
        None | Some("verify-full") if !is_named(params) => {
            Err(ConfigError::new("DATABASE_URL", "must name the host that the certificate is checked against"))
        }
        None | Some("verify-full") => verify_full(env, params).map(Some),
        Some("off") if is_on_this_machine(params) => Ok(None),
        Some("off") => Err(ConfigError::new("DATABASE_TLS", "can be off only for a database on this machine")),
        Some(_) => Err(ConfigError::new("DATABASE_TLS", "must be verify-full or off")),
    }
}

/// Whether each host has a name: a host without one would accept any certificate.
fn is_named(params: &tokio_postgres::Config) -> bool {
    let hosts = params.get_hosts();
    !hosts.is_empty() && hosts.iter().all(|host| matches!(host, Host::Tcp(name) if !name.is_empty()))
}

/// Whether every address is on this machine: the hosts, and the `hostaddr`s that replace them.
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

/// Checks certificate and host name, against the RDS authorities or against those of `DATABASE_CA_FILE` alone.
fn verify_full(env: &Env, params: &tokio_postgres::Config) -> Result<ToDatabase, ConfigError> {
    let unusable = |problem: String| ConfigError::new("DATABASE_CA_FILE", problem);
    if let Some(path) = env.text("DATABASE_CA_FILE") {
        let pem = std::fs::read_to_string(path).map_err(|error| unusable(format!("can't be read: {error}")))?;
        if !pem.contains("-----BEGIN CERTIFICATE-----") {
            return Err(unusable("holds no certificate".to_owned()));
        }
        return Ok(ToDatabase::new(Box::new(move || tls::trusting(&pem))));
    }
    let host = match params.get_hosts() {
        [Host::Tcp(host)] => host.clone(),
        _ => String::new(),
    };
    Ok(ToDatabase::new(Box::new(move || tls::to_rds(&host))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::DbConfig;

    fn refusal<const N: usize>(pairs: [(&str, &str); N]) -> String {
        DbConfig::from_env(&Env::from_iter(pairs)).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn plain_text_is_allowed_only_on_this_machine() {
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
    fn host_without_a_name_is_refused() {
        for unnamed in [
            "postgres:///d",
            "postgres:///d?hostaddr=192.0.2.1",
            "host='' hostaddr=192.0.2.1",
            "postgres://%2Fsocket/d",
        ] {
            let refused = refusal([("DATABASE_URL", unnamed)]);
            assert_eq!(
                refused, "DATABASE_URL: must name the host that the certificate is checked against",
                "{unnamed}"
            );
        }
    }

    #[test]
    fn certificate_file_that_is_missing_or_no_pem_is_named() {
        let refused_file = |path| refusal([("DATABASE_URL", "postgres://u@h/d"), ("DATABASE_CA_FILE", path)]);
        assert!(refused_file("/nowhere.pem").starts_with("DATABASE_CA_FILE: can't be read"));
        assert_eq!(refused_file("Cargo.toml"), "DATABASE_CA_FILE: holds no certificate");
    }
}
