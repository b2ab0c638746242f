//! The part of PostgreSQL's protocol that the proxy has to understand.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Buf, TryGetError};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_postgres::types::{FromSql, Type};

use super::{Kind, Query, Statement};
use crate::Result;

/// The largest size of a message, in bytes.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// A message from the client or the server.
pub(super) struct WireMessage {
    /// The whole message: a byte for its kind, four for its length, and the content.
    pub bytes: Vec<u8>,
}

impl WireMessage {
    /// The byte that tells its kind.
    pub fn kind(&self) -> u8 {
        self.bytes[0]
    }

    fn content(&self) -> &[u8] {
        &self.bytes[5..]
    }
}

/// Reads a message.
pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<WireMessage> {
    let kind = from.read_u8().await?;
    let mut bytes = vec![kind];
    read_sized(from, &mut bytes).await?;
    Ok(WireMessage { bytes })
}

/// A client's first message.
pub(super) struct Startup {
    /// The whole message.
    pub bytes: Vec<u8>,
    /// The name of the environment that connects, or empty if the options do not contain it.
    pub environment: Arc<str>,
}

/// Reads a client's first message, which has no byte for its kind.
pub(super) async fn read_startup(from: &mut (impl AsyncRead + Unpin)) -> Result<Startup> {
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
    query: Option<Query>,
}

impl Unit {
    /// Adds a message. Returns whether the unit is now complete.
    pub fn add(&mut self, message: &WireMessage, prepared: &mut Prepared) -> bool {
        match message.kind() {
            b'P' => prepared.0.extend(parse(message.content())),
            b'B' => self.query = prepared.bind(message.content()),
            _ => {}
        }
        self.last = message.kind();
        self.bytes.extend_from_slice(&message.bytes);
        // Parse, Bind, Describe, Execute and Close belong together until a Sync; every other message is a unit.
        !matches!(self.last, b'P' | b'B' | b'D' | b'E' | b'C' | b'H')
    }

    /// The statement, if the unit has one.
    pub fn statement(&self, environment: &Arc<str>) -> Option<Statement> {
        let query = self.query.clone()?;
        let (kind, orders) = (classify(&query.sql), orders(&query).into());
        Some(Statement { environment: Arc::clone(environment), kind, orders, query: Arc::new(query) })
    }

    /// Whether the server's answer ends with `ReadyForQuery`: after a Sync or a simple query, but not during authentication.
    pub fn is_answered_when_ready(&self) -> bool {
        matches!(self.last, b'S' | b'Q')
    }
}

/// The prepared statements of a connection by name, without values. The empty name stands for the last statement parsed without a name.
#[derive(Default)]
pub(super) struct Prepared(HashMap<Vec<u8>, Query>);

impl Prepared {
    /// The statement that a Bind message binds: the portal's name, the statement's, the formats, the values.
    fn bind(&self, mut content: &[u8]) -> Option<Query> {
        text(&mut content)?;
        let query = self.0.get(text(&mut content)?)?;
        let formats = usize::from(content.try_get_u16().ok()?);
        content = content.get(2 * formats..)?;
        let values = (0..content.try_get_u16().ok()?)
            .map(|_| value(&mut content))
            .collect::<std::result::Result<_, _>>()
            .ok()?;
        Some(Query { values, ..query.clone() })
    }
}

/// Reads a Parse message: the statement's name, its text, the types of its parameters.
fn parse(mut content: &[u8]) -> Option<(Vec<u8>, Query)> {
    let mut utf8 = || String::from_utf8(text(&mut content)?.to_vec()).ok();
    let (name, sql) = (utf8()?, utf8()?);
    let types = (0..content.try_get_u16().ok()?).map(|_| content.try_get_u32().ok()).collect::<Option<_>>()?;
    Some((name.clone().into_bytes(), Query { name, sql, types, values: Vec::new() }))
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

/// The ids of the orders in the first parameter, a text or an array of texts.
fn orders(query: &Query) -> Vec<String> {
    let (Some(oid), Some(Some(value))) = (query.types.first(), query.values.first()) else { return Vec::new() };
    match Type::from_oid(*oid) {
        Some(Type::TEXT) => vec![String::from_utf8_lossy(value).into_owned()],
        Some(Type::TEXT_ARRAY) => Vec::from_sql(&Type::TEXT_ARRAY, value).unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// Reads a text that ends with a NUL.
fn text<'a>(content: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = content.iter().position(|byte| *byte == 0)?;
    let text = &content[..length];
    content.advance(length + 1);
    Some(text)
}

/// Reads a length and then as many bytes; a negative length stands for SQL's NULL.
fn value(content: &mut &[u8]) -> std::result::Result<Option<Vec<u8>>, TryGetError> {
    let Ok(length) = usize::try_from(content.try_get_i32()?) else { return Ok(None) };
    let mut value = vec![0; length];
    content.try_copy_to_slice(&mut value)?;
    Ok(Some(value))
}
