//! What lies between the functions and PostgreSQL: a proxy that knows the product's statements, and a hook that sees each
//! before it is forwarded and again after its answer has come, and may cut the connection instead.
//!
//! It speaks plain text, which is enough on loopback. An environment is known by the setting `ordermill.environment` among
//! its connection's options, see [`url`].

mod message;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::Result;
use message::{Message, Prepared, Unit, read, read_startup};

/// Which of the product's statements it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An order and its work are born.
    Create,
    /// A batch is claimed.
    Claim,
    /// Orders go on later.
    Reschedule,
    /// Orders end.
    Finish,
    /// An order is cancelled.
    Cancel,
    /// Any other.
    Other,
}

/// A statement on its way.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The environment that sent it.
    pub environment: Arc<str>,
    /// Which it is.
    pub kind: Kind,
    /// The orders it speaks of.
    pub orders: Arc<[String]>,
}

/// When a statement is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The server has not seen it.
    Before,
    /// The server has committed it, and who sent it does not know.
    After,
}

/// What becomes of a statement or its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// It goes on.
    Pass,
    /// Its connection is cut instead.
    Cut,
}

/// Sees each statement. It may take its time, which the statement or its answer then waits, even when who sent it is
/// gone.
pub type Hook = Arc<dyn Fn(Moment, Statement) -> BoxFuture<'static, Ruling> + Send + Sync>;

/// A running proxy. It ends, with all its connections, when this is dropped.
pub struct Wire {
    address: SocketAddr,
    cut: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Wire {
    /// Starts a proxy in front of the server at this address.
    pub async fn start(upstream: SocketAddr, hook: Hook) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let cut = watch::Sender::new(());
        let task = tokio::spawn(accept(listener, upstream, hook, cut.clone()));
        Ok(Self { address, cut, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts all connections, and gives how many there were.
    #[allow(clippy::must_use_candidate, reason = "often nobody asks how many")]
    pub fn cut_all(&self) -> usize {
        let connections = self.cut.receiver_count();
        self.cut.send_replace(());
        connections
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The same database URL, such that the wire knows whose connection it is.
#[must_use]
pub fn url(url: &str) -> String {
    format!("{url}?options=-cordermill.environment%3D{{environment}}")
}

async fn accept(listener: TcpListener, upstream: SocketAddr, hook: Hook, cut: watch::Sender<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((client, _)) = accepted {
                let (hook, mut cut) = (Arc::clone(&hook), cut.subscribe());
                connections.spawn(async move {
                    // However it ends, both connections are closed then, which each end notices.
                    tokio::select! {
                        _ = carry(client, upstream, hook) => {}
                        _ = cut.changed() => {}
                    }
                });
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(mut client: TcpStream, upstream: SocketAddr, hook: Hook) -> Result<()> {
    let mut server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let startup = read_startup(&mut client).await?;
    server.write_all(&startup.bytes).await?;
    let connection = Connection { environment: startup.environment, hook, under_way: Mutex::default() };
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::select! {
        ended = connection.forward(from_client, to_server) => ended,
        ended = connection.back(from_server, to_client) => ended,
    }
}

/// A client's connection.
struct Connection {
    environment: Arc<str>,
    hook: Hook,
    /// What was forwarded and has not been answered; none for what is not one of the product's.
    under_way: Mutex<VecDeque<Option<Statement>>>,
}

impl Connection {
    /// Forwards what the client sends, all messages of a statement together.
    async fn forward(&self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> Result<()> {
        let (mut unit, mut prepared) = (Unit::default(), Prepared::default());
        loop {
            if !unit.add(&read(&mut from).await?, &mut prepared) {
                continue;
            }
            let unit = std::mem::take(&mut unit);
            let statement = unit.statement(&self.environment);
            if let Some(statement) = &statement
                && (self.hook)(Moment::Before, statement.clone()).await == Ruling::Cut
            {
                return Ok(());
            }
            if unit.is_answered_when_ready() {
                self.lock().push_back(statement);
            }
            to.write_all(&unit.bytes).await?;
        }
    }

    /// Passes back what the server answers, all messages of an answer together.
    async fn back(&self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> Result<()> {
        let (mut answer, mut has_failed) = (Vec::new(), false);
        loop {
            let message = read(&mut from).await?;
            answer.extend_from_slice(&message.bytes);
            has_failed |= message.kind() == b'E';
            if self.is_more_to_come(&message) {
                continue;
            }
            if message.kind() == b'Z' {
                let answered = self.lock().pop_front().flatten().filter(|_| !has_failed);
                if let Some(statement) = answered
                    && (self.hook)(Moment::After, statement).await == Ruling::Cut
                {
                    return Ok(());
                }
                has_failed = false;
            }
            to.write_all(&std::mem::take(&mut answer)).await?;
        }
    }

    /// An answer ends when the server is ready for the next statement. What it says unasked is passed on at once, and so is
    /// an error, after which it may close the connection.
    fn is_more_to_come(&self, message: &Message) -> bool {
        !matches!(message.kind(), b'Z' | b'E') && !self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Option<Statement>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
