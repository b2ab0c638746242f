//! `load`: creates orders, follows each to its end, and reports how many were accepted, completed, failed and lost, and how
//! long that took. It is the service's acceptance test: it succeeds exactly if every order was accepted and completed once.

mod count;
mod follow;
mod histogram;
mod latency;
mod outcome;
mod plot;
mod report;
mod run;
mod send;
mod totals;

use std::time::Duration;

use indicatif::ProgressBar;

use crate::client::Client;
use crate::deployment::Deployment;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::options;
use crate::output::Output;

use count::Counts;
use outcome::RunResults;
pub use report::Report;
use run::Run;

/// Creates the orders and shows the report.
pub async fn run(deployment: &Deployment, load: &options::Load, output: Output) -> Result<Exit, Failure> {
    if let Some(file) = &load.svg {
        plot::check(file)?;
    }
    let report = measure(deployment, load, output, &Interrupt::of_process(output)?).await?;
    report::show(&report, output);
    if let Some(file) = &load.svg {
        std::fs::write(file, plot::svg(&report)?)
            .map_err(|error| Failure::Other(format!("{} can't be written: {error}", file.display())))?;
    }
    Ok(report.exit)
}

/// Creates the orders, follows them to their end, and reports. After an interrupt, or if the service is out of reach, the
/// report covers the orders so far.
pub async fn measure(
    deployment: &Deployment,
    load: &options::Load,
    output: Output,
    interrupt: &Interrupt,
) -> Result<Report, Failure> {
    allow_connections();
    let client = Client::new(deployment)?;
    let run = Run::new(deployment)?;
    let report = |results| Report::new(&run, deployment, load.orders, results);
    let before = tokio::select! {
        before = begin(&client, &run) => before?,
        () = interrupt.wait() => return Ok(report(RunResults::none(interrupt.exit()))),
    };
    let bar = bar(output, load.orders.into(), "accepted");
    let sent = send::create_all(&client, &run, load, &bar, interrupt).await;
    bar.finish_and_clear();
    let bar = self::bar(output, sent.accepted.len() as u64, "ended   ");
    let patience = Duration::from_secs(load.patience);
    let (found, missing, unread) = follow::to_the_end(&client, &run, &sent, patience, &bar, interrupt).await;
    bar.finish_and_clear();
    let count = async {
        match before {
            Some(before) => before.until_now(&client).await.map(Some),
            None => Ok(None),
        }
    };
    let counted = tokio::select! {
        biased;
        () = interrupt.wait() => Ok(None),
        counted = count => counted,
    };
    Ok(report(RunResults { sent, found, missing, unread, counted, interrupted: interrupt.exit() }))
}

/// Checks that the service answers. Returns its counts before the run, if the token may read them.
async fn begin(client: &Client<'_>, run: &Run) -> Result<Option<Counts>, Failure> {
    run.check(client).await?;
    Counts::read(client).await
}

fn bar(output: Output, orders: u64, what: &'static str) -> ProgressBar {
    let template = "  {msg}  [{bar:40}] {human_pos}/{human_len}  {per_sec}  {elapsed}";
    output.bar(orders, template).with_message(what)
}

/// Raises the limit of open files: each open call holds a connection.
fn allow_connections() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit); // If the system refuses, connections fail later.
}
