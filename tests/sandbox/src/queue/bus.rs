//! An event bus next to the queues, with `PutEvents`: it keeps what it has taken.

use std::time::SystemTime;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::CallRuling;

/// The most entries of a call.
const MOST: usize = 10;
/// The most bytes of a call's entries.
const MOST_BYTES: usize = 256 * 1024;

/// An event that the bus has taken.
#[derive(Debug, Clone)]
pub struct Taken {
    /// When.
    pub at: SystemTime,
    /// The entry's time, in seconds since 1970.
    pub time: Option<i64>,
    /// The entry's detail type.
    pub detail_type: String,
    /// The entry's detail, in JSON.
    pub detail: String,
}

/// The bus.
#[derive(Default)]
pub(super) struct Bus {
    taken: Mutex<Vec<Taken>>,
}

impl Bus {
    /// Takes the entries of a call, or half of them, and answers. Drops those for a missing bus, as `EventBridge` does, with the
    /// same answer. `None` is a call that `EventBridge` would refuse.
    pub fn put(&self, input: &Value, ruling: CallRuling) -> Option<Value> {
        let entries = input["Entries"].as_array().filter(|entries| (1..=MOST).contains(&entries.len()))?;
        let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let bytes: usize = entries.iter().map(|entry| text(entry, "Detail").len()).sum();
        if bytes > MOST_BYTES || entries.iter().any(|entry| text(entry, "Source") != "ordermill") {
            return None;
        }
        let mut results = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            if ruling == CallRuling::Half && index % 2 == 0 {
                results.push(json!({"ErrorCode": "InternalFailure", "ErrorMessage": "refused"}));
                continue;
            }
            let (detail_type, detail) = (text(entry, "DetailType"), text(entry, "Detail"));
            serde_json::from_str::<Value>(&detail).ok()?;
            if ruling != CallRuling::NoBus {
                let (at, time) = (SystemTime::now(), entry["Time"].as_i64());
                self.taken.lock().push(Taken { at, time, detail_type, detail });
            }
            results.push(json!({"EventId": index.to_string()}));
        }
        let failed = results.iter().filter(|result| result.get("ErrorCode").is_some()).count();
        Some(json!({"FailedEntryCount": failed, "Entries": results}))
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.taken.lock().clone()
    }
}
