//! Changes of a running server's settings and files.

use super::{PATIENCE, Postgres};
use crate::{Result, until};

impl Postgres {
    /// Enables TLS with this certificate and private key, both PEM.
    pub async fn enable_tls(&self, certificate: &str, key: &str) -> Result<()> {
        self.write_file("server.crt", certificate).await?;
        self.write_file("server.key", key).await?;
        self.connect().await?.batch_execute("ALTER SYSTEM SET ssl = on").await?;
        self.reload("SELECT current_setting('ssl') = 'on'").await
    }

    /// Writes a file of the data directory as the server's own user. No other user may read a key.
    pub async fn write_file(&self, name: &str, text: &str) -> Result<()> {
        let lines = format!("SELECT unnest(string_to_array('{}', E'\\n'))", text.trim_end());
        let sql = format!("COPY ({lines}) TO PROGRAM 'umask 077; cat > {name}'");
        Ok(self.connect().await?.batch_execute(&sql).await?)
    }

    /// Reloads the settings, and waits until the query `is_done` returns true.
    pub async fn reload(&self, is_done: &str) -> Result<()> {
        self.connect().await?.batch_execute("SELECT pg_reload_conf()").await?;
        // A new connection has the settings of the server's first process, which has informed all others by then.
        let done = async || Ok(self.connect().await?.query_one(is_done, &[]).await?.get(0));
        until(is_done, PATIENCE, done).await
    }
}
