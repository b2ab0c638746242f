//! The integration tests: each promise of the service as a test with a sentence for a name. They are one binary, which links
//! everything once. All tests can run at the same time, because each has its own world or its own orders.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap fails the test")]

mod alarms;
mod announcing;
mod batching;
mod calls;
mod cancelling;
mod cli;
mod clients;
mod configuration;
mod contract;
mod creating;
mod credentials;
mod currencies;
mod deployed;
mod deploying;
mod documents;
mod environments;
mod erasing;
mod failover;
mod fairness;
mod filtering;
mod fulfilling;
mod history;
mod hostile;
mod leaks;
mod listing;
mod matrix;
mod messages;
mod metrics;
mod migrating;
mod operating;
mod pages;
mod pausing;
mod plans;
mod problems;
mod processing;
mod reading;
mod released;
mod releasing;
mod retention;
mod roles;
mod runbook;
mod scheduling;
mod schema;
mod sizes;
mod slow;
mod statistics;
mod sweeping;
mod template;
mod tracing;
mod transport;
mod walls;
mod zips;
