//! Handler time: the time of a create without its round trips to the database and the queue. A proxy and the queue measure
//! those.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sandbox::Result;
use sandbox::progress::step;
use sandbox::wire::{Hook, Moment, Ruling, Wire, ruled_by};
use tokio::time::Instant;

use crate::findings::{Criterion, Findings, Table};
use crate::front::Front;
use crate::load::order;
use crate::options::Options;
use crate::stats::{figure, ms, percentile};
use crate::world::World;

/// The round trip to the queue.
const FAR: Duration = Duration::from_millis(6);

/// The start of the current statement, and the total time of the answered ones.
#[derive(Default)]
struct Watch {
    begin: Option<Instant>,
    took: Duration,
}

pub async fn measure(world: &World) -> Result<Findings> {
    step("handler time");
    world.clear().await?;
    let watch = Arc::new(Mutex::new(Watch::default()));
    let wire = Wire::start(world.postgres.address(), timing_hook(&watch)).await?;
    let url = world.postgres.app_url(&[wire.address()]);
    let api = Front::new(world.pool(world.function("api", &[("DATABASE_URL", &url)]), 1).await?);
    let mut hello = world.function("api", &[]);
    hello.bootstrap = Options::probe("hello");
    let hello = Front::new(world.pool(hello, 1).await?);
    world.set_round_trip(FAR);
    let (mut over, mut all, mut least) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..world.options.either(500, 100) {
        let (took, round_trips) = create(world, &api, &watch).await?;
        all.push(ms(took));
        over.push(ms(took.saturating_sub(round_trips)));
        let begin = Instant::now();
        hello.call("POST", "/orders", &order()).await?;
        least.push(ms(begin.elapsed()));
    }
    world.set_round_trip(Duration::ZERO);
    let [p50, p99] = [0.5, 0.99].map(|share| percentile(&over, share));
    let hop = percentile(&least, 0.5);
    let note = format!("{} ms less {} ms for hello-world, which has no handler time", figure(p50), figure(hop));
    let (what, target) = ("handler time over the database and queue round trips, ms", "≤ 0.5 ms p50");
    let mut table = Table::new(&["ms", "p50", "p99"]);
    table.row(&row("a create, from the event to the answer, the queue 6 ms away", &all));
    table.row(&["… less its round trips to the database and the queue".to_owned(), figure(p50), figure(p99)]);
    table.row(&row("hello-world, from the event to the answer", &least));
    let criteria = vec![Criterion::at_most(what, target, 0.5, p50 - hop, note)];
    Ok(Findings { text: table.text(), criteria, ..Findings::default() })
}

/// Returns how long a create took, and how much of that its round trips took.
async fn create(world: &World, api: &Front, watch: &Mutex<Watch>) -> Result<(Duration, Duration)> {
    let before = world.queue_waited();
    *watch.lock() = Watch::default();
    let begin = Instant::now();
    api.expect("POST", "/orders", &order()).await?;
    let took = begin.elapsed();
    let database = watch.lock().took;
    Ok((took, database + world.queue_waited().saturating_sub(before)))
}

fn timing_hook(watch: &Arc<Mutex<Watch>>) -> Hook {
    let watch = Arc::clone(watch);
    ruled_by(move |moment, _| {
        let mut watch = watch.lock();
        match moment {
            Moment::Before => watch.begin = Some(Instant::now()),
            Moment::After => {
                let took = watch.begin.take().map(|begin| begin.elapsed());
                watch.took += took.unwrap_or_default();
            }
        }
        Ruling::Pass
    })
}

fn row(name: &str, values: &[f64]) -> [String; 3] {
    [name.to_owned(), figure(percentile(values, 0.5)), figure(percentile(values, 0.99))]
}
