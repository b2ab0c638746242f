//! Times as the API reads and writes them: RFC 3339, in UTC, with six digits of a second, as in PostgreSQL.
//!
//! For `#[serde(with = "shared::timestamp")]` and, for optional times, `shared::timestamp::option`.

use std::num::NonZero;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serializer};
use time::format_description::well_known::iso8601::{Config, EncodedConfig, TimePrecision};
use time::format_description::well_known::{Iso8601, Rfc3339};
use time::{OffsetDateTime, UtcOffset};

const SIX_DIGITS: EncodedConfig =
    Config::DEFAULT.set_time_precision(TimePrecision::Second { decimal_digits: NonZero::new(6) }).encode();

/// Writes a time as `2026-11-24T10:51:00.366368Z`. Returns `None` for a time that is out of range in UTC.
#[must_use]
pub fn format(time: OffsetDateTime) -> Option<String> {
    time.checked_to_offset(UtcOffset::UTC)?.format(&Iso8601::<SIX_DIGITS>).ok()
}

/// Writes a time as [`format()`] does.
pub fn serialize<S: Serializer>(time: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*time).ok_or_else(|| S::Error::custom("a time out of range"))?)
}

/// Reads an RFC 3339 time in any offset. Refuses a time outside the years 1 to 9999 of UTC: the database driver converts times to
/// UTC and panics on others.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OffsetDateTime, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Reads an RFC 3339 time, with the rules of [`deserialize`].
pub fn parse(text: &str) -> Result<OffsetDateTime, &'static str> {
    // `time` takes any byte there. RFC 3339, section 5.6, allows a space for readability.
    let is_separated = text.as_bytes().get(10).is_some_and(|byte| b"Tt ".contains(byte));
    let time = OffsetDateTime::parse(text, &Rfc3339).ok().filter(|_| is_separated);
    let utc =
        time.and_then(|time| time.checked_to_offset(UtcOffset::UTC)).filter(|utc| (1..=9999).contains(&utc.year()));
    utc.ok_or("a time must be in RFC 3339, such as 2026-11-24T10:51:00Z, and within the years 1 to 9999 of UTC")
}

/// The same for optional times.
pub mod option {
    use serde::de::{Deserialize, Deserializer, Error as _};
    use serde::ser::Serializer;
    use time::OffsetDateTime;

    /// Writes the time, or null.
    pub fn serialize<S: Serializer>(time: &Option<OffsetDateTime>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => super::serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads the time, or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<OffsetDateTime>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| super::parse(&text)).transpose().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Deserialize, Serialize)]
    struct Times {
        #[serde(with = "super")]
        one: OffsetDateTime,
        #[serde(with = "super::option")]
        other: Option<OffsetDateTime>,
    }

    fn written(one: &str) -> Option<String> {
        let text = format!(r#"{{"one":"{one}","other":null}}"#);
        let times: Times = serde_json::from_str(&text).ok()?;
        let times = Times { other: Some(times.one), ..times };
        let value = serde_json::to_value(&times).unwrap();
        assert_eq!(value["one"], value["other"]);
        Some(value["one"].as_str().unwrap().to_owned())
    }

    #[test]
    fn time_has_six_digits_of_a_second() {
        for (read, expected) in [
            ("2026-11-24T10:51:00Z", "2026-11-24T10:51:00.000000Z"),
            ("2026-11-24T10:51:00.5Z", "2026-11-24T10:51:00.500000Z"),
            ("2026-11-24T10:51:00.366368Z", "2026-11-24T10:51:00.366368Z"),
            ("2026-11-24T11:51:00.3663681+01:00", "2026-11-24T10:51:00.366368Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(written(read).as_deref(), Some(expected), "{read}");
        }
    }

    #[test]
    fn time_outside_the_years_of_utc_or_the_format_is_refused() {
        for text in [
            "9999-12-31T23:59:59-05:00",
            "0000-12-31T23:59:59Z",
            "0001-01-01T00:00:00+01:00",
            "yesterday",
            "",
            "2026-11-24110:51:00Z",
            "2026-11-24+10:51:00Z",
            "2026-11-24\\u000010:51:00Z",
            "2026-11-24X10:51:00Z",
        ] {
            assert_eq!(written(text), None, "{text}");
        }
        assert!(written("9999-12-31T23:59:59Z").is_some());
        assert_eq!(written("2026-11-24 10:51:00z"), written("2026-11-24t10:51:00Z"));
    }
}
