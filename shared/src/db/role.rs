//! The role that the functions sign in as, where it is not the one that owns the tables: it reads and writes rows, exactly
//! as far as the statements here do, and can change nothing else.

use std::fmt;
use std::str::FromStr;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::connect::Connection;
use super::schema::{SchemaError, lock};
use super::{DbConfig, DbError};
use crate::deadline::Deadline;

/// The most bytes of a name, `NAMEDATALEN` of PostgreSQL less one; a longer one is cut off.
const MAX_NAME: usize = 63;

/// What the statements do with the rows of each table. Orders are never deleted.
pub(super) const PRIVILEGES: [(&str, &str); 6] = [
    ("orders", "SELECT, INSERT, UPDATE"),
    ("order_work", "SELECT, INSERT, UPDATE, DELETE"),
    ("order_states", "SELECT"),
    ("order_outcomes", "SELECT, INSERT, DELETE"),
    ("order_stats", "SELECT, INSERT, UPDATE, DELETE"),
    ("order_durations", "SELECT, INSERT, UPDATE, DELETE"),
];

/// The settings of the role's sessions on the server:
/// - time limits; no function waits longer than that for a statement;
/// - no plan reads a whole table or a whole index if an index leads to the rows, even if the table looks small: a join looks them
///   up key by key. A scan that can't be avoided then
///   looks so expensive that the server would compile the statement, which takes longer than running it.
const SETTINGS: [(&str, &str); 6] = [
    ("statement_timeout", "5s"),
    ("lock_timeout", "3s"),
    ("enable_seqscan", "off"),
    ("enable_mergejoin", "off"),
    ("enable_hashjoin", "off"),
    ("jit", "off"),
];

/// The name of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleName(String);

impl FromStr for RoleName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_NAME {
            Err(format!("must have at most {MAX_NAME} bytes"))
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Lets a role do with the rows what the statements need, and nothing besides, whatever it could do before. A role that is
/// not there is created, with no password: it signs in by IAM, where the database is one of RDS.
///
/// From PostgreSQL 16 on a role's creator becomes its member, and so a member of `rds_iam` where the role is one; RDS takes no
/// password from such a member. An owner with a password therefore creates no role there.
///
/// Its sessions get settings on the server too: none of its statements runs long after its function gave it up, and no plan
/// depends on statistics.
pub async fn grant(config: &DbConfig, role: &RoleName, deadline: Deadline) -> Result<(), SchemaError> {
    let mut connection = lock(config, deadline).await?;
    let names = Names::look_up(&mut connection, role).await?;
    if names.is_ours {
        return Err(SchemaError::OwnRole(role.clone()));
    }
    if !names.is_there && names.is_iam == Some(false) && !config.is_by_iam() {
        return Err(SchemaError::LocksOwnerOut(role.clone()));
    }
    // One transaction: the functions that are at work meanwhile see either all of the old or all of the new.
    connection.client().batch_execute(&names.sql()).await.map_err(DbError::from)?;
    Ok(())
}

/// The names as SQL takes them, quoted by the database, and what is known of the role.
struct Names {
    role: String,
    schema: String,
    is_there: bool,
    is_ours: bool,
    /// Whether the owner signs in by IAM, where roles can.
    is_iam: Option<bool>,
}

impl Names {
    async fn look_up(connection: &mut Connection, role: &RoleName) -> Result<Self, DbError> {
        let sql =
            "SELECT quote_ident($1) AS role, quote_ident(current_schema()) AS schema, $1 = current_user AS is_ours,
                EXISTS (SELECT FROM pg_roles WHERE rolname = $1) AS is_there,
                (SELECT pg_has_role(oid, 'MEMBER') FROM pg_roles WHERE rolname = 'rds_iam') AS is_iam";
        let rows = connection.query(sql, &[(&role.0, Type::TEXT)]).await?;
        let row = rows.first().ok_or_else(|| DbError::Corrupt("no names".to_owned()))?;
        Ok(Self::read(row)?)
    }

    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            role: row.try_get("role")?,
            schema: row.try_get("schema")?,
            is_there: row.try_get("is_there")?,
            is_ours: row.try_get("is_ours")?,
            is_iam: row.try_get("is_iam")?,
        })
    }

    /// Everything that has to be done, in order.
    fn sql(&self) -> String {
        let Self { role, schema, .. } = self;
        let mut statements = Vec::new();
        if !self.is_there {
            statements.push(format!("CREATE ROLE {role} LOGIN"));
            // This takes its password away from a role, so it is given to none that was there before.
            if self.is_iam.is_some() {
                statements.push(format!("GRANT rds_iam TO {role}"));
            }
        }
        statements.extend(SETTINGS.map(|(name, value)| set(role, name, value)));
        statements.push(format!("REVOKE ALL ON SCHEMA {schema} FROM {role}"));
        statements.push(format!("GRANT USAGE ON SCHEMA {schema} TO {role}"));
        statements.push(format!("REVOKE ALL ON refinery_schema_history FROM {role}"));
        for (table, privileges) in PRIVILEGES {
            statements.push(format!("REVOKE ALL ON {table} FROM {role}"));
            statements.push(format!("GRANT {privileges} ON {table} TO {role}"));
        }
        statements.join(";")
    }
}

/// Sets a setting. An owner that may not change a role that was there before leaves it as it is: `ordermill doctor` names the time
/// limits that are missing.
fn set(role: &str, name: &str, value: &str) -> String {
    format!(
        "DO $$ BEGIN ALTER ROLE {role} SET {name} = '{value}';
        EXCEPTION WHEN insufficient_privilege THEN RAISE WARNING 'can not set {name} of a role: %', SQLERRM; END $$"
    )
}
