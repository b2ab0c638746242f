//! Tokens of the stack's issuer, and forged ones.

use std::sync::LazyLock;
use std::time::UNIX_EPOCH;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use serde_json::{Value, json};

use crate::Stack;

/// The id of the issuer's key.
const KEY_ID: &str = "local";
/// The audience of the tokens.
const AUDIENCE: &str = "ordermill";
/// Another key than the issuer's. OpenSSL takes a tenth of a second to make one.
static STRANGERS: LazyLock<PKey<Private>> =
    LazyLock::new(|| Rsa::generate(2048).and_then(PKey::from_rsa).expect("OpenSSL makes keys"));

/// The stack's issuer with its private key.
pub struct Issuer {
    key: PKey<Private>,
    url: String,
}

/// The key that signs a token.
#[derive(Debug, Clone, Copy)]
pub enum Signature {
    /// The issuer's key.
    Issuers,
    /// Another RSA key.
    Strangers,
    /// The issuer's public key as the secret of an HMAC. A verifier that trusts the token's own `alg` accepts it.
    PublicKey,
    /// No key: the token has no signature.
    Nothing,
}

impl Issuer {
    /// The issuer of this stack.
    pub fn of(stack: &Stack) -> Self {
        let pem = std::fs::read(stack.get("OIDC_KEY_FILE")).expect("the issuer has a key");
        let key = PKey::private_key_from_pem(&pem).expect("it is PEM");
        Self { key, url: stack.get("OIDC_ISSUER").to_owned() }
    }

    /// The claims of a valid token for this user, with these scopes, for ten minutes.
    pub fn claims(&self, sub: &str, scope: &str) -> Value {
        let now = UNIX_EPOCH.elapsed().expect("it is after 1970").as_secs();
        json!({"iss": self.url, "aud": AUDIENCE, "sub": sub, "scope": scope, "iat": now, "exp": now + 600})
    }

    /// A token with these claims, correctly signed.
    pub fn token(&self, claims: &Value) -> String {
        self.forge(&json!({"alg": "RS256", "kid": KEY_ID, "typ": "JWT"}), claims, Signature::Issuers)
    }

    /// A token with these claims, one changed member of the header, and this signature.
    pub fn token_with(&self, (name, value): (&str, &str), claims: &Value, signature: Signature) -> String {
        let mut header = json!({"alg": "RS256", "kid": KEY_ID, "typ": "JWT"});
        header[name] = value.into();
        self.forge(&header, claims, signature)
    }

    fn forge(&self, header: &Value, claims: &Value, signature: Signature) -> String {
        let encode = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
        let content = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let key = match signature {
            Signature::Issuers => Ok(self.key.clone()),
            Signature::Strangers => Ok(STRANGERS.clone()),
            Signature::PublicKey => self.key.public_key_to_pem().and_then(|pem| PKey::hmac(&pem)),
            Signature::Nothing => return format!("{content}."),
        };
        let key = key.expect("OpenSSL makes keys");
        let mut signer = Signer::new(MessageDigest::sha256(), &key).expect("OpenSSL signs");
        format!("{content}.{}", encode(&signer.sign_oneshot_to_vec(content.as_bytes()).expect("OpenSSL signs")))
    }
}
