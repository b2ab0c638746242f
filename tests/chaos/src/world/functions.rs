//! The configuration of the functions.

use std::path::Path;
use std::time::Duration;

use sandbox::queue::Queues;
use sandbox::runtime::Function;
use sandbox::server::Server;
use sandbox::{Error, Result};

use crate::aged::RETENTION_DAYS;
use crate::clock::faketime;
use crate::options::{Options, Times};
use crate::receiver::SECRET;

/// The variable that tells a function its time-out.
const LIMIT: &str = "FUNCTION_TIMEOUT_SECONDS";

/// The variables of all functions.
pub fn variables(times: Times, database: &str, queues: &Queues, endpoint: &Server) -> Vec<(String, String)> {
    let seconds = |seconds: u64| seconds.to_string();
    let own = [
        ("STAGE", "dev".to_owned()),
        ("DATABASE_URL", database.to_owned()),
        ("DATABASE_TLS", "off".to_owned()),
        ("AWS_LAMBDA_LOG_LEVEL", "WARN".to_owned()),
        ("EVENT_BUS", "shop".to_owned()),
        ("RETENTION_DAYS", RETENTION_DAYS.to_string()),
        ("CANCEL_WINDOW_SECONDS", seconds(times.cancel_window)),
        ("WORK", "webhook".to_owned()),
        ("WEBHOOK_URL", format!("{}/fulfil", endpoint.url())),
        ("WEBHOOK_SECRET", SECRET.to_owned()),
        ("WEBHOOK_TIMEOUT_SECONDS", seconds(times.webhook)),
        ("MAX_ATTEMPTS", "8".to_owned()),
        ("RETRY_BASE_SECONDS", "1".to_owned()),
        ("RETRY_CAP_SECONDS", "4".to_owned()),
        ("LEASE_SECONDS", seconds(times.lease)),
        ("VISIBILITY_TIMEOUT_SECONDS", seconds(times.visibility)),
        ("SWEEP_GRACE_SECONDS", seconds(times.grace)),
    ];
    own.into_iter().chain(queues.variables()).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The function of this name. Fails if its binary was not built.
pub fn function(options: &Options, name: &str, variables: &[(String, String)], logs: &Path) -> Result<Function> {
    let bootstrap = options.bootstrap(name);
    if !bootstrap.exists() {
        return Err(format!("{} does not exist: `make build` makes it", bootstrap.display()).into());
    }
    // The api's is the template's. The sweeper's is shorter than its schedule, as in the template.
    let limit = if name == "api" { 10 } else { options.times.function };
    let variables = variables.iter().cloned().chain([(LIMIT.to_owned(), limit.to_string())]);
    let function = Function::new(name, bootstrap, variables, Duration::from_secs(limit));
    Ok(Function { log: Some(logs.join(format!("{name}.log"))), ..function })
}

/// The same function with a wall clock that is wrong by `offset`. Its monotonic clock stays right.
pub fn with_clock(mut function: Function, name: &str, offset: &str) -> Result<Function> {
    let library = faketime()?.display().to_string();
    function.name = format!("{}-{name}", function.name);
    for (name, value) in [("LD_PRELOAD", library.as_str()), ("FAKETIME", offset), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]
    {
        function.variables.push((name.to_owned(), value.to_owned()));
    }
    Ok(function)
}

/// The error with the functions' logs appended.
pub fn with_logs(error: &dyn std::error::Error, logs: &Path) -> Error {
    let mut text = error.to_string();
    for log in std::fs::read_dir(logs).into_iter().flatten().flatten() {
        text += &std::fs::read_to_string(log.path()).unwrap_or_default();
    }
    text.into()
}
