//! What is planted, so that it is recognised wherever it turns up.

/// A token.
pub const TOKEN: &str = "planted-token.eyJzdWIiOiJwbGFudGVkIn0.signature";
/// A wrong password of the database. The right one is the stack's own.
pub const DATABASE_PASSWORD: &str = "planted-database-password";
/// What the webhook's calls are signed with.
pub const WEBHOOK_SECRET: &str = "planted-webhook-secret";
/// What is secret in the webhook's URL.
pub const URL_KEY: &str = "planted-url-key";
/// What the webhook's endpoint answers.
pub const ENDPOINT_ANSWER: &str = "planted-answer-of-the-endpoint";
/// The function's own key to AWS.
pub const AWS_SECRET_KEY: &str = "planted-aws-secret-key";
/// The token that goes with it.
pub const AWS_SESSION_TOKEN: &str = "planted-aws-session-token";
/// The signature in the URL where CloudFormation is answered.
pub const RESPONSE_SIGNATURE: &str = "planted-response-signature";

/// What neither a log nor an answer may tell.
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

/// An order's user.
pub const USER: &str = "planted-user@example.com";
/// What it ordered.
pub const ITEM: &str = "planted-item";
/// What it costs.
pub const AMOUNT: &str = "31337.42";
/// The key of its request.
pub const IDEMPOTENCY_KEY: &str = "planted-idempotency-key";

/// What its sender may be told, and a log may not tell.
pub const PRIVATE: [&str; 4] = ["planted-user", ITEM, AMOUNT, IDEMPOTENCY_KEY];
