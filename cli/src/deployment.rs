//! Finds the deployment: from flags and variables, or from a file that describes it.
//!
//! | variable | for |
//! |---|---|
//! | `ORDERMILL_URL`, `ORDERMILL_TOKEN`, `ORDERMILL_CA_FILE`, `ORDERMILL_ENV_FILE` | the same as the flags |
//! | `API_URL`, `TOKEN_ADMIN` | the same, in a file |
//! | `STACK_DIR` | where the local stack's file is; `.local` |
//!
//! and for `doctor` those of [`crate::doctor`]. A file alone describes its deployment, so two deployments never mix. The process adds
//! only the variables of the caller.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use reqwest::header::HeaderValue;
use reqwest::{Certificate, Url};
use shared::config::Env;
use shared::error::Chain;

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
        let process: Variables = environment.filter_map(text).filter(|(_, value)| !value.is_empty()).collect();
        let named = target.env_file.clone().or_else(|| process.get("ORDERMILL_ENV_FILE").map(PathBuf::from));
        // A file overrides the caller's token only if the caller names the file.
        let own_token = process.get("ORDERMILL_TOKEN").filter(|_| named.is_none()).cloned();
        let file = named.or_else(|| local(target, &process));
        let variables = file.as_deref().map_or(Ok(process.clone()), |file| described_by(file, &process))?;
        let url = target.url.clone().or_else(|| first(&variables, ["ORDERMILL_URL", "API_URL"]).map(|(url, _)| url));
        let url = url.ok_or_else(|| {
            let without_url = |file: PathBuf| format!("{} has no API_URL: add it, or give --url", file.display());
            file.map_or(NO_URL.to_owned(), without_url)
        })?;
        let (token, token_name) = find_token(target, own_token, &variables).unzip();
        let token_name = token_name.unwrap_or("ORDERMILL_TOKEN");
        let authorities = target.ca_file.clone().or_else(|| variables.get("ORDERMILL_CA_FILE").map(PathBuf::from));
        Ok(Self {
            url: parse(&url)?,
            token: token.map(|token| check_token(token, token_name)).transpose()?,
            token_name,
            authorities: authorities.as_deref().map(read_authorities).transpose()?,
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

/// The variables of the caller. The process adds those of a line if the file has none of the line.
const CALLER: [&[&str]; 4] = [
    &["ORDERMILL_TOKEN", "TOKEN_ADMIN"],
    &["ORDERMILL_CA_FILE"],
    &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"],
    &["AWS_REGION", "AWS_DEFAULT_REGION"],
];

/// The local stack's file, if no URL is named.
fn local(target: &Target, process: &Variables) -> Option<PathBuf> {
    let file = Path::new(process.get("STACK_DIR").map_or(".local", String::as_str)).join("env");
    (target.url.is_none() && !process.contains_key("ORDERMILL_URL") && file.exists()).then_some(file)
}

/// The token, and the flag or the variable that it is from.
fn find_token(target: &Target, own: Option<String>, variables: &Variables) -> Option<(String, &'static str)> {
    let from_flag = target.token.clone().map(|token| (token, "--token"));
    let from_process = own.map(|token| (token, "ORDERMILL_TOKEN"));
    from_flag.or(from_process).or_else(|| first(variables, ["ORDERMILL_TOKEN", "TOKEN_ADMIN"]))
}

/// The value and the name of the first of these variables that is set.
fn first(variables: &Variables, names: [&'static str; 2]) -> Option<(String, &'static str)> {
    names.into_iter().find_map(|name| Some((variables.get(name)?.clone(), name)))
}

/// The variables of the deployment that this file describes.
fn described_by(file: &Path, process: &Variables) -> Result<Variables, String> {
    let mut variables = read(file)?;
    for names in CALLER {
        if !names.iter().any(|name| variables.contains_key(*name)) {
            variables.extend(names.iter().filter_map(|name| Some(((*name).to_owned(), process.get(*name)?.clone()))));
        }
    }
    adapt_to_local(&mut variables);
    Ok(variables)
}

fn read(file: &Path) -> Result<Variables, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{} can't be read: {error}", file.display()))?;
    let pairs = text.lines().filter_map(|line| line.trim_start_matches("export ").split_once('='));
    let pairs = pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().trim_matches(['\'', '"']).to_owned()));
    Ok(pairs.filter(|(_, value)| !value.is_empty()).collect())
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
    let name = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| format!("{name} can't be read: {error}"))?;
    match Certificate::from_pem_bundle(text.as_bytes()) {
        Ok(authorities) if authorities.is_empty() => Err(format!("{name} has no certificate (PEM)")),
        Ok(_) => Ok(text),
        Err(error) => Err(format!("{name} has a certificate that can't be read: {}", Chain(&error))),
    }
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
    fn file_alone_describes_the_deployment() {
        let file =
            written("API_URL=http://127.0.0.1:1\nQUEUE_URL=http://127.0.0.1:1/orders\nAWS_DEFAULT_REGION=here\n");
        let target = Target { env_file: Some(file.clone()), ..Target::default() };
        let elsewhere = [
            ("ORDERMILL_URL", "https://other"),
            ("DATABASE_URL", "postgres://other/d"),
            ("DLQ_URL", "https://other/dead"),
            ("AWS_ENDPOINT_URL", "https://other"),
            ("AWS_REGION", "there"),
        ];
        let caller = [("ORDERMILL_TOKEN", "t"), ("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret")];
        let deployment = find(&target, &[&elsewhere[..], &caller].concat()).unwrap();
        assert_eq!((deployment.url.as_str(), deployment.token.as_deref()), ("http://127.0.0.1:1/", Some("t")));
        assert_eq!(elsewhere.map(|(name, _)| deployment.env.text(name)), [None; 5]);
        assert_eq!(deployment.env.text("AWS_SECRET_ACCESS_KEY"), Some("secret"));
        // A flag names its own.
        let flag = Target { url: Some("https://flag".to_owned()), ..target };
        assert_eq!(find(&flag, &elsewhere).unwrap().url.as_str(), "https://flag/");
        std::fs::write(&file, "TOKEN_ADMIN=own\nAWS_ACCESS_KEY_ID=own\n").unwrap();
        let deployment = find(&flag, &[&caller[..], &[("AWS_SESSION_TOKEN", "session")]].concat()).unwrap();
        assert_eq!((deployment.token.as_deref(), deployment.env.text("AWS_SESSION_TOKEN")), (Some("own"), None));
        let without_url = Target { url: None, ..flag };
        assert!(find(&without_url, &elsewhere).err().unwrap().ends_with("has no API_URL: add it, or give --url"));
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn local_stack_is_called_with_the_token_of_the_process() {
        let folder = written("");
        std::fs::remove_file(&folder).unwrap();
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("env"), "API_URL=http://127.0.0.1:1\nTOKEN_ADMIN=admin\n").unwrap();
        let stack = ("STACK_DIR", folder.to_str().unwrap());
        let token = |variables: &[_]| find(&Target::default(), variables).unwrap().token.unwrap();
        assert_eq!([token(&[stack]), token(&[stack, ("ORDERMILL_TOKEN", "alice")])], ["admin", "alice"]);
        std::fs::remove_dir_all(folder).unwrap();
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
        assert!(named(target, &[]).starts_with("--token is no token: it contains a line break"));
        let without = Target { url, ..Target::default() };
        assert!(named(without.clone(), &[("ORDERMILL_TOKEN", "a\nb")]).starts_with("ORDERMILL_TOKEN is no token"));
        assert!(named(without, &[("TOKEN_ADMIN", "a\nb")]).starts_with("TOKEN_ADMIN is no token"));
    }

    #[test]
    fn empty_variable_counts_as_unset() {
        let file = written("API_URL=http://127.0.0.1:1\nTOKEN_ADMIN=t\nORDERMILL_TOKEN=\n");
        let variables =
            [("ORDERMILL_URL", ""), ("ORDERMILL_CA_FILE", ""), ("ORDERMILL_ENV_FILE", file.to_str().unwrap())];
        assert_eq!(find(&Target::default(), &variables).unwrap().token.as_deref(), Some("t"));
        std::fs::remove_file(file).unwrap();
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
