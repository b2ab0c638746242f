//! AWS's limits, from its documentation of November 2026: docs/scaling.md lists the pages.

/// `ThrottleRate` of the template: the most calls a second of a route.
pub const THROTTLE_RATE: f64 = 1_000.0;
/// The most environments of all functions in an account and region.
pub const CONCURRENCY: f64 = 1_000.0;
/// The most invocations a second of all functions: ten for each environment of the concurrency quota.
pub const INVOCATIONS: f64 = 10.0 * CONCURRENCY;
/// The most messages of a standard queue that are received and not yet deleted.
pub const IN_FLIGHT: f64 = 120_000.0;

/// An instance of RDS for PostgreSQL with `gp3` storage.
#[derive(Debug, Clone, Copy)]
pub struct Instance {
    pub vcpus: usize,
    /// The number of vCPUs that it may use without burning credits.
    pub sustained: f64,
    /// The most connections: about 100 for each GiB, up to 5,000.
    pub connections: f64,
    /// The sustained writes a second of its storage. A commit is one write, unless several are grouped.
    pub writes: f64,
    /// The sustained megabytes a second of its storage.
    pub megabytes: f64,
}

/// The instance that the template creates: 2 GiB, a fifth of each of two vCPUs (more with credits), storage below 400 GiB.
pub const T4G_SMALL: Instance =
    Instance { vcpus: 2, sustained: 0.4, connections: 198.0, writes: 3_000.0, megabytes: 131.0 };
/// 8 GiB, storage below 400 GiB.
pub const M8G_LARGE: Instance = Instance { sustained: 2.0, connections: 856.0, ..T4G_SMALL };
/// 32 GiB, storage of 400 GiB or more.
pub const M8G_2XLARGE: Instance =
    Instance { vcpus: 8, sustained: 8.0, connections: 3_200.0, writes: 12_000.0, megabytes: 524.0 };
/// 64 GiB.
pub const M8G_4XLARGE: Instance = Instance { vcpus: 16, sustained: 16.0, connections: 5_000.0, ..M8G_2XLARGE };
