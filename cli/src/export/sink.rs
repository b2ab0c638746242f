//! The target of an export, a file or standard output, and the checksum of its content.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write, stdout};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::state::{PRIVATE, State};
use super::{Encoder, Format};
use crate::exit::{Exit, Failure};
use crate::options::Export;

/// A file or standard output.
pub struct Sink {
    /// `None` for standard output.
    file: Option<File>,
    digest: Sha256,
    bytes: u64,
}

impl Sink {
    /// Opens the file at the size in the state, and reads its content for the checksum. It never overwrites the file of
    /// another export.
    pub fn open(export: &Export, state: &State) -> Result<Self, Failure> {
        let mut sink = Self { file: None, digest: Sha256::new(), bytes: 0 };
        if let Some(path) = &export.file {
            if state.bytes > 0 && !state.is_complete && has_other_heading(path, export.format)? {
                let problem =
                    "is a table of another version of ordermill, with other columns; finish it with that version";
                return Err(Failure::Usage(format!("{} {problem}", path.display())));
            }
            let file = if state.is_new { create(path) } else { sink.reopen(path, state) };
            sink.file = Some(file.map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => Failure::Usage(format!("{} exists; name a new file", path.display())),
                _ => Failure::Usage(format!("{} can't be used: {error}", path.display())),
            })?);
        }
        Ok(sink)
    }

    /// Reads the bytes of the state, and cuts off the rest: a page that was not complete. Fails if the file does not begin with these
    /// bytes. Before the first page the file must be empty.
    fn reopen(&mut self, path: &Path, state: &State) -> io::Result<File> {
        let mut file = lock(OpenOptions::new().read(true).write(true).open(path)?)?;
        let size = state.bytes;
        let mut buffer = vec![0; 1 << 16];
        while self.bytes < size {
            let most = usize::try_from(size - self.bytes).unwrap_or(usize::MAX).min(buffer.len());
            let read = file.read(&mut buffer[..most])?;
            if read == 0 {
                return Err(io::Error::other("it is shorter than the file of --resume says"));
            }
            self.add(&buffer[..read]);
        }
        if self.checksum() != state.sha256 || size == 0 && file.metadata()?.len() > 0 {
            return Err(io::Error::other("it is not the file that the export of --resume has written"));
        }
        file.set_len(size)?;
        file.seek(SeekFrom::End(0))?;
        Ok(file)
    }

    /// Writes a page. If that fails, the file has none of it.
    pub fn write(&mut self, page: &[u8]) -> Result<(), Failure> {
        let written = match &mut self.file {
            Some(file) => file.write_all(page),
            None => stdout().write_all(page).and_then(|()| stdout().flush()),
        };
        match written {
            Err(error) if self.file.is_none() && error.kind() == ErrorKind::BrokenPipe => {
                std::process::exit(Exit::Unread as i32)
            }
            Err(error) => {
                // If the system refuses this too, a resume cuts the page off.
                let _ = self.file.as_ref().map(|file| file.set_len(self.bytes));
                Err(Failure::Other(format!("the output can't be written: {error}")))
            }
            Ok(()) => {
                self.add(page);
                Ok(())
            }
        }
    }

    /// Makes the page durable, then the state that says so.
    pub fn save(&mut self, export: &Export, state: &mut State) -> Result<(), Failure> {
        (state.bytes, state.sha256) = (self.bytes, self.checksum());
        let Some(path) = &export.resume else { return Ok(()) };
        if let Some(file) = &self.file {
            file.sync_data().map_err(|error| Failure::Other(format!("the output can't be written: {error}")))?;
        }
        state.save(path)
    }

    /// Whether nothing is written yet.
    pub const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The SHA-256 of all that is written, in hexadecimal digits.
    pub fn checksum(&self) -> String {
        hex::encode(self.digest.clone().finalize())
    }

    fn add(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

/// Whether the file begins unlike a table of this version.
fn has_other_heading(path: &Path, format: Format) -> Result<bool, Failure> {
    let heading = Encoder::new(format, true).finish()?;
    let mut begun = vec![0; heading.len()];
    Ok(File::open(path).and_then(|mut file| file.read_exact(&mut begun)).is_ok() && begun != heading)
}

fn create(path: &Path) -> io::Result<File> {
    lock(OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path)?)
}

/// Locks the file, so that two runs of an export do not overwrite each other's pages. Some file systems have no locks.
fn lock(file: File) -> io::Result<File> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(io::Error::other("another run of this export is writing it")),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}
