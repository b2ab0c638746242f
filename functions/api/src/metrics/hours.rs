//! The parameter `hours` of `GET /metrics`, and the outcomes by the hour.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::db::stats::{Hour, Hours, MAX_HOURS};
use shared::order::Status;
use time::OffsetDateTime;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::{PercentilesView, with_counts};
use crate::problem::ApiError;
use crate::query::{UNKNOWN, at};

/// The outcomes of this hour and of the hours before it.
#[derive(Debug, Serialize, ToSchema)]
pub struct HoursView {
    /// The number of hours.
    hours: i32,
    /// Each hour with an outcome, oldest first.
    #[schema(inline)]
    outcomes: Vec<HourView>,
    /// Times from start to finish of the orders completed in these hours, in seconds.
    #[schema(inline)]
    processing_seconds: PercentilesView,
    /// Times to the start of the same orders, from their creation, or from `process_after` if that is later, in seconds.
    #[schema(inline)]
    queueing_seconds: PercentilesView,
}

/// The outcomes of one hour.
#[derive(Debug, Serialize)]
pub struct HourView {
    #[serde(with = "shared::timestamp")]
    hour: OffsetDateTime,
    #[serde(flatten)]
    ended: BTreeMap<Status, i64>,
}

impl ToSchema for HourView {}

impl PartialSchema for HourView {
    fn schema() -> RefOr<Schema> {
        let time = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
        let hour =
            ObjectBuilder::new().property("hour", time.description(Some("The start of the hour."))).required("hour");
        let number =
            ObjectBuilder::new().schema_type(Type::Integer).format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)));
        let failed =
            "Failed orders, less the orders that an operator retried during the hour, so the number may be negative.";
        with_counts(hour, Status::ended())
            .property(Status::Failed.as_str(), number.description(Some(failed)))
            .description(Some("The outcomes of one hour."))
            .into()
    }
}

impl HoursView {
    /// The answer's member, from what the database returned.
    pub fn new(hours: i32, read: Hours) -> Self {
        let view = |Hour { hour, ended }| HourView { hour, ended };
        Self {
            hours,
            outcomes: read.outcomes.into_iter().map(view).collect(),
            processing_seconds: read.processing_seconds.into(),
            queueing_seconds: read.queueing_seconds.into(),
        }
    }
}

/// Parses the query, or returns all of its errors. An empty parameter counts as absent.
pub fn parse(pairs: &[(String, String)]) -> Result<Option<i32>, ApiError> {
    let unknown = pairs.iter().filter(|(name, _)| name != "hours");
    let mut errors: Vec<_> = unknown.map(|(name, _)| at(name, UNKNOWN)).collect();
    let values: Vec<_> = pairs.iter().filter(|(name, value)| name == "hours" && !value.is_empty()).collect();
    let number = |text: &str| text.parse().ok().filter(|hours| (1..=MAX_HOURS).contains(hours));
    let hours = match values[..] {
        [] => None,
        [(_, text)] if number(text).is_some() => number(text),
        _ => {
            errors.push(at("hours", "must appear once, and be a whole number from 1 to 2160"));
            None
        }
    };
    ApiError::unless_valid(Some(hours), errors)
}
