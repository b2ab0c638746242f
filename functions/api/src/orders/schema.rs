//! The schemas of request bodies and parameters, with the domain's bounds.

use std::borrow::Cow;

use shared::order::{Currency, ItemIds, Metadata, Status, UserId};
use utoipa::openapi::schema::{
    AdditionalProperties, AnyOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, SchemaFormat,
    SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::batch::MAX_ORDERS;
use super::cursor;
use super::list::{MAX_LIMIT, MAX_ORDER_IDS};

/// The body of `POST /orders`.
pub struct NewOrderBody;

impl ToSchema for NewOrderBody {
    fn name() -> Cow<'static, str> {
        "NewOrder".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((CurrencyCode::name().into(), CurrencyCode::schema()));
    }
}

impl PartialSchema for NewOrderBody {
    fn schema() -> RefOr<Schema> {
        let item = label("One item's identifier", ItemIds::MAX_LENGTH);
        let items = ArrayBuilder::new().items(item).min_items(Some(1)).max_items(Some(ItemIds::MAX_COUNT));
        ObjectBuilder::new()
            .property("order_id", optional_order_id())
            .property(
                "user_id",
                label(
                    "The user who owns the order: the token's subject, unless an administrator creates it",
                    UserId::MAX_LENGTH,
                ),
            )
            .property("item_ids", items.description(Some("The items")))
            .property("total_amount", amount_schema())
            .property("currency", currency_schema())
            .property("metadata", metadata_schema())
            .property("process_after", process_after_schema())
            .required("user_id")
            .required("item_ids")
            .required("total_amount")
            .additional_properties(Some(AdditionalProperties::FreeForm(false)))
            .examples([example()])
            .into()
    }
}

fn example() -> serde_json::Value {
    serde_json::json!({"order_id": "order-1001", "user_id": "alice", "item_ids": ["book-1", "pen-7"], "total_amount": "59.98"})
}

/// The body of `POST /orders/batch`.
pub struct OrderBatchBody;

impl ToSchema for OrderBatchBody {
    fn name() -> Cow<'static, str> {
        "OrderBatch".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((NewOrderBody::name().into(), NewOrderBody::schema()));
        NewOrderBody::schemas(schemas);
    }
}

impl PartialSchema for OrderBatchBody {
    fn schema() -> RefOr<Schema> {
        let anything_else = ObjectBuilder::new()
            .schema_type(SchemaType::AnyValue)
            .description(Some("Any other value is refused, without the others"));
        let order = AnyOfBuilder::new().item(Ref::from_schema_name(NewOrderBody::name())).item(anything_else);
        let orders = ArrayBuilder::new().items(order).min_items(Some(1)).max_items(Some(MAX_ORDERS));
        ObjectBuilder::new()
            .property("orders", orders.description(Some("The orders. Each is accepted or refused separately")))
            .required("orders")
            .additional_properties(Some(AdditionalProperties::FreeForm(false)))
            .examples([serde_json::json!({"orders": [example()]})])
            .into()
    }
}

/// A user's identifier in a path.
pub struct UserIdText;

impl ToSchema for UserIdText {}

impl PartialSchema for UserIdText {
    fn schema() -> RefOr<Schema> {
        label("A user's identifier", UserId::MAX_LENGTH).into()
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
        string("1 to 255 visible ASCII characters").pattern(Some(r"^[!-~]([ -~]{0,253}[!-~])?$")).into()
    }
}

/// An empty parameter, which counts as absent.
fn empty() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).max_length(Some(0))
}

fn order_id_schema(description: &str) -> ObjectBuilder {
    string(description).pattern(Some(r"^(?!\.{1,2}$)[A-Za-z0-9._:-]{1,64}$"))
}

fn optional_order_id() -> ObjectBuilder {
    let schema = order_id_schema("The client's own identifier; generated if absent or null");
    schema.schema_type(optional(Type::String))
}

fn label(description: &str, max_length: usize) -> ObjectBuilder {
    let no_control_characters = r"^[^\x00-\x1f\x7f-\x9f]*$";
    string(description).min_length(Some(1)).max_length(Some(max_length)).pattern(Some(no_control_characters))
}

fn string(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

fn amount_schema() -> OneOfBuilder {
    let number = ObjectBuilder::new()
        .schema_type(Type::Number)
        .minimum(Some(0))
        .exclusive_maximum(Some(1_000_000_000_000_i64))
        .multiple_of(Some(0.0001));
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(r"^[0-9]{1,12}(\.[0-9]{1,4}0*)?$"));
    let description = "The exact price: a number, or the same as a string, with at most as many decimal places as the currency has \
        minor units. Its value counts: 36.4000 is 36.40";
    OneOfBuilder::new().item(number).item(text).description(Some(description))
}

/// The code of a currency that a new order may have.
struct CurrencyCode;

impl ToSchema for CurrencyCode {
    fn name() -> Cow<'static, str> {
        "Currency".into()
    }
}

impl PartialSchema for CurrencyCode {
    fn schema() -> RefOr<Schema> {
        string("A currency, by its code of ISO 4217").enum_values(Some(Currency::all().map(Currency::code))).into()
    }
}

fn currency_schema() -> OneOfBuilder {
    let null = ObjectBuilder::new().schema_type(Type::Null);
    let description = "The currency of the price; the deployment's default if absent or null";
    OneOfBuilder::new().item(null).item(Ref::from_schema_name(CurrencyCode::name())).description(Some(description))
}

fn metadata_schema() -> ObjectBuilder {
    let name = label("A name", Metadata::MAX_KEY);
    let value = string("A value").max_length(Some(Metadata::MAX_VALUE)).pattern(Some(r"^[^\x00]*$"));
    ObjectBuilder::new()
        .schema_type(optional(Type::Object))
        .description(Some("The client's own facts about the order, which answers and calls of the webhook repeat"))
        .max_properties(Some(Metadata::MAX_ENTRIES))
        .property_names(Some(name))
        .additional_properties(Some(value))
}

fn process_after_schema() -> ObjectBuilder {
    string("The time before which the order is not processed, at most 30 days ahead; it can be cancelled until then")
        .schema_type(optional(Type::String))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

fn optional(kind: Type) -> SchemaType {
    SchemaType::from_iter([kind, Type::Null])
}
