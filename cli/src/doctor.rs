//! `doctor`: checks everything that orders need to be accepted and processed. Each check reports what it found, where, and
//! how to mend it.
//!
//! A check whose variable is missing is reported as not checked, never as ok:
//!
//! | variable | for |
//! |---|---|
//! | `DATABASE_URL`, `DATABASE_TLS`, … like the functions' | schema, rights, clock and orders in the database |
//! | `DATABASE_APP_ROLE` | the rights of the functions' role, if `DATABASE_URL` is the owner's |
//! | those of [`crate::aws`] | everything on AWS |
//! | `QUEUE_URL`, `DLQ_URL` | the queues |
//! | `PROCESSOR_FUNCTION`, `SWEEPER_FUNCTION` | the functions' time-outs, mapping, schedule and event bus |
//! | `API_ID` | the issuer and the audience that the gateway accepts, if the URL does not contain it |
//! | `OIDC_ISSUER`, `OIDC_AUDIENCE` | the same, without AWS |

mod api;
mod bus;
mod cloud;
mod database;
mod figures;
mod finding;
mod functions;
mod gateway;
mod queues;
mod reach;
mod report;
mod timing;

use shared::config::Env;

use crate::client::Client;
use crate::deployment::Deployment;
use crate::exit::Exit;
use crate::output::Output;

use cloud::Cloud;
pub use finding::{Finding, Verdict};

/// Runs all checks and shows the findings.
pub async fn run(deployment: &Deployment, output: Output) -> Exit {
    let findings = examine(deployment).await;
    report::show(deployment, &findings, output);
    exit(&findings)
}

/// Runs all checks. Returns the findings in reading order: the API first.
pub async fn examine(deployment: &Deployment) -> Vec<Finding> {
    let cloud = Cloud::of(&deployment.env);
    // Boxed, because the future of all checks would otherwise be large.
    let (api, behind) =
        tokio::join!(Box::pin(examine_api(&cloud, deployment)), Box::pin(examine_behind(&cloud, &deployment.env)));
    [api, behind].concat()
}

async fn examine_behind(cloud: &Cloud, env: &Env) -> Vec<Finding> {
    let read = functions::Functions::read(cloud, env).await;
    let (database, queues, functions, bus) = tokio::join!(
        database::examine(env),
        queues::examine(cloud, env, &read),
        functions::examine(env, &read),
        bus::examine(&read),
    );
    [database, queues, functions, bus].concat()
}

async fn examine_api(cloud: &Cloud, deployment: &Deployment) -> Vec<Finding> {
    let mut findings = reach::examine(deployment).await;
    if findings.iter().any(|finding| finding.state == Verdict::Wrong && finding.check != "certificate") {
        findings.push(Finding::not_checked("health", deployment.address(), "the API can't be reached"));
        return findings;
    }
    match Client::new(deployment) {
        Ok(client) => {
            findings.extend(gateway::examine(cloud, deployment).await);
            findings.extend(api::examine(deployment, &client).await);
        }
        Err(failure) => {
            let remedy = "give --ca-file certificates that this machine's TLS accepts";
            findings.push(Finding::wrong("health", deployment.address(), failure.to_string(), remedy));
        }
    }
    findings
}

/// A service that can't be used, or not with this token, has an exit status of its own.
fn exit(findings: &[Finding]) -> Exit {
    let is_wrong = |finding: &&Finding| finding.state == Verdict::Wrong;
    let mut wrong = findings.iter().filter(is_wrong).peekable();
    if wrong.peek().is_none() {
        Exit::Fine
    } else if wrong.any(|finding| ["dns", "tcp", "tls", "health", "access"].contains(&finding.check)) {
        Exit::Unreachable
    } else {
        Exit::Wrong
    }
}
