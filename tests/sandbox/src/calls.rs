//! Compares the AWS calls of the functions with the recorded ones.
//!
//! The template's policies allow the calls of `tests/calls.json`, so a function may make no other call. `python -m stack
//! exec` looks at the calls of the emulated AWS and at the sandbox's, which both write to the file that `CALLS` names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::LazyLock;

use parking_lot::Mutex;

use crate::queue::ORDERS;

/// The functions by their names, and what each calls: `sqs:SendMessage on OrderQueue`.
pub type Calls = BTreeMap<String, BTreeSet<String>>;

/// Names any of the functions, where a test runs one in its own process.
const ANY: &str = "function";
static KNOWN: LazyLock<Calls> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../calls.json")).expect("calls.json names calls"));
static NOTED: Mutex<Calls> = Mutex::new(Calls::new());

/// The recorded calls.
pub fn known() -> &'static Calls {
    &KNOWN
}

/// The calls of this process's functions that are not.
pub fn unknown() -> Vec<String> {
    let noted = NOTED.lock();
    let is_known = |by: &str, call: &String| {
        KNOWN.iter().any(|(function, calls)| (by == function || by == ANY) && calls.contains(call))
    };
    let calls = noted.iter().flat_map(|(by, calls)| calls.iter().map(move |call| (by, call)));
    calls.filter(|(by, call)| !is_known(by, call)).map(|(by, call)| format!("{by} calls {call}")).collect()
}

/// Notes a function's call to a queue or to the event bus. The environment `api-7` is one of the function `api`.
pub(crate) fn note(environment: &str, action: &str, queue: &str) {
    let function = environment.split('-').next().unwrap_or_default();
    let (service, resource) = match (action, queue) {
        ("DescribeEventBus" | "PutEvents", _) => ("events", "EventBus"),
        (_, ORDERS) => ("sqs", "OrderQueue"),
        _ => ("sqs", "DeadLetterQueue"),
    };
    // A call for ten messages is allowed by the action of a call for one.
    let call = format!("{service}:{} on {resource}", action.trim_end_matches("Batch"));
    let mut noted = NOTED.lock();
    let is_function = KNOWN.contains_key(function) || function == ANY;
    let is_new = is_function && noted.entry(function.to_owned()).or_default().insert(call.clone());
    if let Some(file) = std::env::var_os("CALLS").filter(|_| is_new) {
        let line = format!("{function}\t{call}\tsandbox:{queue}\n");
        let mut file = OpenOptions::new().append(true).open(file).expect("the stack's file of calls is there");
        file.write_all(line.as_bytes()).expect("the stack's file of calls can be written");
    }
}
