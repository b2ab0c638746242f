//! Calls to AWS that take up to ten entries each: how many entries fit into a call, and how many calls run at once.

use std::ops::Range;

use futures_util::{StreamExt, stream};

/// The most entries of one call, of SQS and of `PutEvents`.
pub const MAX_BATCH: usize = 10;
/// The most bytes of the entries in one call. Some targets of events, such as SNS and Step Functions, take 256 KiB, and attributes
/// need some of it.
pub const MAX_BYTES: usize = 240 * 1024;
/// How many calls run at once.
const CALLS_AT_ONCE: usize = 8;

/// Splits entries of these sizes in bytes into calls: at most [`MAX_BATCH`] each, and together at most [`MAX_BYTES`]. An entry that is
/// larger gets a call of its own.
pub fn parts(sizes: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (index, size) in sizes.enumerate() {
        bytes += size;
        match parts.last_mut() {
            Some(part) if part.len() < MAX_BATCH && bytes <= MAX_BYTES => part.end = index + 1,
            _ => {
                parts.push(index..index + 1);
                bytes = size;
            }
        }
    }
    parts
}

/// Makes the calls, a few at once, and returns their results in the calls' order.
pub async fn some_at_once<T>(calls: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let calls: Vec<_> = calls.collect();
    stream::iter(calls).buffered(CALLS_AT_ONCE).collect().await
}
