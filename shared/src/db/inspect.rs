//! What a database looks like from outside the functions: for whoever has to say what is wrong with it. Nothing here
//! changes anything.

use time::OffsetDateTime;
use tokio_postgres::types::Type;

use super::role::{PRIVILEGES, RoleName};
use super::{Db, DbError, schema};

/// The table that migrations are noted in. The functions have no business with it.
const HISTORY: &str = "refinery_schema_history";

/// Which migrations a database has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaVersion {
    /// Those up to this one.
    UpTo(i32),
    /// None: no migration was ever run.
    None,
    /// The role that asks may not look.
    Hidden,
}

/// The newest migration that this code comes with.
#[must_use]
pub fn newest_migration() -> i32 {
    schema::newest()
}

/// The newest migration that was applied.
pub async fn schema_version(db: &Db) -> Result<SchemaVersion, DbError> {
    let sql = "SELECT to_regclass($1) IS NULL AS is_missing, coalesce(has_table_privilege(to_regclass($1), 'SELECT'), false) AS is_readable";
    let rows = db.query(sql, &[(&HISTORY, Type::TEXT)]).await?;
    let row = rows.first().ok_or_else(missing)?;
    if row.try_get("is_missing")? {
        return Ok(SchemaVersion::None);
    }
    if !row.try_get::<_, bool>("is_readable")? {
        return Ok(SchemaVersion::Hidden);
    }
    let rows = db.query("SELECT max(version) AS version FROM refinery_schema_history", &[]).await?;
    let version: Option<i32> = rows.first().ok_or_else(missing)?.try_get("version")?;
    Ok(version.map_or(SchemaVersion::None, SchemaVersion::UpTo))
}

/// The moment by the database's clock.
pub async fn clock(db: &Db) -> Result<OffsetDateTime, DbError> {
    let rows = db.query("SELECT clock_timestamp() AS now", &[]).await?;
    Ok(rows.first().ok_or_else(missing)?.try_get("now")?)
}

/// How many connections there are, and how many there may be, of this database or of the server: whichever is nearer to
/// its end.
pub async fn connections(db: &Db) -> Result<(i64, i64), DbError> {
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
    let rows = db.query(sql, &[]).await?;
    let row = rows.first().ok_or_else(missing)?;
    Ok((row.try_get("used")?, row.try_get("most")?))
}

/// What a role may do, beside what the functions' role has to.
#[derive(Debug)]
pub struct Rights {
    /// The role.
    pub role: String,
    /// Whether the tables are its own, or it may do everything anyway: it can't be confined.
    pub is_owner: bool,
    /// What it lacks, as `INSERT on orders`.
    pub lacks: Vec<String>,
    /// What it has besides.
    pub exceeds: Vec<String>,
}

/// What this role may do; the one that asks, where none is named. Nothing where there is no such role.
pub async fn rights(db: &Db, role: Option<&RoleName>) -> Result<Option<Rights>, DbError> {
    let name = role.map(ToString::to_string);
    let sql = "SELECT rolname::text AS role, rolsuper, rolcreatedb, rolcreaterole,
            coalesce((SELECT pg_has_role(pg_roles.oid, relowner, 'MEMBER') FROM pg_class
                WHERE pg_class.oid = to_regclass('orders')), rolsuper) AS is_owner,
            has_schema_privilege(pg_roles.oid, current_schema(), 'USAGE') AS has_usage,
            has_schema_privilege(pg_roles.oid, current_schema(), 'CREATE') AS has_create
        FROM pg_roles WHERE rolname = coalesce($1, current_user)";
    let rows = db.query(sql, &[(&name, Type::TEXT)]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let role: String = row.try_get("role")?;
    let mut rights = Rights { is_owner: row.try_get("is_owner")?, role, lacks: Vec::new(), exceeds: Vec::new() };
    for (column, right) in [
        ("rolsuper", "SUPERUSER"),
        ("rolcreatedb", "CREATEDB"),
        ("rolcreaterole", "CREATEROLE"),
        ("has_create", "CREATE on the schema"),
    ] {
        rights.compare(right.to_owned(), false, row.try_get(column)?);
    }
    rights.compare("USAGE on the schema".to_owned(), true, row.try_get("has_usage")?);
    rights.read_tables(db).await?;
    Ok(Some(rights))
}

impl Rights {
    async fn read_tables(&mut self, db: &Db) -> Result<(), DbError> {
        let tables: Vec<&str> = PRIVILEGES.iter().map(|(table, _)| *table).chain([HISTORY]).collect();
        let sql = "SELECT name, privilege, coalesce(has_table_privilege($1::name, to_regclass(name), privilege), false) AS is_held
            FROM unnest($2) AS name, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS privilege";
        let params = [(&self.role as _, Type::TEXT), (&tables as _, Type::TEXT_ARRAY)];
        for row in db.query(sql, &params).await? {
            let (table, privilege): (&str, &str) = (row.try_get("name")?, row.try_get("privilege")?);
            let is_wanted =
                PRIVILEGES.iter().any(|(of, all)| *of == table && all.split(", ").any(|one| one == privilege));
            self.compare(format!("{privilege} on {table}"), is_wanted, row.try_get("is_held")?);
        }
        Ok(())
    }

    fn compare(&mut self, right: String, is_wanted: bool, is_held: bool) {
        match (is_wanted, is_held) {
            (true, false) => self.lacks.push(right),
            (false, true) => self.exceeds.push(right),
            _ => {}
        }
    }
}

/// The time limits of a role's new sessions in this database, by name; `None` is no limit. A setting of the role in this database
/// goes first, then the role's, the database's and the server's.
pub async fn time_limits(db: &Db, role: &str) -> Result<Vec<(String, Option<String>)>, DbError> {
    let sql = "SELECT limits.name, nullif(regexp_replace(coalesce(
                (SELECT split_part(setting, '=', 2) FROM pg_db_role_setting, unnest(setconfig) AS setting
                    WHERE split_part(setting, '=', 1) = limits.name AND setrole IN (0, pg_roles.oid)
                        AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
                    ORDER BY setrole <> 0 DESC, setdatabase <> 0 DESC LIMIT 1),
                (SELECT reset_val || unit FROM pg_settings WHERE pg_settings.name = limits.name
                    AND source IN ('configuration file', 'command line', 'environment variable'))
            ), '^0+ *[a-z]*$', ''), '') AS value
        FROM pg_roles, unnest(ARRAY['statement_timeout', 'lock_timeout']) AS limits (name) WHERE rolname = $1";
    let rows = db.query(sql, &[(&role, Type::TEXT)]).await?;
    rows.iter().map(|row| Ok((row.try_get("name")?, row.try_get("value")?))).collect()
}

fn missing() -> DbError {
    DbError::Corrupt("no answer".to_owned())
}
