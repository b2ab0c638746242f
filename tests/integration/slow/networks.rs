//! A network that drops all packets between the functions and the database.

use sandbox::postgres::Postgres;
use sandbox::wire::{Wire, no_hook};

use super::*;

const ENVIRONMENTS: usize = 4;

/// A world whose database is reached by a network.
async fn behind_a_network() -> (Postgres, Wire, World) {
    let postgres = Postgres::start().await.unwrap();
    let network = Wire::start(postgres.address(), no_hook()).await.unwrap();
    let world = World::with(&[("DATABASE_URL", &postgres.app_url(&[network.address()]))]).await;
    (postgres, network, world)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn second_host_serves_while_the_first_hangs() {
    let postgres = Postgres::start().await.unwrap();
    let network = Wire::start(postgres.address(), no_hook()).await.unwrap();
    let url = postgres.app_url(&[network.address(), postgres.address()]);
    let world = World::with(&[("DATABASE_URL", &url), ("PROCESSING_DELAY_SECONDS", "0")]).await;
    network.swallow(true);
    let gateway = Gateway::new(Arc::new(Pool::new(function(&world, "api", &[]), 1)));
    assert_eq!(within(ALWAYS, "POST /orders", create(&gateway, "o-1")).await.status, 201);
    assert_eq!(count_failures(&start(&world, "processor", &[]).await, &["o-1"]).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn dropped_packets_return_503_until_the_network_heals() {
    let (postgres, network, world) = behind_a_network().await;
    let gateway = gateway(&world, ENVIRONMENTS, &[]).await;
    let round = async |number: usize| {
        join_all((0..ENVIRONMENTS).map(|client| create(&gateway, format!("o-{number}-{client}")))).await
    };
    network.swallow(true);
    for number in 0..3 {
        let answers = within(SLOW_DATABASE, "POST /orders", round(number)).await;
        answers.iter().for_each(assert_unavailable);
    }
    network.swallow(false);
    let answers = within(Duration::from_secs(2), "POST /orders", round(3)).await;
    assert!(answers.iter().all(|answer| answer.status == 201), "{answers:?}");
    let sql = postgres.connect().await.unwrap();
    let connections = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ordermill'";
    let connections = async || sql.query_one(connections, &[]).await.unwrap().get::<_, i64>(0);
    let are_few = async || usize::try_from(connections().await).unwrap() <= ENVIRONMENTS + 4;
    tests::until("only a few connections are left", Duration::from_secs(5), are_few).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn login_that_hangs_gets_no_second_connection() {
    let (_postgres, network, world) = behind_a_network().await;
    let earlier = network.accepted();
    network.swallow(true);
    let gateway = Gateway::new(Arc::new(Pool::new(function(&world, "api", &[]), 1)));
    for number in 0..3 {
        assert_unavailable(&within(SLOW_DATABASE, "POST /orders", create(&gateway, format!("o-{number}"))).await);
    }
    assert_eq!(network.accepted() - earlier, 1, "connections while the login hangs");
    network.swallow(false);
    let answer = within(Duration::from_secs(2), "POST /orders", create(&gateway, "o-3")).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(network.accepted() - earlier, 1, "connections after it");
}
