//! The database of a run: the primary, a standby for failovers, and the proxies between them and the functions.

use std::net::Ipv4Addr;
use std::time::Duration;

use sandbox::Result;
use sandbox::postgres::{Postgres, Stop, free_port};
use sandbox::wire::{self, Hook, Wire};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_postgres::{Client, Row};

/// The servers, and the two addresses that the functions connect to.
pub struct Database {
    servers: Mutex<Servers>,
    /// The proxies in front of the servers, which the functions connect to. They recognise statements and can drop packets.
    hosts: [Wire; 2],
}

struct Servers {
    writer: Postgres,
    standby: Option<Postgres>,
    /// The port of the next standby.
    other_port: u16,
}

impl Database {
    /// Starts a server, and the proxies in front of it and of its future standby.
    pub async fn start(hook: Hook) -> Result<Self> {
        let (writer, other_port) = (Postgres::start().await?, free_port()?);
        let other = (Ipv4Addr::LOCALHOST, other_port).into();
        let hosts = [Wire::start(writer.address(), Hook::clone(&hook)).await?, Wire::start(other, hook).await?];
        Ok(Self { servers: Mutex::new(Servers { writer, standby: None, other_port }), hosts })
    }

    /// The value of `DATABASE_URL`: both addresses, for the functions' own role.
    pub async fn url(&self) -> String {
        let addresses = self.hosts.each_ref().map(Wire::address);
        wire::url(&self.servers.lock().await.writer.app_url(&addresses))
    }

    /// Connects directly to the primary, past the proxies.
    pub async fn sql(&self) -> Result<Client> {
        self.servers.lock().await.writer.connect().await
    }

    /// Runs a query on the primary. No server is stopped until it is answered.
    pub async fn query(&self, sql: &str) -> Result<Vec<Row>> {
        let servers = self.servers.lock().await;
        Ok(servers.writer.connect().await?.query(sql, &[]).await?)
    }

    pub fn cut(&self) {
        self.hosts.iter().for_each(Wire::cut_all);
    }

    /// Starts or stops dropping all packets.
    pub fn swallow(&self, swallows: bool) {
        self.hosts.iter().for_each(|host| host.swallow(swallows));
    }

    /// Restarts the server, and returns how long it was down.
    pub async fn restart(&self, how: Stop) -> Result<Duration> {
        let mut servers = self.servers.lock().await;
        let begin = Instant::now();
        servers.writer.stop(how).await?;
        servers.writer.resume().await?;
        Ok(begin.elapsed())
    }

    /// Starts a standby, unless there is one.
    pub async fn add_standby(&self) -> Result<()> {
        let mut servers = self.servers.lock().await;
        if servers.standby.is_none() {
            servers.standby = Some(servers.writer.standby(servers.other_port).await?);
        }
        Ok(())
    }

    /// Stops the primary and promotes the standby. Returns how long no server accepted writes.
    pub async fn fail_over(&self) -> Result<Duration> {
        let mut servers = self.servers.lock().await;
        let standby = servers.standby.take().ok_or("there is no standby")?;
        let begin = Instant::now();
        servers.writer.stop_followed().await?;
        standby.promote().await?;
        servers.other_port = servers.writer.address().port();
        servers.writer = standby;
        Ok(begin.elapsed())
    }
}
