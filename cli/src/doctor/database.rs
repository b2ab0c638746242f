//! Checks the database: its connections, the schema that this release needs, the rights and time limits of the functions' role,
//! its clock, and its overdue orders.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use shared::config::Env;
use shared::db::inspect::{Rights, SchemaVersion, Setting};
use shared::db::pause::Pause;
use shared::db::role::RoleName;
use shared::db::schema::newest_migration;
use shared::db::{Database, DbConfig, Store, StoreError};
use shared::deadline::Deadline;
use shared::error::Chain;
use shared::timestamp;

use super::figures::{overdue, paused, skew};
use super::finding::Finding;

const PLACE: &str = "database";
/// The time-out of all checks of the database.
const TIMEOUT: Duration = Duration::from_secs(20);
const MORE_CONNECTIONS: &str = "give the database more memory (RDS: some 100 connections a GiB) or a pooler, or bound the \
    functions: MaximumConcurrency, ApiReservedConcurrency";

/// Runs the checks if `DATABASE_URL` is set.
pub async fn examine(env: &Env) -> Vec<Finding> {
    if env.text("DATABASE_URL").is_none() {
        return vec![Finding::not_checked(PLACE, "DATABASE_URL", "give DATABASE_URL")];
    }
    let config = match DbConfig::from_env(env) {
        Ok(config) => config,
        Err(error) => {
            return vec![Finding::wrong(
                PLACE,
                "variables",
                error.to_string(),
                "set the variable as the functions' is",
            )];
        }
    };
    let store = Database::new(config).until(Deadline::after(TIMEOUT));
    if let Err(error) = store.ping().await {
        let said = Chain(&error).to_string();
        let remedy = remedy_for(&said, env.text("DATABASE_AUTH") == Some("iam"));
        return vec![Finding::wrong(PLACE, "DATABASE_URL", said, remedy)];
    }
    let (mut findings, has_schema) = schema(&store).await;
    findings.insert(0, Finding::ok(PLACE, "DATABASE_URL", "answers"));
    findings.extend([clock(&store).await, connections(&store).await]);
    if has_schema {
        findings.extend(rights(&store, env).await);
        findings.extend(waiting(&store).await);
    }
    findings
}

/// The remedy for a database that can't be used, by what its error says.
fn remedy_for(said: &str, uses_iam: bool) -> &'static str {
    let says = |part| said.contains(part);
    if says("the database's secret") || says("its credential did not come in time") {
        "check DATABASE_SECRET_ARN, and that this machine's AWS credentials have the right secretsmanager:GetSecretValue for it"
    } else if says("connection slots") || says("too many") {
        MORE_CONNECTIONS
    } else if (says("authentication") || says("role \"")) && uses_iam {
        "give DATABASE_URL a user that has the role rds_iam, and this machine's AWS credentials the right rds-db:connect for it"
    } else if says("authentication") || says("role \"") {
        "give DATABASE_URL, or the secret of DATABASE_SECRET_ARN, the right user and password"
    } else if says(": db error: ") {
        "the server answers: mend what its error names"
    } else if says("certificate") {
        "give DATABASE_CA_FILE the authority of the database's certificate, and call it by the name the certificate has"
    } else if says("does not support TLS") {
        "switch TLS on at the server; DATABASE_TLS=off is for one on this very machine"
    } else {
        "check host and port of DATABASE_URL, that the server runs and that its security group lets this machine in"
    }
}

/// The finding for a query that failed though the database answers a ping: the functions' queries are likely to fail too. A right that
/// only this role lacks is no fault of the deployment.
fn unread(check: &'static str, place: &str, error: &StoreError) -> Finding {
    let said = Chain(error).to_string();
    if error.is_denied() {
        return Finding::not_checked(check, place, said);
    }
    let remedy = if error.is_temporary() {
        "run doctor again; if the error stays, see `Calls are answered 5xx` in docs/operations.md"
    } else {
        "mend what the error names: the functions' queries meet it too; see `Calls are answered 5xx` in docs/operations.md"
    };
    Finding::wrong(check, place, said, remedy)
}

/// Checks the schema's version. Returns also whether there is a schema.
async fn schema(store: &Store) -> (Vec<Finding>, bool) {
    let newest = newest_migration();
    let check = "schema";
    let finding = match store.read_schema_version().await {
        Ok(SchemaVersion::None) => {
            let remedy = "deploy, or invoke the migrate function: it brings the schema up to date";
            return (vec![Finding::wrong(check, PLACE, "no migration has run", remedy)], false);
        }
        Ok(SchemaVersion::Unreadable) => {
            Finding::not_checked(check, PLACE, "give DATABASE_URL as the owner of the tables")
        }
        Ok(SchemaVersion::UpTo(version)) if version < newest => {
            let what = format!("at migration {version}, and this release comes with {newest}");
            Finding::wrong(
                check,
                PLACE,
                what,
                "deploy again, with another MigrationRun: it runs the migrations that are missing",
            )
        }
        Ok(SchemaVersion::UpTo(version)) if version > newest => {
            let what = format!("at migration {version}, and this program knows {newest}");
            Finding::wrong(check, PLACE, what, "use the ordermill of the release that is deployed: this one is older")
        }
        Ok(SchemaVersion::UpTo(version)) => Finding::ok(check, PLACE, format!("at migration {version}, the newest")),
        Err(error) => unread(check, PLACE, &error),
    };
    (vec![finding], true)
}

async fn clock(store: &Store) -> Finding {
    let asked = SystemTime::now();
    match store.read_clock().await {
        Ok(theirs) => skew("clock.database", PLACE, theirs.into(), asked + asked.elapsed().unwrap_or_default() / 2),
        Err(error) => unread("clock.database", PLACE, &error),
    }
}

async fn connections(store: &Store) -> Finding {
    match store.count_connections().await {
        // Below the limit, because new environments need some too.
        Ok((used, most)) => Finding::held(
            "connections",
            PLACE,
            used * 10 <= most * 8,
            format!("{used} of {most} are in use"),
            MORE_CONNECTIONS,
        ),
        Err(error) => unread("connections", PLACE, &error),
    }
}

async fn rights(store: &Store, env: &Env) -> Vec<Finding> {
    let named = env.text("DATABASE_APP_ROLE");
    let role = match named.map(RoleName::from_str).transpose() {
        Ok(role) => role,
        Err(problem) => return vec![Finding::wrong("rights", "DATABASE_APP_ROLE", problem, "give the role's name")],
    };
    match store.read_rights(role.as_ref()).await {
        Ok(Some(rights)) => {
            let mut findings = compare_rights(&rights, named.is_some());
            // Without DATABASE_APP_ROLE the owner checks itself, and the functions may sign in as another role.
            let is_functions_role = named.is_some() || !rights.is_owner;
            findings.push(settings(store, &rights.role, is_functions_role).await);
            findings
        }
        Ok(None) => {
            let remedy = "run migrate with DATABASE_APP_ROLE: it creates the role";
            vec![Finding::wrong("rights", named.unwrap_or(PLACE), "there is no such role", remedy)]
        }
        Err(error) => vec![unread("rights", PLACE, &error)],
    }
}

fn compare_rights(rights: &Rights, is_named: bool) -> Vec<Finding> {
    let role = &rights.role;
    if rights.is_owner && !is_named {
        let why = format!("{role} owns the tables; give DATABASE_APP_ROLE, the role that the functions sign in as");
        return vec![Finding::not_checked("rights", role, why)];
    }
    if rights.is_owner {
        let remedy = "have the functions sign in as a role that owns nothing: OwnerDatabaseUrl and DatabaseAppRole of the template";
        return vec![Finding::wrong(
            "rights.excess",
            role,
            "the functions' role owns the tables, or is a superuser",
            remedy,
        )];
    }
    let listed = |rights: &[String], none: &str| if rights.is_empty() { none.to_owned() } else { rights.join(", ") };
    let remedy = "run migrate with DATABASE_APP_ROLE: it gives the role what it needs and takes back everything else";
    let lacks = format!("lacks {}", listed(&rights.lacks, "nothing"));
    let exceeds = format!("has besides: {}", listed(&rights.exceeds, "nothing"));
    vec![
        Finding::held("rights", role, rights.lacks.is_empty(), lacks, remedy),
        Finding::held(
            "rights.excess",
            role,
            rights.exceeds.is_empty(),
            exceeds,
            format!("{remedy}; a role's own attributes: ALTER ROLE … NOSUPERUSER NOCREATEDB NOCREATEROLE"),
        ),
    ]
}

/// Without `synchronous_commit` an accepted order can be lost in a crash of the server.
/// Without time limits a statement that the functions have given up keeps running or waiting for a lock, and keeps its connection.
/// Without the others misleading statistics can make a statement read the whole table.
/// If the functions may sign in as another role, the settings of this one prove nothing.
async fn settings(store: &Store, role: &str, is_functions_role: bool) -> Finding {
    let check = "settings";
    let settings = match store.read_settings(role).await {
        Ok(settings) => settings,
        Err(error) => return unread(check, role, &error),
    };
    let text = |setting: &Setting| format!("{} = {}", setting.name, setting.value.as_deref().unwrap_or("default"));
    let listed = |settings: &[Setting]| settings.iter().map(text).collect::<Vec<_>>().join(", ");
    let (good, bad): (Vec<_>, Vec<_>) = settings.into_iter().partition(Setting::is_good);
    if !is_functions_role {
        let found = if bad.is_empty() { &good } else { &bad };
        let why = format!(
            "{role} owns the tables and has {}. If the functions sign in as {role}, have them sign in as another role: OwnerDatabaseUrl \
                and DatabaseAppRole of the template; see `The database` in docs/deploying.md. Otherwise give DATABASE_APP_ROLE, their role",
            listed(found)
        );
        return Finding::not_checked(check, role, why);
    }
    if bad.is_empty() {
        return Finding::ok(check, role, listed(&good));
    }
    let set = |Setting { name, needed, .. }: &Setting| format!("ALTER ROLE \"{role}\" SET {name} = '{needed}'");
    let remedy = format!("`{}`", bad.iter().map(set).collect::<Vec<_>>().join("; "));
    Finding::wrong(check, role, listed(&bad), remedy)
}

async fn waiting(store: &Store) -> Vec<Finding> {
    match store.read_metrics().await {
        Ok(metrics) => {
            let since = |pause: &Pause| timestamp::format(pause.since).unwrap_or_default();
            let pause = metrics.pause.map(|pause| format!("since {} by {}: {}", since(&pause), pause.by, pause.reason));
            vec![paused(PLACE, pause), overdue(PLACE, metrics.oldest_overdue_seconds)]
        }
        Err(error) => ["pause", "overdue"].map(|check| unread(check, PLACE, &error)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedy_is_for_the_part_that_refused() {
        let refused = "could not reach the database: db error: FATAL: password authentication failed for user \"u\"";
        for (said, uses_iam, named) in [
            (refused, false, "the right user and password"),
            (refused, true, "rds_iam"),
            (refused, true, "rds-db:connect"),
            (
                "could not reach the database: db error: FATAL: database \"d\" does not exist",
                false,
                "the server answers",
            ),
            (
                "could not reach the database: db error: FATAL: no pg_hba.conf entry for host",
                true,
                "the server answers",
            ),
            ("could not read the database's secret: AccessDeniedException", false, "secretsmanager:GetSecretValue"),
            ("could not reach the database: its credential did not come in time", false, "DATABASE_SECRET_ARN"),
            ("could not reach the database: connection refused", true, "host and port"),
        ] {
            let remedy = remedy_for(said, uses_iam);
            assert!(remedy.contains(named), "{said}: {remedy}");
        }
    }
}
