//! Checks the invariants once the run has settled: compares the database with the journal of the clients and the endpoint.

mod events;
mod found;
mod rows;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use sandbox::Result;
use sandbox::gateway::Claims;
use sandbox::queue::ORDERS;
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use crate::aged;
use crate::faults::Fault;
use crate::hooks::CLAIM;
use crate::journal::{Call, Moment, Story};
use crate::storm::Recovery;
use crate::world::{ENVIRONMENTS, World};

use rows::{Row, recount, rows};

/// The most seconds from a fault's end until the service accepts orders and finishes orders again.
pub const RECOVERY: Moment = 5.0;
/// How many connections are allowed beyond one for each environment.
const SPARE: usize = 4;
/// The tolerance when the endpoint's times are compared with the database's.
const EXACTNESS: Moment = 0.1;
/// How long the endpoint may take to notice that its caller has disconnected, and the proxy to see the answer to a claim.
const NOTICE: Moment = 1.0;

#[derive(Debug, Default)]
pub struct Findings {
    /// Accepted orders that are missing, or that ended in the wrong state, with the reason.
    pub lost: BTreeMap<String, String>,
    /// Orders that two workers processed at once, or that were processed after their end or their cancellation.
    pub doubled: BTreeMap<String, String>,
    /// Orders that have not ended.
    pub stuck: BTreeMap<String, String>,
    /// Orders with an end that was not announced, or wrongly, with the reason.
    pub unannounced: BTreeMap<String, String>,
    /// All events that the bus took, and the repeats among them.
    pub events: (usize, usize),
    /// All other violations.
    pub violations: Vec<String>,
    /// When each order ended.
    pub ended: HashMap<String, Moment>,
    /// How many orders there are in each state.
    pub states: BTreeMap<String, usize>,
    /// How long the slowest lost message took to be found, outages left out.
    pub slowest_found: Moment,
    /// All calls to the endpoint, and the calls about orders that it had already fulfilled.
    pub calls: (usize, usize),
}

/// Waits until no order is active, the queue is empty, every end is announced and no old order is left. Returns false if that takes longer than `within`.
pub async fn settle(world: &World, within: Duration) -> Result<bool> {
    let end = Instant::now() + within;
    let left = "SELECT EXISTS (SELECT FROM order_work) OR EXISTS (SELECT FROM order_ends)
        OR EXISTS (SELECT FROM orders WHERE order_id LIKE 'aged-old-%')";
    while world.queues.counts(ORDERS).total() > 0 || world.database.sql().await?.query_one(left, &[]).await?.get(0) {
        if Instant::now() > end {
            return Ok(false);
        }
        sleep(Duration::from_millis(500)).await;
    }
    Ok(true)
}

pub async fn check(world: &World, recoveries: &[Recovery]) -> Result<Findings> {
    let sql = world.database.sql().await?;
    let mut violations = aged::check(&sql).await?;
    violations.extend(world.journal.violations());
    let mut findings = Findings { violations, ..Findings::default() };
    let stories = world.journal.stories.lock().clone();
    let rows = rows(&sql).await?;
    for row in &rows {
        findings.look_at(row, stories.get(&row.order), world);
    }
    let stored: HashSet<_> = rows.iter().map(|row| row.order.as_str()).collect();
    for (order, _) in
        stories.iter().filter(|(order, story)| story.accepted.is_some() && !stored.contains(order.as_str()))
    {
        findings.lost.insert(order.clone(), "its client was told that it is durable, and it is not there".to_owned());
    }
    let events = events::read(&world.queues.events());
    findings.unannounced = events::unannounced(&rows, &events);
    findings.events = events::count(&events);
    findings.calls = calls(&stories);
    findings.look_at_found(&stories, world);
    findings.look_at_recoveries(recoveries);
    findings.look_at_limits(world);
    findings.look_at_answered(&stories, world);
    findings.look_at_faults(world);
    findings.look_at_counts(world, &sql).await?;
    findings.violations.extend(sandbox::calls::unknown().into_iter().map(|call| format!("{call}, which is not known")));
    Ok(findings)
}

impl Findings {
    /// Whether no check failed.
    pub fn is_good(&self) -> bool {
        [&self.lost, &self.doubled, &self.stuck, &self.unannounced].iter().all(|list| list.is_empty())
            && self.violations.is_empty()
    }

    fn look_at(&mut self, row: &Row, story: Option<&Story>, world: &World) {
        *self.states.entry(row.status.clone()).or_default() += 1;
        let end = row.finished_at.map(|at| world.journal.moment(at));
        if row.is_early {
            self.violations.push(format!("{}: work began before its process_after", row.order));
        }
        self.ended.extend(end.map(|end| (row.order.clone(), end)));
        let Some(story) = story.filter(|story| story.accepted.is_some() || story.saw_error) else {
            return self.violations.push(format!("{} is there, and nobody was told of it", row.order));
        };
        self.look_at_pauses(row, story, world);
        let mut found = |list: fn(&mut Self) -> &mut BTreeMap<String, String>, what: Option<String>| {
            if let Some(what) = what {
                list(self).insert(row.order.clone(), what);
            }
        };
        found(|findings| &mut findings.stuck, stuck(row, end));
        found(|findings| &mut findings.lost, lost(row, story));
        found(|findings| &mut findings.doubled, doubled(row, story, end));
    }

    /// Checks that no worker claimed the order during a pause. The row has the time of the first claim. A later one led to a call.
    fn look_at_pauses(&mut self, row: &Row, story: &Story, world: &World) {
        let pauses = world.journal.pauses.all();
        let is_paused = |at: Moment, slack| pauses.iter().any(|(from, to)| (from + slack..*to).contains(&at));
        let start = row.started_at.map(|at| world.journal.moment(at)).filter(|start| is_paused(*start, EXACTNESS));
        let mut claims = story.calls.iter().filter_map(|call| claimed_for(story, call));
        if let Some(at) = start.or(claims.find(|at| is_paused(*at, NOTICE))) {
            self.violations.push(format!("{}: claimed at {at:.3} s, during a pause of processing", row.order));
        }
    }

    fn look_at_recoveries(&mut self, recoveries: &[Recovery]) {
        for recovery in recoveries.iter().filter(|recovery| recovery.accept.max(recovery.finish) > RECOVERY) {
            let Recovery { accept, finish, .. } = recovery;
            let name = recovery.fault.name();
            self.violations
                .push(format!("{name}: back only after {accept:.1} s (accepts) and {finish:.1} s (finishes)"));
        }
    }

    /// Checks that no function exceeds its time-out or leaks connections.
    fn look_at_limits(&mut self, world: &World) {
        for (environment, at) in world.timed_out() {
            self.violations
                .push(format!("{environment} was killed at its time-out at {at:.3} s, and no fault had paused it"));
        }
        // Each fault by itself: if workers are killed while a table is locked, their statements outlive them for a while.
        for fault in Fault::all() {
            let most = world.faults.record(fault).connections;
            if most > ENVIRONMENTS + SPARE {
                self.violations.push(format!("{}: {most} connections of {ENVIRONMENTS} environments", fault.name()));
            }
        }
    }

    /// Checks that an order whose only fault was a late or dripping answer caused a single call to the endpoint.
    fn look_at_answered(&mut self, stories: &HashMap<String, Story>, world: &World) {
        let slow = [Fault::EndpointLate, Fault::EndpointDrips];
        let records: Vec<_> = Fault::all().map(|fault| (fault, world.faults.record(fault))).collect();
        let met = |order: &String, of: fn(&Fault) -> bool| {
            records.iter().any(|(fault, record)| of(fault) && record.orders.contains_key(order))
        };
        for order in slow.iter().flat_map(|fault| world.faults.record(*fault).orders.into_keys()) {
            let met_others = met(&order, |fault| !matches!(fault, Fault::EndpointLate | Fault::EndpointDrips));
            let Some(story) = stories.get(&order) else { continue };
            // A worker that is killed to make its outcome late counts as a fault only once the outcome arrives.
            let lost_a_worker = story.events.iter().any(|(_, what)| what.contains("killed"));
            let calls = story.calls.len();
            if !met_others && !lost_a_worker && calls > 1 {
                self.violations.push(format!("{order}: answered late or by drips, and called {calls} times"));
            }
        }
    }

    /// Checks that each fault happened: a fault that never happened proves nothing.
    fn look_at_faults(&mut self, world: &World) {
        for fault in Fault::all().filter(|fault| world.faults.record(*fault).injected == 0) {
            self.violations.push(format!("{}: it never happened", fault.name()));
        }
    }

    async fn look_at_counts(&mut self, world: &World, sql: &Client) -> Result<()> {
        let row = sql.query_one(&recount(), &[]).await?;
        let (counted, recounted): (String, String) = (row.get("counted"), row.get("recounted"));
        if counted != recounted {
            self.violations.push(format!("the statistics say {counted}, a recount {recounted}"));
        }
        let admin = Claims { sub: "operator", scope: "orders/admin" };
        let metrics = world
            .gateway
            .call("GET", "/metrics", admin, None)
            .await
            .map_err(|error| format!("no metrics: {error:?}"))?;
        for status in ["pending", "processing", "completed", "failed", "cancelled"] {
            let counted = metrics.body["status_counts"][status].as_u64().and_then(|count| usize::try_from(count).ok());
            let recounted = self.states.get(status).copied().unwrap_or_default();
            if counted != Some(recounted) {
                self.violations.push(format!("the metrics say {counted:?} {status}, and there are {recounted}"));
            }
        }
        let waiting = world.queues.counts(ORDERS).total();
        if waiting > 0 {
            self.violations.push(format!("{waiting} messages are still in the queue"));
        }
        Ok(())
    }
}

fn stuck(row: &Row, end: Option<Moment>) -> Option<String> {
    (end.is_none() || row.has_work).then(|| format!("it is still {}, work left: {}", row.status, row.has_work))
}

fn lost(row: &Row, story: &Story) -> Option<String> {
    let failure = row.failure.as_deref().unwrap_or_default();
    match row.status.as_str() {
        "completed" if !story.acted => Some("it is completed, and the endpoint has not acted".to_owned()),
        "cancelled" if !story.cancelled && !story.saw_error => {
            Some("it is cancelled, and nobody wanted that".to_owned())
        }
        status if story.cancelled && status != "cancelled" => {
            Some(format!("its client cancelled it, and it is {status}"))
        }
        "failed" if !(story.refused || failure.starts_with("given up after")) => {
            Some(format!("it has failed: {failure}"))
        }
        _ => None,
    }
}

fn doubled(row: &Row, story: &Story, end: Option<Moment>) -> Option<String> {
    if row.status == "cancelled" && !story.calls.is_empty() {
        return Some("it is cancelled, and the endpoint was told of it".to_owned());
    }
    if story.overlapped {
        return Some("two workers were at work on it at once".to_owned());
    }
    let is_beyond = |call: &&Call| {
        let slack = if call.is_answered { EXACTNESS } else { NOTICE };
        end.is_some_and(|end| call.end.is_none_or(|at| at > end + slack))
    };
    let call = story.calls.iter().find(is_beyond)?;
    Some(format!("it ended at {:.3} s, in the middle of a call that began at {:.3} s", end?, call.begin))
}

/// When the last claim before the call was answered.
fn claimed_for(story: &Story, call: &Call) -> Option<Moment> {
    let mut earlier = story.events.iter().rev().filter(|(at, _)| *at <= call.begin);
    earlier.find(|(_, what)| what.starts_with(CLAIM)).map(|(at, _)| *at)
}

fn calls(stories: &HashMap<String, Story>) -> (usize, usize) {
    let all = stories.values().map(|story| story.calls.len()).sum();
    (all, stories.values().map(|story| story.calls_after_acting).sum())
}
