//! The opaque cursor of a list: the place of the last order that was shown.

use shared::db::orders::Position;
use time::OffsetDateTime;

/// What a cursor looks like: microseconds since 1970 in hexadecimal digits, and an order's identifier. Whatever looks like
/// this is a place in the list, so the OpenAPI document can say what is taken. PostgreSQL's timestamps go further.
pub const PATTERN: &str = r"^[0-9a-f]{14}(?!\.{1,2}$)[A-Za-z0-9._:-]{1,64}$";
/// How many of the digits there are: enough until the year 4253.
const DIGITS: usize = 14;

/// The cursor that goes on after this place.
pub fn encode(position: &Position) -> String {
    let micros = position.created_at.unix_timestamp_nanos() / 1000;
    format!("{micros:0DIGITS$x}{}", position.order_id)
}

/// The place that a cursor goes on after, or nothing where it is not one of ours.
pub fn decode(cursor: &str) -> Option<Position> {
    let (digits, order_id) = cursor.split_at_checked(DIGITS)?;
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let micros = digits.bytes().all(is_digit).then(|| i128::from_str_radix(digits, 16).ok())??;
    let created_at = OffsetDateTime::from_unix_timestamp_nanos(micros * 1000).ok()?;
    Some(Position { created_at, order_id: order_id.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_keeps_the_microsecond_and_the_id() {
        let created_at = OffsetDateTime::from_unix_timestamp_nanos(1_700_000_000_123_456_000).unwrap();
        let position = Position { created_at, order_id: "a:b-1".parse().unwrap() };
        assert_eq!(encode(&position), "060a2418202240a:b-1");
        assert_eq!(decode(&encode(&position)), Some(position));
    }

    #[test]
    fn whatever_looks_like_a_cursor_is_a_place() {
        for cursor in ["00000000000000a".to_owned(), format!("ffffffffffffff{}", "x".repeat(64))] {
            assert_eq!(encode(&decode(&cursor).unwrap()), cursor);
        }
    }

    #[test]
    fn what_is_no_cursor_of_ours_is_refused() {
        let too_long = format!("00000000000000{}", "x".repeat(65));
        for cursor in [
            "",
            "!",
            "00000000000000",
            "00000000000000.",
            "0000000000000a b",
            "0000000000000Fa",
            "+0000000000000a",
            "000000000000aüa",
            &too_long,
        ] {
            assert_eq!(decode(cursor), None, "{cursor}");
        }
    }
}
