//! The role that the functions sign in as, if it is not the owner of the tables. It can read and write rows as far as the
//! statements here do, and nothing else.

use std::fmt;
use std::str::FromStr;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::connection::Connection;
use super::retention::DELETE_ENDED;
use super::schema::{SchemaError, lock, until};
use super::{DbConfig, DbError};
use crate::deadline::Deadline;

/// The most bytes of a name: `NAMEDATALEN` of PostgreSQL less one. PostgreSQL cuts a longer name.
const MAX_NAME: usize = 63;

/// The privileges that the statements need on each table. No statement deletes orders: a function of the owner's does. [`UPDATED`] has the
/// columns of an order that they may update.
pub(super) const PRIVILEGES: [(&str, &str); 11] = [
    ("orders", "SELECT, INSERT"),
    ("order_work", "SELECT, INSERT, UPDATE, DELETE"),
    ("order_ends", "SELECT, INSERT, UPDATE, DELETE"),
    ("order_events", "SELECT, INSERT"),
    ("processing_pause", "SELECT, UPDATE"),
    ("order_states", "SELECT"),
    ("order_outcomes", "SELECT, INSERT, DELETE"),
    ("order_stats", "SELECT, INSERT, UPDATE, DELETE"),
    ("order_durations", "SELECT, INSERT, UPDATE, DELETE"),
    ("order_hours", "SELECT, INSERT, UPDATE, DELETE"),
    ("order_hour_durations", "SELECT, INSERT, UPDATE, DELETE"),
];

/// The columns of `orders` that statements update: how the order ended, and what an erasure replaces. The rest of the request never
/// changes.
pub(super) const UPDATED: &str =
    "started_at, finished_at, attempts, retries, cancelled, failure, user_id, metadata, idempotency_key";

/// The settings of the role's sessions on the server:
/// - a commit that was answered is durable, also if the server's default gives that up for speed;
/// - time limits; no function waits longer than that for a statement;
/// - no plan reads a whole table or a whole index if an index leads to the rows, even if the table looks small: a join looks them
///   up key by key. A scan that can't be avoided then looks so expensive that the server would compile the statement, which takes
///   longer than running it;
/// - no plan sorts all orders of a user to find the newest if an index has them in that order, even if the statistics say that each user
///   has few orders;
/// - no bitmap scan: it locks rows by their place, and two statements on the same orders could deadlock;
/// - no parallel workers: starting them takes longer than reading a page of orders;
/// - one plan for all values. The server would otherwise plan a claim or an end of one order anew each time, which takes twice as long
///   as executing it, because its plan for any number of orders looks more expensive.
pub(super) const SETTINGS: [(&str, &str); 11] = [
    ("synchronous_commit", "on"),
    ("statement_timeout", "5s"),
    ("lock_timeout", "3s"),
    ("enable_seqscan", "off"),
    ("enable_mergejoin", "off"),
    ("enable_hashjoin", "off"),
    ("enable_sort", "off"),
    ("enable_bitmapscan", "off"),
    ("jit", "off"),
    ("max_parallel_workers_per_gather", "0"),
    ("plan_cache_mode", "force_generic_plan"),
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

/// Gives a role the privileges that the statements need, and revokes all others. Creates the role if it does not exist, without a
/// password: on RDS it signs in by IAM.
///
/// From PostgreSQL 16 on, the creator of a role becomes its member, and so a member of `rds_iam` if the role is one. RDS refuses
/// passwords of such members. An owner that signs in by password therefore creates no role on RDS.
///
/// Its sessions also get settings on the server: no statement runs long after its function has given it up, and no plan depends on
/// statistics.
pub async fn grant(config: &DbConfig, role: &RoleName, deadline: Deadline) -> Result<(), SchemaError> {
    until(deadline, || apply(config, role, deadline)).await
}

/// Lets an existing role read each table and view that a migration creates, until [`grant`]: the version before reads a view that the migration
/// replaces.
pub async fn prepare(config: &DbConfig, role: &RoleName, deadline: Deadline) -> Result<(), SchemaError> {
    until(deadline, || async {
        let mut connection = lock(config, deadline).await?;
        let names = Names::look_up(&mut connection, role).await?;
        if names.role_exists && !names.is_current {
            let sql = names.of_new_tables("GRANT SELECT ON TABLES TO");
            connection.client().batch_execute(&sql).await.map_err(DbError::from)?;
        }
        Ok(())
    })
    .await
}

async fn apply(config: &DbConfig, role: &RoleName, deadline: Deadline) -> Result<(), SchemaError> {
    let mut connection = lock(config, deadline).await?;
    let names = Names::look_up(&mut connection, role).await?;
    if names.is_current {
        return Err(SchemaError::OwnRole(role.clone()));
    }
    if !names.role_exists && names.owner_is_iam == Some(false) && !config.uses_iam() {
        return Err(SchemaError::LocksOwnerOut(role.clone()));
    }
    // One transaction: functions that run at the same time have either all of the old rights or all of the new.
    connection.client().batch_execute(&names.sql()).await.map_err(DbError::from)?;
    Ok(())
}

/// The names, quoted by the database, and facts about the role.
struct Names {
    role: String,
    schema: String,
    role_exists: bool,
    is_current: bool,
    /// Whether the owner signs in by IAM; `None` if the database has no IAM.
    owner_is_iam: Option<bool>,
}

impl Names {
    async fn look_up(connection: &mut Connection, role: &RoleName) -> Result<Self, DbError> {
        let sql =
            "SELECT quote_ident($1) AS role, quote_ident(current_schema()) AS schema, $1 = current_user AS is_current,
                EXISTS (SELECT FROM pg_roles WHERE rolname = $1) AS role_exists,
                (SELECT pg_has_role(oid, 'MEMBER') FROM pg_roles WHERE rolname = 'rds_iam') AS owner_is_iam";
        let rows = connection.query(sql, &[(&role.0, Type::TEXT)]).await?;
        let row = rows.first().ok_or_else(|| DbError::Corrupt("no names".to_owned()))?;
        Ok(Self::read(row)?)
    }

    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            role: row.try_get("role")?,
            schema: row.try_get("schema")?,
            role_exists: row.try_get("role_exists")?,
            is_current: row.try_get("is_current")?,
            owner_is_iam: row.try_get("owner_is_iam")?,
        })
    }

    /// The statements to run, in order.
    fn sql(&self) -> String {
        let Self { role, schema, .. } = self;
        let mut statements = Vec::new();
        if !self.role_exists {
            statements.push(format!("CREATE ROLE {role} LOGIN"));
            // Membership of `rds_iam` disables a role's password, so a role that existed before does not get it.
            if self.owner_is_iam.is_some() {
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
        statements.push(format!("GRANT UPDATE ({UPDATED}) ON orders TO {role}"));
        statements.push(format!("GRANT EXECUTE ON FUNCTION {DELETE_ENDED} TO {role}"));
        statements.push(self.of_new_tables("REVOKE SELECT ON TABLES FROM"));
        statements.join(";")
    }

    /// The statement that grants or revokes a right on tables and views that the owner creates from then on.
    fn of_new_tables(&self, change: &str) -> String {
        format!("ALTER DEFAULT PRIVILEGES IN SCHEMA {} {change} {}", self.schema, self.role)
    }
}

/// Changes a setting of the role. If the owner may not change a role that existed before, the role stays unchanged, and `ordermill
/// doctor` names the missing time limits.
fn set(role: &str, name: &str, value: &str) -> String {
    format!(
        "DO $$ BEGIN ALTER ROLE {role} SET {name} = '{value}';
        EXCEPTION WHEN insufficient_privilege THEN RAISE WARNING 'could not set {name} of the role: %', SQLERRM; END $$"
    )
}
