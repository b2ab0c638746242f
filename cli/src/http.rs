//! Builds every HTTP client of this program.

use reqwest::ClientBuilder;

/// A client that ignores `HTTP_PROXY` and its like: the local stack is called by plain HTTP, and a proxy would read the token.
pub fn builder() -> ClientBuilder {
    reqwest::Client::builder().no_proxy()
}
