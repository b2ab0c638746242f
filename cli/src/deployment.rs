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

mod url;
mod variables;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use reqwest::header::HeaderValue;
use reqwest::{Certificate, Url};
use shared::config::Env;
use shared::error::Chain;

use crate::options::Target;
use variables::{Variables, first};

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

impl Deployment {
    /// Finds the deployment. Says what to give if none is named.
    pub fn find(target: &Target, environment: impl Iterator<Item = (OsString, OsString)>) -> Result<Self, String> {
        let process = variables::of_process(environment)?;
        let named = target.env_file.clone().or_else(|| process.get("ORDERMILL_ENV_FILE").map(PathBuf::from));
        // A file overrides the caller's token only if the caller names the file.
        let own_token = process.get("ORDERMILL_TOKEN").filter(|_| named.is_none()).cloned();
        let stack = variables::local(target, &process);
        let variables = match (&named, &stack) {
            (Some(file), _) => variables::named(file, &process)?,
            (None, Some(file)) => variables::of_this_machine(file, &process)?,
            (None, None) => process,
        };
        let file = named.or(stack);
        let url = target.url.clone().map(|url| (url, "--url"));
        let (url, url_name) = url.or_else(|| first(&variables, ["ORDERMILL_URL", "API_URL"])).ok_or_else(|| {
            let without_url = |file: PathBuf| format!("{} has no API_URL: add it, or give --url", file.display());
            file.map_or(NO_URL.to_owned(), without_url)
        })?;
        let (token, token_name) = find_token(target, own_token, &variables).unzip();
        let token_name = token_name.unwrap_or("ORDERMILL_TOKEN");
        let authorities = target.ca_file.clone().or_else(|| variables.get("ORDERMILL_CA_FILE").map(PathBuf::from));
        Ok(Self {
            url: url::parse(&url, url_name)?,
            token: token.map(|token| check_token(&token, token_name)).transpose()?,
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

/// The token, and the flag or the variable that it is from.
fn find_token(target: &Target, own: Option<String>, variables: &Variables) -> Option<(String, &'static str)> {
    let from_flag = target.token.clone().map(|token| (token, "--token"));
    let from_process = own.map(|token| (token, "ORDERMILL_TOKEN"));
    from_flag.or(from_process).or_else(|| first(variables, ["ORDERMILL_TOKEN", "TOKEN_ADMIN"]))
}

/// Returns the token without `Bearer` in front, if a header can hold it.
fn check_token(token: &str, name: &str) -> Result<String, String> {
    if HeaderValue::from_str(token).is_ok() {
        let bare = token.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        Ok(bare.map_or(token, |(_, token)| token).trim().to_owned())
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
    fn shell_with_the_file_of_another_deployment_names_none() {
        let shell = [("API_URL", "https://other"), ("TOKEN_ADMIN", "other"), ("STACK_DIR", "/nowhere")];
        assert_eq!(find(&Target::default(), &shell).err().unwrap(), NO_URL);
        let file = written("API_URL=https://this\n");
        let by_file = Target { env_file: Some(file.clone()), ..Target::default() };
        let by_url = Target { url: Some("https://this".to_owned()), ..Target::default() };
        for target in [by_file, by_url] {
            let deployment = find(&target, &shell).unwrap();
            assert_eq!((deployment.url.as_str(), deployment.token), ("https://this/", None));
        }
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
        let secret = ("AWS_SECRET_ACCESS_KEY", "secret");
        assert_eq!(find(&Target::default(), &[stack, secret]).unwrap().env.text("AWS_SECRET_ACCESS_KEY"), None);
        for elsewhere in ["API_URL=https://other", "API_URL=http://127.0.0.1:1\nAWS_ENDPOINT_URL=https://other"] {
            std::fs::write(folder.join("env"), elsewhere).unwrap();
            let refused = find(&Target::default(), &[stack]).err().unwrap();
            assert!(refused.contains("leads to another machine; give --url"), "{refused}");
            let named = Target { env_file: Some(folder.join("env")), ..Target::default() };
            assert_eq!(find(&named, &[secret]).unwrap().env.text("AWS_SECRET_ACCESS_KEY"), Some("secret"));
        }
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
    fn token_is_used_without_bearer_in_front() {
        for given in ["abc", "Bearer abc", "bearer  abc "] {
            let target =
                Target { url: Some("https://this".to_owned()), token: Some(given.to_owned()), ..Target::default() };
            assert_eq!(find(&target, &[]).unwrap().token.as_deref(), Some("abc"));
        }
    }

    #[test]
    fn token_that_no_header_can_hold_is_refused_by_its_name() {
        let named = |target: Target, variables: &[(&str, &str)]| find(&target, variables).err().unwrap();
        let url = Some("http://127.0.0.1:1".to_owned());
        let target = Target { url: url.clone(), token: Some("a\nb".to_owned()), ..Target::default() };
        assert!(named(target, &[]).starts_with("--token is no token: it contains a line break"));
        let without = Target { url, ..Target::default() };
        assert!(named(without, &[("ORDERMILL_TOKEN", "a\nb")]).starts_with("ORDERMILL_TOKEN is no token"));
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
        assert!(find(&url("orders"), &nowhere).err().unwrap().starts_with("--url is no URL"));
        let variable = [("ORDERMILL_URL", "orders")];
        assert!(find(&Target::default(), &variable).err().unwrap().starts_with("ORDERMILL_URL is no URL"));
    }
}
