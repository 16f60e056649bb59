//! One directory of files, with exactly the operations whose durability the ledger reasons about.
//!
//! A [`Storage`] promises what POSIX and Linux promise and no more: a write is durable once a later
//! [`StorageFile::sync_data`] of that file returned `Ok`; a name (created, renamed, removed) is durable
//! once a later [`Storage::sync_dir`] returned `Ok`; until then either may survive a power cut, or
//! not, in part, and in any order. After a failed sync the kernel drops the dirty pages and calls them
//! clean, so a second sync "succeeds" without the data: callers must stop, not retry.
//!
//! Two implementations: [`FileStorage`] for real directories, and [`sim::SimStorage`], which keeps
//! everything in memory and loses, tears and reorders whatever was not synced.

use std::any::Any;
use std::fmt;
use std::io;
use std::sync::Arc;

mod file;
#[doc(hidden)]
pub mod sim;

pub use file::FileStorage;

/// How [`Storage::open`] opens a file. Names are plain file names, never paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Make the file for reading and writing; `AlreadyExists` when it is there.
    CreateNew,
    /// Open an existing file for reading and writing; `NotFound` when missing.
    ReadWrite,
    /// Open an existing file for reading; `NotFound` when missing.
    ReadOnly,
}

/// One directory. See the module's promise for what is durable when.
pub trait Storage: Send + Sync + fmt::Debug {
    /// Opens or makes the file `name`.
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>>;
    /// Renames `from` to `to`, replacing `to`, in one step that a crash never splits.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes the file `name`; open handles stay readable.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Names of the files in this directory (sub-directories left out), sorted.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Makes the directory's entries durable (`fsync` of the directory).
    fn sync_dir(&self) -> io::Result<()>;
    /// The sub-directory `name`, made durably when missing.
    fn dir(&self, name: &str) -> io::Result<Arc<dyn Storage>>;
    /// Takes the exclusive lock of the file `name` (made when missing), or fails with `WouldBlock` when
    /// another process, or another handle of this one, holds it.
    fn lock(&self, name: &str) -> io::Result<StorageLock>;
}

/// One open file. Positioned reads and writes only, so handles are shared between threads.
// No `is_empty`: nothing here ever asks, preallocated files are never empty.
#[allow(clippy::len_without_is_empty)]
pub trait StorageFile: Send + Sync + fmt::Debug {
    /// Fills `buf` from `offset`; `UnexpectedEof` when the file ends first.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `buf` at `offset`, growing the file where needed. After an error any part of it may be
    /// written.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// Makes all earlier writes to this file durable (`fdatasync`), its length included.
    fn sync_data(&self) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Grows the file to `len` bytes of zeros with their blocks reserved, so that writes inside it can't meet
    /// a full disk; never shrinks it. `StorageFull` when the space isn't there.
    fn preallocate(&self, len: u64) -> io::Result<()>;
}

/// An exclusive lock, released on drop.
pub struct StorageLock(#[allow(dead_code)] Box<dyn Any + Send + Sync>);

impl fmt::Debug for StorageLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StorageLock")
    }
}

/// True for the errors that mean "no space": a full disk, or a full quota.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
