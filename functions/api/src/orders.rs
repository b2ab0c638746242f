//! The calls on orders, a file each, and what they have in common.

pub mod act;
mod body;
pub mod create;
mod cursor;
pub mod list;
pub mod read;
mod schema;
mod view;
