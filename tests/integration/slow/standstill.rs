//! A database server that stands still, as with a disk that does not answer: it takes connections and cancellations, and its
//! processes do not get on.

use std::process::Command;

use sandbox::postgres::Postgres;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_postgres::Client;

use super::*;

/// The number of environments that create orders.
const ENVIRONMENTS: usize = 4;
/// The duration of the standstill: several times as long as a call may take.
const STILL: Duration = Duration::from_secs(16);
/// How soon the api accepts orders after it.
const RECOVERY: Duration = Duration::from_secs(5);

/// Sends a signal to all processes of the server that serve the functions.
async fn signal(server: &Client, signal: &str) -> usize {
    let sql = "SELECT pid FROM pg_stat_activity WHERE application_name = 'ordermill'";
    let pids: Vec<_> =
        server.query(sql, &[]).await.unwrap().iter().map(|row| row.get::<_, i32>(0).to_string()).collect();
    Command::new("kill").arg(signal).args(&pids).status().unwrap();
    pids.len()
}

/// Creates orders until the end. Returns when the first was accepted after the standstill.
async fn create_until_accepted(gateway: &Gateway, client: usize, is_still: watch::Receiver<bool>) -> Instant {
    for number in 0.. {
        let answer = within(SLOW_DATABASE, "POST /orders", create(gateway, format!("o-{client}-{number}"))).await;
        match answer.status {
            201 if !*is_still.borrow() => break,
            201 => {}
            _ => assert_unavailable(&answer),
        }
        sleep(Duration::from_millis(100)).await;
    }
    Instant::now()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn server_that_stands_still_gets_no_second_connection() {
    let (world, postgres) = (World::new().await, Postgres::start().await.unwrap());
    let (url, server) = (postgres.app_url(&[postgres.address()]), postgres.connect().await.unwrap());
    let gateway = gateway(&world, ENVIRONMENTS, &[("DATABASE_URL", &url)]).await;
    assert_eq!(signal(&server, "-STOP").await, ENVIRONMENTS);
    let (still, is_still) = watch::channel(true);
    let standstill = async {
        let (end, mut most) = (Instant::now() + STILL, 0);
        while Instant::now() < end {
            // New processes stand still, too.
            most = most.max(signal(&server, "-STOP").await);
            sleep(Duration::from_millis(20)).await;
        }
        still.send_replace(false);
        signal(&server, "-CONT").await;
        (most, Instant::now())
    };
    let clients = (0..ENVIRONMENTS).map(|client| create_until_accepted(&gateway, client, is_still.clone()));
    let (accepted, (most, end)) = tokio::join!(join_all(clients), standstill);
    assert_eq!(most, ENVIRONMENTS, "connections at worst");
    let late = accepted.iter().map(|at| at.saturating_duration_since(end)).max().unwrap();
    assert!(late <= RECOVERY, "an order was accepted only {late:?} after the standstill");
}
