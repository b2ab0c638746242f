//! `export`: writes the orders of a span of time to a file, page by page and at a bounded rate, and reports how many, with their
//! checksum.
//!
//! An export can be interrupted at any moment and resumed: after each page it stores where it stands. The stored size of the file
//! says how much of it is whole; what a crash left behind that is cut off.

mod files;
mod format;
mod report;
mod sink;
mod state;

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::{Instant, sleep_until};

use crate::client::Client;
use crate::deployment::Deployment;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::options::Export;
use crate::orders::{PAGE, encoded};
use crate::output::{Output, counted};
use crate::token::Claims;

use format::Encoder;
pub use format::Format;
use sink::Sink;
use state::State;

/// A page of orders as the API wrote them, newest first.
#[derive(Deserialize)]
struct RawPage {
    orders: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

/// The part of an order that the export itself needs.
#[derive(Deserialize)]
struct CreatedAt {
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

/// Exports, and reports.
pub async fn run(deployment: &Deployment, export: &Export, output: Output) -> Result<Exit, Failure> {
    let interrupt = Interrupt::of_process(output)?;
    let client = Client::new(deployment)?;
    files::check(export)?;
    let mut state = State::of(export, deployment.url.as_str(), user(deployment))?;
    let mut sink = Sink::open(export, &state)?;
    let bar = bar(&state, export, output);
    let shown = bar.clone();
    let client = client.notifying(move |line| shown.suspend(|| output.complain(line)));
    let done = write_pages(&client, export, &mut state, &mut sink, &bar, &interrupt).await;
    bar.finish_and_clear();
    report::show(&state, &sink, export, output);
    if sink.is_empty() && !state.is_complete {
        files::remove(export);
    }
    done?;
    Ok(interrupt.exit().filter(|_| !state.is_complete).unwrap_or(Exit::Fine))
}

/// The user whose orders the token reads, with the user's groups, because operators can be a group; `None` if the token reads the
/// orders of all users.
fn user(deployment: &Deployment) -> Option<String> {
    let Some(claims) = deployment.token.as_deref().and_then(|token| Claims::of(token).ok()) else {
        return Some(String::new());
    };
    let mut groups = claims.groups();
    groups.sort_unstable();
    let user: Vec<_> = claims.text("sub").into_iter().chain(groups).collect();
    (!claims.reads_all()).then(|| user.join(" "))
}

/// Writes page after page until the span is over or an interrupt comes. The file and the state stay consistent in any case.
async fn write_pages(
    client: &Client<'_>,
    export: &Export,
    state: &mut State,
    sink: &mut Sink,
    bar: &ProgressBar,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let interval = Duration::from_secs(1) / export.rate;
    sink.save(export, state)?;
    while !state.is_complete && interrupt.exit().is_none() {
        let next_call = Instant::now() + interval;
        let path = path(state)?;
        let answer = tokio::select! {
            answer = client.follow(&path) => answer?,
            () = interrupt.wait() => break,
        };
        let page: RawPage = answer.read()?;
        let reached = page.orders.last().map(|oldest| created_at(oldest)).transpose()?;
        write(&page, export.format, state, sink)?;
        state.is_complete = page.next_cursor.is_none();
        state.cursor = page.next_cursor;
        sink.save(export, state)?;
        bar.set_message(counted(state.orders, "order", "orders"));
        bar.set_position(state.position(reached));
        if !state.is_complete {
            tokio::select! {
                () = sleep_until(next_call) => {}
                () = interrupt.wait() => {}
            }
        }
    }
    Ok(())
}

/// Writes the orders of a page.
fn write(page: &RawPage, format: Format, state: &mut State, sink: &mut Sink) -> Result<(), Failure> {
    let mut encoder = Encoder::new(format, sink.is_empty());
    for order in &page.orders {
        encoder.add(order)?;
    }
    sink.write(&encoder.finish()?)?;
    state.orders += page.orders.len() as u64;
    Ok(())
}

fn parse<'a, T: Deserialize<'a>>(order: &'a RawValue) -> Result<T, Failure> {
    serde_json::from_str(order.get()).map_err(|error| Failure::Other(format!("an order can't be read: {error}")))
}

fn created_at(order: &RawValue) -> Result<OffsetDateTime, Failure> {
    parse(order).map(|CreatedAt { created_at }| created_at)
}

/// The path of the next page. The API selects the span, so that the service reads no order outside it.
fn path(state: &State) -> Result<String, Failure> {
    let time = |time: OffsetDateTime| match time.format(&Rfc3339) {
        Ok(text) => Ok(encoded(&text)),
        Err(error) => Err(Failure::Other(format!("{time} can't be written: {error}"))),
    };
    let (from, before) = (time(state.from)?, time(state.to)?);
    let mut path = format!("/orders?limit={PAGE}&created_from={from}&created_before={before}");
    if let Some(cursor) = &state.cursor {
        path.push_str("&cursor=");
        path.push_str(&encoded(cursor));
    }
    Ok(path)
}

/// A progress bar over the span of time, but not among orders on the same terminal.
fn bar(state: &State, export: &Export, output: Output) -> ProgressBar {
    let is_mixed = export.file.is_none() && std::io::stdout().is_terminal();
    let output = if is_mixed { Output::plain(output.is_json) } else { output };
    output.bar(state.length(), "  exported  [{bar:40}] {percent} %  {msg}  {elapsed}")
}
