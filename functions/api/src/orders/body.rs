//! Parses the body of a create request. Reports every bad field at once, and reads amounts from their digits.

mod optional;

use std::fmt;
use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use shared::order::{Amount, Currency, Invalid, ItemIds, NewOrder};
use time::OffsetDateTime;

use crate::problem::{ApiError, FieldError};
use crate::{Api, json};

/// The most errors that an answer names for one order. A batch names as many for each of its orders.
const MAX_ERRORS: usize = 20;
/// The most characters of an unknown field's name that an answer repeats.
const MAX_NAME: usize = 40;

/// A valid order from a request's body.
pub struct OrderBody(pub NewOrder);

impl FromRequest<Arc<Api>> for OrderBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, ApiError> {
        let body = json::read(request, json::MAX_BYTES).await?;
        parse(&body, api.config.default_currency).map(Self)
    }
}

/// Parses an order, or returns all of its errors. `default_currency` is the currency of an order that names none.
pub fn parse(body: &[u8], default_currency: Currency) -> Result<NewOrder, ApiError> {
    let members: Members = serde_json::from_slice(body).map_err(|error| json::malformed(&error))?;
    let mut errors = Vec::new();
    let order = members.order(default_currency, &mut errors);
    match order {
        Some(order) if errors.is_empty() => Ok(order),
        _ => {
            errors.truncate(MAX_ERRORS);
            Err(ApiError::Invalid(errors))
        }
    }
}

/// The members of the body, in their order. The values are still JSON text.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl Members<'_> {
    /// The known names. Any other name is an error.
    const NAMES: [&'static str; 7] =
        ["order_id", "user_id", "item_ids", "total_amount", "currency", "metadata", "process_after"];

    fn order(&self, default_currency: Currency, errors: &mut Vec<FieldError>) -> Option<NewOrder> {
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

    fn check_names(&self, errors: &mut Vec<FieldError>) {
        let unknown = self.0.iter().filter(|(name, _)| !Self::NAMES.contains(&name.as_str()));
        errors.extend(unknown.take(MAX_ERRORS).map(|(name, _)| at(&escaped(name), "is not a field of an order")));
    }

    fn check_repeats(&self, errors: &mut Vec<FieldError>) {
        for name in Self::NAMES {
            if self.0.iter().filter(|(given, _)| given == name).count() > 1 {
                errors.push(at(name, "appears more than once"));
            }
        }
    }

    fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| *value)
    }

    /// An optional member; `None` if it is absent or null.
    fn given(&self, name: &str) -> Option<&RawValue> {
        self.get(name).filter(|value| value.get() != "null")
    }

    /// Deserializes the member, or reports that it must be `kind`.
    fn read<T: DeserializeOwned>(&self, name: &str, kind: &str, errors: &mut Vec<FieldError>) -> Option<T> {
        let Some(value) = self.get(name) else {
            errors.push(at(name, "is missing"));
            return None;
        };
        let read = serde_json::from_str(value.get());
        if read.is_err() {
            errors.push(at(name, &format!("must be {kind}")));
        }
        read.ok()
    }

    fn text<T: std::str::FromStr<Err = Invalid>>(&self, name: &str, errors: &mut Vec<FieldError>) -> Option<T> {
        let text: String = self.read(name, "a string of valid Unicode", errors)?;
        text.parse().map_err(|invalid: Invalid| errors.push(at(name, &invalid.to_string()))).ok()
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
        let amount = if is_plain { Amount::parse(digits, currency).ok() } else { None };
        if amount.is_none() {
            errors.push(at("total_amount", &Amount::rule(currency).to_string()));
        }
        amount
    }
}

/// Whether a string is a plain decimal: at most twelve digits, and optionally a point and more digits.
fn is_plain_decimal(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    all_digits(whole) && whole.len() <= 12 && all_digits(fraction)
}

/// An error at a member. `path` is escaped for a JSON pointer already.
fn at(path: &str, detail: &str) -> FieldError {
    FieldError { pointer: format!("#/{path}"), detail: detail.to_owned() }
}

/// Escapes a client's name for a JSON pointer (RFC 6901), cut to a readable length.
fn escaped(name: &str) -> String {
    name.chars().take(MAX_NAME).collect::<String>().replace('~', "~0").replace('/', "~1")
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema;

    use super::super::schema::NewOrderBody;
    use super::*;

    const GOOD: &str = r#"{"order_id":"o-1","user_id":"alice","item_ids":["a"],"total_amount":59.98}"#;

    fn euro() -> Currency {
        "EUR".parse().unwrap()
    }

    /// The pointers of a body's errors, or its problem if it is malformed.
    fn complaints(body: &str) -> Vec<String> {
        match parse(body.as_bytes(), euro()) {
            Ok(_) => vec![],
            Err(ApiError::Invalid(errors)) => errors.into_iter().map(|error| error.pointer).collect(),
            Err(ApiError::Malformed(detail)) => vec![detail],
            Err(other) => vec![format!("{other:?}")],
        }
    }

    #[test]
    fn valid_order_is_read_exactly() {
        let order = parse(GOOD.as_bytes(), euro()).unwrap();
        assert_eq!(order.total_amount.to_string(), "59.98");
        assert_eq!(order.order_id.unwrap().as_str(), "o-1");
        assert_eq!(complaints(r#"{"user_id":"a","item_ids":["a"],"total_amount":"0.1"}"#), [""; 0]);
        let body = br#"{"order_id": null ,"user_id":"a","item_ids":["a"],"total_amount":"36.4000"}"#;
        let order = parse(body, euro()).unwrap();
        assert_eq!((order.order_id, order.total_amount.to_string().as_str()), (None, "36.40"));
    }

    #[test]
    fn every_bad_field_is_reported_at_once() {
        let body = r#"{"order_id":"a b","item_ids":["ok","\u0000"],"total_amount":1.005,"coupon/~x":1,"order_id":"x"}"#;
        let expected = ["#/order_id", "#/order_id", "#/user_id", "#/total_amount", "#/item_ids/1", "#/coupon~1~0x"];
        assert_eq!(complaints(body), expected);
        let many = "\"x\":0,".repeat(1000);
        assert_eq!(complaints(&format!("{{{many}{}", &GOOD[1..])).len(), MAX_ERRORS);
        assert_eq!(complaints("{}"), ["#/user_id", "#/total_amount", "#/item_ids"]);
    }

    #[test]
    fn errors_of_items_do_not_displace_those_of_other_fields() {
        let items = format!("[{}]", vec![r#""""#; 500].join(","));
        let found = complaints(&GOOD.replace(r#"["a"]"#, &items).replace("59.98", "-1"));
        assert_eq!((found.len(), found[0].as_str(), found[1].as_str()), (MAX_ERRORS, "#/total_amount", "#/item_ids/0"));
    }

    #[test]
    fn value_of_another_type_is_reported() {
        let body = r#"{"order_id":7,"user_id":null,"item_ids":"a","total_amount":true}"#;
        assert_eq!(complaints(body), ["#/order_id", "#/user_id", "#/total_amount", "#/item_ids"]);
    }

    #[test]
    fn lone_surrogates_are_reported_at_their_fields() {
        assert_eq!(complaints(&GOOD.replace("alice", r"\ud800")), ["#/user_id"]);
        assert_eq!(
            complaints(&GOOD.replace(r#"["a"]"#, r#"["\udfff", "ok", 7, ""]"#)),
            ["#/item_ids/0", "#/item_ids/2", "#/item_ids/3"]
        );
    }

    #[test]
    fn amount_that_is_no_plain_decimal_is_refused() {
        for amount in [
            "1e400",
            "-1",
            "1.005",
            "36.4001",
            r#""36.4001""#,
            r#""36.""#,
            r#""0000000000036.40""#,
            "1000000000000",
            r#""1e1""#,
            r#""+1""#,
            r#"" 1""#,
            r#"".5""#,
            r#""""#,
            "[]",
            "null",
        ] {
            assert_eq!(complaints(&GOOD.replace("59.98", amount)), ["#/total_amount"], "{amount}");
        }
    }

    /// The same order with another amount and more members.
    fn with(amount: &str, more: &str) -> String {
        GOOD.replace("59.98", &format!("{amount},{more}"))
    }

    #[test]
    fn decimals_of_the_amount_are_those_of_the_currency() {
        for (amount, currency, shown) in
            [("1200", "JPY", "1200"), ("1200.0", "JPY", "1200"), ("\"1.505\"", "KWD", "1.505"), ("1.5", "USD", "1.50")]
        {
            let body = with(amount, &format!(r#""currency":"{currency}""#));
            let amount = parse(body.as_bytes(), euro()).unwrap().total_amount;
            assert_eq!((amount.to_string().as_str(), amount.currency().code()), (shown, currency), "{body}");
        }
        assert_eq!(complaints(&with("1200.5", r#""currency":"JPY""#)), ["#/total_amount"]);
        assert_eq!(complaints(&with("1.5055", r#""currency":"KWD""#)), ["#/total_amount"]);
        for currency in ["\"eur\"", "\"XAU\"", "\"\"", "978", "[]"] {
            assert_eq!(complaints(&with("1", &format!(r#""currency":{currency}"#))), ["#/currency"], "{currency}");
        }
        let yen = |body: String| parse(body.as_bytes(), "JPY".parse().unwrap());
        assert_eq!(yen(with("7", r#""currency":null"#)).unwrap().total_amount.currency().code(), "JPY");
        assert!(yen(with("7.5", r#""metadata":null"#)).is_err());
    }

    #[test]
    fn body_that_is_no_json_object_is_malformed() {
        for body in ["", "null", "[]", "{", "NaN", &GOOD.replace("59.98", "NaN"), "{}{}", "\u{feff}{}"] {
            assert!(complaints(body)[0].starts_with("The body is not a JSON object"), "{body}");
        }
        assert!(matches!(parse(b"{\"\xff\":1}", euro()), Err(ApiError::Malformed(_))));
    }

    #[test]
    fn document_names_the_fields_of_an_order() {
        let schema = serde_json::to_value(NewOrderBody::schema()).unwrap();
        let mut documented: Vec<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
        let mut read = Members::NAMES.map(str::to_owned).to_vec();
        documented.sort();
        read.sort();
        assert_eq!(documented, read);
    }
}
