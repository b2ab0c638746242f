//! What the functions share.
//!
//! [`order`] is the domain and imports no other module of this crate. [`deadline`] is the time left to an invocation, and
//! [`timestamp`] is the format of times.
//!
//! Some modules are the only ones to do a thing. [`db`] speaks SQL. [`queue`] names the SQS SDK, [`events`] that of `EventBridge`. [`gateway`], [`lifecycle`] and
//! [`telemetry`] name the Lambda runtime. [`config`] reads the environment, once, at start.

pub mod aws;
pub mod config;
pub mod db;
pub mod deadline;
pub mod error;
pub mod events;
pub mod gateway;
pub mod lifecycle;
pub mod order;
pub mod queue;
pub mod telemetry;
pub mod timestamp;
mod tls;
pub mod view;
