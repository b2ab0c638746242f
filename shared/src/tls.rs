//! TLS, one implementation for the database, AWS and whoever else is called: OpenSSL, compiled in, with the certificate
//! authorities that are meant and no others.
//!
//! Reading authorities takes most of a cold start's time, so each connector is given as few as can be, and is made when it is
//! first needed: an environment asks for its first event before. OpenSSL reads the machine's authorities as well, of which
//! none counts here; `SSL_CERT_FILE=/dev/null` spares it that.

use std::sync::LazyLock;

use native_tls::{Certificate, TlsConnector};

/// The authorities of RDS, by region, and the Amazon Trust Services roots, which vouch for RDS Proxy and for AWS's APIs.
/// A line with its name goes before each.
const AMAZON: &str = include_str!("../certs/amazon.pem");
/// How the name of a region's authority begins.
const OF_RDS: &str = "Amazon RDS ";

/// Connects to AWS's APIs.
pub static TO_AWS: Connector = Connector::new(|| trusting(&amazon(|name| !name.starts_with(OF_RDS))));

/// A connector that is made when it is first needed.
pub type Connector<F = fn() -> Made> = LazyLock<Made, F>;
/// What came of making one.
pub type Made = Result<TlsConnector, native_tls::Error>;

/// Connects to a database of RDS at this host, or to an RDS Proxy: the region is part of the name that AWS gives it. For
/// another name every region's authorities count.
pub fn to_rds(host: &str) -> Made {
    let of_region = region(host).map(|region| format!("{OF_RDS}{region} "));
    let counts =
        |name: &str| of_region.as_deref().is_none_or(|prefix| !name.starts_with(OF_RDS) || name.starts_with(prefix));
    trusting(&amazon(counts))
}

/// Connects to whoever has a certificate of one of these authorities (PEM).
pub fn trusting(pem: &str) -> Made {
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

/// Those of the built-in authorities whose names pass.
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
    fn the_built_in_authorities_can_all_be_read() {
        assert_eq!(count(&amazon(|_| true)), AMAZON.matches("BEGIN CERTIFICATE").count());
        assert!(count(AMAZON) > 80);
        assert_eq!(count(&amazon(|name| !name.starts_with(OF_RDS))), 5);
    }

    #[test]
    fn every_region_has_three_authorities_of_its_own() {
        let names =
            AMAZON.lines().filter_map(|line| line.strip_prefix(OF_RDS)?.split_once(" Root CA ")).collect::<Vec<_>>();
        for (region, _) in &names {
            assert_eq!(names.iter().filter(|(other, _)| other == region).count(), 3, "{region}");
        }
    }

    #[test]
    fn the_region_is_read_from_the_name_that_aws_gives() {
        assert_eq!(region("db.abc123.eu-central-1.rds.amazonaws.com"), Some("eu-central-1"));
        assert_eq!(region("p.proxy-abc123.cn-north-1.rds.amazonaws.com.cn"), Some("cn-north-1"));
        assert_eq!((region("db.example.com"), region("localhost")), (None, None));
    }
}
