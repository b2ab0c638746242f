//! Parses the body of a create request. Reports every bad field at once, and reads amounts from their digits.

mod fields;
mod optional;

use std::fmt;
use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use shared::order::{Currency, Invalid, NewOrder};

use super::key::Key;
use crate::problem::{ApiError, FieldError, MAX_ERRORS, MAX_NAME};
use crate::{Api, json};

pub use fields::{NewOrderBody, example};

/// A valid order from a request's body.
pub struct OrderBody(pub NewOrder);

impl FromRequest<Arc<Api>> for OrderBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, ApiError> {
        // The handler refuses a bad key of a valid order, after it has checked the caller's right to the order.
        let bad_key = Key::of(request.headers()).err();
        let body = json::read(request, json::MAX_BYTES).await?;
        parse(&body, api.config.default_currency).map(Self).map_err(|error| error.beside(bad_key))
    }
}

/// Parses an order, or returns all of its errors. `default_currency` is the currency of an order that names none.
pub fn parse(body: &[u8], default_currency: Currency) -> Result<NewOrder, ApiError> {
    let members: Members = serde_json::from_slice(body).map_err(|error| json::malformed(&error))?;
    let mut errors = Vec::new();
    let order = members.order(default_currency, &mut errors);
    ApiError::unless_valid(order, errors)
}

/// The members of the body, in their order. The values are still JSON text.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl Members<'_> {
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
        let is_text = self.get(name).is_some_and(|value| value.get().starts_with('"'));
        let text: String = self.read(name, if is_text { "valid Unicode" } else { "a string" }, errors)?;
        text.parse().map_err(|invalid: Invalid| errors.push(at(name, &invalid.to_string()))).ok()
    }
}

/// An error at a member. `path` is escaped for a JSON pointer already.
fn at(path: &str, detail: &str) -> FieldError {
    FieldError::new(format!("#/{path}"), detail)
}

/// A client's name, cut to a readable length and escaped for a JSON pointer.
fn escaped(name: &str) -> String {
    json::pointer_part(&name.chars().take(MAX_NAME).collect::<String>())
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
mod tests;
