//! The calls on orders, one file each, and what they share.

pub mod batch;
mod body;
pub mod cancel;
pub mod cancel_many;
pub mod create;
pub mod cursor;
pub mod history;
mod key;
pub mod list;
pub mod read;
pub mod retry;
pub mod selection;
