//! The files of an export: its output and its position.

use std::fs::{metadata, read_link, remove_file};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::state::temporary;
use crate::exit::Failure;
use crate::options::Export;

/// Fails if the file of `--resume` is also the file of `--file`: storing the position would replace the orders.
pub fn check(export: &Export) -> Result<(), Failure> {
    let (Some(file), Some(resume)) = (&export.file, &export.resume) else { return Ok(()) };
    if [resume, &temporary(resume)].into_iter().any(|written| is_same(file, written)) {
        let problem = format!("--resume would store its position in the file of --file, {}", file.display());
        return Err(Failure::Usage(format!("{problem}; name another file")));
    }
    Ok(())
}

/// Removes the files of an export that has written no order, so that the same command can begin again.
pub fn remove(export: &Export) {
    for file in [&export.file, &export.resume].into_iter().flatten() {
        let _ = remove_file(file); // A file that stays is empty, or a position at the beginning.
    }
}

/// Whether both paths lead to the same file, even by a link, and even if it does not exist yet.
fn is_same(one: &Path, other: &Path) -> bool {
    match (metadata(one), metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => location(one) == location(other),
    }
}

/// The absolute path that a new file would have.
fn location(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let target = read_link(path).ok();
    folder.join(target.as_deref().or(path.file_name().map(Path::new)).unwrap_or(path))
}
