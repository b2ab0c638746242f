//! Failover: another server takes over, and the current one becomes read-only.

use std::time::Duration;

use sandbox::gateway::{Answer, Gateway};
use sandbox::postgres::{Postgres, free_port};
use sandbox::runtime::Environment;
use tests::{World, until};

use crate::roles::AppRole;
use crate::slow::{ADMIN, SLOW_DATABASE, assert_unavailable, count_failures, create, gateway, start, within};

/// How soon the functions find a new writer.
const RECOVERY: Duration = Duration::from_secs(10);

/// An api and a processor that have already connected and worked.
struct Functions {
    gateway: Gateway,
    processor: Environment,
}

impl Functions {
    async fn start(world: &World, database_url: &str) -> Self {
        let variables = [("DATABASE_URL", database_url), ("PROCESSING_DELAY_SECONDS", "0")];
        let functions = Self {
            gateway: gateway(world, 1, &variables).await,
            processor: start(world, "processor", &variables).await,
        };
        assert_eq!(count_failures(&functions.processor, &["first-0"]).await, 0);
        assert_eq!(create(&functions.gateway, "o-1").await.status, 201);
        assert_eq!(functions.health().await.status, 200);
        functions
    }

    async fn health(&self) -> Answer {
        within(SLOW_DATABASE, "/healthz", self.gateway.call("GET", "/healthz", ADMIN, None)).await.expect("an answer")
    }

    /// Asserts that every function refuses, because no server accepts writes.
    async fn assert_refuse(&self) {
        for number in 2..4 {
            let answer = within(SLOW_DATABASE, "POST /orders", create(&self.gateway, format!("o-{number}"))).await;
            assert_unavailable(&answer);
            assert_eq!(self.health().await.status, 503);
            assert_eq!(count_failures(&self.processor, &["o-1"]).await, 1);
        }
    }

    /// Asserts that both functions find the new writer.
    async fn assert_recover(&self) {
        let is_created = async || create(&self.gateway, "o-4").await.status == 201;
        let is_processed = async || count_failures(&self.processor, &["o-1"]).await == 0;
        tokio::join!(
            until("an order is created", RECOVERY, is_created),
            until("an order is completed", RECOVERY, is_processed)
        );
        assert_eq!(self.health().await.status, 200);
        let order = self.gateway.call("GET", "/orders/o-1", ADMIN, None).await.expect("an answer");
        assert_eq!(order.body["status"], "completed");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn promoted_standby_takes_over_within_ten_seconds() {
    let mut primary = Postgres::start().await.unwrap();
    let standby = primary.standby(free_port().unwrap()).await.unwrap();
    // The standby is listed first, so that a function that uses the first reachable server would use the wrong one.
    let url = primary.app_url(&[standby.address(), primary.address()]);
    let world = World::new().await;
    let functions = Functions::start(&world, &url).await;
    primary.stop_followed().await.unwrap();
    functions.assert_refuse().await;
    standby.promote().await.unwrap();
    functions.assert_recover().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn read_only_server_is_replaced_by_a_writable_one() {
    let role = AppRole::new().await;
    let functions = Functions::start(&role.world, &role.url()).await;
    let alter = async |what| role.world.execute(&format!("ALTER ROLE {} {what}", role.quoted())).await;
    alter("SET default_transaction_read_only = on").await;
    role.world.cut_connections().await;
    functions.assert_refuse().await;
    alter("RESET default_transaction_read_only").await;
    functions.assert_recover().await;
}
