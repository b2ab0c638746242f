//! The functions' database role, which does not own the tables: it can do what the functions do, and nothing else.

use std::time::Duration;

use sandbox::postgres::Postgres;
use shared::config::Env;
use shared::db::DbConfig;
use shared::db::role::{grant, prepare};
use shared::db::schema::SchemaError;
use shared::deadline::Deadline;
use tests::{World, connect};
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::released::{record, replay};

/// A role with the functions' rights in a world whose tables it does not own. Its name needs quoting.
pub struct AppRole {
    pub world: World,
    name: String,
}

impl AppRole {
    pub async fn new() -> Self {
        Self::of(World::new().await).await
    }

    pub async fn of(world: World) -> Self {
        let role = Self { world, name: format!("The \"app\" {}", Uuid::new_v4().simple()) };
        role.grant().await.unwrap();
        // The grant creates the role without a password, and these tests sign in with one. As a member of the role, the
        // owner can see and terminate its sessions.
        let quoted = role.quoted();
        role.world.execute(&format!("ALTER ROLE {quoted} PASSWORD 'app'; GRANT {quoted} TO CURRENT_USER")).await;
        role
    }

    async fn grant(&self) -> Result<(), SchemaError> {
        grant(&DbConfig::from_env(&self.world.owner_env()).unwrap(), &self.name.parse().unwrap(), deadline()).await
    }

    /// Does what `migrate` does before it applies migrations.
    pub async fn prepare(&self) {
        let config = DbConfig::from_env(&self.world.owner_env()).unwrap();
        prepare(&config, &self.name.parse().unwrap(), deadline()).await.unwrap();
    }

    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.name.replace('"', "\"\""))
    }

    /// The URL of the world's database for this role.
    pub fn url(&self) -> String {
        let (_, address) = self.world.owner_url().split_once('@').unwrap();
        format!("postgres://{}:app@{address}", self.name.replace(' ', "%20").replace('"', "%22"))
    }

    /// The error of this statement for the role, if PostgreSQL refuses it.
    async fn refusal(&self, sql: &str) -> Option<SqlState> {
        let client = connect(&self.url()).await;
        client.batch_execute(sql).await.err().map(|error| error.code().unwrap().clone())
    }
}

fn deadline() -> Deadline {
    Deadline::after(Duration::from_mins(1))
}

#[tokio::test]
async fn functions_role_can_do_everything_that_functions_do() {
    let recorded = record(&World::new().await).await.statements();
    let role = AppRole::new().await;
    // A logical replica, such as that of an upgrade, takes changes only from tables that identify their rows.
    let publish =
        "DO $$ BEGIN EXECUTE (SELECT 'CREATE PUBLICATION everything FOR TABLE ' || string_agg(tablename, ', ')
        FROM pg_tables WHERE schemaname = current_schema()); END $$";
    role.world.execute(publish).await;
    let client = connect(&role.url()).await;
    for statement in recorded {
        replay::execute(&client, &statement).await.unwrap_or_else(|error| panic!("{}: {error:?}", statement.sql));
    }
}

#[tokio::test]
async fn functions_role_can_only_change_rows_and_delete_no_order() {
    let role = AppRole::new().await;
    role.world.create("o-1").await;
    for forbidden in [
        "DELETE FROM orders",
        // The history follows an order's user.
        "UPDATE orders SET user_id = 'mallory'",
        "UPDATE orders SET total_amount = 0",
        "UPDATE orders SET order_id = 'o-2'",
        "UPDATE orders SET currency = 'USD'",
        "UPDATE orders SET created_at = now()",
        "UPDATE order_outcomes SET completed = 0",
        "DELETE FROM processing_pause",
        "UPDATE order_events SET subject = 'nobody'",
        "DELETE FROM order_events",
        "TRUNCATE orders",
        "TRUNCATE order_work",
        "ALTER TABLE orders ADD COLUMN note text",
        "ALTER TABLE orders DROP CONSTRAINT orders_failure",
        "DROP TABLE order_stats",
        "CREATE TABLE mine (id integer)",
        "CREATE INDEX ON orders (failure)",
        "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql RETURN 1",
        // It would run as the owner, on the caller's own table order_events with the caller's own trigger.
        "CREATE TEMPORARY TABLE mine (order_id text, user_id text);
        CREATE TRIGGER mine AFTER UPDATE ON mine FOR EACH ROW EXECUTE FUNCTION replace_user_in_history()",
        "CREATE ROLE mine",
        "SELECT FROM refinery_schema_history",
    ] {
        assert_eq!(role.refusal(forbidden).await, Some(SqlState::INSUFFICIENT_PRIVILEGE), "{forbidden}");
    }
}

#[tokio::test]
async fn second_grant_revokes_excess_rights() {
    let role = AppRole::new().await;
    let quoted = role.quoted();
    role.world.execute(&format!("GRANT ALL ON orders, refinery_schema_history TO {quoted}")).await;
    assert_eq!(role.refusal("DELETE FROM orders; UPDATE orders SET item_ids = '{a}'").await, None);
    role.prepare().await;
    role.grant().await.unwrap();
    role.world.execute("CREATE TABLE of_another_service ()").await;
    for forbidden in [
        "DELETE FROM orders",
        "UPDATE orders SET item_ids = '{a}'",
        "DELETE FROM refinery_schema_history",
        "SELECT FROM of_another_service",
    ] {
        assert_eq!(role.refusal(forbidden).await, Some(SqlState::INSUFFICIENT_PRIVILEGE), "{forbidden}");
    }
    assert_eq!(role.refusal("UPDATE orders SET attempts = 0").await, None);
}

#[tokio::test]
async fn concurrent_grants_succeed() {
    let role = AppRole::new().await;
    let granted = tokio::join!(role.grant(), role.grant(), role.grant());
    assert!(matches!(granted, (Ok(()), Ok(()), Ok(()))), "{granted:?}");
}

#[tokio::test]
async fn owner_with_a_password_does_not_lock_itself_out() {
    let postgres = Postgres::start().await.unwrap();
    let superuser = postgres.connect().await.unwrap();
    superuser.batch_execute("CREATE ROLE rds_iam; CREATE ROLE master LOGIN CREATEROLE PASSWORD 'p'").await.unwrap();
    let owns = "DO $$ DECLARE t text; BEGIN
            FOR t IN SELECT oid::regclass FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') LOOP
                EXECUTE 'ALTER TABLE ' || t || ' OWNER TO master';
            END LOOP;
        END $$; ALTER FUNCTION delete_ended_orders OWNER TO master; ALTER SCHEMA public OWNER TO master";
    superuser.batch_execute(owns).await.unwrap();
    let url = postgres.url(postgres.address());
    let (_, address) = url.split_once('@').unwrap();
    let url = format!("postgres://master:p@{address}");
    let config =
        DbConfig::from_env(&Env::from_iter([("DATABASE_URL", url.as_str()), ("DATABASE_TLS", "off")])).unwrap();
    let role = "functions".parse().unwrap();
    let refused = grant(&config, &role, deadline()).await.unwrap_err();
    assert!(matches!(refused, SchemaError::LocksOwnerOut(_)), "{refused:?}");
    superuser.batch_execute("GRANT rds_iam TO master").await.unwrap();
    grant(&config, &role, deadline()).await.unwrap();
    superuser.batch_execute("REVOKE rds_iam FROM master").await.unwrap();
    grant(&config, &role, deadline()).await.unwrap();
}

#[tokio::test]
async fn iam_sign_in_is_granted_to_new_roles_without_a_password() {
    let postgres = Postgres::start().await.unwrap();
    let sql = postgres.connect().await.unwrap();
    sql.batch_execute("CREATE ROLE rds_iam; CREATE ROLE old LOGIN PASSWORD 'p'").await.unwrap();
    let url = postgres.url(postgres.address());
    let env = Env::from_iter([("DATABASE_URL", url.as_str()), ("DATABASE_TLS", "off")]);
    let config = DbConfig::from_env(&env).unwrap();
    for role in ["new", "old"] {
        grant(&config, &role.parse().unwrap(), deadline()).await.unwrap();
    }
    let asked = "SELECT pg_has_role('new', 'rds_iam', 'member'), pg_has_role('old', 'rds_iam', 'member')";
    let row = sql.query_one(asked, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), (true, false));
}

#[tokio::test]
async fn commits_of_the_role_are_durable_whatever_the_database_says() {
    let role = AppRole::new().await;
    let relax =
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$";
    role.world.execute(relax).await;
    let shown = async |url: &str| -> String {
        connect(url).await.query_one("SHOW synchronous_commit", &[]).await.unwrap().get(0)
    };
    assert_eq!((shown(role.world.owner_url()).await, shown(&role.url()).await), ("off".into(), "on".into()));
}
