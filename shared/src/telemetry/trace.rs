//! Traces for AWS X-Ray. They join the processing of an order to the call that created it: the message carries the call's trace
//! through the queue, in SQS's own attribute `AWSTraceHeader`.
//!
//! Each segment is one datagram to Lambda's X-Ray daemon, sent when it ends, so nothing is left to send when the environment
//! freezes. Tracing is off by default, and then costs one read of an empty cell.
//! <https://docs.aws.amazon.com/xray/latest/devguide/xray-api-segmentdocuments.html>
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `TRACING` | `Active` sends segments | off |
//! | `AWS_XRAY_DAEMON_ADDRESS` | the address of the daemon; Lambda sets it | no segments |

use std::net::UdpSocket;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::config::Env;

static DAEMON: OnceLock<UdpSocket> = OnceLock::new();

tokio::task_local! {
    static CURRENT: Option<Trace>;
}

/// A position in a recorded trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    root: String,
    parent: String,
}

impl Trace {
    /// Reads `Root=…;Parent=…;Sampled=1`. Returns `None` if tracing is off or this trace is not recorded.
    #[must_use]
    pub fn of(header: &str) -> Option<Self> {
        DAEMON.get()?;
        Self::parse(header)
    }

    fn parse(header: &str) -> Option<Self> {
        let part = |name| header.split(';').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
        let is_recorded = part("Sampled") == Some("1");
        is_recorded.then_some(Self { root: part("Root")?.to_owned(), parent: part("Parent")?.to_owned() })
    }

    /// The trace of the invocation under way, if it is recorded.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok().flatten()
    }

    /// The header that passes the trace on.
    #[must_use]
    pub fn header(&self) -> String {
        format!("Root={};Parent={};Sampled=1", self.root, self.parent)
    }

    /// Adds a call of another service, which started at `began` and ends now, as a part of this invocation.
    pub fn add_call(&self, service: &str, began: SystemTime) {
        send(&json!({"type": "subsegment", "namespace": "remote"}), self, service, began);
    }

    /// Adds the work of another invocation, which started at `began` and ends now, with annotations to search by.
    pub fn add_segment(&self, name: &str, began: SystemTime, annotations: &Value) {
        send(&json!({"annotations": annotations}), self, name, began);
    }
}

/// Starts sending segments if tracing is on.
pub(super) fn init(env: &Env) {
    let is_on = env.text("TRACING") == Some("Active");
    let Some(address) = env.text("AWS_XRAY_DAEMON_ADDRESS").filter(|_| is_on) else { return };
    let socket = UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.connect(address).map(|()| socket));
    match socket.and_then(|socket| socket.set_nonblocking(true).map(|()| socket)) {
        Ok(socket) => drop(DAEMON.set(socket)),
        Err(error) => {
            tracing::warn!(%error, address, "could not open a socket to the X-Ray daemon; no traces will be sent");
        }
    }
}

/// Runs `handled` as a part of the trace of this header.
pub(crate) async fn within<F: Future>(header: Option<&str>, handled: F) -> F::Output {
    match header.and_then(Trace::of) {
        None => handled.await,
        trace => CURRENT.scope(trace, handled).await,
    }
}

fn send(more: &Value, trace: &Trace, name: &str, began: SystemTime) {
    let Some(daemon) = DAEMON.get() else { return };
    let mut document = more.clone();
    document["name"] = name.into();
    document["id"] = format!("{:016x}", Uuid::new_v4().as_u64_pair().1).into();
    document["trace_id"] = trace.root.as_str().into();
    document["parent_id"] = trace.parent.as_str().into();
    document["start_time"] = seconds(began).into();
    document["end_time"] = seconds(SystemTime::now()).into();
    // A lost segment is only a gap in a trace.
    let _ = daemon.send(format!("{{\"format\":\"json\",\"version\":1}}\n{document}").as_bytes());
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_recorded_traces_are_passed_on() {
        let header = "Root=1-67890abc-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=1";
        assert_eq!(Trace::parse(&format!("{header};Lineage=1:2:0")).unwrap().header(), header);
        for header in ["", "Root=1-2-3", "Root=1-2-3;Parent=4;Sampled=0", "Parent=4;Sampled=1"] {
            assert_eq!(Trace::parse(header), None, "{header}");
        }
    }

    #[test]
    fn tracing_is_off_by_default() {
        assert_eq!(Trace::of("Root=1-2-3;Parent=4;Sampled=1"), None);
        assert_eq!(Trace::current(), None);
    }
}
