//! The fields of a new order: how each is read, and its schema.

use std::borrow::Cow;

use serde_json::value::RawValue;
use shared::order::{Amount, Currency, Invalid, ItemIds, NewOrder, UserId};
use time::OffsetDateTime;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, SchemaFormat, Type,
};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::optional::{CurrencyCode, currency_schema, metadata_schema, optional, process_after_schema};
use super::{Members, at};
use crate::problem::FieldError;
use crate::schemas::{label, order_id_schema};

impl Members<'_> {
    /// The known names. Any other name is an error.
    pub(super) const NAMES: [&'static str; 7] =
        ["order_id", "user_id", "item_ids", "total_amount", "currency", "metadata", "process_after"];

    pub(super) fn order(&self, default_currency: Currency, errors: &mut Vec<FieldError>) -> Option<NewOrder> {
        self.check_repeats(errors);
        let order_id = match self.given("order_id") {
            Some(_) => self.text("order_id", errors).map(Some),
            None => Some(None),
        };
        let user_id = self.text("user_id", errors);
        let currency = self.currency(default_currency, errors);
        let total_amount = self.amount(currency.unwrap_or(default_currency), errors);
        let process_after = self.process_after(OffsetDateTime::now_utc()).map_err(|error| errors.push(error)).ok();
        let metadata = self.metadata(errors);
        // Items and unknown names can have many errors, so their errors come last.
        let item_ids = self.items(errors);
        self.check_names(errors);
        // The amount holds the currency already; an invalid one ends here.
        currency?;
        Some(NewOrder {
            order_id: order_id?,
            user_id: user_id?,
            item_ids: item_ids?,
            total_amount: total_amount?,
            metadata: metadata?,
            process_after: process_after?,
        })
    }

    fn items(&self, errors: &mut Vec<FieldError>) -> Option<ItemIds> {
        let written: Vec<Box<RawValue>> = self.read("item_ids", "a list of strings", errors)?;
        let items: Vec<Option<String>> = written.iter().map(|item| serde_json::from_str(item.get()).ok()).collect();
        // An empty string replaces an item that is no string, because both are invalid.
        let found = ItemIds::try_from(items.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>());
        let bad = |(index, invalid): (Option<usize>, Invalid)| {
            at(&index.map_or("item_ids".to_owned(), |index| format!("item_ids/{index}")), &invalid.to_string())
        };
        found.map_err(|all| errors.extend(all.into_iter().map(bad))).ok()
    }

    /// The amount, from the digits of a number or of a string. It never becomes a float.
    fn amount(&self, currency: Currency, errors: &mut Vec<FieldError>) -> Option<Amount> {
        let value: Box<RawValue> = self.read("total_amount", "a number", errors)?;
        let digits = value.get().trim_matches('"');
        let is_plain = !value.get().starts_with('"') || is_plain_decimal(digits);
        let amount = if is_plain { Amount::parse(digits, currency) } else { Err(Amount::rule(currency)) };
        amount.map_err(|invalid| errors.push(at("total_amount", &invalid.to_string()))).ok()
    }
}

/// Whether a string is a plain decimal: at most twelve digits, and optionally a point and more digits.
fn is_plain_decimal(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    all_digits(whole) && whole.len() <= 12 && all_digits(fraction)
}

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
                    "The user who owns the order: the token's subject, unless the caller has `orders/write.all`",
                    UserId::MAX_LENGTH,
                ),
            )
            .property("item_ids", items.description(Some(ITEMS)))
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

/// What the schema says about the items.
const ITEMS: &str = "The items. An item may repeat. A repeat of a request must have the same items in the same order";

/// An example of a body.
pub fn example() -> serde_json::Value {
    serde_json::json!({"order_id": "order-1001", "user_id": "alice", "item_ids": ["book-1", "pen-7"], "total_amount": "59.98"})
}

fn optional_order_id() -> ObjectBuilder {
    let schema = order_id_schema("The client's own identifier; generated if absent or null");
    schema.schema_type(optional(Type::String))
}

fn amount_schema() -> OneOfBuilder {
    let double = SchemaFormat::KnownFormat(KnownFormat::Double);
    let number = ObjectBuilder::new().schema_type(Type::Number).format(Some(double)).minimum(Some(0));
    let number = number.exclusive_maximum(Some(1_000_000_000_000_i64));
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(r"^[0-9]{1,12}(\.[0-9]{1,4}0*)?$"));
    let description = "The exact price: a number, or the same as a string, with at most as many decimal places as the currency has \
        minor units. Its value counts: 36.4000 is 36.40";
    OneOfBuilder::new().item(number).item(text).description(Some(description))
}
