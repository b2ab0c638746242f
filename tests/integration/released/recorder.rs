//! A proxy that records the statements between a client and PostgreSQL.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
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

    /// Forwards the client's messages. The first one, the startup message, has no byte for its kind.
    async fn forward(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> std::io::Result<()> {
        let startup = read_sized(&mut from).await?;
        to.write_all(&sized(&startup)).await?;
        let mut parsed = None;
        loop {
            let kind = from.read_u8().await?;
            let content = read_sized(&mut from).await?;
            match kind {
                b'P' => parsed = Some(parse(&content)),
                b'B' => {
                    let statement = parsed.take().expect("a Parse message comes before a Bind message");
                    self.0.lock().unwrap().push(Statement { values: bind(&content), ..statement });
                }
                _ => {}
            }
            to.write_all(&[&[kind], sized(&content).as_slice()].concat()).await?;
        }
    }
}

async fn read_sized(from: &mut OwnedReadHalf) -> std::io::Result<Vec<u8>> {
    let mut content = vec![0; from.read_u32().await? as usize - 4];
    from.read_exact(&mut content).await?;
    Ok(content)
}

fn sized(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 4).unwrap();
    [&length.to_be_bytes(), content].concat()
}

/// The unread rest of a message.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn bytes(&mut self, count: usize) -> &[u8] {
        let (bytes, rest) = self.0.split_at(count);
        self.0 = rest;
        bytes
    }

    fn text(&mut self) -> String {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap();
        let text = String::from_utf8(self.bytes(length).to_vec()).unwrap();
        self.bytes(1);
        text
    }

    fn short(&mut self) -> i16 {
        i16::from_be_bytes(self.bytes(2).try_into().unwrap())
    }

    fn int(&mut self) -> i32 {
        i32::from_be_bytes(self.bytes(4).try_into().unwrap())
    }
}

/// Reads a Parse message: a name, the text, the types.
fn parse(content: &[u8]) -> Statement {
    let mut rest = Rest(content);
    assert_eq!(rest.text(), "", "a statement has a name");
    let sql = rest.text();
    let types = (0..rest.short()).map(|_| rest.int().cast_unsigned()).collect();
    Statement { sql, types, values: Vec::new() }
}

/// Reads the values of a Bind message: two names, the formats, the values.
fn bind(content: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut rest = Rest(content);
    rest.text();
    rest.text();
    for _ in 0..rest.short() {
        assert_eq!(rest.short(), 1, "a value is not in binary");
    }
    (0..rest.short()).map(|_| usize::try_from(rest.int()).ok().map(|length| rest.bytes(length).to_vec())).collect()
}
