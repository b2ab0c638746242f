//! What the calls that select many orders share.

use shared::order::{OrderId, is_label};

use crate::problem::{ApiError, FieldError};

/// The most orders of an operator's call, and its fastest pace, in orders a second.
const MOST: usize = 1000;
/// The longest text of the filter `cause`, in characters.
const MAX_CAUSE: usize = 256;

/// Refuses an operator's call with too many orders or too fast a pace, or with none, and a bad filter by cause. Names all of them.
pub fn check_options(
    order_ids: Option<&[OrderId]>,
    limit: i64,
    per_second: u32,
    cause: Option<&str>,
) -> Result<(), ApiError> {
    let is_within = |number: usize| (1..=MOST).contains(&number);
    let range = "must be from 1 to 1000";
    // A negative number becomes 0, which is out of bounds.
    let checks = [
        ("order_ids", order_ids.map(<[_]>::len), "must hold 1 to 1000 identifiers"),
        ("limit", Some(usize::try_from(limit).unwrap_or_default()), range),
        ("per_second", Some(usize::try_from(per_second).unwrap_or_default()), range),
    ];
    let bad = checks.into_iter().filter(|(_, number, _)| number.is_some_and(|number| !is_within(number)));
    let bad_cause = cause.and_then(|text| check_cause(text).err()).map(|rule| ("cause", rule));
    let broken = bad.map(|(name, _, rule)| (name, rule)).chain(bad_cause);
    let errors = broken.map(|(name, rule)| FieldError::new(format!("#/{name}"), rule));
    ApiError::unless_valid(Some(()), errors.collect())
}

/// Checks a filter by cause. An empty text would match every failure. The error is the rule that it breaks.
pub fn check_cause(text: &str) -> Result<(), &'static str> {
    if is_label(text, MAX_CAUSE) {
        Ok(())
    } else {
        Err("must be 1 to 256 characters, none of them a control character")
    }
}
