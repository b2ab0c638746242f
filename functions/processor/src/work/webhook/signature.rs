//! Signs calls, so that the merchant's endpoint can verify their sender: Standard Webhooks, version 1.
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The prefix of a secret that holds its key as base64.
const PREFIX: &str = "whsec_";
/// The lengths of such a key, in bytes, by the specification.
const KEY_LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;
/// The shortest secret of plain text, in bytes.
const SHORTEST_TEXT: usize = 16;

/// The signing keys: one, or two while the merchant changes from one to the other.
pub struct Keys(Vec<Vec<u8>>);

impl Keys {
    /// Parses one secret, or two separated by a space or a comma. The error states the broken rule.
    pub fn parse(secrets: &str) -> Result<Self, &'static str> {
        let secrets = secrets.trim();
        // A tool that wraps its output writes one secret as two lines, and each could pass for a secret.
        if secrets.contains(|c: char| c.is_whitespace() && c != ' ') {
            return Err("must not contain a line break or a tab");
        }
        let secrets = secrets.split([' ', ',']).filter(|secret| !secret.is_empty());
        let keys: Vec<_> = secrets.map(key).collect::<Result<_, _>>()?;
        if !(1..=2).contains(&keys.len()) {
            return Err("must be one secret, or two separated by a space or a comma");
        }
        Ok(Self(keys))
    }

    /// The value of `webhook-signature`: a signature by each key.
    pub fn sign(&self, id: &str, time: u64, body: &str) -> String {
        let signatures: Vec<_> = self.0.iter().map(|key| signature(key, id, time, body)).collect();
        signatures.join(" ")
    }
}

/// The key of a secret: its base64 decoded, or the bytes of its text.
fn key(secret: &str) -> Result<Vec<u8>, &'static str> {
    let Some(encoded) = secret.strip_prefix(PREFIX) else {
        let is_long_enough = secret.len() >= SHORTEST_TEXT;
        return if is_long_enough {
            Ok(secret.into())
        } else {
            Err("must be at least 16 characters, without a space or comma")
        };
    };
    let key = STANDARD.decode(encoded).ok().filter(|key| KEY_LENGTHS.contains(&key.len()));
    key.ok_or("must have the base64 of 24 to 64 bytes after whsec_")
}

fn signature(key: &[u8], id: &str, time: u64, body: &str) -> String {
    let code = Hmac::<Sha256>::new_from_slice(key).map_or_else(
        |_| String::new(), // HMAC takes keys of any length.
        |mac| STANDARD.encode(mac.chain_update(format!("{id}.{time}.")).chain_update(body).finalize().into_bytes()),
    );
    format!("v1,{code}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in the tests of the specification's libraries.
    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
    const TIME: u64 = 1_649_367_553;
    const BODY: &str = r#"{"email":"test@example.com","username":"test_user"}"#;
    const SIGNATURE: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";

    fn sign(secrets: &str) -> String {
        Keys::parse(secrets).unwrap().sign(ID, TIME, BODY)
    }

    #[test]
    fn example_of_the_specification_has_its_signature() {
        assert_eq!(sign(SECRET), SIGNATURE);
    }

    #[test]
    fn example_of_the_documentation_has_its_signature() {
        let document = include_str!("../../../../../docs/webhook.md");
        let (_, example) = document.split_once("```http\n").unwrap();
        let (headers, rest) = example.split_once("\n\n").unwrap();
        let (body, _) = rest.split_once("\n```").unwrap();
        let header = |name| headers.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let (id, time) = (header("webhook-id: "), header("webhook-timestamp: ").parse().unwrap());
        let body: String = body.lines().map(str::trim).collect();
        let signature = Keys::parse("0123456789abcdef").unwrap().sign(id, time, &body);
        assert_eq!(header("webhook-signature: "), signature);
    }

    #[test]
    fn secret_of_plain_text_is_its_own_key() {
        // printf "$ID.$TIME.$BODY" | openssl dgst -sha256 -hmac 0123456789abcdef -binary | base64
        let as_base64 = STANDARD.encode("0123456789abcdef-0123456789abcdef");
        assert_eq!(sign("0123456789abcdef-0123456789abcdef"), sign(&format!("whsec_{as_base64}")));
    }

    #[test]
    fn two_secrets_make_two_signatures() {
        let other = sign("0123456789abcdef");
        for separator in [" ", ",", ", "] {
            assert_eq!(sign(&format!("{SECRET}{separator}0123456789abcdef")), format!("{SIGNATURE} {other}"));
        }
    }

    #[test]
    fn line_end_of_a_file_is_no_part_of_its_secret() {
        assert_eq!(sign(&format!("{SECRET}\r\n")), SIGNATURE);
    }

    #[test]
    fn secret_that_a_tool_has_wrapped_is_refused() {
        let wrapped = format!("whsec_{}\n{}", STANDARD.encode([7; 48]), STANDARD.encode([7; 16]));
        assert_eq!(Keys::parse(&wrapped).err(), Some("must not contain a line break or a tab"));
    }

    #[test]
    fn secret_that_is_too_weak_or_one_too_many_is_refused() {
        let refusal = |secrets: &str| Keys::parse(secrets).err().unwrap_or_default();
        assert_eq!(refusal(&format!("{SECRET} {SECRET}")), "");
        assert_eq!(refusal("0123456789abcde"), "must be at least 16 characters, without a space or comma");
        assert_eq!(refusal(&format!("{SECRET} short")), "must be at least 16 characters, without a space or comma");
        for secrets in [" ", ",", &format!("{SECRET},{SECRET},{SECRET}")] {
            assert_eq!(refusal(secrets), "must be one secret, or two separated by a space or a comma");
        }
        let long = STANDARD.encode([7; 65]);
        for encoded in ["", "MTIzNDU2Nzg5MA==", "not base64 at all", &long, "C2FVsBQIhrscChlQIMV-b5sSYspob7oD"] {
            let encoded = encoded.replace(' ', "_");
            assert_eq!(refusal(&format!("whsec_{encoded}")), "must have the base64 of 24 to 64 bytes after whsec_");
        }
    }
}
