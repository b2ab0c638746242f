//! Reads the claims of a token. It verifies nothing: the gateway does that.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

/// The claims of a token.
pub struct Claims(Value);

impl Claims {
    /// Reads the claims. Says what is wrong if the text is not a token.
    pub fn of(token: &str) -> Result<Self, &'static str> {
        let [_, claims, _] = token.split('.').collect::<Vec<_>>()[..] else {
            return Err("it does not have the three parts of a JWT");
        };
        let bytes =
            BASE64_URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).map_err(|_| "its claims are not base64url")?;
        let claims: Value = serde_json::from_slice(&bytes).map_err(|_| "its claims are not JSON")?;
        if claims.is_object() { Ok(Self(claims)) } else { Err("its claims are not an object") }
    }

    /// The text of a claim.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0[name].as_str()
    }

    /// The moment of a claim, in seconds since 1970, without its fraction.
    pub fn moment(&self, name: &str) -> Option<i64> {
        let claim = &self.0[name];
        claim.as_i64().or_else(|| Some(time::Duration::checked_seconds_f64(claim.as_f64()?)?.whole_seconds()))
    }

    /// Its audiences: `aud`, or `client_id` without `aud`, as the gateway reads them.
    pub fn audiences(&self) -> Vec<&str> {
        match &self.0["aud"] {
            Value::String(one) => vec![one],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => self.text("client_id").into_iter().collect(),
        }
    }

    /// Its scopes.
    pub fn scopes(&self) -> Vec<&str> {
        let listed = self.0["scp"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let texts = [self.text("scope"), self.text("scp")].into_iter().flatten();
        texts.flat_map(|text| text.split(' ')).chain(listed).collect()
    }

    /// The groups of its user, if it is of Amazon Cognito.
    pub fn groups(&self) -> Vec<&str> {
        self.0["cognito:groups"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Whether it has `orders/read` or `orders/write`, as the caller asks, or a scope with that right.
    pub fn may(&self, scope: &str) -> bool {
        self.is_admin() || self.scopes().iter().any(|held| held.strip_suffix(".all").unwrap_or(held) == scope)
    }

    /// Whether it may read every user's orders.
    pub fn reads_all(&self) -> bool {
        self.is_admin() || self.scopes().contains(&"orders/read.all")
    }

    /// Whether it may read and create every user's orders.
    pub fn acts_for_all(&self) -> bool {
        self.is_admin() || self.reads_all() && self.scopes().contains(&"orders/write.all")
    }

    /// Whether it has `orders/admin`.
    pub fn is_admin(&self) -> bool {
        self.scopes().contains(&"orders/admin")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(json: &str) -> Claims {
        Claims::of(&format!("h.{}.s", BASE64_URL_SAFE_NO_PAD.encode(json))).unwrap()
    }

    #[test]
    fn audiences_and_scopes_are_read_as_the_gateway_reads_them() {
        assert_eq!(claims(r#"{"aud": ["a", "b"], "client_id": "c"}"#).audiences(), ["a", "b"]);
        assert_eq!(claims(r#"{"client_id": "c"}"#).audiences(), ["c"]);
        assert_eq!(
            claims(r#"{"scope": "orders/read x", "scp": ["orders/admin"]}"#).scopes(),
            ["orders/read", "x", "orders/admin"]
        );
    }

    #[test]
    fn moment_may_have_a_fraction() {
        let moments = claims(r#"{"exp": 1700000000.9, "nbf": 1.7e9, "iat": 1700000000, "huge": 1e300, "text": "1"}"#);
        for name in ["exp", "nbf", "iat"] {
            assert_eq!(moments.moment(name), Some(1_700_000_000), "{name}");
        }
        assert_eq!([moments.moment("huge"), moments.moment("text")], [None, None]);
    }

    #[test]
    fn text_that_is_no_token_is_refused() {
        for text in ["", "a.b", "a.!.c", "a.e30", "a.W10.c", "a.eA.c"] {
            assert!(Claims::of(text).is_err(), "{text}");
        }
    }
}
