//! The position of an export: another run resumes there.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::Format;
use crate::exit::Failure;
use crate::options::Export;

/// The mode of the files of an export: only their owner reads them.
pub const PRIVATE: u32 = 0o600;

/// The state of an export after a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The API's URL.
    url: String,
    /// The user whose orders the token reads, and the user's groups; `None` if the token reads the orders of all users.
    user: Option<String>,
    /// The span's beginning, which belongs to it.
    #[serde(with = "time::serde::rfc3339")]
    pub from: OffsetDateTime,
    /// The span's end, which does not.
    #[serde(with = "time::serde::rfc3339")]
    pub to: OffsetDateTime,
    /// Whether the format is CSV.
    is_csv: bool,
    /// The page to read next; `None` for the newest.
    pub cursor: Option<String>,
    /// The number of orders so far.
    pub orders: u64,
    /// The size of the file so far.
    pub bytes: u64,
    /// The checksum of these bytes. A resume recognises the file by it.
    pub sha256: String,
    /// Whether all orders of the span are written.
    pub is_complete: bool,
    /// Whether the export has only begun and has no file yet.
    #[serde(skip)]
    pub is_new: bool,
}

impl State {
    /// The state in the export's file, or that of a new export. Fails if the file is that of another export.
    pub fn of(export: &Export, url: &str, user: Option<String>) -> Result<Self, Failure> {
        let to = export.to.unwrap_or_else(OffsetDateTime::now_utc);
        if export.from >= to {
            return Err(Failure::Usage("--from must be before --to, which is now by default".to_owned()));
        }
        let is_csv = export.format == Format::Csv;
        let new = Self {
            url: url.to_owned(),
            user,
            from: export.from,
            to,
            is_csv,
            cursor: None,
            orders: 0,
            bytes: 0,
            sha256: String::new(),
            is_complete: false,
            is_new: true,
        };
        let Some(file) = &export.resume else { return Ok(new) };
        new.check(&temporary(file))?;
        let Some(stored) = read(file)? else { return Ok(new) };
        let is_same = stored.resembles(&new) && export.to.is_none_or(|to| to == stored.to);
        is_same.then_some(stored).ok_or_else(|| {
            Failure::Usage(
                "the file of --resume belongs to an export with another --url, --from, --to or --format, or of another user's orders"
                    .to_owned(),
            )
        })
    }

    /// Stores the state: a reader finds this one or the one before, never a part.
    pub fn save(&self, file: &Path) -> Result<(), Failure> {
        let new = temporary(file);
        let text = serde_json::to_string(self).unwrap_or_default();
        self.check(&new)?;
        let _ = fs::remove_file(&new); // If it stays, it can't be created.
        let write = || {
            let mut written = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(&new)?;
            let stored = written.write_all(text.as_bytes()).and_then(|()| written.sync_all());
            // A part would stop a resume.
            stored.and_then(|()| fs::rename(&new, file)).inspect_err(|_| drop(fs::remove_file(&new)))
        };
        write().map_err(|error| Failure::Other(format!("{} can't be written: {error}", file.display())))
    }

    /// Fails if the temporary file exists and is not what a killed run of this export leaves: empty, or a state.
    fn check(&self, temporary: &Path) -> Result<(), Failure> {
        let Ok(found) = fs::symlink_metadata(temporary) else { return Ok(()) };
        let is_left =
            |text: String| text.is_empty() || serde_json::from_str(&text).is_ok_and(|state| self.resembles(&state));
        if found.is_file() && fs::read_to_string(temporary).is_ok_and(is_left) {
            return Ok(());
        }
        let name = temporary.display();
        Err(Failure::Usage(format!("{name} exists and is not of this export; move it away or name another --resume")))
    }

    /// Whether both are of the same orders in the same format, up to any end of the span.
    fn resembles(&self, other: &Self) -> bool {
        self.url == other.url && self.user == other.user && self.from == other.from && self.is_csv == other.is_csv
    }

    /// The length of the span in seconds, at least 1.
    pub fn length(&self) -> u64 {
        self.seconds_to(self.from).max(1)
    }

    /// How much of the length is exported, if the last page reached back to this time.
    pub fn position(&self, reached: Option<OffsetDateTime>) -> u64 {
        if self.is_complete { self.length() } else { reached.map_or(0, |reached| self.seconds_to(reached)) }
    }

    /// The seconds from the span's end back to a time, within the span.
    fn seconds_to(&self, time: OffsetDateTime) -> u64 {
        (self.to - time.clamp(self.from, self.to)).whole_seconds().unsigned_abs()
    }
}

/// The file that a state is written to before it replaces the one of `--resume`.
pub fn temporary(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

fn read(file: &Path) -> Result<Option<State>, Failure> {
    let name = file.display();
    match fs::read_to_string(file) {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| {
            Failure::Usage(format!("{name} is no position of this version of ordermill: {error}; begin a new export"))
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::Usage(format!("{name} can't be read: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    #[test]
    fn complete_export_has_the_position_of_its_whole_span() {
        let from = OffsetDateTime::UNIX_EPOCH;
        let to = Some(from + Duration::seconds(100));
        let export = Export { from, to, format: Format::Ndjson, file: None, resume: None, rate: 1 };
        let mut state = State::of(&export, "http://127.0.0.1:1", None).unwrap();
        assert_eq!(state.position(Some(from + Duration::seconds(60))), 40);
        state.is_complete = true;
        for reached in [None, Some(from + Duration::seconds(60))] {
            assert_eq!((state.position(reached), state.length()), (100, 100));
        }
    }
}
