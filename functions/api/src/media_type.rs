//! Content negotiation by the `Accept` header (RFC 9110, 12.5.1).

use axum::http::{HeaderMap, header};

/// The offered media type that the client prefers. Returns the first one if it prefers several equally or accepts none.
pub fn preferred<'a>(headers: &HeaderMap, offered: &[&'a str]) -> Option<&'a str> {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<_> = values.flat_map(|value| value.split(',')).map(Range::new).collect();
    let best = offered.iter().rev().max_by(|one, other| quality(&ranges, one).total_cmp(&quality(&ranges, other)));
    best.filter(|best| quality(&ranges, best) > 0.0).or(offered.first()).copied()
}

/// The weight of a media type, 0 to 1, from its most specific range.
fn quality(ranges: &[Range], media_type: &str) -> f32 {
    let matching = ranges.iter().filter_map(|range| Some((range.specificity(media_type)?, range.quality)));
    let best = matching.max_by(|one, other| one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)));
    best.map_or(0.0, |(_, quality)| quality)
}

/// A media range and its weight. Other parameters, such as a version, are ignored.
struct Range<'a> {
    media_range: &'a str,
    quality: f32,
}

impl<'a> Range<'a> {
    fn new(text: &'a str) -> Self {
        let (media_range, parameters) = text.split_once(';').unwrap_or((text, ""));
        let weight = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
        let weight =
            weight.filter(|(name, _)| name.trim().eq_ignore_ascii_case("q")).find_map(|(_, q)| q.trim().parse().ok());
        Self { media_range: media_range.trim(), quality: weight.unwrap_or(1.0) }
    }

    /// How specifically the range names this type, or `None` if it does not match.
    fn specificity(&self, media_type: &str) -> Option<u8> {
        let family = media_type.split_once('/').map_or("", |(family, _)| family);
        match self.media_range.split_once('/') {
            Some(("*", "*")) => Some(0),
            Some((range, "*")) if range.eq_ignore_ascii_case(family) => Some(1),
            _ if self.media_range.eq_ignore_ascii_case(media_type) => Some(2),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = "application/json";
    const TEXT: &str = "text/plain";

    fn chosen(accept: &str) -> &'static str {
        let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]);
        preferred(&headers, &[JSON, "application/openmetrics-text", TEXT]).unwrap()
    }

    #[test]
    fn media_type_with_the_highest_weight_is_chosen() {
        for (accept, expected) in [
            ("", JSON),
            ("*/*", JSON),
            ("application/*", JSON),
            ("text/*", TEXT),
            ("Text/Plain; version=0.0.4", TEXT),
            ("text/plain;version=0.0.4;q=0.9, application/json;q=0.8", TEXT),
            ("application/json; q=0, */*;q=0.1", "application/openmetrics-text"),
            ("application/openmetrics-text;q=0", JSON),
            ("application/openmetrics-text; Q=0.0, text/plain", TEXT),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", JSON),
            ("image/png", JSON),
            ("*/*;q=0", JSON),
        ] {
            assert_eq!(chosen(accept), expected, "{accept}");
        }
    }

    #[test]
    fn prometheus_gets_openmetrics_as_it_prefers() {
        let accept = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(chosen(accept), "application/openmetrics-text");
    }
}
