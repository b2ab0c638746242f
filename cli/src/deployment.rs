//! Finds the deployment: from flags and variables, or from a file that describes it.
//!
//! | variable | for |
//! |---|---|
//! | `ORDERMILL_URL`, `ORDERMILL_TOKEN`, `ORDERMILL_CA_FILE`, `ORDERMILL_ENV_FILE` | the same as the flags |
//! | `API_URL`, `TOKEN_ADMIN` | the same, in a file |
//! | `STACK_DIR` | where the local stack's file is; `.local` |
//!
//! and for `doctor` those of [`crate::doctor`]. A file's variables override the process's, so two deployments never mix.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use reqwest::Url;
use reqwest::header::HeaderValue;
use shared::config::Env;

use crate::options::Target;

/// A deployment.
pub struct Deployment {
    /// The URL of its API.
    pub url: Url,
    /// The token for the calls.
    pub token: Option<String>,
    /// The flag or the variable that the token is from, or `ORDERMILL_TOKEN` without one.
    pub token_name: &'static str,
    /// Certificate authorities (PEM) to trust besides the machine's.
    pub authorities: Option<String>,
    /// Its other variables.
    pub env: Env,
}

type Variables = HashMap<String, String>;

impl Deployment {
    /// Finds the deployment. Says what to give if none is named.
    pub fn find(target: &Target, environment: impl Iterator<Item = (OsString, OsString)>) -> Result<Self, String> {
        let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        let mut variables: Variables = environment.filter_map(text).collect();
        let target = target.filled(&variables)?;
        if let Some(file) = file(&target, &variables) {
            variables.extend(read(&file)?);
            adapt_to_local(&mut variables);
        }
        let filled = |name: &str| variables.get(name).cloned().filter(|value| !value.is_empty());
        let url = target.url.clone().or_else(|| filled("API_URL")).ok_or(NO_URL)?;
        let (token, token_name) = match &target.token {
            Some(token) if filled("ORDERMILL_TOKEN").as_ref() != Some(token) => (Some(token.clone()), "--token"),
            Some(token) => (Some(token.clone()), "ORDERMILL_TOKEN"),
            None => filled("TOKEN_ADMIN").map_or((None, "ORDERMILL_TOKEN"), |token| (Some(token), "TOKEN_ADMIN")),
        };
        Ok(Self {
            url: parse(&url)?,
            token: token.map(|token| check_token(token, token_name)).transpose()?,
            token_name,
            authorities: target.ca_file.as_deref().map(read_authorities).transpose()?,
            env: variables.into_iter().collect(),
        })
    }

    /// The URL of a path of the API.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url.as_str().trim_end_matches('/'))
    }

    /// The API's host and port, as findings name them.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.url.host_str().unwrap_or_default(), self.url.port_or_known_default().unwrap_or_default())
    }

    /// Whether the API is on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.url.host_str().is_some_and(is_loopback)
    }
}

const NO_URL: &str = "no deployment is named: give --url or ORDERMILL_URL, or start the local stack with `make up`";

/// The file that describes the deployment: the named one, or the local stack's if no deployment is named.
fn file(target: &Target, variables: &Variables) -> Option<PathBuf> {
    let local = || {
        let directory = variables.get("STACK_DIR").map_or(".local", String::as_str);
        Some(Path::new(directory).join("env")).filter(|file| target.url.is_none() && file.exists())
    };
    target.env_file.clone().or_else(local)
}

fn read(file: &Path) -> Result<Variables, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{} can't be read: {error}", file.display()))?;
    let pairs = text.lines().filter_map(|line| line.trim_start_matches("export ").split_once('='));
    Ok(pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().trim_matches(['\'', '"']).to_owned())).collect())
}

/// The local stack's database is on this machine and speaks no TLS.
fn adapt_to_local(variables: &mut Variables) {
    let database = variables.get("DATABASE_URL").and_then(|url| Url::parse(url).ok());
    if database.is_some_and(|url| url.host_str().is_some_and(is_loopback)) {
        variables.entry("DATABASE_TLS".to_owned()).or_insert_with(|| "off".to_owned());
    }
}

fn parse(url: &str) -> Result<Url, String> {
    let parsed = Url::parse(url).map_err(|error| format!("{url} is no URL: {error}"))?;
    let is_http = matches!(parsed.scheme(), "http" | "https") && parsed.has_host();
    if is_http {
        Ok(parsed)
    } else {
        Err(format!("{url} is no URL of an API: it must begin with https:// (or http://)"))
    }
}

/// Returns the token if a header can hold it.
fn check_token(token: String, name: &str) -> Result<String, String> {
    if HeaderValue::from_str(&token).is_ok() {
        Ok(token)
    } else {
        Err(format!("{name} is no token: it contains a line break or another control character"))
    }
}

fn read_authorities(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("{} can't be read: {error}", file.display()))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(target: &Target, variables: &[(&str, &str)]) -> Result<Deployment, String> {
        Deployment::find(target, variables.iter().map(|(name, value)| ((*name).into(), (*value).into())))
    }

    fn written(text: &str) -> PathBuf {
        let file =
            std::env::temp_dir().join(format!("ordermill-deployment-{}-{}", std::process::id(), fastrand::u64(..)));
        std::fs::write(&file, text).unwrap();
        file
    }

    #[test]
    fn file_overrides_the_variables_of_the_process() {
        let file = written("API_URL=http://127.0.0.1:1/x\nTOKEN_ADMIN='t'\nDATABASE_URL=postgres://u@127.0.0.1/d\n");
        let target = Target { env_file: Some(file.clone()), ..Target::default() };
        let deployment =
            find(&target, &[("DATABASE_URL", "postgres://other/d"), ("API_URL", "https://other")]).unwrap();
        assert_eq!(
            (deployment.at("/orders"), deployment.token.as_deref()),
            ("http://127.0.0.1:1/x/orders".into(), Some("t"))
        );
        assert_eq!(deployment.env.text("DATABASE_URL"), Some("postgres://u@127.0.0.1/d"));
        assert_eq!(deployment.env.text("DATABASE_TLS"), Some("off"));
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn token_that_no_header_can_hold_is_refused_by_its_name() {
        let named = |target: Target, variables: &[(&str, &str)]| find(&target, variables).err().unwrap();
        let url = Some("http://127.0.0.1:1".to_owned());
        let target = Target { url: url.clone(), token: Some("a\nb".to_owned()), ..Target::default() };
        assert!(named(target.clone(), &[]).starts_with("--token is no token: it contains a line break"));
        assert!(named(target, &[("ORDERMILL_TOKEN", "a\nb")]).starts_with("ORDERMILL_TOKEN is no token"));
        let without = Target { url, ..Target::default() };
        assert!(named(without, &[("TOKEN_ADMIN", "a\nb")]).starts_with("TOKEN_ADMIN is no token"));
    }

    #[test]
    fn empty_variable_counts_as_unset_and_an_empty_flag_does_not() {
        let file = written("API_URL=http://127.0.0.1:1\nTOKEN_ADMIN=t\n");
        let empty = Some(String::new());
        let target = Target { url: empty.clone(), token: empty, ca_file: Some(PathBuf::new()), env_file: Some(file) };
        let variables = [("ORDERMILL_URL", ""), ("ORDERMILL_TOKEN", ""), ("ORDERMILL_CA_FILE", "")];
        assert_eq!(find(&target, &variables).unwrap().token.as_deref(), Some("t"));
        assert_eq!(find(&target, &variables[1..]).err().unwrap(), "--url is empty");
    }

    #[test]
    fn missing_deployment_is_refused_with_what_to_give() {
        let nowhere = [("STACK_DIR", "/nowhere")];
        assert_eq!(find(&Target::default(), &nowhere).err().unwrap(), NO_URL);
        let url = |url: &str| Target { url: Some(url.to_owned()), ..Target::default() };
        assert!(find(&url("ftp://host"), &nowhere).err().unwrap().contains("must begin with https://"));
        assert!(find(&url("orders"), &nowhere).err().unwrap().contains("is no URL"));
    }
}
