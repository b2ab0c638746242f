//! The functions' database role, which does not own the tables: it can do what the functions do, and nothing else.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use sandbox::postgres::Postgres;
use serde_json::json;
use shared::config::Env;
use shared::db::ends::Announce;
use shared::db::finish::{Finish, Reschedule};
use shared::db::role::grant;
use shared::db::schema::SchemaError;
use shared::db::{Database, DbConfig};
use shared::deadline::Deadline;
use shared::order::OrderId;
use sweeper::Sweeper;
use tests::{World, call_in_process, order, post};
use tokio_postgres::error::SqlState;
use uuid::Uuid;

const ALL_SCOPES: &str = "orders/read orders/write orders/admin";

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

    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.name.replace('"', "\"\""))
    }

    /// The URL of the world's database for this role.
    pub fn url(&self) -> String {
        let (_, address) = self.world.owner_url().split_once('@').unwrap();
        format!("postgres://{}:app@{address}", self.name.replace(' ', "%20").replace('"', "%22"))
    }

    fn env(&self) -> Env {
        self.world.env_with(("DATABASE_URL", &self.url()))
    }

    /// The error of this statement for the role, if PostgreSQL refuses it.
    async fn refusal(&self, sql: &str) -> Option<SqlState> {
        let client = tests::connect(&self.url()).await;
        client.batch_execute(sql).await.err().map(|error| error.code().unwrap().clone())
    }
}

fn deadline() -> Deadline {
    Deadline::after(Duration::from_mins(1))
}

#[tokio::test]
async fn functions_role_can_do_everything_that_functions_do() {
    let role = AppRole::new().await;
    let (store, sweeper) = (
        Database::new(DbConfig::from_env(&role.env()).unwrap()).until(deadline()),
        Sweeper::from_env(&role.env()).unwrap(),
    );
    let api = role.world.api_with("DATABASE_URL", &role.url());
    let call = async |request| call_in_process(&api, Some(("admin", ALL_SCOPES)), request).await;
    let read = async |path| call(Request::get(path).body(Body::empty()).unwrap()).await.expect(200);
    for order_id in ["a", "b", "c"] {
        call(post("/orders", &order(order_id))).await.expect(201);
    }
    call(post("/orders/batch", &json!({"orders": [order("d")]}))).await.expect(200);
    call(post("/orders/c/cancel", &json!({}))).await.expect(200);

    let order_ids: Vec<OrderId> = ["a", "b"].iter().map(|id| id.parse().unwrap()).collect();
    let claimed = store.claim(&order_ids, Duration::from_secs(30), Duration::ZERO).await.unwrap();
    let due_at = claimed.claimed[0].now;
    let later = order_ids.iter().map(|order_id| Reschedule { order_id, due_at, failed_attempt: Some("busy") });
    store.reschedule(claimed.token, &later.collect::<Vec<_>>()).await.unwrap();
    let again = store.claim(&order_ids, Duration::from_secs(30), Duration::ZERO).await.unwrap();
    let end = |index: usize, failure| Finish { order: &again.claimed[index], attempts: 1, failure };
    let ends = [end(0, None), end(1, Some("refused"))];
    assert_eq!(store.finish(again.token, &ends, Duration::ZERO, Announce::Never).await.unwrap().len(), 2);

    for operation in ["/orders/retry", "/dead-letters/redrive", "/orders/b/retry"] {
        call(post(operation, &json!({"dry_run": true}))).await.expect(200);
    }
    role.world.let_pass(600.0).await;
    role.world.execute("UPDATE order_outcomes SET minute = minute - interval '3 days'").await;
    let swept = sweeper.sweep().await.unwrap();
    assert!(swept.requeued == 2 && swept.folded > 0, "{swept:?}");
    call(post("/users/carol/erase", &json!({}))).await.expect(200);
    store.delete_ended(Duration::from_hours(24), None, 10).await.unwrap();

    for path in [
        "/orders",
        "/orders?status=pending",
        "/orders?status=failed",
        "/orders/a",
        "/orders/a/history",
        "/orders/a/status",
        "/healthz",
    ] {
        read(path).await;
    }
    assert_eq!(read("/metrics").await["total_orders"], 4);
}

#[tokio::test]
async fn functions_role_can_only_change_rows_and_delete_no_order() {
    let role = AppRole::new().await;
    for forbidden in [
        "DELETE FROM orders",
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
    assert_eq!(role.refusal("DELETE FROM orders").await, None);
    role.grant().await.unwrap();
    for forbidden in ["DELETE FROM orders", "DELETE FROM refinery_schema_history"] {
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
async fn owner_of_the_tables_is_not_confined() {
    let world = World::new().await;
    let config = DbConfig::from_env(&world.owner_env()).unwrap();
    let refused = grant(&config, &"ordermill".parse().unwrap(), deadline()).await.unwrap_err();
    assert!(matches!(refused, SchemaError::OwnRole(_)), "{refused:?}");
    world.create("o-1").await;
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
