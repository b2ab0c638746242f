//! What the service promises, as sentences. One binary, so that everything is linked once; every test runs beside every
//! other, in a world of its own or with orders of its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "an unwrap that fails is a test that fails")]

mod alarms;
mod batching;
mod cancelling;
mod cli;
mod clients;
mod configuration;
mod contract;
mod creating;
mod credentials;
mod deployed;
mod deploying;
mod documents;
mod environments;
mod failover;
mod filtering;
mod fulfilling;
mod history;
mod hostile;
mod inputs;
mod lambda;
mod leaks;
mod listing;
mod matrix;
mod messages;
mod metrics;
mod migrating;
mod operating;
mod pages;
mod paging;
mod plans;
mod problems;
mod processing;
mod protocol;
mod reading;
mod redriving;
mod released;
mod releasing;
mod roles;
mod runbook;
mod schema;
mod sizes;
mod slow;
mod statistics;
mod sweeping;
mod template;
mod tracing;
mod transport;
mod zips;
