//! An AWS and a PostgreSQL of one's own, in one process and on loopback ports, for what the deployed stack is too slow or
//! too kind for: [`runtime`] runs the functions' real binaries in execution environments, [`queue`] is their SQS,
//! [`mapping`] brings messages to the processor, [`gateway`] brings calls to the api, [`postgres`] is a server that may
//! be stopped, started and promoted, [`wire`] and [`link`] lie between it and the functions, and [`merchant`] is their
//! fulfilment endpoint. A [`gate`](mod@gate) makes any of them slow.
//!
//! Everything is real but AWS itself, and everything can be broken: each part has a hook that sees what is about to happen
//! and may prevent it. Each execution environment has a name of its own, which the hooks are told.

#![allow(clippy::missing_panics_doc, reason = "a panic of the harness is the failure of a test")]

pub mod calls;
pub mod gate;
pub mod gateway;
pub mod link;
pub mod mapping;
pub mod merchant;
pub mod postgres;
pub mod process;
pub mod queue;
pub mod runtime;
pub mod server;
pub mod wire;

/// What the harness itself fails with.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// A result of the harness itself.
pub type Result<T> = std::result::Result<T, Error>;
