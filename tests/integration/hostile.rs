//! Hostile input: random values, and calls from other origins. `make fuzz` makes calls that are generated from the OpenAPI document.

mod found;
mod made_up;
mod origins;
