//! Cost: dollars for a million orders, from measured billed times and log volumes, counted requests and published prices.

mod access_log;
mod bill;
mod billed;
pub mod command;
mod line;
mod orchestrator;

use sandbox::Result;
use sandbox::progress::step;

use crate::findings::{Criterion, Findings, Table};
use crate::scaling::measured::Times;
use crate::world::World;

use bill::{Bill, Deployment, PriceList, Work};
pub use billed::Billed;
pub use line::Line;

/// How long the simulated work takes, in seconds.
const DELAY: f64 = 5.0;

/// Runs the measurement. A complete run also writes the figures for `make cost`.
pub async fn measure(world: &World) -> Result<Findings> {
    step("cost");
    let billed = billed::measure(world).await?;
    if world.options.writes() {
        Times::change(|times| times.invocations = billed)?;
    }
    let prices = PriceList::read()?;
    let near = prices.of("us-east-1")?;
    let bill = |work, list, batch| Bill::of(&billed, near, &Deployment { work, list, batch, ..Deployment::default() });
    let (single, lists) = (bill(Work::Waits(DELAY), 1, 10), bill(Work::Waits(DELAY), 100, 100));
    let mut table = Table::new(&Bill::head());
    table.row(&single.row("simulated delay, one by one, batches of 10"));
    table.row(&bill(Work::Waits(DELAY), 1, 100).row("simulated delay, one by one, batches of 100"));
    table.row(&lists.row("simulated delay, lists and batches of 100"));
    table.row(&bill(Work::Webhook, 1, 10).row("webhook of 200 ms, one by one, batches of 10"));
    table.row(&bill(Work::Webhook, 100, 100).row("webhook of 200 ms, lists and batches of 100"));
    table.row(&bill(Work::Sleeps(DELAY), 1, 1).row("sleeping in the function, one by one, batches of 1"));
    table.row(&bill(Work::Sleeps(DELAY), 1, 10).row("sleeping in the function, one by one, batches of 10"));
    // Its log is not measured.
    let on_lambda = Billed {
        create_log: Line::default(),
        create_ms: Line { fixed: billed.on_lambda_ms, each: 0.0 },
        api_start_ms: billed.on_lambda_start_ms,
        ..billed
    };
    let replaced = Bill::of(&on_lambda, near, &Deployment::default());
    table.row(&replaced.row("FastAPI on Lambda in the api's place, one by one, batches of 10"));
    for (name, dollars) in prices.alternatives.dollars(DELAY) {
        table.row(&bill(Work::Orchestrated(dollars), 1, 1).row(&format!("{name}, one by one")));
    }
    let mut elsewhere = Table::new(&["region, architecture", "one by one", "lists of 100"]);
    for (region, is_arm) in [("us-east-1", true), ("us-east-1", false), ("eu-central-1", true), ("eu-central-1", false)]
    {
        elsewhere.row(&in_region(&billed, &prices, region, is_arm)?);
    }
    let access_log = format!("The gateway's access log is {} bytes a call.\n", access_log::bytes());
    let text = format!("{}\n{access_log}\n{}\n{}", billed.table(), table.text(), elsewhere.text());
    Ok(Findings { text, criteria: criteria(&single, &lists), ..Findings::default() })
}

fn in_region(billed: &Billed, prices: &PriceList, region: &str, is_arm: bool) -> Result<[String; 3]> {
    let prices = prices.of(region)?;
    let total = |list, batch| {
        let deployment = Deployment { work: Work::Waits(DELAY), list, batch, is_arm, ..Deployment::default() };
        format!("{:.2}", Bill::of(billed, prices, &deployment).total())
    };
    let architecture = if is_arm { "arm64" } else { "x86_64" };
    Ok([format!("{region}, {architecture}"), total(1, 10), total(100, 100)])
}

fn criteria(single: &Bill, lists: &Bill) -> Vec<Criterion> {
    let what = "dollars a million orders, arm64, HTTP API included, database not";
    vec![
        Criterion::at_most(what, "≤ 2.00 one by one", 2.0, single.total(), "us-east-1, batches of 10".into())
            .before("2.06"),
        Criterion::at_most("… by lists and batches of 100", "≤ 0.25", 0.25, lists.total(), "us-east-1".into())
            .before("0.27"),
    ]
}
