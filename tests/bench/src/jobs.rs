//! Job queues on PostgreSQL that one would take instead, from npm: see `baseline/queues`.

use std::path::Path;
use std::process::Stdio;

use sandbox::Result;
use tokio::process::Command;
use tokio_postgres::config::Host;

use crate::world::World;

/// Where `make bench` installs them.
const INSTALLED: &str = ".local/bench/queues";

/// A job queue with one worker.
#[derive(Debug, Clone, Copy)]
pub struct Rival {
    /// What it is called in tables.
    pub name: &'static str,
    /// How many orders it is given: enough for some seconds.
    pub orders: usize,
    script: &'static str,
    more: &'static [&'static str],
}

const ALL: [Rival; 2] = [
    Rival {
        name: "graphile-worker, one worker, 24 jobs at once",
        orders: 5_000,
        script: "graphile-worker.mjs",
        more: &[],
    },
    Rival { name: "pg-boss, one worker, batches of 1000", orders: 20_000, script: "pg-boss.mjs", more: &["1000"] },
];

/// Those that are installed.
#[must_use]
pub fn available() -> Vec<Rival> {
    let directory = Path::new(INSTALLED);
    if directory.join("node_modules").exists() { ALL.to_vec() } else { Vec::new() }
}

impl Rival {
    /// Orders finished a second.
    pub async fn drain(&self, world: &World, orders: usize) -> Result<f64> {
        let config: tokio_postgres::Config = world.baseline_url().parse()?;
        let Some(Host::Tcp(host)) = config.get_hosts().first() else { return Err("the server has no address".into()) };
        let text =
            |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
        let mut command = Command::new("node");
        command
            .current_dir(INSTALLED)
            .arg(self.script)
            .arg(orders.to_string())
            .args(self.more)
            .stdin(Stdio::null())
            .env("PGHOST", host)
            .env("PGPORT", config.get_ports().first().copied().unwrap_or_default().to_string())
            .env("PGUSER", config.get_user().unwrap_or_default())
            .env("PGPASSWORD", text(config.get_password()))
            .env("PGDATABASE", config.get_dbname().unwrap_or_default());
        let output = command.output().await?;
        let rate = String::from_utf8_lossy(&output.stdout).lines().last().and_then(|line| line.trim().parse().ok());
        rate.ok_or_else(|| format!("{}: {}", self.name, String::from_utf8_lossy(&output.stderr)).into())
    }
}
