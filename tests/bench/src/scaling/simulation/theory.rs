//! Tests that compare parts of the simulation with queueing theory.

use super::*;
use crate::cost::{Billed, Line};
use crate::scaling::limits::{Instance, M8G_LARGE};
use crate::scaling::measured::Database;
use crate::scaling::setup::DEPLOYED;

const CALLS: usize = 100_000;

/// A service that only waits for its database, which has this many vCPUs and this mean time in seconds.
fn only_the_database(servers: usize, mean: f64) -> (Setup, Times) {
    let instance = Instance { vcpus: servers, connections: 1_000.0, ..M8G_LARGE };
    let setup = Setup { database: instance, processors: 1, ..DEPLOYED };
    let database = Database { create_one_ms: mean * 1000.0, ..Database::default() };
    (setup, Times { invocations: Billed::default(), database })
}

/// The probability that a customer waits when `servers` serve an offered load of `load` (Erlang C), from Erlang B.
fn erlang_c(servers: usize, load: f64) -> f64 {
    let lost = erlang_b(servers, load);
    let servers = count(servers);
    lost / (1.0 - load / servers * (1.0 - lost))
}

/// The probability that a customer is lost without a waiting room.
fn erlang_b(servers: usize, load: f64) -> f64 {
    (1..=servers).fold(1.0, |lost, server| load * lost / (count(server) + load * lost))
}

fn is_near(seen: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((seen - expected).abs() <= tolerance * expected, "{what}: {seen} for {expected}");
}

#[test]
fn waits_for_the_database_match_erlang_c() {
    for (servers, load) in [(1, 0.5), (2, 1.6), (8, 6.0), (16, 14.4)] {
        let mean = 0.01;
        let (setup, times) = only_the_database(servers, mean);
        let outcome = Simulation::new(&setup, &times, load / mean, CALLS, 1).run();
        let waits = &outcome.database_waits;
        let waited = count(waits.iter().filter(|wait| **wait > 1e-9).count()) / count(waits.len());
        let expected = erlang_c(servers, load);
        is_near(waited, expected, 0.05, &format!("M/M/{servers}, the share that waits"));
        let mean_wait = waits.iter().sum::<f64>() / count(waits.len());
        let expected_wait = expected * mean / (count(servers) - load);
        is_near(mean_wait, expected_wait, 0.1, &format!("M/M/{servers}, the mean wait"));
        is_near(outcome.used.vcpus, load, 0.03, &format!("M/M/{servers}, busy servers"));
    }
}

#[test]
fn refused_calls_match_erlang_b() {
    let invocations = Billed { create_ms: Line { fixed: 10.0, each: 0.0 }, ..Billed::default() };
    let times = Times { invocations, database: Database::default() };
    let setup = Setup { database: Instance { connections: 10.0, ..M8G_LARGE }, ..DEPLOYED };
    let outcome = Simulation::new(&setup, &times, 800.0, CALLS, 2).run();
    is_near(count(outcome.refused) / count(CALLS), erlang_b(10, 8.0), 0.05, "the share that is refused");
}

#[test]
fn busy_servers_match_littles_law() {
    let invocations = Billed {
        create_ms: Line { fixed: 13.0, each: 0.1 },
        wait_ms: Line { fixed: 20.0, each: 0.2 },
        finish_ms: Line { fixed: 15.0, each: 0.1 },
        ..Billed::default()
    };
    let database = Database { create_one_ms: 0.3, ..Database::default() };
    let setup = Setup { database: M8G_LARGE, processors: 900, batch: 1, ..DEPLOYED };
    let outcome = Simulation::new(&setup, &Times { invocations, database }, 500.0, 20_000, 3).run();
    is_near(outcome.used.api, 500.0 * 0.0131, 0.03, "environments of the api");
    is_near(outcome.used.processors, 500.0 * (0.0202 + 0.0151), 0.03, "processors");
    assert_eq!((outcome.creates.len(), outcome.lags.len(), outcome.refused), (20_000, 40_000, 0));
}
