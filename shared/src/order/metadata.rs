//! An order's metadata: what a client wants to find again in answers and in calls of its webhook.

use std::collections::BTreeMap;

use super::Invalid;

/// At most 20 texts of up to 500 characters by keys of 1 to 40 characters. Keys have no control characters, and values no NUL.
/// They are sorted by their keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata(BTreeMap<String, String>);

impl Metadata {
    /// The most entries.
    pub const MAX_ENTRIES: usize = 20;
    /// The longest key, in characters.
    pub const MAX_KEY: usize = 40;
    /// The longest value, in characters.
    pub const MAX_VALUE: usize = 500;

    /// The entries as JSON, for the database; `None` if there are none.
    #[must_use]
    pub fn to_json(&self) -> Option<String> {
        // Serialising texts can't fail.
        (!self.0.is_empty()).then(|| serde_json::to_string(&self.0).unwrap_or_default())
    }

    /// Stored entries; `None` if the text is no object of strings.
    #[must_use]
    pub fn stored(json: Option<&str>) -> Option<Self> {
        json.map_or(Some(Self::default()), |json| serde_json::from_str(json).ok().map(Self))
    }
}

impl From<Metadata> for BTreeMap<String, String> {
    fn from(metadata: Metadata) -> Self {
        metadata.0
    }
}

impl TryFrom<BTreeMap<String, String>> for Metadata {
    type Error = Vec<(Option<String>, Invalid)>;

    /// Fails with every bad entry and its key, or without a key if there are too many entries.
    fn try_from(entries: BTreeMap<String, String>) -> Result<Self, Self::Error> {
        if entries.len() > Self::MAX_ENTRIES {
            return Err(vec![(None, Invalid("must have at most 20 members"))]);
        }
        let bad: Vec<_> =
            (entries.iter()).filter_map(|(key, value)| Some((Some(key.clone()), Self::problem(key, value)?))).collect();
        if bad.is_empty() { Ok(Self(entries)) } else { Err(bad) }
    }
}

impl Metadata {
    fn problem(key: &str, value: &str) -> Option<Invalid> {
        if !super::is_label(key, Self::MAX_KEY) {
            Some(Invalid("must have a name of 1 to 40 characters, none of them a control character"))
        } else if value.chars().count() > Self::MAX_VALUE || value.contains('\0') {
            Some(Invalid("must be a string of at most 500 characters, none of them U+0000"))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(entries: &[(&str, &str)]) -> Vec<Option<String>> {
        let entries = entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let checked = Metadata::try_from(entries.collect::<BTreeMap<_, _>>());
        checked.err().unwrap_or_default().into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn metadata_is_bounded_in_each_way() {
        let (key, value) = ("ü".repeat(40), "𝄞".repeat(500));
        assert_eq!(problems(&[(&key, &value), ("k", ""), ("lines", "a\nb\t\u{1}")]), []);
        let (long_key, long_value) = ("k".repeat(41), "v".repeat(501));
        let bad = [("", "v"), ("a\n", "v"), (&*long_key, "v"), ("long", &*long_value), ("nul", "a\0b"), ("good", "v")];
        let expected = ["", "a\n", &long_key, "long", "nul"].map(|key| Some(key.to_owned()));
        assert_eq!(problems(&bad), expected);
        let many: Vec<_> = (0..21).map(|index| index.to_string()).collect();
        let many: Vec<_> = many.iter().map(|key| (key.as_str(), "v")).collect();
        assert_eq!(problems(&many), [None]);
        assert_eq!(problems(&many[..20]), []);
    }

    #[test]
    fn stored_metadata_reads_back_and_nothing_is_stored_for_none() {
        let entries = BTreeMap::from([("b".to_owned(), "\"\\".to_owned()), ("a".to_owned(), String::new())]);
        let metadata = Metadata::try_from(entries).unwrap();
        assert_eq!(Metadata::stored(metadata.to_json().as_deref()), Some(metadata));
        assert_eq!((Metadata::default().to_json(), Metadata::stored(None)), (None, Some(Metadata::default())));
        assert_eq!(Metadata::stored(Some("[]")), None);
    }
}
