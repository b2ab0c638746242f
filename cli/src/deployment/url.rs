//! Reads the API's URL.

use reqwest::Url;

/// Parses the URL of an API. Fails if a path can't follow it, or if it holds a user name or password, which reports and logs would
/// show. `name` is the flag or the variable that it is from. The error does not repeat the URL: it can hold a secret.
pub fn parse(url: &str, name: &str) -> Result<Url, String> {
    let parsed = Url::parse(url).map_err(|error| format!("{name} is no URL: {error}"))?;
    let refused = |problem: &str| Err(format!("{name} is no URL of an API: {problem}"));
    if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
        return refused("it must begin with https:// (or http://)");
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return refused("it has a user name or password; calls carry the token of --token or ORDERMILL_TOKEN");
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return refused("it has a query or fragment (`?` or `#`), and the paths of calls are added at its end");
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_that_no_path_can_follow_is_refused() {
        for end in ["?", "/?x=1", "#", "/#/", "/prod?x=1#y"] {
            let refused = parse(&format!("https://host{end}"), "--url").unwrap_err();
            assert!(refused.starts_with("--url is no URL of an API: it has a query or fragment"), "{refused}");
        }
        assert_eq!(parse("https://host/prod/", "--url").unwrap().as_str(), "https://host/prod/");
    }

    #[test]
    fn url_with_a_secret_is_refused_without_a_repeat_of_it() {
        for url in
            ["https://user:secret@host", "https://secret@host", "https://:secret@host", "https://host/?key=secret"]
        {
            let refused = parse(url, "API_URL").unwrap_err();
            assert!(refused.starts_with("API_URL is no URL of an API: it has a"), "{refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
        for url in
            ["ftp://user:secret@host", "user:secret@host", "https://user:secret@ho st", "https://user:secret@host:port"]
        {
            let refused = parse(url, "API_URL").unwrap_err();
            assert!(refused.starts_with("API_URL is no URL") && !refused.contains("secret"), "{refused}");
        }
    }
}
