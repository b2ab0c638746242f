//! What the functions share.
//!
//! [`order`] is the domain and imports nothing else of ours. [`deadline`] is the time that an invocation has left, [`timestamp`]
//! how times are written. [`db`] is the only place that speaks SQL, [`queue`] the only one that names the SQS SDK, [`gateway`],
//! [`lifecycle`] and [`telemetry`] the only ones here that name the Lambda runtime, and [`config`] the only one that reads the
//! environment, once, at start.

pub mod aws;
pub mod config;
pub mod db;
pub mod deadline;
pub mod error;
pub mod gateway;
pub mod lifecycle;
pub mod order;
pub mod queue;
pub mod telemetry;
pub mod timestamp;
mod tls;
