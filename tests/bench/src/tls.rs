//! TLS to the database, as it is deployed: the server shows a certificate, and clients check it against as many authorities as
//! count for a database of RDS.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sandbox::Result;
use tokio::process::Command;
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

/// The authorities that the functions have built in.
const AMAZON: &str = include_str!("../../../shared/certs/amazon.pem");
/// The name that the certificate is for.
pub const HOST: &str = "localhost";
/// Of RDS's authorities, those of one region count.
const REGION: &str = "Amazon RDS us-east-1 ";
const PATIENCE: Duration = Duration::from_secs(10);

/// Has the server take connections by TLS as well, and gives the file of the authorities that clients are to trust.
pub async fn enable(sql: &Client, directory: &Path) -> Result<PathBuf> {
    let (certificate, key) = (directory.join("server.crt"), directory.join("server.key"));
    certify(&certificate, &key).await?;
    give(sql, "server.crt", &std::fs::read_to_string(&certificate)?).await?;
    give(sql, "server.key", &std::fs::read_to_string(&key)?).await?;
    sql.batch_execute("ALTER SYSTEM SET ssl = on").await?;
    sql.batch_execute("SELECT pg_reload_conf()").await?;
    let end = Instant::now() + PATIENCE;
    while sql.query("SELECT WHERE current_setting('ssl') = 'on'", &[]).await?.is_empty() {
        if Instant::now() > end {
            return Err("PostgreSQL takes no TLS".into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    let authorities = directory.join("authorities.pem");
    std::fs::write(&authorities, std::fs::read_to_string(&certificate)? + &counting())?;
    Ok(authorities)
}

/// Makes a certificate that vouches for itself.
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

/// Writes a file of the data directory as the server's own user, who alone may read a key.
async fn give(sql: &Client, name: &str, text: &str) -> Result<()> {
    let lines = format!("SELECT unnest(string_to_array('{}', E'\\n'))", text.trim_end());
    Ok(sql.batch_execute(&format!("COPY ({lines}) TO PROGRAM 'umask 077; cat > {name}'")).await?)
}

/// The built-in authorities that count for a database in one region. A line with its name goes before each.
fn counting() -> String {
    const END: &str = "-----END CERTIFICATE-----\n";
    let counts = |entry: &&str| {
        let name = entry.split("-----BEGIN").next().unwrap_or_default().trim().lines().next_back().unwrap_or_default();
        !name.starts_with("Amazon RDS ") || name.starts_with(REGION)
    };
    AMAZON.split_inclusive(END).filter(counts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_of_one_region_count() {
        let count = |text: &str| text.matches("-----BEGIN CERTIFICATE-----").count();
        assert!((4..20).contains(&count(&counting())), "{}", count(&counting()));
        assert!(counting().contains(REGION) && !counting().contains("Amazon RDS eu-"));
    }
}
