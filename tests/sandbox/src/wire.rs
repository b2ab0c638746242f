//! A proxy between the functions and PostgreSQL that recognises the product's statements. It calls a hook before it forwards
//! a statement, and again after the server's answer; the hook can cut the connection instead.
//!
//! It can also drop all packets: no byte gets through in either direction, connections stay open, and neither end notices. Once it
//! heals, every byte arrives late, as if TCP had repeated the lost packets.
//!
//! It supports no TLS, which loopback does not need. The setting `ordermill.environment` among the connection's options
//! names the environment, see [`url`].

mod message;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::Result;
use message::{Prepared, Unit, WireMessage, read, read_startup};

/// A kind of the product's statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Inserts orders and their work.
    Create,
    /// Claims a batch.
    Claim,
    /// Reschedules orders.
    Reschedule,
    /// Finishes orders.
    Finish,
    /// Cancels an order.
    Cancel,
    /// Any other statement.
    Other,
}

/// A statement that the proxy forwards.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The name of the environment that sent it.
    pub environment: Arc<str>,
    /// The kind of statement.
    pub kind: Kind,
    /// The ids of the orders in its first parameter.
    pub orders: Arc<[String]>,
    /// What the client sent.
    pub query: Arc<Query>,
}

/// A statement as a client sends it.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The name of the prepared statement; empty if it is not kept.
    pub name: String,
    /// The text.
    pub sql: String,
    /// The OIDs of its parameters' types.
    pub types: Vec<u32>,
    /// Its parameters' binary values.
    pub values: Vec<Option<Vec<u8>>>,
}

/// When the hook sees a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the server receives it.
    Before,
    /// After the server committed it, before the function receives the answer.
    After,
}

/// The hook's decision about a statement or its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// Forwards it.
    Pass,
    /// Cuts the connection instead.
    Cut,
}

/// Decides about each statement and each answer, which wait for the decision even if the client has disconnected.
pub type Hook = Arc<dyn Fn(Moment, Statement) -> BoxFuture<'static, Ruling> + Send + Sync>;

/// The hook that lets all pass.
pub fn no_hook() -> Hook {
    ruled_by(|_, _| Ruling::Pass)
}

/// A hook that decides at once, by this rule.
pub fn ruled_by(rule: impl Fn(Moment, Statement) -> Ruling + Send + Sync + 'static) -> Hook {
    Arc::new(move |moment, statement| Box::pin(std::future::ready(rule(moment, statement))))
}

/// A running proxy. Dropping it closes all its connections.
pub struct Wire {
    address: SocketAddr,
    state: Arc<Proxy>,
    task: JoinHandle<()>,
}

/// What all connections of a proxy share.
struct Proxy {
    upstream: SocketAddr,
    hook: Hook,
    cut: watch::Sender<()>,
    is_whole: watch::Sender<bool>,
    accepted: AtomicUsize,
}

impl Wire {
    /// Starts a proxy in front of the server at `upstream`.
    pub async fn start(upstream: SocketAddr, hook: Hook) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (cut, is_whole) = (watch::Sender::new(()), watch::Sender::new(true));
        let state = Arc::new(Proxy { upstream, hook, cut, is_whole, accepted: AtomicUsize::new(0) });
        Ok(Self { address, state: Arc::clone(&state), task: tokio::spawn(accept(listener, state)) })
    }

    /// The address that the proxy listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has accepted so far.
    pub fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// Cuts all connections.
    pub fn cut_all(&self) {
        self.state.cut.send_replace(());
    }

    /// Starts or stops dropping all packets, those of new connections too.
    pub fn swallow(&self, swallows: bool) {
        self.state.is_whole.send_replace(!swallows);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Adds an option to the database URL that tells the proxy which environment connects.
pub fn url(url: &str) -> String {
    format!("{url}?options=-cordermill.environment%3D{{environment}}")
}

async fn accept(listener: TcpListener, state: Arc<Proxy>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((client, _)) = accepted {
                state.accepted.fetch_add(1, Ordering::SeqCst);
                let (mut cut, state) = (state.cut.subscribe(), Arc::clone(&state));
                connections.spawn(async move {
                    // At the end both connections are closed, which both sides notice.
                    tokio::select! {
                        _ = carry(client, state) => {}
                        _ = cut.changed() => {}
                    }
                });
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(mut client: TcpStream, state: Arc<Proxy>) -> Result<()> {
    let startup = state.deliver(read_startup(&mut client).await).await?;
    let mut server = TcpStream::connect(state.upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    server.write_all(&startup.bytes).await?;
    let connection = Connection { environment: startup.environment, state, under_way: Mutex::default() };
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::select! {
        ended = connection.forward(from_client, to_server) => ended,
        ended = connection.back(from_server, to_client) => ended,
    }
}

impl Proxy {
    /// Returns what was read, a message or the end of a connection, once packets get through.
    async fn deliver<T>(&self, read: Result<T>) -> Result<T> {
        self.is_whole.subscribe().wait_for(|is_whole| *is_whole).await?;
        read
    }
}

/// A client's connection.
struct Connection {
    environment: Arc<str>,
    state: Arc<Proxy>,
    /// The forwarded statements without an answer so far. `None` stands for one that is not the product's.
    under_way: Mutex<VecDeque<Option<Statement>>>,
}

impl Connection {
    /// Forwards the client's messages, all messages of a statement together.
    async fn forward(&self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> Result<()> {
        let (mut unit, mut prepared) = (Unit::default(), Prepared::default());
        loop {
            if !unit.add(&self.state.deliver(read(&mut from).await).await?, &mut prepared) {
                continue;
            }
            let unit = std::mem::take(&mut unit);
            let statement = unit.statement(&self.environment);
            if let Some(statement) = &statement
                && (self.state.hook)(Moment::Before, statement.clone()).await == Ruling::Cut
            {
                return Ok(());
            }
            if unit.is_answered_when_ready() {
                self.under_way.lock().push_back(statement);
            }
            to.write_all(&unit.bytes).await?;
        }
    }

    /// Forwards the server's messages, all messages of an answer together.
    async fn back(&self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> Result<()> {
        let (mut answer, mut has_failed) = (Vec::new(), false);
        loop {
            let message = self.state.deliver(read(&mut from).await).await?;
            answer.extend_from_slice(&message.bytes);
            has_failed |= message.kind() == b'E';
            if self.is_more_to_come(&message) {
                continue;
            }
            if message.kind() == b'Z' {
                let answered = self.under_way.lock().pop_front().flatten().filter(|_| !has_failed);
                if let Some(statement) = answered
                    && (self.state.hook)(Moment::After, statement).await == Ruling::Cut
                {
                    return Ok(());
                }
                has_failed = false;
            }
            to.write_all(&std::mem::take(&mut answer)).await?;
        }
    }

    /// Whether more messages of the answer follow. An answer ends when the server is ready for the next statement. The proxy
    /// forwards unsolicited messages at once, and errors too, because the server may close the connection after an error.
    fn is_more_to_come(&self, message: &WireMessage) -> bool {
        !matches!(message.kind(), b'Z' | b'E') && !self.under_way.lock().is_empty()
    }
}
