//! The variables that describe a deployment: those of the process, or those of a file.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use reqwest::Url;

use super::is_loopback;
use crate::options::Target;

pub type Variables = HashMap<String, String>;

/// The variables of the caller. The process adds those of a line if the file has none of the line.
const CALLER: [&[&str]; 2] = [&["ORDERMILL_TOKEN", "TOKEN_ADMIN"], &["ORDERMILL_CA_FILE"]];

/// The same for AWS. The local stack has an AWS of its own.
const CALLER_OF_AWS: [&[&str]; 2] =
    [&["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"], &["AWS_REGION", "AWS_DEFAULT_REGION"]];

/// The names that count in a file alone. A shell may have them from another deployment: the runbook's commands export `API_URL`.
const OF_A_FILE: [&str; 2] = ["API_URL", "TOKEN_ADMIN"];

/// The variables of the process that have a value. Fails if one that names the deployment is not text.
pub fn of_process(environment: impl Iterator<Item = (OsString, OsString)>) -> Result<Variables, String> {
    let mut variables = Variables::new();
    for (name, value) in environment.filter(|(_, value)| !value.is_empty()) {
        match (name.into_string(), value.into_string()) {
            (Ok(name), _) if OF_A_FILE.contains(&name.as_str()) => {}
            (Ok(name), Ok(value)) => drop(variables.insert(name, value)),
            (Ok(name), Err(_)) if name.starts_with("ORDERMILL_") || name == "STACK_DIR" => {
                return Err(format!("{name} is not valid UTF-8"));
            }
            _ => {}
        }
    }
    Ok(variables)
}

/// The local stack's file, if no URL is named.
pub fn local(target: &Target, process: &Variables) -> Option<PathBuf> {
    let file = Path::new(process.get("STACK_DIR").map_or(".local", String::as_str)).join("env");
    (target.url.is_none() && !process.contains_key("ORDERMILL_URL") && file.exists()).then_some(file)
}

/// The variables of the deployment that this file describes. The caller has named the file.
pub fn named(file: &Path, process: &Variables) -> Result<Variables, String> {
    Ok(adapt_to_local(complete(read(file)?, process, &[CALLER, CALLER_OF_AWS].concat())))
}

/// The variables of the local stack that this file describes. The file is in the working directory, which can be of someone else: if
/// it leads to another machine, this fails, because that machine would get the caller's token.
pub fn of_this_machine(file: &Path, process: &Variables) -> Result<Variables, String> {
    let variables = read(file)?;
    for name in ["ORDERMILL_URL", "API_URL", "AWS_ENDPOINT_URL"] {
        let url = variables.get(name).and_then(|url| Url::parse(url).ok());
        if url.is_some_and(|url| !url.host_str().is_some_and(is_loopback)) {
            let problem = format!("{} describes no local stack: its {name} leads to another machine", file.display());
            return Err(format!("{problem}; give --url, or name the file by --env-file or ORDERMILL_ENV_FILE"));
        }
    }
    Ok(adapt_to_local(complete(variables, process, &CALLER)))
}

fn complete(mut variables: Variables, process: &Variables, callers: &[&[&str]]) -> Variables {
    for names in callers {
        if !names.iter().any(|name| variables.contains_key(*name)) {
            variables.extend(names.iter().filter_map(|name| Some(((*name).to_owned(), process.get(*name)?.clone()))));
        }
    }
    variables
}

/// The value and the name of the first of these variables that is set.
pub fn first(variables: &Variables, names: [&'static str; 2]) -> Option<(String, &'static str)> {
    names.into_iter().find_map(|name| Some((variables.get(name)?.clone(), name)))
}

fn read(file: &Path) -> Result<Variables, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{} can't be read: {error}", file.display()))?;
    let pairs = text.lines().filter_map(|line| line.trim_start_matches("export ").split_once('='));
    let pairs = pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().trim_matches(['\'', '"']).to_owned()));
    Ok(pairs.filter(|(_, value)| !value.is_empty()).collect())
}

/// The local stack's database is on this machine and speaks no TLS.
fn adapt_to_local(mut variables: Variables) -> Variables {
    let database = variables.get("DATABASE_URL").and_then(|url| Url::parse(url).ok());
    if database.is_some_and(|url| url.host_str().is_some_and(is_loopback)) {
        variables.entry("DATABASE_TLS".to_owned()).or_insert_with(|| "off".to_owned());
    }
    variables
}
