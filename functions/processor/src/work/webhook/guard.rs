//! What may be called: no address at which the function's own machine, or the cloud's metadata service, would answer.

use std::net::{IpAddr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Says what is wrong with an endpoint's URL, if anything is.
pub fn check_url(url: &Url, is_dev: bool) -> Result<(), &'static str> {
    let is_http_in_dev = is_dev && url.scheme() == "http";
    if url.scheme() != "https" && !is_http_in_dev {
        return Err("must be an https URL");
    }
    // A name is looked up, and its addresses checked, at each connection; an address is not, so it is checked here.
    let literal = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse().ok());
    if literal.is_some_and(|address| !is_callable(address, is_dev)) {
        return Err("must not be an address of the machine or its metadata service");
    }
    Ok(())
}

/// Whether an endpoint may have this address: not the function's own machine, where the Runtime API is, but in `dev`; and
/// never a link-local one, where cloud machines find their metadata and credentials.
fn is_callable(address: IpAddr, is_dev: bool) -> bool {
    let address = address.to_canonical();
    let is_own = address.is_loopback() || address.is_unspecified();
    let is_metadata = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.segments()[..2] == [0xfd00, 0x0ec2],
    };
    !is_metadata && (is_dev || !is_own)
}

/// Looks names up and leaves the addresses out that must not be called.
pub struct Resolver {
    /// Whether the function's own machine may be called.
    pub is_dev: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let is_dev = self.is_dev;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let callable: Vec<SocketAddr> = found.filter(|address| is_callable(address.ip(), is_dev)).collect();
            if callable.is_empty() {
                return Err("the endpoint has no address that may be called".into());
            }
            Ok(Box::new(callable.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_dev_an_endpoint_is_https_and_neither_this_machine_nor_a_metadata_service() {
        let checked = |url: &str, is_dev| check_url(&url.parse().unwrap(), is_dev).is_ok();
        assert!(checked("https://shop.example.com/fulfil", false) && checked("https://10.0.0.7/fulfil", false));
        for url in [
            "http://shop.example.com",
            "https://127.0.0.1",
            "https://[::1]",
            "https://0.0.0.0",
            "https://[::ffff:127.0.0.1]",
        ] {
            assert!(!checked(url, false), "{url}");
        }
        for url in
            ["https://169.254.169.254/latest", "https://[fd00:ec2::254]", "https://[::ffff:169.254.169.254]", "ftp://a"]
        {
            assert!(!checked(url, false) && !checked(url, true), "{url}");
        }
        assert!(checked("http://127.0.0.1:8080/fulfil", true));
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_looked_up_and_refused() {
        let resolve = |is_dev| Resolver { is_dev }.resolve("localhost".parse().unwrap());
        assert!(resolve(false).await.is_err());
        assert!(resolve(true).await.is_ok());
    }
}
