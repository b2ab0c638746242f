//! AWS's numbers, as its documentation gave them in November 2026: docs/scaling.md has the pages.

/// `ThrottleRate` of the template: calls a second of a route.
pub const THROTTLE_RATE: f64 = 1_000.0;
/// Environments of all functions of an account in a region.
pub const CONCURRENCY: f64 = 1_000.0;
/// Invocations a second of all those functions: ten for each environment that there may be.
pub const INVOCATIONS: f64 = 10.0 * CONCURRENCY;
/// Messages of a standard queue that were received and not yet deleted.
pub const IN_FLIGHT: f64 = 120_000.0;

/// An instance of RDS for PostgreSQL with `gp3` storage.
#[derive(Debug, Clone, Copy)]
pub struct Instance {
    /// Its vCPUs.
    pub vcpus: usize,
    /// Those of which it may use all the time.
    pub sustained: f64,
    /// Its connections: about 100 for a GiB, 5,000 at most.
    pub connections: f64,
    /// The operations a second that its storage takes all the time. A commit is one, unless several go together.
    pub writes: f64,
    /// The megabytes a second that it takes.
    pub megabytes: f64,
}

/// What the template creates: 2 GiB, a fifth of each of two vCPUs, and more for credits; storage below 400 GiB.
pub const T4G_SMALL: Instance =
    Instance { vcpus: 2, sustained: 0.4, connections: 198.0, writes: 3_000.0, megabytes: 131.0 };
/// 8 GiB, storage below 400 GiB.
pub const M8G_LARGE: Instance = Instance { sustained: 2.0, connections: 856.0, ..T4G_SMALL };
/// 32 GiB, storage of 400 GiB or more.
pub const M8G_2XLARGE: Instance =
    Instance { vcpus: 8, sustained: 8.0, connections: 3_200.0, writes: 12_000.0, megabytes: 524.0 };
/// 64 GiB.
pub const M8G_4XLARGE: Instance = Instance { vcpus: 16, sustained: 16.0, connections: 5_000.0, ..M8G_2XLARGE };
