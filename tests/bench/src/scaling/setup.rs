//! The configurations of a deployment, and how much of each limit they use.

use super::limits;
use super::measured::Times;
use crate::stats::count;

/// The cancel window. An order is due when it is over.
pub const WINDOW_SECONDS: f64 = 2.0;
/// The duration of the simulated work, during which the order's message is in flight.
pub const WORK_SECONDS: f64 = 5.0;
/// The time after which the first orders have ended.
pub const WARM_SECONDS: f64 = WINDOW_SECONDS + WORK_SECONDS + 1.0;

/// A deployment, or one cell of several.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    pub name: &'static str,
    /// The orders in a call.
    pub list: usize,
    /// The most calls a second through the gateway.
    pub calls: f64,
    /// The most orders in a batch of the processor.
    pub batch: usize,
    /// The most processors at the same time.
    pub processors: usize,
    pub database: limits::Instance,
    /// The number of such deployments side by side, each with a part of the users.
    pub cells: usize,
}

/// The template's defaults.
pub const DEPLOYED: Setup = Setup {
    name: "as deployed",
    list: 1,
    calls: limits::THROTTLE_RATE,
    batch: 10,
    processors: 5,
    database: limits::T4G_SMALL,
    cells: 1,
};

/// The defaults with fewer processors, and therefore larger batches.
pub const FEWER: Setup = Setup { name: "`MaximumConcurrency` 2", processors: 2, ..DEPLOYED };

/// A database with dedicated vCPUs, and a higher rate through the gateway.
pub const LARGER: Setup =
    Setup { name: "db.m8g.large, `ThrottleRate` 5,000", calls: 5_000.0, database: limits::M8G_LARGE, ..DEPLOYED };

/// Clients that send lists, larger batches, and a large database.
pub const LISTS: Setup = Setup {
    name: "lists of 100, batches of 100, `MaximumConcurrency` 10, db.m8g.2xlarge",
    list: 100,
    batch: 100,
    processors: 10,
    database: limits::M8G_2XLARGE,
    ..LARGER
};

/// A single deployment with ten times the processors.
pub const ONE: Setup = Setup {
    name: "the same with `MaximumConcurrency` 100, db.m8g.4xlarge",
    processors: 100,
    database: limits::M8G_4XLARGE,
    ..LISTS
};

/// Ten deployments with lists.
pub const CELLS: Setup = Setup { name: "ten cells, each with lists, as above", cells: 10, ..LISTS };

/// The resources that orders use.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    /// The mean number of busy environments of the api, which equals the simultaneous calls.
    pub api: f64,
    /// The mean number of busy processors.
    pub processors: f64,
    /// The mean number of busy vCPUs of the database.
    pub vcpus: f64,
    /// The statements a second.
    pub statements: f64,
}

impl Used {
    /// The use since `before`.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            api: self.api - before.api,
            processors: self.processors - before.processors,
            vcpus: self.vcpus - before.vcpus,
            statements: self.statements - before.statements,
        }
    }

    /// This use, multiplied by a factor.
    pub fn times(&self, cells: f64) -> Self {
        Self {
            api: self.api * cells,
            processors: self.processors * cells,
            vcpus: self.vcpus * cells,
            statements: self.statements * cells,
        }
    }

    /// The least use at this order rate, by Little's law: all batches are full, and nothing waits.
    pub fn at_least(setup: &Setup, times: &Times, rate: f64) -> Self {
        let (calls, batches, half) =
            (rate / count(setup.list), 2.0 * rate / count(setup.batch), count(setup.batch) / 2.0);
        let (create, batch) = (times.create_in_database(count(setup.list)), times.batch_in_database(half, half));
        Self {
            api: calls * (times.create_elsewhere(count(setup.list)) + create),
            processors: batches * (times.batch_elsewhere(half, half) + batch),
            vcpus: calls * create + batches * batch,
            statements: calls + 2.0 * batches,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Share {
    /// The name of the limited resource.
    pub of: &'static str,
    pub used: f64,
    pub limit: f64,
}

impl Share {
    /// The used share. From 1 on the limit is reached.
    pub fn part(&self) -> f64 {
        self.used / self.limit
    }
}

impl Setup {
    /// The limit with the highest use at this order rate.
    ///
    /// For processors it counts full batches: while processors are free, they are busy with small batches, which would say
    /// nothing about their capacity.
    pub fn nearest_limit(&self, times: &Times, rate: f64, used: &Used) -> Option<Share> {
        let with_full_batches = Used::at_least(self, times, rate).processors;
        let (share, cells) = (|of, used, limit| Share { of, used, limit }, count(self.cells));
        let Used { api, processors, vcpus, statements } = *used;
        let bytes = times.database.bytes_per_order + times.database.log_bytes_per_order;
        let invocations = rate / count(self.list) + 2.0 * rate / count(self.batch);
        let shares = [
            share("calls a second", rate / count(self.list) / cells, self.calls),
            share("environments of the account", (api + processors) / cells, limits::CONCURRENCY),
            share("invocations a second", invocations / cells, limits::INVOCATIONS),
            share("processors", with_full_batches / cells, count(self.processors)),
            share("connections", (api + processors) / cells, self.database.connections),
            share("the database's vCPUs", vcpus / cells, self.database.sustained),
            share("the disk's writes a second", statements / cells, self.database.writes),
            share("the disk's MB a second", rate * bytes / 1e6 / cells, self.database.megabytes),
            share(
                "messages in flight",
                (rate * WORK_SECONDS + processors * count(self.batch)) / cells,
                limits::IN_FLIGHT,
            ),
        ];
        shares.into_iter().max_by(|one, other| one.part().total_cmp(&other.part()))
    }
}
