//! The database of a run: a server that takes writes, once there was a failover a standby too, and what lies between them
//! and the functions.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use sandbox::Result;
use sandbox::link::Link;
use sandbox::postgres::{Postgres, Stop, free_port};
use sandbox::wire::{self, Hook, Wire};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_postgres::Client;

/// The database.
pub struct Database {
    servers: Mutex<Servers>,
    hosts: [Host; 2],
}

struct Servers {
    writer: Postgres,
    standby: Option<Postgres>,
    /// Where the next standby listens.
    other_port: u16,
}

/// One of the two addresses that the functions know.
struct Host {
    /// The network, next to the server.
    link: Link,
    /// What knows the statements, next to the functions.
    wire: Wire,
}

impl Host {
    async fn start(server: SocketAddr, hook: Hook) -> Result<Self> {
        let link = Link::start(server).await?;
        let wire = Wire::start(link.address(), hook).await?;
        Ok(Self { link, wire })
    }
}

impl Database {
    /// Starts a server, and what lies before it and before its successor.
    pub async fn start(hook: Hook) -> Result<Self> {
        let (writer, other_port) = (Postgres::start().await?, free_port()?);
        let other = (Ipv4Addr::LOCALHOST, other_port).into();
        let hosts = [Host::start(writer.address(), Hook::clone(&hook)).await?, Host::start(other, hook).await?];
        Ok(Self { servers: Mutex::new(Servers { writer, standby: None, other_port }), hosts })
    }

    /// What `DATABASE_URL` is set to: both addresses, for the functions' own role.
    pub async fn url(&self) -> String {
        let addresses = self.hosts.each_ref().map(|host| host.wire.address());
        wire::url(&self.servers.lock().await.writer.app_url(&addresses))
    }

    /// A connection of the harness's own, to the server that takes writes.
    pub async fn sql(&self) -> Result<Client> {
        self.servers.lock().await.writer.connect().await
    }

    /// Cuts the functions' connections.
    pub fn cut(&self) {
        for host in &self.hosts {
            host.wire.cut_all();
        }
    }

    /// Lets all packets vanish, or none any more.
    pub fn swallow(&self, swallows: bool) {
        for host in &self.hosts {
            if swallows {
                host.link.swallow();
            } else {
                host.link.heal();
            }
        }
    }

    /// Restarts the server; gives how long it was away.
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

    /// The server ends and the standby takes its place; gives how long there was none that takes writes.
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
