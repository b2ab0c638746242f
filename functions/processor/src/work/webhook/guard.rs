//! Refuses forbidden addresses: those of the function's own machine and of the cloud's metadata service.

use std::net::{IpAddr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Checks an endpoint's URL. The error completes the sentence "`WEBHOOK_URL` …".
pub fn check_url(url: &Url, is_dev: bool) -> Result<(), &'static str> {
    let is_http_in_dev = is_dev && url.scheme() == "http";
    if url.scheme() != "https" && !is_http_in_dev {
        return Err("must be an https URL");
    }
    // The resolver checks the addresses of a name at each connection. It never sees a literal address, so this checks that.
    let literal = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse().ok());
    if literal.is_some_and(|address| !is_callable(address, is_dev)) {
        return Err("must not be an address of the machine or its metadata service");
    }
    Ok(())
}

/// Whether an endpoint may have this address. It must not be the function's own machine, where the Runtime API is, except in `dev`.
/// It must never be link-local, because cloud machines serve their metadata and credentials there.
fn is_callable(address: IpAddr, is_dev: bool) -> bool {
    let address = address.to_canonical();
    let is_own = address.is_loopback() || address.is_unspecified();
    let is_metadata = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.segments()[..2] == [0xfd00, 0x0ec2],
    };
    !is_metadata && (is_dev || !is_own)
}

/// The most addresses of a family that a call tries. The client divides its time for connecting among them.
const MAX_ADDRESSES: usize = 2;

/// Resolves names, removes forbidden addresses and keeps the first ones of each family.
pub struct Resolver {
    /// Whether calls to the function's own machine are allowed.
    pub is_dev: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let is_dev = self.is_dev;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let callable = first_of_each_family(found.filter(|address| is_callable(address.ip(), is_dev)));
            if callable.is_empty() {
                return Err("the endpoint has no allowed address".into());
            }
            Ok(Box::new(callable.into_iter()) as Addrs)
        })
    }
}

fn first_of_each_family(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut counts = [0; 2];
    let is_one = |address: &SocketAddr| {
        let count = &mut counts[usize::from(address.is_ipv6())];
        *count += 1;
        *count <= MAX_ADDRESSES
    };
    addresses.filter(is_one).collect()
}

#[cfg(test)]
mod tests {
    use shared::config::Env;
    use shared::error::Chain;

    use super::super::Webhook;
    use super::*;

    #[test]
    fn endpoint_is_https_and_neither_local_nor_link_local() {
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

    #[test]
    fn two_addresses_of_each_family_are_tried() {
        let addresses = ["1.1.1.1:0", "[1::1]:0", "1.1.1.2:0", "1.1.1.3:0", "[1::2]:0", "[1::3]:0"];
        let tried = first_of_each_family(addresses.iter().map(|address| address.parse().unwrap()));
        let tried: Vec<_> = tried.iter().map(ToString::to_string).collect();
        assert_eq!(tried, ["1.1.1.1:0", "[1::1]:0", "1.1.1.2:0", "[1::2]:0"]);
    }

    #[tokio::test]
    async fn name_of_this_machine_is_resolved_and_refused() {
        let resolve = |is_dev| Resolver { is_dev }.resolve("localhost".parse().unwrap());
        assert!(resolve(false).await.is_err());
        assert!(resolve(true).await.is_ok());
        let variables =
            [("STAGE", "prod"), ("WEBHOOK_URL", "https://localhost"), ("WEBHOOK_SECRET", "0123456789abcdef")];
        let webhook = Webhook::from_env(&Env::from_iter(variables)).unwrap();
        let error = webhook.call(&"o-1".parse().unwrap(), 1, String::new()).await.unwrap_err();
        assert!(Chain(&error).to_string().contains("the endpoint has no allowed address"), "{error:?}");
    }
}
