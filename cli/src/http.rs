//! The one way in which HTTP clients are made here.

use reqwest::ClientBuilder;

/// A client that uses no proxy, whatever the environment names: a proxy would read the token of a call by plain HTTP, which
/// the local stack's are.
pub fn builder() -> ClientBuilder {
    reqwest::Client::builder().no_proxy()
}
