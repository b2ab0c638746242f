//! A PostgreSQL server with its own data directory and port, which a test can stop and start again.
//!
//! It commits like a production server: `fsync` and `synchronous_commit` are on.

mod settings;
mod standby;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use shared::config::Env;
use shared::db::{DbConfig, role, schema};
use shared::deadline::Deadline;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{Client, NoTls};

use crate::Result;
use crate::process::{Process, Signal, output};

/// The role that owns the tables. Its database has the same name.
const ROLE: &str = "ordermill";
/// The role of the functions.
const APP_ROLE: &str = "app";
/// How long the server may take to start, recovery included, and to stop.
const PATIENCE: Duration = Duration::from_mins(1);
/// The candidate ports. They are below the kernel's range for outgoing connections, so that no connection occupies the port
/// while the server is stopped.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// The place of all data: a folder on a disk, open to every user.
const PLACE: &str = "/var/tmp";
/// The first part of the name of each directory there.
const PREFIX: &str = "ordermill-postgres-";

/// How the server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Ends all sessions and shuts down cleanly.
    Fast,
    /// Stops as in a crash: the next start recovers from the write-ahead log.
    Immediate,
}

/// A server. Dropping it stops the server and deletes its data.
pub struct Postgres {
    binaries: PathBuf,
    account: Option<(u32, u32)>,
    password: String,
    port: u16,
    process: Option<Process>,
    directory: TempDir,
    _lock: File,
}

impl Postgres {
    /// Creates a data directory, starts a server on it and applies the migrations.
    pub async fn start() -> Result<Self> {
        let mut postgres = Self::new(uuid::Uuid::new_v4().simple().to_string(), free_port()?)?;
        postgres.create().await?;
        postgres.resume().await?;
        postgres.client("postgres").await?.batch_execute(&format!("CREATE DATABASE {ROLE}")).await?;
        postgres.migrate().await?;
        Ok(postgres)
    }

    /// A server without data.
    fn new(password: String, port: u16) -> Result<Self> {
        let account = account()?;
        remove_abandoned(Path::new(PLACE))?;
        let (directory, lock) = directory(Path::new(PLACE))?;
        let postgres = Self { binaries: binaries()?, account, password, port, process: None, directory, _lock: lock };
        postgres.give_away(postgres.directory.path())?;
        Ok(postgres)
    }

    /// The address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The id of the postmaster process. Each of its backends serves one connection.
    pub fn process_id(&self) -> Option<i32> {
        self.process.as_ref().map(Process::id)
    }

    /// The owner's URL of the database, at this address: the server's own or a proxy's.
    pub fn url(&self, address: SocketAddr) -> String {
        format!("postgres://{ROLE}:{}@{address}/{ROLE}", self.password)
    }

    /// The URL of the database for the functions' role, with these addresses.
    pub fn app_url(&self, addresses: &[SocketAddr]) -> String {
        let hosts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        format!("postgres://{APP_ROLE}:{}@{}/{ROLE}", self.password, hosts.join(","))
    }

    /// Connects directly to the server, as the owner.
    pub async fn connect(&self) -> Result<Client> {
        self.client(ROLE).await
    }

    /// Stops the server and waits for its end.
    pub async fn stop(&mut self, how: Stop) -> Result<()> {
        let Some(process) = self.process.take() else { return Ok(()) };
        process.signal(match how {
            Stop::Fast => Signal::INT,
            Stop::Immediate => Signal::QUIT,
        });
        Ok(timeout(PATIENCE, process.exited()).await?)
    }

    /// Starts the server again and waits until it accepts connections.
    pub async fn resume(&mut self) -> Result<()> {
        let mut command = self.command("postgres")?;
        command.arg("-D").arg(self.data()).args(self.options());
        self.process = Some(Process::start(&mut command)?);
        self.accepts().await
    }

    async fn accepts(&self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while let Err(error) = self.client("postgres").await {
            let is_running = self.process.as_ref().is_some_and(Process::is_running);
            if !is_running || Instant::now() > end {
                return Err(format!("PostgreSQL does not start ({error}); see {}", self.log().display()).into());
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// The owner's URL of a database.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://{ROLE}:{}@{}/{database}", self.password, self.address())
    }

    /// Connects directly to a database, as the owner.
    pub async fn client(&self, database: &str) -> Result<Client> {
        let (client, connection) = tokio_postgres::connect(&self.url_of(database), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    async fn migrate(&self) -> Result<()> {
        let url = self.url(self.address());
        let env = Env::from_iter([("DATABASE_URL", url.as_str()), ("DATABASE_TLS", "off")]);
        let (config, deadline) = (DbConfig::from_env(&env)?, Deadline::after(PATIENCE));
        schema::migrate(&config, deadline).await?;
        role::grant(&config, &APP_ROLE.parse()?, deadline).await?;
        let sql = format!("ALTER ROLE {APP_ROLE} PASSWORD '{}'", self.password);
        Ok(self.connect().await?.batch_execute(&sql).await?)
    }

    async fn create(&self) -> Result<()> {
        let secret = self.directory.path().join("password");
        std::fs::write(&secret, &self.password)?;
        self.give_away(&secret)?;
        let mut command = self.command("initdb")?;
        command.arg("-D").arg(self.data()).args(["-U", ROLE, "-E", "UTF8", "--locale=C.UTF-8"]);
        command.arg("--auth=scram-sha-256").arg(format!("--pwfile={}", secret.display()));
        let status = command.status().await?;
        std::fs::remove_file(secret)?;
        if status.success() { Ok(()) } else { Err(format!("initdb failed: {status}").into()) }
    }

    fn options(&self) -> Vec<String> {
        let port = self.port.to_string();
        let options = [
            ("listen_addresses", "127.0.0.1"),
            ("port", &port),
            ("unix_socket_directories", ""),
            ("max_connections", "300"),
            ("fsync", "on"),
            ("synchronous_commit", "on"),
            ("shared_buffers", "256MB"),
            ("max_wal_size", "2GB"),
            ("wal_keep_size", "1GB"),
            ("wal_retrieve_retry_interval", "200ms"),
        ];
        options.iter().map(|(name, value)| format!("-c{name}={value}")).collect()
    }

    /// A command for one of the server's programs. It never runs as root.
    fn command(&self, program: &str) -> Result<Command> {
        let (out, err) = output(&self.log())?;
        let mut command = Command::new(self.binaries.join(program));
        command.env_clear().env("LC_ALL", "C.UTF-8").env("TZ", "UTC").current_dir("/");
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        if let Some((user, group)) = self.account {
            command.uid(user).gid(group);
        }
        Ok(command)
    }

    fn give_away(&self, path: &Path) -> Result<()> {
        if let Some((user, group)) = self.account {
            chown(path, Some(user), Some(group))?;
        }
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }
}

impl Drop for Postgres {
    /// Stops the server before its directory is deleted. The server removes its lock file after all its processes ended.
    fn drop(&mut self) {
        let Some(process) = &self.process else { return };
        process.signal(Signal::QUIT);
        let (lock, end) = (self.data().join("postmaster.pid"), std::time::Instant::now() + Duration::from_secs(5));
        while lock.exists() && std::time::Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Creates a directory with its lock, which ends with this process, even if that is killed.
fn directory(place: &Path) -> Result<(TempDir, File)> {
    let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(place)?;
    let lock = File::open(directory.path())?;
    lock.try_lock()?;
    Ok((directory, lock))
}

/// Deletes the directories of killed runs, which have no lock. A new one gets its lock within a minute.
fn remove_abandoned(place: &Path) -> Result<()> {
    for entry in std::fs::read_dir(place)?.flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let age = entry.metadata().and_then(|metadata| Ok(metadata.modified()?.elapsed().unwrap_or_default()));
        let is_old = entry.file_type().is_ok_and(|kind| kind.is_dir()) && age.is_ok_and(|age| age > PATIENCE);
        if is_ours && is_old && File::open(entry.path()).is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = std::fs::remove_dir_all(entry.path()); // It fails for another user's.
        }
    }
    Ok(())
}

/// The user and group that replace root, because the server refuses to run as root: those of `postgres`, or else `nobody`.
fn account() -> Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd")?;
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Ok(Some(ids("postgres").or_else(|| ids("nobody")).ok_or("there is no user to run PostgreSQL as")?))
}

/// The directory of the newest PostgreSQL programs that Debian installed.
fn binaries() -> Result<PathBuf> {
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").map_err(|_| "PostgreSQL is not installed: `make tools`, `make up`")?;
    let found = versions.flatten().map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").exists());
    found.max().ok_or_else(|| "PostgreSQL's server programs are not installed".into())
}

/// Returns a port that no server listens on.
pub fn free_port() -> Result<u16> {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let tried = std::iter::repeat_with(|| fastrand::u16(PORTS)).take(100);
    tried.into_iter().find(is_free).ok_or_else(|| "no port is free".into())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn directory_of_a_killed_run_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let running = directory(place.path()).unwrap();
        let (killed, lock) = directory(place.path()).unwrap();
        for directory in [&running.0, &killed] {
            File::open(directory.path()).unwrap().set_modified(SystemTime::now() - PATIENCE * 2).unwrap();
        }
        drop(lock);
        let (new, _) = directory(place.path()).unwrap();
        remove_abandoned(place.path()).unwrap();
        let are_left = [&running.0, &killed, &new].map(|directory| directory.path().exists());
        assert_eq!(are_left, [true, false, true]);
    }
}
