//! Making, naming and reserving segment files. The order of steps is the promise; see the module docs of `seglog`.

use std::io;
use std::sync::Arc;

use super::LogError;
use super::format::{HEADER_BYTES, SegmentHeader};
use crate::storage::{OpenMode, Storage, StorageFile, is_full};

/// A segment that isn't one yet.
pub(super) const NEW: &str = "next.new";
/// A preallocated file of zeros, to become a segment when the disk is full.
pub(super) const RESERVE: &str = "reserve.spare";
const NEW_RESERVE: &str = "reserve.new";

/// Names of the segments, oldest first.
pub(super) fn names(storage: &dyn Storage) -> Result<Vec<String>, LogError> {
    let mut names = storage.list().map_err(|error| LogError::io("directory", "list", error))?;
    names.retain(|name| name.strip_suffix(".seg").is_some_and(|stem| stem.len() == 16));
    names.sort();
    Ok(names)
}

/// Removes what a crash left half made.
pub(super) fn remove_leftovers(storage: &dyn Storage) -> Result<(), LogError> {
    for name in [NEW, NEW_RESERVE] {
        remove_if_there(storage, name).map_err(|error| LogError::io(name, "remove", error))?;
    }
    Ok(())
}

/// Makes the file of a new segment under the name [`NEW`], durable but not yet part of the log.
/// [`LogError::Full`] when the disk has no room; nothing is left behind then.
pub(super) fn make(storage: &dyn Storage, header: &SegmentHeader) -> Result<Arc<dyn StorageFile>, LogError> {
    make_file(storage, NEW, header.capacity, &header.encode())
}

/// Gives the finished file `from` its segment name, durably.
pub(super) fn publish(storage: &dyn Storage, from: &str, header: &SegmentHeader) -> Result<(), LogError> {
    let name = header.name();
    storage.rename(from, &name).map_err(|error| LogError::io(&name, "rename", error))?;
    storage.sync_dir().map_err(|error| LogError::io("directory", "sync", error))
}

/// Makes sure that a reserve of `capacity` bytes is there.
pub(super) fn make_reserve(storage: &dyn Storage, capacity: u64) -> Result<(), LogError> {
    match storage.open(RESERVE, OpenMode::ReadOnly).and_then(|file| file.len()) {
        Ok(len) if len >= capacity => return Ok(()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(LogError::io(RESERVE, "open", error)),
    }
    make_file(storage, NEW_RESERVE, capacity, &[])?;
    storage.rename(NEW_RESERVE, RESERVE).map_err(|error| LogError::io(RESERVE, "rename", error))?;
    storage.sync_dir().map_err(|error| LogError::io("directory", "sync", error))
}

/// Turns the reserve into the segment of `header`, still under its own name; sets the capacity to what is there.
pub(super) fn take_reserve(
    storage: &dyn Storage,
    header: &mut SegmentHeader,
) -> Result<Arc<dyn StorageFile>, LogError> {
    let fault = |doing| move |error| LogError::io(RESERVE, doing, error);
    let file = storage.open(RESERVE, OpenMode::ReadWrite).map_err(fault("open"))?;
    header.capacity = file.len().map_err(fault("length"))?;
    file.write_at(&header.encode(), 0).map_err(fault("write"))?;
    file.sync_data().map_err(fault("sync"))?;
    Ok(file)
}

fn make_file(
    storage: &dyn Storage,
    name: &str,
    capacity: u64,
    header: &[u8],
) -> Result<Arc<dyn StorageFile>, LogError> {
    let file = match fill_file(storage, name, capacity, header) {
        // A full disk is only that when no trace stays behind.
        Err(error) if is_full(&error) && remove_if_there(storage, name).is_ok() => {
            return Err(LogError::Full { needed_bytes: capacity });
        }
        filled => filled.map_err(|error| LogError::io(name, "make", error))?,
    };
    // A failed sync is never taken for a full disk, whatever it says: something was lost.
    file.sync_data().map_err(|error| LogError::io(name, "sync", error))?;
    Ok(file)
}

fn fill_file(storage: &dyn Storage, name: &str, capacity: u64, header: &[u8]) -> io::Result<Arc<dyn StorageFile>> {
    remove_if_there(storage, name)?;
    let file = storage.open(name, OpenMode::CreateNew)?;
    file.preallocate(capacity)?;
    file.write_at(header, 0)?;
    Ok(file)
}

fn remove_if_there(storage: &dyn Storage, name: &str) -> io::Result<()> {
    match storage.remove(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Opens a segment for reading and checks its header against its name and length.
pub(super) fn open_checked(
    storage: &dyn Storage,
    name: &str,
    purpose: super::LogPurpose,
) -> Result<(Arc<dyn StorageFile>, SegmentHeader), LogError> {
    let file = storage.open(name, OpenMode::ReadOnly).map_err(|error| LogError::io(name, "open", error))?;
    let mut bytes = [0; HEADER_BYTES as usize];
    match file.read_at(&mut bytes, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(LogError::corrupt(name, 0, "shorter than a segment header"));
        }
        read => read.map_err(|error| LogError::io(name, "read", error))?,
    }
    let header = SegmentHeader::decode(name, &bytes, purpose)?;
    if header.name() != name {
        return Err(LogError::corrupt(name, 32, "first sequence differs from the file's name"));
    }
    let len = file.len().map_err(|error| LogError::io(name, "length", error))?;
    if len != header.capacity || header.capacity < HEADER_BYTES || header.base.checked_add(header.capacity).is_none() {
        return Err(LogError::corrupt(name, 48, "file length differs from the header's capacity"));
    }
    Ok((file, header))
}
