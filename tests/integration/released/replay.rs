//! Says again, to the schema of now, what a release has said, and sees whether it is still understood.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{BufMut, BytesMut};
use serde_json::{Value, json};
use tests::World;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Error, NoTls};

use super::recorder::Said;

/// A value as it goes over the wire.
#[derive(Debug)]
struct Raw(Option<Vec<u8>>);

impl ToSql for Raw {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let Some(bytes) = &self.0 else { return Ok(IsNull::Yes) };
        out.put_slice(bytes);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn types(said: &Said) -> Vec<Type> {
    said.types.iter().map(|oid| Type::from_oid(*oid).expect("a type of PostgreSQL's own")).collect()
}

/// What a statement answers with: each column's name and type.
async fn columns(client: &Client, said: &Said) -> Result<Value, Error> {
    let columns = client.prepare_typed(&said.sql, &types(said)).await?;
    Ok(columns.columns().iter().map(|column| json!([column.name(), column.type_().oid()])).collect())
}

/// How the orders have ended.
async fn end(client: &Client) -> Result<String, Error> {
    let sql = "SELECT string_agg(concat_ws(' ', order_id, status, failure, total_amount), ', ' ORDER BY order_id) FROM order_states";
    client.query_one(sql, &[]).await?.try_get(0)
}

async fn connect(world: &World) -> Client {
    let (client, connection) = tokio_postgres::connect(world.owner_url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The recording as it is kept, a line for each statement.
pub async fn written(world: &World, statements: &[Said]) -> String {
    let client = connect(world).await;
    let mut kept = Vec::new();
    for said in statements {
        let values = said.values.iter().map(|value| value.as_ref().map(|bytes| BASE64_STANDARD.encode(bytes)));
        let values = values.collect::<Vec<_>>();
        let columns = columns(&client, said).await.unwrap();
        kept.push(json!({"sql": said.sql, "types": said.types, "values": values, "columns": columns}).to_string());
    }
    let end = json!(end(&client).await.unwrap());
    format!("{{\"end\": {end}, \"statements\": [\n{}\n]}}\n", kept.join(",\n"))
}

fn read(statement: &Value) -> Said {
    let value = |value: &Value| value.as_str().map(|text| BASE64_STANDARD.decode(text).unwrap());
    Said {
        sql: statement["sql"].as_str().unwrap().to_owned(),
        types: serde_json::from_value(statement["types"].clone()).unwrap(),
        values: statement["values"].as_array().unwrap().iter().map(value).collect(),
    }
}

/// Says all of a recording to a world's database, and gives what came out otherwise.
pub async fn differences(world: &World, recording: &Value) -> Vec<String> {
    let client = connect(world).await;
    let mut different = Vec::new();
    for statement in recording["statements"].as_array().unwrap() {
        let said = read(statement);
        match columns(&client, &said).await {
            Ok(columns) if columns == statement["columns"] => {}
            Ok(columns) => different.push(format!("{}: answers {columns}", said.sql)),
            Err(error) => different.push(format!("{}: {error:?}", said.sql)),
        }
        let values = said.values.iter().cloned().map(Raw).collect::<Vec<_>>();
        let params = values.iter().zip(types(&said)).map(|(value, kind)| (value as &(dyn ToSql + Sync), kind));
        if let Err(error) = client.query_typed(&said.sql, &params.collect::<Vec<_>>()).await {
            different.push(format!("{}: {error:?}", said.sql));
        }
    }
    match end(&client).await {
        Ok(end) if recording["end"] == end.as_str() => {}
        end => different.push(format!("the orders end otherwise: {end:?}")),
    }
    different
}
