//! The part of PostgreSQL's protocol that the proxy has to understand.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Kind, Statement};
use crate::Result;

/// The largest size of a message, in bytes.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// A message from the client or the server.
pub struct Message {
    /// The whole message: a byte for its kind, four for its length, and the content.
    pub bytes: Vec<u8>,
}

impl Message {
    /// The byte that tells its kind.
    #[must_use]
    pub fn kind(&self) -> u8 {
        self.bytes[0]
    }

    /// Its content.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.bytes[5..]
    }
}

/// Reads a message.
pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Message> {
    let kind = from.read_u8().await?;
    let mut bytes = vec![kind];
    read_sized(from, &mut bytes).await?;
    Ok(Message { bytes })
}

/// A client's first message.
pub struct Startup {
    /// The whole message.
    pub bytes: Vec<u8>,
    /// The name of the environment that connects, or empty if the options do not contain it.
    pub environment: Arc<str>,
}

/// Reads a client's first message, which has no byte for its kind.
pub async fn read_startup(from: &mut (impl AsyncRead + Unpin)) -> Result<Startup> {
    let mut bytes = Vec::new();
    read_sized(from, &mut bytes).await?;
    let text = String::from_utf8_lossy(&bytes);
    let environment = text.split("ordermill.environment=").nth(1).and_then(|rest| rest.split('\0').next());
    let environment = environment.unwrap_or_default().into();
    Ok(Startup { bytes, environment })
}

async fn read_sized(from: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> Result<()> {
    let length = usize::try_from(from.read_u32().await?)?;
    if !(4..=MAX_MESSAGE).contains(&length) {
        return Err("a message has an invalid length".into());
    }
    bytes.extend_from_slice(&u32::try_from(length)?.to_be_bytes());
    let begin = bytes.len();
    bytes.resize(begin + length - 4, 0);
    from.read_exact(&mut bytes[begin..]).await?;
    Ok(())
}

/// The client's messages that belong together: all of a statement, or a single message.
#[derive(Default)]
pub(super) struct Unit {
    /// All its messages.
    pub bytes: Vec<u8>,
    last: u8,
    kind: Option<Kind>,
    orders: Vec<String>,
}

impl Unit {
    /// Adds a message. Returns whether the unit is now complete.
    pub fn add(&mut self, message: &Message, prepared: &mut Prepared) -> bool {
        match message.kind() {
            b'P' => prepared.add(message.content()),
            b'B' => {
                self.kind = prepared.kind(message.content());
                self.orders = first_parameter(message.content()).unwrap_or_default();
            }
            _ => {}
        }
        self.last = message.kind();
        self.bytes.extend_from_slice(&message.bytes);
        // Parse, Bind, Describe, Execute and Close belong together until a Sync; every other message is a unit.
        !matches!(self.last, b'P' | b'B' | b'D' | b'E' | b'C' | b'H')
    }

    /// The statement, if the unit is one of the product's.
    pub fn statement(&self, environment: &Arc<str>) -> Option<Statement> {
        let kind = self.kind?;
        Some(Statement { environment: Arc::clone(environment), kind, orders: self.orders.clone().into() })
    }

    /// Whether the server's answer ends with `ReadyForQuery`: after a Sync or a simple query, but not during authentication.
    pub fn is_answered_when_ready(&self) -> bool {
        matches!(self.last, b'S' | b'Q')
    }
}

/// The prepared statements of a connection by name. The empty name stands for the last statement parsed without a name.
#[derive(Default)]
pub(super) struct Prepared(HashMap<Vec<u8>, Kind>);

impl Prepared {
    /// Adds the statement of a Parse message, which contains its name and its text.
    fn add(&mut self, content: &[u8]) {
        let mut texts = content.split(|byte| *byte == 0);
        if let (Some(name), Some(Ok(sql))) = (texts.next(), texts.next().map(std::str::from_utf8)) {
            self.0.insert(name.to_vec(), classify(sql));
        }
    }

    /// The kind of the statement that a Bind message binds. The message contains the portal's name and the statement's.
    fn kind(&self, content: &[u8]) -> Option<Kind> {
        let name = content.split(|byte| *byte == 0).nth(1)?;
        self.0.get(name).copied()
    }
}

fn classify(sql: &str) -> Kind {
    let has = |part| sql.contains(part);
    match () {
        () if has("INSERT INTO orders (") => Kind::Create,
        () if sql.starts_with("WITH due AS") => Kind::Claim,
        () if has("SET cancelled = true") => Kind::Cancel,
        () if has("DELETE FROM order_work") => Kind::Finish,
        () if sql.starts_with("UPDATE order_work") => Kind::Reschedule,
        () => Kind::Other,
    }
}

/// The first parameter of a Bind message, which is a text or an array of texts.
fn first_parameter(content: &[u8]) -> Option<Vec<String>> {
    let mut reader = Reader(content);
    reader.text()?;
    reader.text()?;
    let formats = reader.u16()?;
    reader.bytes(usize::from(formats) * 2)?;
    reader.u16().filter(|count| *count > 0)?;
    let value = reader.value()?;
    array(value).or_else(|| Some(vec![String::from_utf8(value.to_vec()).ok()?]))
}

/// The elements of a binary array of texts.
fn array(value: &[u8]) -> Option<Vec<String>> {
    let mut reader = Reader(value);
    let (dimensions, has_null, element) = (reader.u32()?, reader.u32()?, reader.u32()?);
    if dimensions != 1 || has_null > 1 || element != tokio_postgres::types::Type::TEXT.oid() {
        return None;
    }
    let (length, _lower_bound) = (reader.u32()?, reader.u32()?);
    (0..length).map(|_| String::from_utf8(reader.value()?.to_vec()).ok()).collect()
}

/// The unread rest of a message's content.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    /// Reads two bytes.
    pub fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.bytes(2)?.try_into().ok()?))
    }

    /// Reads four bytes.
    pub fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.bytes(4)?.try_into().ok()?))
    }

    /// Reads a text that ends with a NUL.
    pub fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.0.iter().position(|byte| *byte == 0)?;
        let text = self.bytes(length)?;
        self.bytes(1)?;
        Some(text)
    }

    /// Reads a length and then as many bytes, or `None` for SQL's NULL.
    pub fn value(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.bytes(length)
    }
}
