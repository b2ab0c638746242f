//! A proxy that records the statements between a client and PostgreSQL.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use sandbox::wire::message::{Reader, read, read_startup};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// A statement as sent by a client: its text, the OIDs of its parameters' types, and their binary values.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    pub sql: String,
    pub types: Vec<u32>,
    pub values: Vec<Option<Vec<u8>>>,
}

/// The recorded statements, in order.
#[derive(Clone, Default)]
pub struct Recording(Arc<Mutex<Vec<Statement>>>);

impl Recording {
    /// All statements so far.
    pub fn statements(&self) -> Vec<Statement> {
        self.0.lock().unwrap().clone()
    }

    /// Starts a proxy in front of the server at this address, and returns its own address.
    pub async fn listen(&self, upstream: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, recording) = (listener.local_addr().unwrap(), self.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(upstream).await.unwrap();
                let ((from_client, mut to_client), (mut from_server, to_server)) =
                    (client.into_split(), server.into_split());
                tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
                tokio::spawn(recording.clone().forward(from_client, to_server));
            }
        });
        address
    }

    async fn forward(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> sandbox::Result<()> {
        to.write_all(&read_startup(&mut from).await?.bytes).await?;
        let mut parsed = None;
        loop {
            let message = read(&mut from).await?;
            match message.kind() {
                b'P' => parsed = Some(parse(message.content())),
                b'B' => {
                    let statement = parsed.take().expect("a Parse message comes before a Bind message");
                    self.0.lock().unwrap().push(Statement { values: bind(message.content()), ..statement });
                }
                _ => {}
            }
            to.write_all(&message.bytes).await?;
        }
    }
}

/// Reads a Parse message: a name, the text, the types.
fn parse(content: &[u8]) -> Statement {
    let mut rest = Reader(content);
    assert_eq!(rest.text(), Some(&b""[..]), "a statement has a name");
    let sql = String::from_utf8(rest.text().unwrap().to_vec()).unwrap();
    let types = (0..rest.u16().unwrap()).map(|_| rest.u32().unwrap()).collect();
    Statement { sql, types, values: Vec::new() }
}

/// Reads the values of a Bind message: two names, the formats, the values.
fn bind(content: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut rest = Reader(content);
    rest.text().and_then(|_| rest.text()).unwrap();
    for _ in 0..rest.u16().unwrap() {
        assert_eq!(rest.u16(), Some(1), "a value is not in binary");
    }
    (0..rest.u16().unwrap()).map(|_| rest.value().map(<[u8]>::to_vec)).collect()
}
