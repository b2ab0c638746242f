//! Replays the recorded statements of a release on the current schema.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{BufMut, BytesMut};
use sandbox::wire::Query;
use serde_json::{Value, json};
use tests::{World, connect};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Error};

/// A binary value of a parameter.
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

fn types(statement: &Query) -> Vec<Type> {
    statement.types.iter().map(|oid| Type::from_oid(*oid).expect("a type of PostgreSQL's own")).collect()
}

/// The names and types of a statement's result columns.
async fn columns(client: &Client, statement: &Query) -> Result<Value, Error> {
    let columns = client.prepare_typed(&statement.sql, &types(statement)).await?;
    Ok(columns.columns().iter().map(|column| json!([column.name(), column.type_().oid()])).collect())
}

/// The final states of all orders, as text.
async fn end(client: &Client) -> Result<String, Error> {
    let sql = "SELECT string_agg(concat_ws(' ', order_id, status, failure, total_amount), ', ' ORDER BY order_id) FROM order_states";
    client.query_one(sql, &[]).await?.try_get(0)
}

/// The recording as JSON, a line for each statement.
pub async fn to_json(world: &World, statements: &[Query]) -> String {
    let client = connect(world.owner_url()).await;
    let mut lines = Vec::new();
    for statement in statements {
        let Query { sql, types, values, .. } = statement;
        let values = values.iter().map(|value| value.as_ref().map(|bytes| BASE64_STANDARD.encode(bytes)));
        let values = values.collect::<Vec<_>>();
        let columns = columns(&client, statement).await.unwrap();
        lines.push(json!({"sql": sql, "types": types, "values": values, "columns": columns}).to_string());
    }
    let end = json!(end(&client).await.unwrap());
    format!("{{\"end\": {end}, \"statements\": [\n{}\n]}}\n", lines.join(",\n"))
}

fn from_json(recorded: &Value) -> Query {
    let value = |value: &Value| value.as_str().map(|text| BASE64_STANDARD.decode(text).unwrap());
    Query {
        name: String::new(),
        sql: recorded["sql"].as_str().unwrap().to_owned(),
        types: serde_json::from_value(recorded["types"].clone()).unwrap(),
        values: recorded["values"].as_array().unwrap().iter().map(value).collect(),
    }
}

/// Executes a statement with its recorded values.
pub async fn execute(client: &Client, statement: &Query) -> Result<(), Error> {
    let values = statement.values.iter().cloned().map(Raw).collect::<Vec<_>>();
    let params = values.iter().zip(types(statement)).map(|(value, kind)| (value as &(dyn ToSql + Sync), kind));
    client.query_typed(&statement.sql, &params.collect::<Vec<_>>()).await.map(drop)
}

/// Executes a recording on the database of this URL. Returns a description of each result that differs.
pub async fn differences(url: &str, recording: &Value) -> Vec<String> {
    let client = connect(url).await;
    let mut different = Vec::new();
    for recorded in recording["statements"].as_array().unwrap() {
        let statement = from_json(recorded);
        let sql = &statement.sql;
        match columns(&client, &statement).await {
            Ok(columns) if columns == recorded["columns"] => {}
            Ok(columns) => different.push(format!("{sql}: returns {columns}")),
            Err(error) => different.push(format!("{sql}: {error:?}")),
        }
        if let Err(error) = execute(&client, &statement).await {
            different.push(format!("{sql}: {error:?}"));
        }
    }
    match end(&client).await {
        Ok(end) if recording["end"] == end.as_str() => {}
        end => different.push(format!("the orders have other final states: {end:?}")),
    }
    different
}
