//! Files that are written once, or replaced whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::error::CertsError;

/// Held until dropped: two commands at once would lose each other's register entries.
pub(super) fn lock(dir: &Path) -> Result<File, CertsError> {
    let path = dir.join(".lock");
    let file = OpenOptions::new().create(true).append(true).open(&path).map_err(io_error(&path))?;
    file.lock().map_err(io_error(&path))?;
    Ok(file)
}

pub(super) fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), CertsError> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(|source| {
        if source.kind() == io::ErrorKind::AlreadyExists {
            CertsError::Exists { path: path.to_owned() }
        } else {
            io_error(path)(source)
        }
    })?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io_error(path))?;
    sync_dir(path)
}

/// Replaces a file at once: a hub that reloads in between reads the old one or the new one. The caller holds the lock.
pub(super) fn replace(path: &Path, text: &str) -> Result<(), CertsError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file = File::create(&new).map_err(io_error(&new))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io_error(&new))?;
    fs::rename(&new, path).map_err(io_error(path))?;
    sync_dir(path)
}

fn sync_dir(path: &Path) -> Result<(), CertsError> {
    let dir = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error(dir))
}

pub(super) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> CertsError {
    let path = path.to_owned();
    |source| CertsError::Io { path, source }
}
