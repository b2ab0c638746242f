//! A database server that stands still, as with a disk that does not answer: it takes connections and cancellations, and its
//! processes do not get on.

use std::process::Command;

use sandbox::postgres::Postgres;
use tokio_postgres::Client;

use super::*;

/// The number of environments that create orders.
const ENVIRONMENTS: usize = 4;
/// How long an environment keeps a connection whose statement does not end.
const KEPT: Duration = Duration::from_secs(30);
/// The duration of the standstill. Some environments open a second connection in its last seconds.
const STILL: Duration = Duration::from_secs(42);
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn server_that_stands_still_gets_no_second_connection() {
    let (world, postgres) = (World::new().await, Postgres::start().await.unwrap());
    let (url, server) = (postgres.app_url(&[postgres.address()]), postgres.connect().await.unwrap());
    let gateway = gateway(&world, ENVIRONMENTS, &[("DATABASE_URL", &url)]).await;
    assert_eq!(signal(&server, "-STOP").await, ENVIRONMENTS);
    let (still, is_still) = watch::channel(true);
    let standstill = async {
        let (begin, mut most, mut most_later) = (Instant::now(), 0, 0);
        while begin.elapsed() < STILL {
            // New processes stand still, too.
            let now = signal(&server, "-STOP").await;
            let most = if begin.elapsed() < KEPT { &mut most } else { &mut most_later };
            *most = now.max(*most);
            sleep(Duration::from_millis(20)).await;
        }
        still.send_replace(false);
        signal(&server, "-CONT").await;
        (most, most_later, Instant::now())
    };
    let clients = (0..ENVIRONMENTS).map(|client| create_until_accepted(&gateway, client, is_still.clone()));
    let (accepted, (most, most_later, end)) = tokio::join!(join_all(clients), standstill);
    assert_eq!(most, ENVIRONMENTS, "connections within half a minute");
    assert!(most_later > most && most_later <= 2 * ENVIRONMENTS, "{most_later} connections later");
    let late = accepted.iter().map(|client| client.accepted.saturating_duration_since(end)).max().unwrap();
    assert!(late <= RECOVERY, "an order was accepted only {late:?} after the standstill");
}
