//! Hot standbys and their promotion.

use super::{PATIENCE, Postgres, ROLE, Stop};
use crate::{Result, until};

impl Postgres {
    /// Starts a standby of this server on this port. It has all committed data, follows new commits and answers reads.
    pub async fn standby(&self, port: u16) -> Result<Self> {
        let mut standby = Self::new(self.password.clone(), port)?;
        let mut command = standby.command("pg_basebackup")?;
        command.env("PGPASSWORD", &self.password).arg("-D").arg(standby.data());
        command.args(["-R", "-c", "fast", "-h", "127.0.0.1", "-U", ROLE, "-p", &self.port.to_string()]);
        let status = command.status().await?;
        if !status.success() {
            return Err(format!("pg_basebackup failed: {status}; see {}", standby.log().display()).into());
        }
        standby.resume().await?;
        Ok(standby)
    }

    /// Stops this server once a standby streams from it. A fast stop sends all commits to the standby first.
    pub async fn stop_followed(&mut self) -> Result<()> {
        let follows = "SELECT count(*) FROM pg_stat_replication
            WHERE state = 'streaming' AND pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn) < 1000000";
        let client = self.connect().await?;
        let followed = async || Ok(client.query_one(follows, &[]).await?.get::<_, i64>(0) > 0);
        until("a standby follows", PATIENCE, followed).await?;
        self.stop(Stop::Fast).await
    }

    /// Promotes this standby to the primary. Stop the old primary first.
    pub async fn promote(&self) -> Result<()> {
        let sql = "SELECT pg_promote(true, $1)";
        let seconds = i32::try_from(PATIENCE.as_secs())?;
        let is_promoted: bool = self.connect().await?.query_one(sql, &[&seconds]).await?.get(0);
        if is_promoted { Ok(()) } else { Err("the standby could not be promoted".into()) }
    }
}
