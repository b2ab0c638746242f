//! The planted values, each recognisable in any text.

pub const TOKEN: &str = "planted-token.eyJzdWIiOiJwbGFudGVkIn0.signature";
/// A wrong password of the database. The right one is the stack's own.
pub const DATABASE_PASSWORD: &str = "planted-database-password";
pub const WEBHOOK_SECRET: &str = "planted-webhook-secret";
/// The secret part of the webhook's URL.
pub const URL_KEY: &str = "planted-url-key";
pub const ENDPOINT_ANSWER: &str = "planted-answer-of-the-endpoint";
pub const AWS_SECRET_KEY: &str = "planted-aws-secret-key";
pub const AWS_SESSION_TOKEN: &str = "planted-aws-session-token";
/// The signature in CloudFormation's response URL.
pub const RESPONSE_SIGNATURE: &str = "planted-response-signature";

/// The values that neither a log nor an answer may contain.
pub const SECRETS: [&str; 9] = [
    TOKEN,
    "eyJzdWIiOiJwbGFudGVkIn0",
    DATABASE_PASSWORD,
    "planted-webhook-s",
    URL_KEY,
    ENDPOINT_ANSWER,
    AWS_SECRET_KEY,
    AWS_SESSION_TOKEN,
    RESPONSE_SIGNATURE,
];

pub const USER: &str = "planted-user@example.com";
pub const ITEM: &str = "planted-item";
pub const AMOUNT: &str = "31337.42";
pub const IDEMPOTENCY_KEY: &str = "planted-idempotency-key";

/// The values that an answer to their sender may contain, but a log may not.
pub const PRIVATE: [&str; 4] = ["planted-user", ITEM, AMOUNT, IDEMPOTENCY_KEY];
