//! The signature by which the merchant's endpoint knows that a call is ours.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The signature header's value for a body that is sent at `time`, in seconds since 1970.
pub fn sign(secret: &str, time: u64, body: &str) -> String {
    let hex = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_or_else(
        |_| String::new(), // HMAC takes keys of any length.
        |mac| hex(&mac.chain_update(format!("{time}.{body}")).finalize().into_bytes()),
    );
    format!("t={time},v1={hex}")
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_hmac_of_time_and_body() {
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac 0123456789abcdef
        let expected = "e4f8e2ecae2295b2ddb2f0b5584c8275e226c0ebe9b3b819e70156bb67122e3e";
        assert_eq!(sign("0123456789abcdef", 1_700_000_000, "{}"), format!("t=1700000000,v1={expected}"));
    }
}
