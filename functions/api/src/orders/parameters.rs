//! The schemas of paths, queries and headers, with the domain's bounds, and of texts that bodies share.

use shared::order::{Status, UserId};
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::cursor;
use super::list::{MAX_LIMIT, MAX_ORDER_IDS};

/// A user's identifier in a path.
pub struct UserIdText;

impl ToSchema for UserIdText {}

impl PartialSchema for UserIdText {
    fn schema() -> RefOr<Schema> {
        // Gateways decode a path before they match it, so `/` and `?` would end the identifier.
        let no_control_characters_or_delimiters = r"^[^\x00-\x1f\x7f-\x9f%/?]*$";
        label("A user's identifier, without `%`, `/` and `?`", UserId::MAX_LENGTH)
            .pattern(Some(no_control_characters_or_delimiters))
            .into()
    }
}

/// An order's identifier in a path.
pub struct OrderIdText;

impl ToSchema for OrderIdText {}

impl PartialSchema for OrderIdText {
    fn schema() -> RefOr<Schema> {
        order_id_schema("An order's identifier").examples(["order-1001"]).into()
    }
}

/// A list's cursor.
pub struct CursorText;

impl ToSchema for CursorText {}

impl PartialSchema for CursorText {
    fn schema() -> RefOr<Schema> {
        string("A position in a list").pattern(Some(cursor::PATTERN)).into()
    }
}

/// The filter of a list by status. Like a list's other parameters it may be empty, which counts as absent.
pub struct StatusFilter;

impl ToSchema for StatusFilter {}

impl PartialSchema for StatusFilter {
    fn schema() -> RefOr<Schema> {
        let names = Status::ALL.map(Status::as_str).into_iter().chain([""]);
        string("A status, or empty").enum_values(Some(names)).into()
    }
}

/// The limit of a list.
pub struct LimitParameter;

impl ToSchema for LimitParameter {}

impl PartialSchema for LimitParameter {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(MAX_LIMIT));
        AnyOfBuilder::new().item(number).item(empty()).description(Some("A number, or empty")).into()
    }
}

/// The cursor parameter of a list.
pub struct CursorParameter;

impl ToSchema for CursorParameter {}

impl PartialSchema for CursorParameter {
    fn schema() -> RefOr<Schema> {
        string("A position in a list, or empty").pattern(Some(format!("^$|{}", cursor::PATTERN))).into()
    }
}

/// The `order_id` parameter of a list, which may be repeated.
pub struct OrderIdsParameter;

impl ToSchema for OrderIdsParameter {}

impl PartialSchema for OrderIdsParameter {
    fn schema() -> RefOr<Schema> {
        let order_id = order_id_schema("An order's identifier");
        let order_id = AnyOfBuilder::new().item(order_id).item(empty());
        ArrayBuilder::new().items(order_id).max_items(Some(MAX_ORDER_IDS)).into()
    }
}

/// A time in the query of a list.
pub struct TimeParameter;

impl ToSchema for TimeParameter {}

impl PartialSchema for TimeParameter {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        let time = string("A time in RFC 3339, within the years 1 to 9999 of UTC").format(Some(format));
        AnyOfBuilder::new().item(time).item(empty()).description(Some("A time, or empty")).into()
    }
}

/// The `Idempotency-Key` header.
pub struct IdempotencyKeyText;

impl ToSchema for IdempotencyKeyText {}

impl PartialSchema for IdempotencyKeyText {
    fn schema() -> RefOr<Schema> {
        // Spaces around the value of a header are not part of it.
        string("1 to 255 printable ASCII characters").pattern(Some(r"^[!-~]([ -~]{0,253}[!-~])?$")).into()
    }
}

/// An empty parameter, which counts as absent.
fn empty() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).max_length(Some(0))
}

/// An order's identifier.
pub fn order_id_schema(description: &str) -> ObjectBuilder {
    string(description).pattern(Some(r"^(?!\.{1,2}$)[A-Za-z0-9._:-]{1,64}$"))
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
