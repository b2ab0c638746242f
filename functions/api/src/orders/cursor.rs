//! The opaque cursor of a list: the place of the last order that was shown.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use shared::db::orders::Position;
use time::OffsetDateTime;

/// The cursor that goes on after this place.
pub fn encode(position: &Position) -> String {
    let micros = position.created_at.unix_timestamp_nanos() / 1000;
    BASE64_URL_SAFE_NO_PAD.encode(format!("{micros}/{}", position.order_id))
}

/// The place that a cursor goes on after, or nothing where it is not one of ours.
pub fn decode(cursor: &str) -> Option<Position> {
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (micros, order_id) = text.split_once('/')?;
    let nanos = micros.parse::<i128>().ok()?.checked_mul(1000)?;
    let created_at = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
    // PostgreSQL's timestamps end before those of this type do; no order is older than the era.
    let in_range = (0..=9999).contains(&created_at.year());
    in_range.then_some(Position { created_at, order_id: order_id.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_keeps_the_microsecond_and_the_id() {
        let created_at = OffsetDateTime::from_unix_timestamp_nanos(1_700_000_000_123_456_000).unwrap();
        let position = Position { created_at, order_id: "a:b-1".parse().unwrap() };
        assert_eq!(decode(&encode(&position)), Some(position));
    }

    #[test]
    fn what_is_no_cursor_of_ours_is_refused() {
        let encoded = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        for cursor in
            ["", "!", "AAAA", &encoded("1"), &encoded("x/y"), &encoded("1/a b"), &encoded("9".repeat(40).as_str())]
        {
            assert_eq!(decode(cursor), None, "{cursor}");
        }
        assert_eq!(decode(&encoded("-99999999999999999/a")), None);
    }
}
