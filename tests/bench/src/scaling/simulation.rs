//! The service as a network of queues, simulated event by event: random calls, environments of the api, one database, delayed
//! messages, and processors that receive them in batches.
//!
//! Times are exponentially distributed around their measured means, which is a wider spread than was measured.

#[cfg(test)]
mod theory;

use std::collections::VecDeque;

use super::limits::CONCURRENCY;
use super::measured::Times;
use super::setup::{Setup, Used, WARM_SECONDS, WINDOW_SECONDS, WORK_SECONDS};
use super::stations::{Agenda, Station, whole};
use crate::stats::count;

/// The figures of a simulation.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The latencies of the creates, in seconds.
    pub creates: Vec<f64>,
    /// The times from a message's visibility to its receive, in seconds.
    pub lags: Vec<f64>,
    /// How long each create waited for the database, in seconds.
    pub database_waits: Vec<f64>,
    /// The calls that found no environment.
    pub refused: usize,
    /// The mean use of one cell.
    pub used: Used,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Call,
    /// The api's own part of a call has ended.
    Called {
        begun: f64,
    },
    /// The database's part of a job has ended.
    Stored(Job),
    /// The messages of this many orders become visible. `ends` says whether the orders end with them.
    Due {
        orders: usize,
        ends: bool,
    },
    /// The processor's own part of a batch has ended.
    Processed(Job),
}

#[derive(Debug, Clone, Copy)]
enum Job {
    Create { begun: f64 },
    Batch { waiting: usize, ending: usize },
}

/// A simulation of a number of calls, until all their orders have ended.
pub struct Simulation<'a> {
    setup: &'a Setup,
    times: &'a Times,
    rate: f64,
    calls: usize,
    now: f64,
    agenda: Agenda<Event>,
    chance: fastrand::Rng,
    api: Station<()>,
    database: Station<Job>,
    processors: Station<()>,
    queue: VecDeque<(f64, bool)>,
    statements: f64,
    /// The time and the use at the start of the accounting.
    before: Option<(f64, Used)>,
    outcome: Outcome,
}

impl<'a> Simulation<'a> {
    /// A simulation of `calls` calls at `rate` orders a second. The seed determines all random choices.
    pub fn new(setup: &'a Setup, times: &'a Times, rate: f64, calls: usize, seed: u64) -> Self {
        let environments = whole(setup.database.connections.min(CONCURRENCY));
        Self {
            setup,
            times,
            rate: rate / count(setup.cells) / count(setup.list),
            calls,
            now: 0.0,
            agenda: Agenda::new(),
            chance: fastrand::Rng::with_seed(seed),
            api: Station::new(environments),
            database: Station::new(setup.database.vcpus),
            processors: Station::new(setup.processors),
            queue: VecDeque::new(),
            statements: 0.0,
            before: None,
            outcome: Outcome::default(),
        }
    }

    /// Runs to the end.
    pub fn run(mut self) -> Outcome {
        self.agenda.plan(0.0, Event::Call);
        while let Some((at, event)) = self.agenda.next() {
            self.now = at;
            match event {
                Event::Call => self.call(),
                Event::Called { begun } => self.store(Job::Create { begun }),
                Event::Stored(job) => self.stored(job),
                Event::Due { orders, ends } => self.due(orders, ends),
                Event::Processed(job) => self.store(job),
            }
        }
        self.outcome()
    }

    fn call(&mut self) {
        self.calls -= 1;
        self.account();
        if self.calls > 0 {
            let pause = self.about(1.0 / self.rate);
            self.agenda.plan(self.now + pause, Event::Call);
        }
        if !self.api.is_free() {
            self.outcome.refused += 1;
            return;
        }
        self.api.occupy(self.now);
        let elsewhere = self.about(self.times.create_elsewhere(count(self.setup.list)));
        self.agenda.plan(self.now + elsewhere, Event::Called { begun: self.now });
    }

    fn store(&mut self, job: Job) {
        if let Some(job) = self.database.enqueue(self.now, job) {
            self.run_statement(job);
        }
    }

    fn run_statement(&mut self, job: Job) {
        let mean = match job {
            Job::Create { .. } => self.times.create_in_database(count(self.setup.list)),
            Job::Batch { waiting, ending } => self.times.batch_in_database(count(waiting), count(ending)),
        };
        // A batch takes two statements: the claim, and the reschedule or the finish.
        self.statements += if matches!(job, Job::Batch { .. }) { 2.0 } else { 1.0 };
        let duration = self.about(mean);
        self.agenda.plan(self.now + duration, Event::Stored(job));
    }

    fn stored(&mut self, job: Job) {
        if let Some(next) = self.database.free(self.now) {
            self.run_statement(next);
        }
        match job {
            Job::Create { begun } => self.answer(begun),
            Job::Batch { waiting, .. } => {
                self.processors.free(self.now);
                if waiting > 0 {
                    self.agenda.plan(self.now + WORK_SECONDS, Event::Due { orders: waiting, ends: true });
                }
                self.start_batches();
            }
        }
    }

    fn answer(&mut self, begun: f64) {
        self.api.free(self.now);
        self.outcome.creates.push(self.now - begun);
        self.agenda.plan(self.now + WINDOW_SECONDS, Event::Due { orders: self.setup.list, ends: false });
    }

    fn due(&mut self, orders: usize, ends: bool) {
        self.queue.extend(std::iter::repeat_n((self.now, ends), orders));
        self.start_batches();
    }

    fn start_batches(&mut self) {
        while !self.queue.is_empty() && self.processors.is_free() {
            let size = self.setup.batch.min(self.queue.len());
            let batch: Vec<_> = self.queue.drain(..size).collect();
            self.outcome.lags.extend(batch.iter().map(|(since, _)| self.now - since));
            let ending = batch.iter().filter(|(_, ends)| *ends).count();
            let waiting = size - ending;
            self.processors.occupy(self.now);
            let elsewhere = self.about(self.times.batch_elsewhere(count(waiting), count(ending)));
            self.agenda.plan(self.now + elsewhere, Event::Processed(Job::Batch { waiting, ending }));
        }
    }

    /// Accounts the use from the time when the first orders have ended until the last call.
    fn account(&mut self) {
        if self.now < WARM_SECONDS {
            return;
        }
        let used = Used {
            api: self.api.busy_seconds(self.now),
            processors: self.processors.busy_seconds(self.now),
            vcpus: self.database.busy_seconds(self.now),
            statements: self.statements,
        };
        let (since, before) = *self.before.get_or_insert((self.now, used));
        if self.now > since {
            self.outcome.used = used.since(&before).times(1.0 / (self.now - since));
        }
    }

    fn outcome(self) -> Outcome {
        let mut outcome = self.outcome;
        let waits = self.database.waits.iter().filter(|(job, _)| !matches!(job, Job::Batch { .. }));
        outcome.database_waits = waits.map(|(_, wait)| *wait).collect();
        outcome
    }

    /// A random time with this mean.
    fn about(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.chance.f64()).ln()
    }
}
