//! A TCP proxy that can drop all packets: no byte gets through in either direction, connections stay open, and neither end
//! notices. Once the link heals, every byte arrives late, as if TCP had repeated the lost packets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::Result;

/// A running link. Dropping it closes all its connections.
pub struct Link {
    address: SocketAddr,
    is_whole: watch::Sender<bool>,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Link {
    /// Starts a link to the server at `upstream`.
    pub async fn start(upstream: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (address, is_whole) = (listener.local_addr()?, watch::Sender::new(true));
        let accepted = Arc::<AtomicUsize>::default();
        let task = tokio::spawn(accept(listener, upstream, is_whole.subscribe(), Arc::clone(&accepted)));
        Ok(Self { address, is_whole, accepted, task })
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has accepted so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Drops all packets, those of new connections too.
    pub fn swallow(&self) {
        self.is_whole.send_replace(false);
    }

    /// Lets packets through again.
    pub fn heal(&self) {
        self.is_whole.send_replace(true);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, upstream: SocketAddr, is_whole: watch::Receiver<bool>, count: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((client, _)) = accepted {
                count.fetch_add(1, Ordering::SeqCst);
                connections.spawn(carry(client, upstream, is_whole.clone()));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(mut client: TcpStream, upstream: SocketAddr, is_whole: watch::Receiver<bool>) -> Result<()> {
    is_whole.clone().wait_for(|is_whole| *is_whole).await?;
    let mut server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::try_join!(forward(from_client, to_server, is_whole.clone()), forward(from_server, to_client, is_whole))?;
    Ok(())
}

/// Forwards bytes, and the end of the connection, while the link is whole.
async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut is_whole: watch::Receiver<bool>,
) -> Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or_default();
        is_whole.wait_for(|is_whole| *is_whole).await?;
        if read == 0 {
            return Ok(to.shutdown().await?);
        }
        to.write_all(&buffer[..read]).await?;
    }
}
