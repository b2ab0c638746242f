//! The opaque cursor of a list: the position of the last order on a page.

use shared::db::list::Position;
use shared::order::OrderId;
use time::OffsetDateTime;

/// The form of a cursor: microseconds since 1970 in hexadecimal digits, and an order's identifier. Every text of this form and of at
/// most [`MAX_LENGTH`] is a valid position, so that the OpenAPI document can state the rule. PostgreSQL's timestamps reach further.
pub const PATTERN: &str = r"^[0-9a-f]{14}(\.*[A-Za-z0-9_:-][A-Za-z0-9._:-]*|\.{3,})$";
/// The longest cursor, in characters.
pub const MAX_LENGTH: usize = DIGITS + OrderId::MAX_LENGTH;
/// The number of digits: enough until the year 4253.
const DIGITS: usize = 14;

/// The cursor of the orders after this position.
pub fn encode(position: &Position) -> String {
    let micros = position.created_at.unix_timestamp_nanos() / 1000;
    format!("{micros:0DIGITS$x}{}", position.order_id)
}

/// The position of a cursor, or `None` if the text is no cursor.
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
    fn cursor_keeps_the_microsecond_and_the_id() {
        let created_at = OffsetDateTime::from_unix_timestamp_nanos(1_700_000_000_123_456_000).unwrap();
        let position = Position { created_at, order_id: "a:b-1".parse().unwrap() };
        assert_eq!(encode(&position), "060a2418202240a:b-1");
        assert_eq!(decode(&encode(&position)), Some(position));
    }

    #[test]
    fn text_in_the_form_of_a_cursor_is_a_position() {
        for cursor in ["00000000000000a".to_owned(), format!("ffffffffffffff{}", "x".repeat(64))] {
            assert_eq!(encode(&decode(&cursor).unwrap()), cursor);
        }
    }

    #[test]
    fn text_in_another_form_is_no_cursor() {
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
