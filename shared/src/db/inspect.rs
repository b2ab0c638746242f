//! Read-only queries for diagnosis: the schema's version, a role's rights, the limits of connections and statements.

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::retention::DELETE_ENDED;
use super::role::{PRIVILEGES, RoleName, SETTINGS, UPDATED};
use super::{DbError, Store, StoreError};

/// The table of applied migrations. The functions do not use it.
const HISTORY: &str = "refinery_schema_history";

/// The newest migration of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaVersion {
    /// This one and all before it.
    UpTo(i32),
    /// No migration was applied.
    None,
    /// The role may not read the table of migrations.
    Unreadable,
}

impl Store {
    /// Reads the newest migration that was applied.
    pub async fn read_schema_version(&self) -> Result<SchemaVersion, StoreError> {
        let sql = "SELECT to_regclass($1) IS NULL AS is_missing, coalesce(has_table_privilege(to_regclass($1), 'SELECT'), false) AS is_readable";
        let rows = self.query("read the schema's version", sql, &[(&HISTORY, Type::TEXT)]).await?;
        if rows.value("is_missing")? {
            return Ok(SchemaVersion::None);
        }
        if !rows.value::<bool>("is_readable")? {
            return Ok(SchemaVersion::Unreadable);
        }
        let sql = "SELECT max(version) AS version FROM refinery_schema_history";
        let rows = self.query("read the schema's version", sql, &[]).await?;
        let version: Option<i32> = rows.value("version")?;
        Ok(version.map_or(SchemaVersion::None, SchemaVersion::UpTo))
    }

    /// Reads the database's clock.
    pub async fn read_clock(&self) -> Result<OffsetDateTime, StoreError> {
        let sql = "SELECT clock_timestamp() AS now";
        let rows = self.query("read the clock", sql, &[]).await?;
        rows.value("now")
    }

    /// The connections in use and the most that are allowed: of this database, or of the server if that is nearer to its limit.
    pub async fn count_connections(&self) -> Result<(i64, i64), StoreError> {
        let sql = "WITH own AS (
            SELECT count(pid) AS used, datconnlimit::bigint AS most FROM pg_database LEFT JOIN pg_stat_activity USING (datname)
            WHERE datname = current_database() GROUP BY datconnlimit
        ), whole AS (
            SELECT count(*) FILTER (WHERE backend_type = 'client backend') AS used,
                current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint AS most
            FROM pg_stat_activity
        )
        SELECT used, most FROM (TABLE own UNION ALL TABLE whole) AS bound WHERE most >= 0
        ORDER BY used::float8 / greatest(most, 1) DESC LIMIT 1";
        let rows = self.query("count connections", sql, &[]).await?;
        rows.one(|row| Ok((row.try_get("used")?, row.try_get("most")?)))
    }

    /// Reads the rights of this role, or of the current role if `role` is `None`. Returns `None` if there is no such role.
    pub async fn read_rights(&self, role: Option<&RoleName>) -> Result<Option<Rights>, StoreError> {
        let name = role.map(ToString::to_string);
        let sql = "SELECT rolname::text AS role, rolsuper, rolcreatedb, rolcreaterole,
            coalesce((SELECT pg_has_role(pg_roles.oid, relowner, 'MEMBER') FROM pg_class
                WHERE pg_class.oid = to_regclass('orders')), rolsuper) AS is_owner,
            has_schema_privilege(pg_roles.oid, current_schema(), 'USAGE') AS has_usage,
            coalesce(has_function_privilege(pg_roles.oid, to_regprocedure($2), 'EXECUTE'), false) AS has_retention,
            has_schema_privilege(pg_roles.oid, current_schema(), 'CREATE') AS has_create
        FROM pg_roles WHERE rolname = coalesce($1, current_user)";
        let rows = self.query("read a role's rights", sql, &[(&name, Type::TEXT), (&DELETE_ENDED, Type::TEXT)]).await?;
        let Some(mut rights) = rows.first(Rights::read)? else { return Ok(None) };
        rights.read_tables(self).await?;
        rights.read_columns(self).await?;
        Ok(Some(rights))
    }

    /// The settings of a role's new sessions in this database. A setting of the role in this database takes precedence over one of the
    /// role, of the database and of the server, in this order.
    pub async fn read_settings(&self, role: &str) -> Result<Vec<Setting>, StoreError> {
        let sql = "SELECT coalesce(
                (SELECT split_part(setting, '=', 2) FROM pg_db_role_setting, unnest(setconfig) AS setting
                    WHERE split_part(setting, '=', 1) = needed.name AND setrole IN (0, pg_roles.oid)
                        AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
                    ORDER BY setrole <> 0 DESC, setdatabase <> 0 DESC LIMIT 1),
                (SELECT reset_val || coalesce(unit, '') FROM pg_settings WHERE pg_settings.name = needed.name
                    AND source IN ('configuration file', 'command line', 'environment variable'))
            ) AS value
        FROM pg_roles, unnest($2) WITH ORDINALITY AS needed (name, place) WHERE rolname = $1 ORDER BY place";
        let names = SETTINGS.map(|(name, _)| name);
        let rows =
            self.query("read a role's settings", sql, &[(&role, Type::TEXT), (&&names[..], Type::TEXT_ARRAY)]).await?;
        let values: Vec<Option<String>> = rows.read(|row| Ok(row.try_get("value")?))?;
        Ok(values.into_iter().zip(SETTINGS).map(|(value, (name, needed))| Setting { name, needed, value }).collect())
    }
}

/// A role's rights, compared with the rights that the functions' role needs.
#[derive(Debug)]
pub struct Rights {
    /// The role.
    pub role: String,
    /// Whether the role owns the tables or is a superuser. Such a role can't be restricted.
    pub is_owner: bool,
    /// The rights that it lacks, as `INSERT on orders`.
    pub lacks: Vec<String>,
    /// The rights that it does not need.
    pub exceeds: Vec<String>,
}

impl Rights {
    /// Compares the role's own rights; those on tables are still to be read.
    fn read(row: &Row) -> Result<Self, DbError> {
        let (role, is_owner) = (row.try_get("role")?, row.try_get("is_owner")?);
        let mut rights = Self { role, is_owner, lacks: Vec::new(), exceeds: Vec::new() };
        for (column, right) in [
            ("rolsuper", "SUPERUSER"),
            ("rolcreatedb", "CREATEDB"),
            ("rolcreaterole", "CREATEROLE"),
            ("has_create", "CREATE on the schema"),
        ] {
            rights.compare(right.to_owned(), false, row.try_get(column)?);
        }
        rights.compare("USAGE on the schema".to_owned(), true, row.try_get("has_usage")?);
        rights.compare(format!("EXECUTE on {DELETE_ENDED}"), true, row.try_get("has_retention")?);
        Ok(rights)
    }

    async fn read_tables(&mut self, store: &Store) -> Result<(), StoreError> {
        let tables: Vec<&str> = PRIVILEGES.iter().map(|(table, _)| *table).chain([HISTORY]).collect();
        let sql = "SELECT name, privilege, coalesce(has_table_privilege($1::name, to_regclass(name), privilege), false) AS is_held
            FROM unnest($2) AS name, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS privilege";
        let params = [(&self.role as _, Type::TEXT), (&tables as _, Type::TEXT_ARRAY)];
        store.query("read a role's rights", sql, &params).await?.read(|row| {
            let (table, privilege): (&str, &str) = (row.try_get("name")?, row.try_get("privilege")?);
            let is_needed =
                PRIVILEGES.iter().any(|(of, all)| *of == table && all.split(", ").any(|one| one == privilege));
            self.compare(format!("{privilege} on {table}"), is_needed, row.try_get("is_held")?);
            Ok(())
        })
    }

    async fn read_columns(&mut self, store: &Store) -> Result<(), StoreError> {
        let sql = "SELECT attname::text AS name, has_column_privilege($1::name, attrelid, attnum, 'UPDATE') AS is_held
            FROM pg_attribute WHERE attrelid = to_regclass('orders') AND attnum > 0 AND NOT attisdropped";
        store.query("read a role's rights", sql, &[(&self.role, Type::TEXT)]).await?.read(|row| {
            let column: &str = row.try_get("name")?;
            let is_needed = UPDATED.split(", ").any(|name| name == column);
            self.compare(format!("UPDATE ({column}) on orders"), is_needed, row.try_get("is_held")?);
            Ok(())
        })
    }

    fn compare(&mut self, right: String, is_needed: bool, is_held: bool) {
        match (is_needed, is_held) {
            (true, false) => self.lacks.push(right),
            (false, true) => self.exceeds.push(right),
            _ => {}
        }
    }
}

/// A setting of the functions' role, and its value in the role's new sessions.
#[derive(Debug)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// The value that `migrate` gives it.
    pub needed: &'static str,
    /// The value in new sessions; `None` is PostgreSQL's default.
    pub value: Option<String>,
}

impl Setting {
    /// Whether the value is good: of a time limit any but none, of another setting the needed one.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let value = self.value.as_deref();
        if self.name.ends_with("_timeout") {
            return value.is_some_and(|limit| limit.trim_end_matches(char::is_alphabetic).parse() != Ok(0));
        }
        value == Some(self.needed)
    }
}
