//! The `Idempotency-Key` header, which identifies a repeat of a request.

use axum::http::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};

use crate::caller::Caller;
use crate::problem::FieldError;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest key, in characters.
const MAX_LENGTH: usize = 255;

/// A client's key.
pub struct Key<'a>(&'a str);

impl<'a> Key<'a> {
    /// The key of this request, if it has one.
    pub fn of(headers: &'a HeaderMap) -> Result<Option<Self>, FieldError> {
        let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
        let text = value.to_str().unwrap_or("");
        // `to_str` allows a tab.
        if !(1..=MAX_LENGTH).contains(&text.len()) || text.contains('\t') {
            return Err(FieldError::new("Idempotency-Key", "must be 1 to 255 printable ASCII characters"));
        }
        Ok(Some(Self(text)))
    }

    /// The stored digest of caller and key. The caller is part of it so that the keys of two callers never collide. In a batch, the
    /// order's index is part of it too.
    pub fn stored(&self, caller: &Caller, index: Option<usize>) -> Vec<u8> {
        // A NUL separates the parts. No user id and no key contains one, so different parts never make the same bytes.
        let mut digest = Sha256::new().chain_update(caller.user_id().as_str()).chain_update([0]).chain_update(self.0);
        if let Some(index) = index {
            digest = digest.chain_update([0]).chain_update(index.to_string());
        }
        digest.finalize().to_vec()
    }
}
