//! How a deployment is set up, and how much of each limit it uses.

use crate::limits;
use crate::measured::Times;
use crate::stations::count;

/// The cancel window, until an order may be worked on.
pub const WINDOW_SECONDS: f64 = 2.0;
/// The work, which takes this long and is waited for by a message.
pub const WORK_SECONDS: f64 = 5.0;
/// When the first orders have ended.
pub const WARM_SECONDS: f64 = WINDOW_SECONDS + WORK_SECONDS + 1.0;

/// A deployment, or one cell of several.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// What it is called in the tables.
    pub name: &'static str,
    /// Orders in a call.
    pub list: usize,
    /// Calls a second that the gateway lets through.
    pub calls: f64,
    /// Orders in a batch of the processor's, at most.
    pub batch: usize,
    /// Processors at once, at most.
    pub processors: usize,
    /// The database.
    pub database: limits::Instance,
    /// How many of these stand side by side, each with a part of the users.
    pub cells: usize,
}

/// What the template deploys, without a parameter.
pub const DEPLOYED: Setup = Setup {
    name: "as deployed",
    list: 1,
    calls: limits::THROTTLE_RATE,
    batch: 10,
    processors: 5,
    database: limits::T4G_SMALL,
    cells: 1,
};

/// The same with fewer processors, whose batches are then larger.
pub const FEWER: Setup = Setup { name: "`MaximumConcurrency` 2", processors: 2, ..DEPLOYED };

/// A database whose vCPUs are its own, and a gateway that lets more through.
pub const LARGER: Setup =
    Setup { name: "db.m8g.large, `ThrottleRate` 5,000", calls: 5_000.0, database: limits::M8G_LARGE, ..DEPLOYED };

/// Clients that send lists, processors that take larger batches, a large database.
pub const LISTS: Setup = Setup {
    name: "lists of 100, batches of 100, `MaximumConcurrency` 10, db.m8g.2xlarge",
    list: 100,
    batch: 100,
    processors: 10,
    database: limits::M8G_2XLARGE,
    ..LARGER
};

/// The same with as many processors as ten of them have.
pub const ONE: Setup = Setup {
    name: "the same with `MaximumConcurrency` 100, db.m8g.4xlarge",
    processors: 100,
    database: limits::M8G_4XLARGE,
    ..LISTS
};

/// Ten of those with lists and few processors.
pub const CELLS: Setup = Setup { name: "ten cells, each with lists, as above", cells: 10, ..LISTS };

/// What orders use, all cells together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    /// Environments of the api that are busy on average: as many as calls at once.
    pub api: f64,
    /// Processors that are.
    pub processors: f64,
    /// vCPUs of the database that are.
    pub vcpus: f64,
    /// Statements a second.
    pub statements: f64,
}

impl Used {
    /// What was used since then.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            api: self.api - before.api,
            processors: self.processors - before.processors,
            vcpus: self.vcpus - before.vcpus,
            statements: self.statements - before.statements,
        }
    }

    /// So many times that.
    pub fn times(&self, cells: f64) -> Self {
        Self {
            api: self.api * cells,
            processors: self.processors * cells,
            vcpus: self.vcpus * cells,
            statements: self.statements * cells,
        }
    }

    /// The least that so many orders a second use (Little's law): batches are full, and nothing waits.
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

/// A limit, and how much of it is used.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    /// What is limited.
    pub of: &'static str,
    /// What is used.
    pub used: f64,
    /// What there is.
    pub limit: f64,
}

impl Share {
    /// The part of it that is used; above 1 it is met.
    pub fn part(&self) -> f64 {
        self.used / self.limit
    }
}

impl Setup {
    /// The limit of which so many orders a second use the most.
    ///
    /// Processors are busy with small batches as long as there are any free, so that only full batches tell what they bear.
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
            share("messages in flight", processors * count(self.batch) / cells, limits::IN_FLIGHT),
        ];
        shares.into_iter().max_by(|one, other| one.part().total_cmp(&other.part()))
    }
}
