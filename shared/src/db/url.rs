//! Parses `DATABASE_URL`, names a parameter that is not allowed, and splits the hosts.

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::config::ConfigError;

/// Parses the URL, or names the first parameter that the driver refuses. The driver's own message may quote the URL, so the error
/// leaves it out.
pub(super) fn parse(url: &str) -> Result<Config, ConfigError> {
    url.parse().map_err(|_| ConfigError::new("DATABASE_URL", refusal(url)))
}

fn refusal(url: &str) -> String {
    match unusable_parameter(url) {
        Some("sslmode") => {
            "the parameter sslmode can't have this value: DATABASE_TLS decides, and is verify-full by default; \
            take it out of the URL"
                .to_owned()
        }
        Some(name) => format!(
            "the parameter {name} is not valid: PostgreSQL's driver refuses its name or its value; take it out of \
            the URL"
        ),
        None => "must be postgres://[user[:password]@]host[:port]/database".to_owned(),
    }
}

/// The name of the first parameter that the driver refuses. An `@` after the `?` would mean that the `?` belongs to a password.
fn unusable_parameter(url: &str) -> Option<&str> {
    let (_, query) = url.split_once('?').filter(|(_, query)| !query.contains('@'))?;
    let is_refused = |parameter: &&str| format!("postgres://host/database?{parameter}").parse::<Config>().is_err();
    let (name, _) = query.split('&').find(is_refused)?.split_once('=')?;
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_').then_some(name)
}

/// Splits parameters with several hosts into one set for each host.
pub(super) fn one_by_one(all: &Config) -> Vec<Config> {
    let (hosts, addresses, ports) = (all.get_hosts(), all.get_hostaddrs(), all.get_ports());
    let one = |index: usize| {
        let mut params = Config::new();
        match hosts.get(index) {
            Some(Host::Tcp(name)) => drop(params.host(name)),
            Some(Host::Unix(path)) => drop(params.host_path(path)),
            None => {}
        }
        if let Some(address) = addresses.get(index) {
            params.hostaddr(*address);
        }
        if let Some(port) = ports.get(index).or_else(|| ports.first()) {
            params.port(*port);
        }
        copy_all_but_hosts(all, &mut params);
        params
    };
    (0..hosts.len().max(addresses.len())).map(one).collect()
}

fn copy_all_but_hosts(from: &Config, to: &mut Config) {
    if let Some(user) = from.get_user() {
        to.user(user);
    }
    if let Some(password) = from.get_password() {
        to.password(password);
    }
    if let Some(database) = from.get_dbname() {
        to.dbname(database);
    }
    if let Some(options) = from.get_options() {
        to.options(options);
    }
    if let Some(name) = from.get_application_name() {
        to.application_name(name);
    }
    if let Some(time) = from.get_connect_timeout() {
        to.connect_timeout(*time);
    }
    if let Some(time) = from.get_tcp_user_timeout() {
        to.tcp_user_timeout(*time);
    }
    if let Some(time) = from.get_keepalives_interval() {
        to.keepalives_interval(time);
    }
    if let Some(count) = from.get_keepalives_retries() {
        to.keepalives_retries(count);
    }
    to.ssl_mode(from.get_ssl_mode())
        .ssl_negotiation(from.get_ssl_negotiation())
        .channel_binding(from.get_channel_binding())
        .keepalives(from.get_keepalives())
        .keepalives_idle(from.get_keepalives_idle())
        .target_session_attrs(from.get_target_session_attrs());
}

#[cfg(test)]
mod tests {
    use crate::config::Env;
    use crate::db::DbConfig;

    fn refusal(query: &str) -> String {
        let url = format!("postgres://user:pass@host/database?{query}");
        let env = Env::from_iter([("DATABASE_URL", url.as_str())]);
        DbConfig::from_env(&env).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn parameter_of_another_driver_is_named_without_its_value() {
        for (query, named) in [
            ("sslmode=verify-full", "DATABASE_URL: the parameter sslmode can't have this value"),
            ("sslmode=verify-ca&pgbouncer=true", "DATABASE_URL: the parameter sslmode can't have this value"),
            ("pgbouncer=true", "DATABASE_URL: the parameter pgbouncer is not valid:"),
            ("sslmode=require&connection_limit=1", "DATABASE_URL: the parameter connection_limit is not valid:"),
            ("schema=s3cret", "DATABASE_URL: the parameter schema is not valid:"),
            ("connect_timeout=s3cret", "DATABASE_URL: the parameter connect_timeout is not valid:"),
        ] {
            let refusal = refusal(query);
            assert!(refusal.starts_with(named), "{query}: {refusal}");
            assert!(!refusal.contains("s3cret") && !refusal.contains("true"), "{refusal}");
        }
        for accepted in ["sslmode=require", "sslmode=require&channel_binding=require", "connect_timeout=10"] {
            assert_eq!(refusal(accepted), "", "{accepted}");
        }
    }

    #[test]
    fn parameters_reach_the_connection_of_each_host() {
        let query = "keepalives=0&keepalives_interval=7&keepalives_retries=3&sslnegotiation=direct&options=-ctimezone%3Dutc&connect_timeout=4";
        let all: tokio_postgres::Config = format!("postgres://u:p@a:1,b:2/d?{query}").parse().unwrap();
        let per_host: Vec<_> = super::one_by_one(&all).iter().map(|params| format!("{params:?}")).collect();
        let expected = |host: &str, port| {
            let one = format!("postgres://u:p@{host}:{port}/d?{query}").parse::<tokio_postgres::Config>();
            format!("{:?}", one.unwrap())
        };
        assert_eq!(per_host, [expected("a", 1), expected("b", 2)]);
    }

    #[test]
    fn part_of_a_password_is_never_named() {
        for query in ["s3cret=x@host/database", "s3%63ret", "s3cret%20=1"] {
            assert!(refusal(query).starts_with("DATABASE_URL: must be postgres://"), "{query}: {}", refusal(query));
        }
    }
}
