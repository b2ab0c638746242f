//! Faults of the database, each in its own world.

use ordermill::doctor::Verdict;
use tests::World;

use super::{Patient, wrong};

/// A deployment with this database, whose API can't be reached.
fn with_database(url: &str) -> Patient {
    Patient::at("http://127.0.0.1:1").with("DATABASE_URL", url).with("DATABASE_TLS", "off")
}

#[tokio::test]
async fn doctor_finds_faults_of_the_schema_and_too_few_connections() {
    let limit = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 2', current_database()); END $$";
    let version = |change: &str| format!("UPDATE refinery_schema_history SET version = version {change}");
    for (sql, check, what, remedy) in [
        ("DROP SCHEMA public CASCADE; CREATE SCHEMA public", "schema", "no migration has run", "migrate"),
        (&version("- 1"), "schema", "and this release comes with", "MigrationRun"),
        (&version("+ 1000"), "schema", "and this program knows", "of the release that is deployed"),
        (limit, "connections", "of 2", "MaximumConcurrency"),
    ] {
        let world = World::new().await;
        world.execute(sql).await;
        with_database(world.owner_url()).assert_wrong(check, what, remedy).await;
    }
}

#[tokio::test]
async fn doctor_finds_overdue_orders_and_a_pause() {
    let world = World::new().await;
    world.create("late").await;
    world.let_pass(3600.0).await;
    let patient = with_database(world.owner_url());
    patient.assert_wrong("overdue", "overdue by 36", "sweeper").await;
    world.post("/processing/pause", &serde_json::json!({"reason": "stocktaking"})).await.expect(200);
    patient.assert_wrong("pause", "by admin: stocktaking", "/processing/resume").await;
}

#[tokio::test]
async fn doctor_finds_an_unreachable_database_and_a_wrong_password() {
    with_database("postgres://u:p@127.0.0.1:1/d").assert_wrong("database", "refused", "security group").await;
    let world = World::new().await;
    let (_, address) = world.owner_url().split_once('@').unwrap();
    let patient = with_database(&format!("postgres://ordermill:wrong@{address}"));
    patient.assert_wrong("database", "authentication", "password").await;
    let (server, _) = world.owner_url().rsplit_once('/').unwrap();
    with_database(&format!("{server}/missing")).assert_wrong("database", "does not exist", "the server answers").await;
}

#[tokio::test]
async fn doctor_finds_a_role_that_is_missing_or_has_wrong_rights() {
    let world = World::new().await;
    let role = world.create_app_role().await;
    let patient = with_database(world.owner_url()).with("DATABASE_APP_ROLE", &role);
    let findings = patient.findings().await;
    assert!(!wrong(&findings).iter().any(|check| check.starts_with("rights")), "{findings:#?}");

    let change =
        format!("REVOKE INSERT ON orders FROM {role}; GRANT DELETE, TRUNCATE, UPDATE (item_ids) ON orders TO {role}");
    world.execute(&change).await;
    patient.assert_wrong("rights", "lacks INSERT on orders", "migrate").await;
    let excess = "DELETE on orders, TRUNCATE on orders, UPDATE (item_ids) on orders";
    patient.assert_wrong("rights.excess", excess, "takes back").await;
    world.execute(&format!("ALTER ROLE {role} CREATEROLE; GRANT CREATE ON SCHEMA public TO {role}")).await;
    patient.assert_wrong("rights.excess", "CREATEROLE, CREATE on the schema", "NOCREATEROLE").await;
    let of = |role| with_database(world.owner_url()).with("DATABASE_APP_ROLE", role);
    of("ordermill").assert_wrong("rights.excess", "owns the tables", "OwnerDatabaseUrl").await;
    of("missing_role").assert_wrong("rights", "no such role", "migrate").await;
}

#[tokio::test]
async fn doctor_finds_a_role_without_its_settings() {
    let world = World::new().await;
    let role = world.create_app_role().await;
    let patient = with_database(world.owner_url()).with("DATABASE_APP_ROLE", &role);
    let alter = async |change: &str| world.execute(&format!("ALTER ROLE {role} {change}")).await;
    alter("RESET ALL").await;
    let limits =
        "synchronous_commit = default, statement_timeout = default, lock_timeout = default, enable_seqscan = default";
    let set = format!(
        "ALTER ROLE \"{role}\" SET synchronous_commit = 'on'; ALTER ROLE \"{role}\" SET statement_timeout = '5s'; \
            ALTER ROLE \"{role}\" SET lock_timeout = '3s'"
    );
    patient.assert_wrong("settings", limits, &set).await;
    for setting in [
        "synchronous_commit = on",
        "enable_seqscan = off",
        "enable_mergejoin = off",
        "enable_hashjoin = off",
        "enable_sort = off",
        "enable_bitmapscan = off",
        "max_parallel_workers_per_gather = 0",
        "plan_cache_mode = force_generic_plan",
        "statement_timeout = '5s'",
    ] {
        alter(&format!("SET {setting}")).await;
    }
    alter("SET lock_timeout = 0").await;
    alter("SET jit = on").await;
    patient.assert_wrong("settings", "lock_timeout = 0, jit = on", "SET lock_timeout = '3s'").await;

    // A role's setting for this database overrides its setting for all databases.
    alter("SET jit = off").await;
    let in_database = "ALTER ROLE %I IN DATABASE %I SET lock_timeout = ''2s''";
    world.execute(&format!("DO $$ BEGIN EXECUTE format('{in_database}', '{role}', current_database()); END $$")).await;
    let found = patient.finding("settings").await;
    assert_eq!(found.state, Verdict::Ok);
    let limits = "synchronous_commit = on, statement_timeout = 5s, lock_timeout = 2s, enable_seqscan = off";
    assert!(found.what.starts_with(limits), "{found:?}");
}

/// Doctor does not know whether the functions sign in as the owner or as another role. The owner's settings prove nothing of the other's.
#[tokio::test]
async fn doctor_names_the_settings_of_an_owner_and_proves_nothing() {
    let world = World::new().await;
    let patient = with_database(world.owner_url());
    let found = patient.finding("settings").await;
    assert_eq!((found.state, found.place.as_str()), (Verdict::NotChecked, "ordermill"));
    for part in [
        "synchronous_commit = default, statement_timeout = default, lock_timeout = default",
        "plan_cache_mode = default",
        "OwnerDatabaseUrl",
        "`The database` in docs/deploying.md",
        "DATABASE_APP_ROLE",
    ] {
        assert!(found.what.contains(part), "{part}: {found:?}");
    }
    let database: String = world.value("SELECT current_database()::text").await;
    for setting in world.store().read_settings("ordermill").await.unwrap() {
        world.execute(&format!("ALTER DATABASE \"{database}\" SET {} = '{}'", setting.name, setting.needed)).await;
    }
    let found = patient.finding("settings").await;
    assert!(found.state == Verdict::NotChecked && found.what.contains("synchronous_commit = on"), "{found:?}");
}

/// A database that answers a ping can fail at every query of the functions. A role that lacks rights shows only what doctor can't check.
#[tokio::test]
async fn doctor_tells_missing_rights_from_a_database_that_fails() {
    let world = World::new().await;
    let role = world.create_app_role().await;
    let revoked = "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM";
    world.execute(&format!("ALTER ROLE {role} PASSWORD 'own'; {revoked} {role}")).await;
    let mut url: reqwest::Url = world.owner_url().parse().unwrap();
    url.set_username(&role).and_then(|()| url.set_password(Some("own"))).unwrap();
    for check in ["pause", "overdue"] {
        let found = with_database(url.as_str()).finding(check).await;
        assert!(found.state == Verdict::NotChecked && found.what.contains("permission denied"), "{found:#?}");
    }
    world.execute("DROP TABLE order_work CASCADE").await;
    for check in ["pause", "overdue"] {
        let patient = with_database(world.owner_url());
        patient.assert_wrong(check, "could not read the metrics", "docs/operations.md").await;
    }
}
