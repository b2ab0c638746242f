//! TLS to the database as on AWS: the server has a certificate, and clients check it against as many authorities as they trust
//! for a database of RDS.

use std::path::{Path, PathBuf};

use sandbox::Result;
use sandbox::postgres::Postgres;
use tokio::process::Command;

/// The functions' built-in authorities.
const AMAZON: &str = include_str!("../../../shared/certs/amazon.pem");
/// The host name of the certificate.
pub const HOST: &str = "localhost";
/// Clients trust the RDS authorities of this region only.
const REGION: &str = "Amazon RDS us-east-1 ";

/// Enables TLS on the server, and returns the file of the authorities that clients trust.
pub async fn enable(postgres: &Postgres, directory: &Path) -> Result<PathBuf> {
    let (certificate, key) = (directory.join("server.crt"), directory.join("server.key"));
    certify(&certificate, &key).await?;
    let certificate = std::fs::read_to_string(&certificate)?;
    postgres.enable_tls(&certificate, &std::fs::read_to_string(&key)?).await?;
    let authorities = directory.join("authorities.pem");
    std::fs::write(&authorities, certificate + &trusted())?;
    Ok(authorities)
}

/// Creates a self-signed certificate.
async fn certify(certificate: &Path, key: &Path) -> Result<()> {
    let mut command = Command::new("openssl");
    command
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "30"])
        .args(["-subj", &format!("/CN={HOST}"), "-addext", &format!("subjectAltName=DNS:{HOST}")])
        .arg("-out")
        .arg(certificate)
        .arg("-keyout")
        .arg(key);
    let output = command.output().await?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into()) }
}

/// The built-in authorities that a client trusts for a database in this region. A line before each contains its name.
fn trusted() -> String {
    const END: &str = "-----END CERTIFICATE-----\n";
    let is_trusted = |entry: &&str| {
        let name = entry.split("-----BEGIN").next().unwrap_or_default().trim().lines().next_back().unwrap_or_default();
        !name.starts_with("Amazon RDS ") || name.starts_with(REGION)
    };
    AMAZON.split_inclusive(END).filter(is_trusted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_trust_the_authorities_of_one_region() {
        let count = |text: &str| text.matches("-----BEGIN CERTIFICATE-----").count();
        assert!((4..20).contains(&count(&trusted())), "{}", count(&trusted()));
        assert!(trusted().contains(REGION) && !trusted().contains("Amazon RDS eu-"));
    }
}
