//! The schemas of paths, queries and headers, with the domain's bounds, and of texts that bodies share.

use shared::db::stats::MAX_HOURS;
use shared::order::{OrderId, Status, UserId};
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{Number, PartialSchema, ToSchema};

use crate::orders::cursor;
use crate::orders::list::{MAX_LIMIT, MAX_ORDER_IDS};

/// Makes a type of each schema, for the attributes of the calls.
macro_rules! schemas {
    ($($(#[$doc:meta])* $name:ident = $schema:expr;)+) => {$(
        $(#[$doc])*
        pub struct $name;

        impl ToSchema for $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }
    )+};
}

// A parameter of a query may be empty, which counts as absent.
schemas! {
    /// A user's identifier in a path. Gateways decode a path before they match it, so `/` and `?` would end the identifier.
    UserIdText = label("A user's identifier, without `%`, `/` and `?`", UserId::MAX_LENGTH)
        .pattern(Some(r"^[^\x00-\x1f\x7f-\x9f%/?]*$"));

    /// An order's identifier in a path.
    OrderIdText = order_id_schema("An order's identifier").examples(["order-1001"]);

    /// A list's cursor.
    CursorText = string("A position in a list").max_length(Some(cursor::MAX_LENGTH)).pattern(Some(cursor::PATTERN));

    /// The filter of a list by status.
    StatusFilter =
        string("A status, or empty").enum_values(Some(Status::ALL.map(Status::as_str).into_iter().chain([""])));

    /// The limit of a list.
    LimitParameter = number_or_empty(MAX_LIMIT);

    /// The number of hours of the metrics.
    HoursParameter = number_or_empty(MAX_HOURS);

    /// The cursor parameter of a list.
    CursorParameter = string("A position in a list, or empty")
        .max_length(Some(cursor::MAX_LENGTH))
        .pattern(Some(format!("^$|{}", cursor::PATTERN)));

    /// The `order_id` parameter of a list, which may be repeated.
    OrderIdsParameter = ArrayBuilder::new()
        .items(or_empty(order_id_schema("An order's identifier")))
        .max_items(Some(MAX_ORDER_IDS));

    /// A time in the query of a list.
    TimeParameter = or_empty(
        string("A time in RFC 3339, within the years 1 to 9999 of UTC")
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))),
    )
    .description(Some("A time, or empty"));

    /// The `Idempotency-Key` header. Spaces around the value of a header are not part of it.
    IdempotencyKeyText =
        string("1 to 255 printable ASCII characters").pattern(Some(r"^[!-~]([ -~]{0,253}[!-~])?$"));
}

/// A whole number from 1 to `most`, or an empty text.
fn number_or_empty(most: impl Into<Number>) -> AnyOfBuilder {
    or_empty(ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(most)))
        .description(Some("A number, or empty"))
}

/// This schema, or an empty text, which counts as absent.
fn or_empty(schema: ObjectBuilder) -> AnyOfBuilder {
    AnyOfBuilder::new().item(schema).item(ObjectBuilder::new().schema_type(Type::String).max_length(Some(0)))
}

/// An order's identifier.
pub fn order_id_schema(description: &str) -> ObjectBuilder {
    let neither_dot_nor_two = r"^(\.*[A-Za-z0-9_:-][A-Za-z0-9._:-]*|\.{3,})$";
    string(description).min_length(Some(1)).max_length(Some(OrderId::MAX_LENGTH)).pattern(Some(neither_dot_nor_two))
}

/// A text of one character or more, without control characters.
pub fn label(description: &str, max_length: usize) -> ObjectBuilder {
    let no_control_characters = r"^[^\x00-\x1f\x7f-\x9f]*$";
    string(description).min_length(Some(1)).max_length(Some(max_length)).pattern(Some(no_control_characters))
}

/// Any text.
pub fn string(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}
