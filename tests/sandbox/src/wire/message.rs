//! Messages of PostgreSQL's protocol, as far as they have to be understood.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Kind, Statement};
use crate::Result;

/// The most bytes of a message.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// A message of either side.
pub struct Message {
    /// All of it: a byte for its kind, four for its length, and what it says.
    pub bytes: Vec<u8>,
}

impl Message {
    /// Its kind.
    pub fn kind(&self) -> u8 {
        self.bytes[0]
    }

    fn content(&self) -> &[u8] {
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

/// What a client begins with.
pub struct Startup {
    /// All of it.
    pub bytes: Vec<u8>,
    /// The environment that the connection is of; empty where it does not say.
    pub environment: Arc<str>,
}

/// Reads a client's first message, which has no kind.
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
        return Err("a message has no sensible length".into());
    }
    bytes.extend_from_slice(&u32::try_from(length)?.to_be_bytes());
    let begin = bytes.len();
    bytes.resize(begin + length - 4, 0);
    from.read_exact(&mut bytes[begin..]).await?;
    Ok(())
}

/// The messages of a client that belong together: a statement, or a message on its own.
#[derive(Default)]
pub struct Unit {
    /// All of it.
    pub bytes: Vec<u8>,
    last: u8,
    kind: Option<Kind>,
    orders: Vec<String>,
}

impl Unit {
    /// Adds a message; true where the unit is complete then.
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
        // Parse, Bind, Describe, Execute and Close go on until a Sync; anything else stands alone.
        !matches!(self.last, b'P' | b'B' | b'D' | b'E' | b'C' | b'H')
    }

    /// The product's statement, if it is one.
    pub fn statement(&self, environment: &Arc<str>) -> Option<Statement> {
        let kind = self.kind?;
        Some(Statement { environment: Arc::clone(environment), kind, orders: self.orders.clone().into() })
    }

    /// Whether the server says when it is done with this: after a Sync and a simple query, but not during authentication.
    pub fn is_answered_when_ready(&self) -> bool {
        matches!(self.last, b'S' | b'Q')
    }
}

/// The statements of a connection by their names; the unnamed one is the last that was parsed without a name.
#[derive(Default)]
pub struct Prepared(HashMap<Vec<u8>, Kind>);

impl Prepared {
    /// Adds the statement of a Parse message: its name and its text.
    fn add(&mut self, content: &[u8]) {
        let mut texts = content.split(|byte| *byte == 0);
        if let (Some(name), Some(Ok(sql))) = (texts.next(), texts.next().map(std::str::from_utf8)) {
            self.0.insert(name.to_vec(), classify(sql));
        }
    }

    /// The statement that a Bind message gives values: a portal's name, and the statement's.
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

/// The first parameter of a Bind message: text, or an array of it.
fn first_parameter(content: &[u8]) -> Option<Vec<String>> {
    let mut reader = Reader(content);
    reader.text()?;
    reader.text()?;
    let formats = reader.u16()?;
    reader.take(usize::from(formats) * 2)?;
    reader.u16().filter(|count| *count > 0)?;
    let value = reader.value()?;
    array(value).or_else(|| Some(vec![String::from_utf8(value.to_vec()).ok()?]))
}

/// The elements of an array of text in its binary form.
fn array(value: &[u8]) -> Option<Vec<String>> {
    let mut reader = Reader(value);
    let (dimensions, has_null, element) = (reader.u32()?, reader.u32()?, reader.u32()?);
    if dimensions != 1 || has_null > 1 || element != tokio_postgres::types::Type::TEXT.oid() {
        return None;
    }
    let (length, _lower_bound) = (reader.u32()?, reader.u32()?);
    (0..length).map(|_| String::from_utf8(reader.value()?.to_vec()).ok()).collect()
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// Text that ends with a NUL.
    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.0.iter().position(|byte| *byte == 0)?;
        let text = self.take(length)?;
        self.take(1)?;
        Some(text)
    }

    /// Bytes behind their length.
    fn value(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.take(length)
    }
}
