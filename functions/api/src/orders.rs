//! The calls on orders, a file each, and what they have in common.

pub mod batch;
mod body;
pub mod cancel;
pub mod create;
mod cursor;
mod key;
pub mod list;
pub mod read;
pub mod retry;
mod schema;
mod view;
