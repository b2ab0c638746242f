//! Turns an answer into an outcome. The status decides, and `Retry-After` sets the time of the next call.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use crate::work::Outcome;

/// The shortest wait that an endpoint can set. Without it, a 0 would make the processor call as fast as the queue delivers.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait that an endpoint can set: a day.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// The outcome for an answer; [`super`] has the table. `now` replaces a missing `Date` of the answer.
pub fn outcome(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Outcome {
    let cause = format!("the fulfilment endpoint answered {status}");
    match status.as_u16() {
        202 => Outcome::Wait(retry_after(headers, now)),
        200..=299 => Outcome::Complete,
        // 401, 403, 404 and 423 are a merchant's mistakes: a wrong secret, a firewall, a missing route, a locked account. A merchant
        // corrects them within minutes, and they must not fail orders until then.
        401 | 403 | 404 | 408 | 409 | 423 | 425 | 429 | 500..=599 => {
            Outcome::Retry { cause, after: retry_after(headers, now) }
        }
        _ => Outcome::Fail(cause),
    }
}

/// The wait in the answer, within bounds. `None` if there is none or it is not valid.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let mut values = headers.get_all(RETRY_AFTER).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let text = value.to_str().ok()?.trim();
    let wait = seconds(text).or_else(|| until(text, headers, now))?;
    Some(wait.clamp(SHORTEST_WAIT, LONGEST_WAIT))
}

/// Parses `120` or `1.5`, rounded up to whole seconds. A number beyond any clock becomes the longest wait.
fn seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let has_rest = fraction.bytes().any(|digit| digit != b'0');
    Some(Duration::from_secs(whole.parse().unwrap_or(u64::MAX).saturating_add(has_rest.into())))
}

/// Parses an HTTP date, relative to the answer's `Date` if it has one. A past date is no wait.
fn until(text: &str, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let date = httpdate::parse_http_date(text).ok()?;
    let sent = headers.get(DATE).and_then(|sent| httpdate::parse_http_date(sent.to_str().ok()?).ok());
    Some(date.duration_since(sent.unwrap_or(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "Thu, 26 Nov 2026 12:00:00 GMT";

    fn answered(status: u16, headers: &[(&'static str, &str)]) -> Outcome {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        outcome(StatusCode::from_u16(status).unwrap(), &headers, httpdate::parse_http_date(NOW).unwrap())
    }

    #[test]
    fn outcome_of_a_status_follows_the_table() {
        let all = |statuses: &[u16], expected: fn(&Outcome) -> bool| {
            for status in statuses {
                let outcome = answered(*status, &[]);
                assert!(expected(&outcome), "{status}: {outcome:?}");
            }
        };
        all(&[200, 201, 203, 204, 299], |outcome| *outcome == Outcome::Complete);
        all(&[202], |outcome| *outcome == Outcome::Wait(None));
        all(&[401, 403, 404, 408, 409, 423, 425, 429, 500, 502, 503, 504, 599], |outcome| {
            matches!(outcome, Outcome::Retry { after: None, .. })
        });
        all(&[301, 304, 307, 400, 402, 405, 410, 413, 422, 451, 999], |outcome| matches!(outcome, Outcome::Fail(_)));
    }

    #[test]
    fn retry_after_is_read_or_replaced_by_the_back_off() {
        let day = 86400;
        for (value, expected) in [
            ("30", Some(30)),
            (" 30 ", Some(30)),
            ("0", Some(1)),
            ("000", Some(1)),
            ("86401", Some(day)),
            ("18446744073709551616", Some(day)),
            ("99999999999999999999999999999999.9", Some(day)),
            ("1.5", Some(2)),
            ("2.000", Some(2)),
            ("0.001", Some(1)),
            ("Thu, 26 Nov 2026 12:01:30 GMT", Some(90)),
            ("Thursday, 26-Nov-26 12:01:30 GMT", Some(90)),
            ("Thu Nov 26 12:01:30 2026", Some(90)),
            ("Thu, 26 Nov 2026 11:00:00 GMT", Some(1)),
            ("Thu, 26 Nov 2076 11:00:00 GMT", Some(day)),
            ("60, 120", None),
            ("-5", None),
            ("+5", None),
            ("1e3", None),
            ("1.", None),
            (".5", None),
            ("1.5.2", None),
            ("NaN", None),
            ("soon", None),
            ("", None),
        ] {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(answered(202, &[("retry-after", value)]), Outcome::Wait(expected), "{value}");
            for status in [429, 503] {
                let Outcome::Retry { after, .. } = answered(status, &[("retry-after", value)]) else {
                    panic!("{status} is no retry")
                };
                assert_eq!(after, expected, "{status} {value}");
            }
        }
        assert_eq!(answered(202, &[("retry-after", "60"), ("retry-after", "120")]), Outcome::Wait(None));
    }

    #[test]
    fn retry_after_date_is_relative_to_the_endpoint_s_clock() {
        let headers = [("date", "Thu, 26 Nov 2026 12:10:00 GMT"), ("retry-after", "Thu, 26 Nov 2026 12:10:07 GMT")];
        assert_eq!(answered(202, &headers), Outcome::Wait(Some(Duration::from_secs(7))));
        let headers = [("date", "yesterday"), ("retry-after", "Thu, 26 Nov 2026 12:00:07 GMT")];
        assert_eq!(answered(202, &headers), Outcome::Wait(Some(Duration::from_secs(7))));
    }
}
