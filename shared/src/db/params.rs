//! The conditions of a statement whose text depends on a filter, numbered and bound together, and the orders that a caller names.

use tokio_postgres::types::{ToSql, Type};

use super::Param;

/// The parameters of such a statement.
#[derive(Default)]
pub(super) struct Params<'a>(Vec<(Box<dyn ToSql + Send + Sync + 'a>, Type)>);

impl<'a> Params<'a> {
    /// Binds a value. Returns its parameter as it stands in the statement, such as `$1`.
    pub fn bind(&mut self, value: impl ToSql + Send + Sync + 'a, kind: Type) -> String {
        self.0.push((Box::new(value), kind));
        format!("${}", self.0.len())
    }

    /// A condition on a value, whose parameter replaces the `?`. An absent value is no condition.
    pub fn when(&mut self, sql: &str, value: Option<impl ToSql + Send + Sync + 'a>, kind: Type) -> Option<String> {
        value.map(|value| sql.replace('?', &self.bind(value, kind)))
    }

    /// The parameters, in the order of their numbers.
    pub fn all(&self) -> Vec<Param<'_>> {
        self.0.iter().map(|(value, kind)| (&**value as _, kind.clone())).collect()
    }
}

/// A `WHERE` with all of the conditions; nothing if there are none.
pub(super) fn where_all(conditions: impl IntoIterator<Item = Option<String>>) -> String {
    let conditions: Vec<_> = conditions.into_iter().flatten().collect();
    if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) }
}

/// The rows of a table with one of these identifiers. They stand for the table in a statement with other conditions. `OFFSET 0` keeps
/// those out of the look-up: if the statistics say that each user has few orders, the server would read all orders of the user instead.
pub(super) fn named(table: &str, order_ids: &str) -> String {
    format!("(SELECT * FROM {table} WHERE order_id = ANY ({order_ids}) OFFSET 0)")
}
