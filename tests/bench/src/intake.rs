//! Batch intake: `POST /orders/batch` compared with single creates.

use sandbox::Result;
use sandbox::progress::step;

use crate::baseline::CONNECTIONS;
use crate::findings::{Criterion, Findings, Table};
use crate::load::{self, Load};
use crate::stats::{figure, median, ratio, spread};
use crate::world::World;

/// The sizes of the lists. A list of one is a single create.
const LISTS: [usize; 3] = [1, 100, 500];
const CLIENTS: usize = 16;

pub async fn measure(world: &World) -> Result<Findings> {
    let api = world.pool(world.function("api", &[]), CONNECTIONS).await?;
    let mut loads: [Vec<Load>; LISTS.len()] = Default::default();
    for run in 1..=world.options.runs {
        step(&format!("batch intake, run {run}"));
        for (list, loads) in LISTS.into_iter().zip(&mut loads) {
            loads.push(load::run_on(world, &api, CLIENTS, list).await?);
        }
    }
    let rates = loads.each_ref().map(|loads| loads.iter().map(|load| load.rate).collect::<Vec<_>>());
    let note = format!("lists of 100; of 500: {}", figure(ratio(&rates[2], &rates[0])));
    let what = "batch intake, orders a second ÷ one-by-one";
    let criteria = vec![Criterion::at_least(what, "≥ 8", 8.0, ratio(&rates[1], &rates[0]), note)];
    Ok(Findings { text: table(&loads), criteria, ..Findings::default() })
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
