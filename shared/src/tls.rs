//! TLS to the database and to AWS: OpenSSL, compiled in, with a fixed list of certificate authorities.
//!
//! Reading authorities takes most of the time of a cold start. Each connector therefore has as few as possible and is built at its
//! first use, after the environment has requested its first event. OpenSSL also reads the machine's authorities, though none of
//! them counts here; `SSL_CERT_FILE=/dev/null` prevents that.

use std::sync::LazyLock;

use native_tls::{Certificate, TlsConnector};

/// The authorities of RDS, by region, and the Amazon Trust Services roots, which sign for RDS Proxy and for AWS's APIs. A line with
/// its name precedes each.
const AMAZON: &str = include_str!("../certs/amazon.pem");
/// The prefix of the name of a region's authority.
const OF_RDS: &str = "Amazon RDS ";

/// Connects to AWS's APIs.
pub static TO_AWS: Connector = Connector::new(|| trusting(&amazon(|name| !name.starts_with(OF_RDS))));
/// Connects to servers whose certificate is signed by one of the machine's authorities.
pub static OF_THIS_MACHINE: Connector = Connector::new(TlsConnector::new);

/// A connector that is built at its first use.
pub type Connector<F = fn() -> BuildResult> = LazyLock<BuildResult, F>;
/// The result of building a connector.
pub type BuildResult = Result<TlsConnector, native_tls::Error>;

/// Connects to a database of RDS at this host, or to an RDS Proxy. AWS puts the region into the host name. For any other name, this
/// trusts the authorities of every region.
pub fn to_rds(host: &str) -> BuildResult {
    let of_region = region(host).map(|region| format!("{OF_RDS}{region} "));
    let counts =
        |name: &str| of_region.as_deref().is_none_or(|prefix| !name.starts_with(OF_RDS) || name.starts_with(prefix));
    trusting(&amazon(counts))
}

/// Connects to servers whose certificate is signed by one of these authorities (PEM).
pub fn trusting(pem: &str) -> BuildResult {
    let mut builder = TlsConnector::builder();
    builder.disable_built_in_roots(true);
    for authority in Certificate::stack_from_pem(pem.as_bytes())? {
        builder.add_root_certificate(authority);
    }
    builder.build()
}

/// The region in `<name>.<account>.<region>.rds.amazonaws.com`.
fn region(host: &str) -> Option<&str> {
    let (within, _) = host.split_once(".rds.amazonaws.com")?;
    within.rsplit('.').next()
}

/// The built-in authorities whose names pass.
fn amazon(passes: impl Fn(&str) -> bool) -> String {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----\n";
    const END: &str = "-----END CERTIFICATE-----\n";
    let certificates = AMAZON.split_inclusive(END).filter_map(|entry| {
        let (before, body) = entry.split_once(BEGIN)?;
        passes(before.lines().next_back()?).then(|| [BEGIN, body].concat())
    });
    certificates.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(pem: &str) -> usize {
        Certificate::stack_from_pem(pem.as_bytes()).unwrap().len()
    }

    #[test]
    fn built_in_authorities_can_all_be_read() {
        assert_eq!(count(&amazon(|_| true)), AMAZON.matches("BEGIN CERTIFICATE").count());
        assert!(count(AMAZON) > 80);
        assert_eq!(count(&amazon(|name| !name.starts_with(OF_RDS))), 5);
    }

    #[test]
    fn every_region_has_three_authorities() {
        let names =
            AMAZON.lines().filter_map(|line| line.strip_prefix(OF_RDS)?.split_once(" Root CA ")).collect::<Vec<_>>();
        for (region, _) in &names {
            assert_eq!(names.iter().filter(|(other, _)| other == region).count(), 3, "{region}");
        }
    }

    #[test]
    fn region_is_read_from_the_host_name_of_rds() {
        assert_eq!(region("db.abc123.eu-central-1.rds.amazonaws.com"), Some("eu-central-1"));
        assert_eq!(region("p.proxy-abc123.cn-north-1.rds.amazonaws.com.cn"), Some("cn-north-1"));
        assert_eq!((region("db.example.com"), region("localhost")), (None, None));
    }
}
