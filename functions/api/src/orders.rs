//! The calls on orders, a file each, and what they have in common.

mod body;
pub mod cancel;
pub mod create;
mod cursor;
pub mod list;
pub mod read;
pub mod retry;
mod schema;
mod view;
