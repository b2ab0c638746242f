//! The size limit of an answer.
//!
//! Lambda accepts 6,291,556 bytes. The body is a JSON string within them, so each `"` and each `\` of the body counts twice.

use std::io::{self, Write};

use serde::Serialize;

/// The most bytes of a growing body, counted as Lambda counts. The rest is for headers and for one more value.
pub const MAX_BODY: usize = 5_000_000;

/// The bytes that this value takes in an answer.
pub fn of(value: &impl Serialize) -> usize {
    let mut counter = Counter(0);
    // The counter never fails, and our values can all be serialised.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

/// Counts the bytes of JSON within a JSON string. The JSON has no control characters.
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let escaped = bytes.iter().filter(|byte| matches!(byte, b'"' | b'\\')).count();
        self.0 += bytes.len() + escaped;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_counts_the_body_as_a_json_string() {
        for value in [serde_json::json!(["\"\\", {"ü": null}]), serde_json::json!("a\u{1}\n\u{7f}𝄞")] {
            let in_a_string = serde_json::to_string(&value.to_string()).unwrap();
            assert_eq!(of(&value), in_a_string.len() - 2, "{in_a_string}");
        }
    }
}
