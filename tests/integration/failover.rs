//! Another server takes over, and the one at hand takes no writes any more.

use std::time::Duration;

use sandbox::gateway::{Answer, Gateway};
use sandbox::postgres::{Postgres, free_port};
use sandbox::runtime::Environment;
use tests::World;

use crate::environments::kill_backends;
use crate::roles::AppRole;
use crate::slow::{ADMIN, SLOW_DATABASE, assert_comes_later, come_back, gateway, place, start, within};

/// How soon a writer is found once there is one.
const FOUND: Duration = Duration::from_secs(10);

/// An api and a processor that have worked before.
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
        assert_eq!(come_back(&functions.processor, &["first-0"]).await, 0);
        assert_eq!(place(&functions.gateway, "o-1").await.status, 201);
        assert_eq!(functions.health().await.status, 200);
        functions
    }

    async fn health(&self) -> Answer {
        within(SLOW_DATABASE, "/healthz", self.gateway.call("GET", "/healthz", ADMIN, None)).await.expect("an answer")
    }

    /// Nothing can be written, and every function says so.
    async fn assert_refuse(&self) {
        for number in 2..4 {
            let answer = within(SLOW_DATABASE, "POST /orders", place(&self.gateway, format!("o-{number}"))).await;
            assert_comes_later(&answer);
            assert_eq!(self.health().await.status, 503);
            assert_eq!(come_back(&self.processor, &["o-1"]).await, 1);
        }
    }

    /// A writer can be reached, and both functions find it.
    async fn assert_recover(&self) {
        let writes = async {
            tests::eventually("an order is taken", FOUND, async || {
                (place(&self.gateway, "o-4").await.status == 201).then_some(())
            })
            .await;
        };
        let processes = async {
            tests::eventually("an order is completed", FOUND, async || {
                (come_back(&self.processor, &["o-1"]).await == 0).then_some(())
            })
            .await;
        };
        tokio::join!(writes, processes);
        assert_eq!(self.health().await.status, 200);
        let order = self.gateway.call("GET", "/orders/o-1", ADMIN, None).await.expect("an answer");
        assert_eq!(order.body["status"], "completed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn promoted_standby_takes_over_within_ten_seconds() {
    let mut primary = Postgres::start().await.unwrap();
    let standby = primary.standby(free_port().unwrap()).await.unwrap();
    // The standby comes first, so that a function which takes the first server it reaches gets the wrong one.
    let url = primary.app_url(&[standby.address(), primary.address()]);
    let world = World::new().await;
    let functions = Functions::start(&world, &url).await;
    primary.stop_followed().await.unwrap();
    functions.assert_refuse().await;
    standby.promote().await.unwrap();
    functions.assert_recover().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_server_is_left_for_one_that_writes() {
    let role = AppRole::new().await;
    let functions = Functions::start(&role.world, &role.url()).await;
    let alter = async |what| role.world.execute(&format!("ALTER ROLE {} {what}", role.quoted())).await;
    alter("SET default_transaction_read_only = on").await;
    kill_backends(&role.world).await;
    functions.assert_refuse().await;
    alter("RESET default_transaction_read_only").await;
    functions.assert_recover().await;
}
