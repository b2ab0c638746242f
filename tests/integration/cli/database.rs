//! Faults of the database, each in a world of its own.

use std::time::Duration;

use ordermill::doctor::State;
use shared::db::DbConfig;
use shared::db::role::grant;
use shared::deadline::Deadline;
use tests::{Stack, World};
use uuid::Uuid;

use super::{Patient, wrong};

/// The deployed API, beside this database.
fn beside(url: &str) -> Patient {
    Patient::at(Stack::running().get("API_URL")).with("DATABASE_URL", url).with("DATABASE_TLS", "off")
}

async fn patient_after(sql: &str) -> (World, Patient) {
    let world = World::new().await;
    world.execute(sql).await;
    let patient = beside(world.owner_url());
    (world, patient)
}

#[tokio::test]
async fn doctor_finds_a_database_without_a_schema() {
    let (_world, patient) = patient_after("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
    patient.ails("schema", "no migration has run", "migrate").await;
}

#[tokio::test]
async fn doctor_finds_a_schema_that_is_behind() {
    let (_world, patient) = patient_after("UPDATE refinery_schema_history SET version = version - 1").await;
    patient.ails("schema", "and this release comes with", "MigrationRun").await;
}

#[tokio::test]
async fn doctor_finds_that_it_is_older_than_the_schema_itself() {
    let (_world, patient) = patient_after("UPDATE refinery_schema_history SET version = version + 1000").await;
    patient.ails("schema", "and this program knows", "of the release that is deployed").await;
}

#[tokio::test]
async fn doctor_finds_orders_that_nobody_comes_for() {
    let world = World::new().await;
    world.place("late").await;
    world.let_pass(3600.0).await;
    beside(world.owner_url()).ails("overdue", "overdue by 36", "sweeper").await;
}

#[tokio::test]
async fn doctor_finds_a_database_that_is_out_of_reach_or_refuses_the_password() {
    beside("postgres://u:p@127.0.0.1:1/d").ails("database", "refused", "security group").await;
    let world = World::new().await;
    let (_, place) = world.owner_url().split_once('@').unwrap();
    beside(&format!("postgres://ordermill:wrong@{place}")).ails("database", "authentication", "password").await;
}

#[tokio::test]
async fn doctor_finds_a_database_that_lets_no_more_connections_in() {
    let (_world, patient) =
        patient_after("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 2', current_database()); END $$")
            .await;
    patient.ails("connections", "of 2", "MaximumConcurrency").await;
}

#[tokio::test]
async fn doctor_finds_what_the_functions_role_lacks_and_what_it_has_besides() {
    let world = World::new().await;
    let role = format!("app_{}", Uuid::new_v4().simple());
    grant(
        &DbConfig::from_env(&world.owner_env()).unwrap(),
        &role.parse().unwrap(),
        Deadline::after(Duration::from_mins(1)),
    )
    .await
    .unwrap();
    let patient = beside(world.owner_url()).with("DATABASE_APP_ROLE", &role);
    let findings = patient.findings().await;
    assert!(!wrong(&findings).iter().any(|check| check.starts_with("rights")), "{findings:#?}");

    world.execute(&format!("REVOKE INSERT ON orders FROM {role}; GRANT DELETE, TRUNCATE ON orders TO {role}")).await;
    patient.ails("rights", "lacks INSERT on orders", "migrate").await;
    patient.ails("rights.excess", "DELETE on orders, TRUNCATE on orders", "takes back").await;
    world.execute(&format!("ALTER ROLE {role} CREATEROLE; GRANT CREATE ON SCHEMA public TO {role}")).await;
    patient.ails("rights.excess", "CREATEROLE, CREATE on the schema", "NOCREATEROLE").await;
}

#[tokio::test]
async fn doctor_finds_a_role_without_time_limits() {
    let world = World::new().await;
    let role = format!("app_{}", Uuid::new_v4().simple());
    grant(
        &DbConfig::from_env(&world.owner_env()).unwrap(),
        &role.parse().unwrap(),
        Deadline::after(Duration::from_mins(1)),
    )
    .await
    .unwrap();
    let patient = beside(world.owner_url()).with("DATABASE_APP_ROLE", &role);
    let set_both =
        format!("ALTER ROLE \"{role}\" SET statement_timeout = '5s'; ALTER ROLE \"{role}\" SET lock_timeout = '3s'");
    world.execute(&format!("ALTER ROLE {role} RESET ALL")).await;
    patient.ails("time-limits", "has no statement_timeout, lock_timeout", &set_both).await;
    world
        .execute(&format!("ALTER ROLE {role} SET statement_timeout = '5s'; ALTER ROLE {role} SET lock_timeout = 0"))
        .await;
    patient.ails("time-limits", "has no lock_timeout", "SET lock_timeout = '3s'").await;

    // A role's setting in this database goes before its setting in all.
    let in_database = "ALTER ROLE %I IN DATABASE %I SET lock_timeout = ''3s''";
    world.execute(&format!("DO $$ BEGIN EXECUTE format('{in_database}', '{role}', current_database()); END $$")).await;
    let findings = patient.findings().await;
    let found = findings.iter().find(|finding| finding.check == "time-limits").unwrap();
    assert_eq!((found.state, found.what.as_str()), (State::Ok, "statement_timeout = 5s, lock_timeout = 3s"));
}

#[tokio::test]
async fn doctor_finds_functions_that_own_the_tables_and_a_role_that_is_not_there() {
    let world = World::new().await;
    let owner = beside(world.owner_url()).with("DATABASE_APP_ROLE", "ordermill");
    owner.ails("rights.excess", "owns the tables", "OwnerDatabaseUrl").await;
    let nobody = beside(world.owner_url()).with("DATABASE_APP_ROLE", "nobody_of_this_name");
    nobody.ails("rights", "no such role", "migrate").await;
}
