//! The fields that an order can do without: how each is read, and its schema. Each may be absent or null.

use std::borrow::Cow;
use std::collections::BTreeMap;

use shared::order::{Currency, Invalid, Metadata};
use shared::timestamp;
use time::{Duration, OffsetDateTime};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, OneOfBuilder, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::{Members, at, escaped};
use crate::problem::FieldError;
use crate::schemas::{label, string};

/// How far ahead an order can be scheduled.
const LONGEST_WAIT: Duration = Duration::days(30);

impl Members<'_> {
    /// The currency, or the default.
    pub(super) fn currency(&self, default: Currency, errors: &mut Vec<FieldError>) -> Option<Currency> {
        if self.given("currency").is_none() {
            return Some(default);
        }
        self.text("currency", errors)
    }

    /// The time before which the order is not processed. A time in the past is valid: the order is due at once, and a repeat of a
    /// request stays valid after its time has come.
    ///
    /// `now` is this machine's clock. It decides only whether the request is valid.
    pub(super) fn process_after(&self, now: OffsetDateTime) -> Result<Option<OffsetDateTime>, FieldError> {
        let Some(value) = self.given("process_after") else { return Ok(None) };
        let text: Option<String> = serde_json::from_str(value.get()).ok();
        let time = text.and_then(|text| timestamp::parse(&text).ok()).filter(|time| *time <= now + LONGEST_WAIT);
        let detail = "must be a time in RFC 3339, such as 2026-11-24T10:51:00Z, at most 30 days ahead";
        time.map(|time| Some(whole_microseconds(time))).ok_or_else(|| at("process_after", detail))
    }

    /// The metadata, with every bad entry reported.
    pub(super) fn metadata(&self, errors: &mut Vec<FieldError>) -> Option<Metadata> {
        let Some(value) = self.given("metadata") else { return Some(Metadata::default()) };
        let Ok(Members(entries)) = serde_json::from_str(value.get()) else {
            errors.push(at("metadata", "must be an object of strings"));
            return None;
        };
        let mut checked = Vec::new();
        let mut strings = BTreeMap::new();
        for (key, value) in entries.into_iter().take(Metadata::MAX_ENTRIES + 1) {
            let pointer = || format!("metadata/{}", escaped(&key));
            match serde_json::from_str::<String>(value.get()) {
                Ok(_) if strings.contains_key(&key) => checked.push(at(&pointer(), "appears more than once")),
                Ok(text) => drop(strings.insert(key, text)),
                Err(_) => checked.push(at(&pointer(), "must be a string of valid Unicode")),
            }
        }
        let bad = |(key, invalid): (Option<String>, Invalid)| {
            let pointer = key.map_or("metadata".to_owned(), |key| format!("metadata/{}", escaped(&key)));
            at(&pointer, &invalid.to_string())
        };
        let metadata = Metadata::try_from(strings).map_err(|all| checked.extend(all.into_iter().map(bad))).ok();
        let is_good = checked.is_empty();
        errors.append(&mut checked);
        metadata.filter(|_| is_good)
    }
}

/// The code of a currency that a new order may have.
pub struct CurrencyCode;

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

/// The schema of a currency.
pub fn currency_schema() -> OneOfBuilder {
    let null = ObjectBuilder::new().schema_type(Type::Null);
    let description = "The currency of the price; the deployment's default if absent or null";
    OneOfBuilder::new().item(null).item(Ref::from_schema_name(CurrencyCode::name())).description(Some(description))
}

/// The schema of the metadata.
pub fn metadata_schema() -> ObjectBuilder {
    let name = label("A name", Metadata::MAX_KEY);
    let value = string("A value").max_length(Some(Metadata::MAX_VALUE)).pattern(Some(r"^[^\x00]*$"));
    ObjectBuilder::new()
        .schema_type(optional(Type::Object))
        .description(Some("The client's own facts about the order. Answers and calls of the webhook contain them"))
        .max_properties(Some(Metadata::MAX_ENTRIES))
        .property_names(Some(name))
        .additional_properties(Some(value))
}

/// The schema of `process_after`.
pub fn process_after_schema() -> ObjectBuilder {
    string("The time before which the order is not processed, at most 30 days ahead; it can be cancelled until then")
        .schema_type(optional(Type::String))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

/// The schema of a value that may be null.
pub fn optional(kind: Type) -> SchemaType {
    SchemaType::from_iter([kind, Type::Null])
}

/// The time as PostgreSQL stores it, so that a repeat of the request has the same.
fn whole_microseconds(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_nanosecond(time.microsecond() * 1000).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers(errors: Vec<FieldError>) -> Vec<String> {
        errors.into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn process_after_is_at_most_thirty_days_ahead() {
        let now = timestamp::parse("2026-11-24T10:00:00Z").unwrap();
        let read = |value: &str| {
            let body = format!(r#"{{"process_after":{value}}}"#);
            let members: Members<'_> = serde_json::from_str(&body).unwrap();
            members.process_after(now).map_err(|error| error.pointer)
        };
        for (given, expected) in [
            (r#""2026-12-24T10:00:00Z""#, "2026-12-24T10:00:00Z"),
            (r#""2026-12-24T10:00:00.1234567+01:00""#, "2026-12-24T09:00:00.123456Z"),
            (r#""2020-01-01T00:00:00Z""#, "2020-01-01T00:00:00Z"),
        ] {
            assert_eq!(read(given), Ok(Some(timestamp::parse(expected).unwrap())), "{given}");
        }
        assert_eq!(read("null"), Ok(None));
        for bad in
            [r#""2026-12-24T10:00:01Z""#, r#""tomorrow""#, "7", r#""2026-11-24""#, r#""9999-12-31T23:59:59-05:00""#]
        {
            assert_eq!(read(bad), Err("#/process_after".to_owned()), "{bad}");
        }
    }

    #[test]
    fn every_bad_entry_of_the_metadata_is_reported() {
        let read = |value: &str| {
            let (body, mut errors) = (format!(r#"{{"metadata":{value}}}"#), Vec::new());
            let members: Members<'_> = serde_json::from_str(&body).unwrap();
            (members.metadata(&mut errors), pointers(errors))
        };
        for nothing in ["null", "{}"] {
            assert_eq!(read(nothing), (Some(Metadata::default()), vec![]), "{nothing}");
        }
        let (metadata, errors) = read(r#"{"cart":"77","gift":"","note":"a\nb"}"#);
        assert_eq!((std::collections::BTreeMap::from(metadata.unwrap()).len(), errors), (3, vec![]));
        for kind in ["[]", "\"a\"", "7", "[[\"a\",\"b\"]]"] {
            assert_eq!(read(kind), (None, vec!["#/metadata".to_owned()]), "{kind}");
        }
        let (metadata, errors) =
            read(r#"{"a":1,"b":{},"c":null,"d/e":"x","d/e":"y","":"z","n":"\u0000","s":"\ud800"}"#);
        let expected = [
            "#/metadata/a",
            "#/metadata/b",
            "#/metadata/c",
            "#/metadata/d~1e",
            "#/metadata/s",
            "#/metadata/",
            "#/metadata/n",
        ];
        assert_eq!((metadata, errors), (None, expected.map(str::to_owned).to_vec()));
        let many = (0..30).map(|index| format!(r#""k{index}":"v""#)).collect::<Vec<_>>().join(",");
        assert_eq!(read(&format!("{{{many}}}")), (None, vec!["#/metadata".to_owned()]));
    }
}
