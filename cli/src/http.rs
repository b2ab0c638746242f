//! Builds every HTTP client of this program.

use reqwest::ClientBuilder;

/// A client that ignores `HTTP_PROXY` and similar variables: calls to the local stack are plain HTTP, and a proxy would read
/// the token.
pub fn builder() -> ClientBuilder {
    reqwest::Client::builder().no_proxy()
}
