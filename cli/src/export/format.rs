//! The formats of an export.

use csv::{QuoteStyle, Terminator, Writer, WriterBuilder};
use serde_json::Value;
use serde_json::value::RawValue;

use super::parse;
use crate::exit::Failure;

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A line of JSON for each order, as the API shows it
    Ndjson,
    /// A table by RFC 4180
    Csv,
}

/// The columns of the table: the order's members, `item_ids` and `metadata` as JSON.
const COLUMNS: [&str; 13] = [
    "order_id",
    "user_id",
    "status",
    "total_amount",
    "currency",
    "created_at",
    "process_after",
    "started_at",
    "finished_at",
    "attempts",
    "failure",
    "item_ids",
    "metadata",
];

/// Encodes the orders of a page.
pub enum Encoder {
    Ndjson(Vec<u8>),
    Csv(Box<Writer<Vec<u8>>>),
}

impl Encoder {
    /// An encoder for a page. A table begins with the names of its columns.
    pub fn new(format: Format, is_first: bool) -> Self {
        match format {
            Format::Ndjson => Self::Ndjson(Vec::new()),
            Format::Csv => {
                // Quotes around every field: a spreadsheet that separates by semicolons would else split a field at one.
                let mut builder = WriterBuilder::new();
                let builder = builder.quote_style(QuoteStyle::Always).terminator(Terminator::CRLF);
                let mut writer = builder.from_writer(Vec::new());
                if is_first {
                    // Writing to memory does not fail.
                    let _ = writer.write_record(COLUMNS);
                }
                Self::Csv(Box::new(writer))
            }
        }
    }

    /// Adds an order.
    pub fn add(&mut self, order: &RawValue) -> Result<(), Failure> {
        match self {
            Self::Ndjson(lines) => {
                // White space between values may hold line breaks; within a string JSON escapes them.
                lines.extend(order.get().bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')));
                lines.push(b'\n');
            }
            Self::Csv(writer) => {
                let order: Value = parse(order)?;
                writer.write_record(COLUMNS.map(|column| cell(&order[column]))).map_err(|error| unwritten(&error))?;
            }
        }
        Ok(())
    }

    /// The encoded page.
    pub fn finish(self) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Ndjson(lines) => Ok(lines),
            Self::Csv(writer) => writer.into_inner().map_err(|error| unwritten(error.error())),
        }
    }
}

fn unwritten(error: &dyn std::error::Error) -> Failure {
    Failure::Other(format!("an order can't be written: {error}"))
}

/// The first characters of a formula, in some spreadsheets in full width too, and the apostrophe.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\'', '＝', '＋', '－', '＠'];

/// A field of the table. A spreadsheet runs a text that begins like a formula, so that text gets an apostrophe before it, and so does
/// a text that begins with one: without its first apostrophe each such text is the original.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.starts_with(FORMULA) => format!("'{text}"),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(format: Format, is_first: bool, orders: &[&str]) -> String {
        let mut encoder = Encoder::new(format, is_first);
        for order in orders {
            encoder.add(&RawValue::from_string((*order).to_owned()).unwrap()).unwrap();
        }
        String::from_utf8(encoder.finish().unwrap()).unwrap()
    }

    #[test]
    fn line_of_ndjson_is_the_order_as_the_api_wrote_it() {
        let order = r#"{"b":1.50,"a":"x\n","new_member":{}}"#;
        assert_eq!(encoded(Format::Ndjson, true, &[order, "{\r\n \"a\": 1}"]), format!("{order}\n{{ \"a\": 1}}\n"));
    }

    #[test]
    fn table_is_quoted_with_one_heading_and_crlf() {
        let order = r#"{"order_id":"o-1","user_id":"a\"b;c","item_ids":["x","y"],"attempts":1,"failure":null,
            "currency":"EUR","metadata":{"cart":"77"}}"#;
        let row = r#""o-1","a""b;c","","","EUR","","","","","1","","[""x"",""y""]","{""cart"":""77""}""#;
        assert_eq!(encoded(Format::Csv, false, &[order]), format!("{row}\r\n"));
        let headed = encoded(Format::Csv, true, &[]);
        assert!(headed.starts_with("\"order_id\",\"user_id\",") && headed.ends_with("\"metadata\"\r\n"), "{headed}");
    }

    #[test]
    fn text_that_a_spreadsheet_would_run_gets_an_apostrophe() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "'", "＝1", "＋1", "－1", "＠A1"] {
            let escaped = cell(&text.into());
            assert_eq!(escaped.strip_prefix('\''), Some(text));
        }
        for text in ["a=1", " =1", "", "o-1"] {
            assert_eq!(cell(&text.into()), text);
        }
    }

    #[test]
    fn table_without_orders_is_a_heading_and_ndjson_is_empty() {
        assert_eq!(encoded(Format::Csv, true, &[]).lines().count(), 1);
        assert_eq!(encoded(Format::Ndjson, true, &[]), "");
    }
}
