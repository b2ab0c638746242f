//! The scopes of a token.

/// A permission that a token can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Read the caller's own orders.
    Read,
    /// Create and cancel the caller's own orders.
    Write,
    /// Read all users' orders, and the metrics.
    ReadAll,
    /// Create and cancel orders of all users.
    WriteAll,
    /// Do everything, on all users' orders.
    Admin,
}

impl Scope {
    /// All scopes, the widest last.
    pub const ALL: [Self; 5] = [Self::Read, Self::Write, Self::ReadAll, Self::WriteAll, Self::Admin];

    /// The scope's name in a token.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "orders/read",
            Self::Write => "orders/write",
            Self::ReadAll => "orders/read.all",
            Self::WriteAll => "orders/write.all",
            Self::Admin => "orders/admin",
        }
    }
}
