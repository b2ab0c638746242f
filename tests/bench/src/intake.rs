//! Batch intake: `POST /orders/batch` compared with single creates.

use std::sync::Arc;

use sandbox::Result;
use sandbox::runtime::Pool;

use crate::account::cpu_ms_of;
use crate::baseline::CONNECTIONS;
use crate::findings::{Criterion, Findings, Table};
use crate::front::Front;
use crate::load::{self, Load, Plan, Target, order};
use crate::progress::step;
use crate::stats::{figure, median, ratio, spread};
use crate::world::World;

/// The sizes of the lists. A list of one is a single create.
const LISTS: [usize; 3] = [1, 100, 500];
/// The number of simultaneous clients.
const CLIENTS: usize = 16;

/// Runs the measurement.
pub async fn measure(world: &World) -> Result<Findings> {
    let (what, target) = ("batch intake, orders a second ÷ one-by-one", "≥ 8");
    let api = world.pool(world.function("api", &[]), CONNECTIONS).await?;
    if !is_there(&api).await? {
        let criteria = vec![Criterion::unmeasured(what, target, "this build has no `POST /orders/batch`")];
        return Ok(Findings {
            text: "This build has no `POST /orders/batch`.\n".to_owned(),
            criteria,
            ..Findings::default()
        });
    }
    let mut loads: [Vec<Load>; LISTS.len()] = Default::default();
    for run in 1..=world.options.runs {
        step(&format!("batch intake, run {run}"));
        for (list, loads) in LISTS.into_iter().zip(&mut loads) {
            loads.push(intake(world, &api, list).await?);
        }
    }
    let rates = loads.each_ref().map(|loads| loads.iter().map(|load| load.rate).collect::<Vec<_>>());
    let note = format!("lists of 100; of 500: {}", figure(ratio(&rates[2], &rates[0])));
    let criteria = vec![Criterion::at_least(what, target, 8.0, ratio(&rates[1], &rates[0]), note)];
    Ok(Findings { text: table(&loads), criteria, ..Findings::default() })
}

/// Whether the function has the call.
async fn is_there(api: &Arc<Pool>) -> Result<bool> {
    let body = format!(r#"{{"orders":[{}]}}"#, order());
    let (status, _) = Front::new(Arc::clone(api)).call("POST", "/orders/batch", &body).await?;
    Ok((200..300).contains(&status))
}

async fn intake(world: &World, api: &Arc<Pool>, list: usize) -> Result<Load> {
    world.clear().await?;
    let processes: Vec<_> = api.running().iter().map(|environment| environment.process_id()).collect();
    let server = Front::new(Arc::clone(api)).serve().await?;
    let (warm_up, time) = world.options.load();
    let plan = Plan { target: Target::Http(server.address()), clients: CLIENTS, warm_up, time, list };
    load::run(&plan, || vec![cpu_ms_of(&processes)]).await
}

fn table(loads: &[Vec<Load>]) -> String {
    let mut table = Table::new(&["", "orders/s", "p50 ms a request", "p99 ms a request", "CPU ms an order", "errors"]);
    for (list, loads) in LISTS.iter().zip(loads) {
        let each = |of: &dyn Fn(&Load) -> f64| loads.iter().map(of).collect::<Vec<_>>();
        table.row(&[
            if *list == 1 { "one by one".to_owned() } else { format!("lists of {list}") },
            spread(&each(&|load| load.rate)),
            figure(median(&each(&|load| load.percentile(0.5)))),
            figure(median(&each(&|load| load.percentile(0.99)))),
            figure(median(&each(&|load| load.used[0]))),
            loads.iter().map(|load| load.errors).sum::<usize>().to_string(),
        ]);
    }
    table.text()
}
