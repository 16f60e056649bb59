use std::io;

use super::format::{FORMAT, Position};

/// Why a log can't be opened, read or appended to. Offsets are bytes from the start of the named file.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The system refused an operation. On an append its outcome is unknown and the log is poisoned.
    #[error("log file {file}: {doing} failed: {source}")]
    Io {
        /// File name inside the log's directory.
        file: String,
        /// Which operation.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Stored bytes are not what was written, and not a torn tail either.
    #[error(
        "log file {file}: damaged at byte {offset}: {what}; nothing was changed: run `xinhubd fsck` and restore the \
         file from a backup"
    )]
    Corrupt {
        /// File name inside the log's directory.
        file: String,
        /// Where the damage begins.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Written by a newer version.
    #[error("log file {file}: format {found}, but this version knows up to {FORMAT}; use the version that wrote it")]
    NewerFormat {
        /// File name inside the log's directory.
        file: String,
        /// The format found.
        found: u16,
    },
    /// An earlier write or sync failed.
    #[error(
        "the log takes nothing more after a failed write or sync: stop, check the disk, and start again to recover"
    )]
    Poisoned,
    /// No space for another segment. Nothing was written; the log stays usable.
    #[error("no space for {needed_bytes} bytes of log: free some disk space; urgent entries still use the reserve")]
    Full {
        /// Size of the file that could not be reserved.
        needed_bytes: u64,
    },
    /// The payload is over the log's bound. Nothing was written.
    #[error("a log entry of {bytes} bytes is over the bound of {max_bytes}: split the batch")]
    TooLarge {
        /// Size of the payload.
        bytes: usize,
        /// The bound.
        max_bytes: usize,
    },
    /// Nothing is kept at this place: before the oldest segment, or past the end.
    #[error("no log frame at {position:?}: the log keeps {first:?} to {end:?}")]
    NoSuchFrame {
        /// What was asked for.
        position: Position,
        /// Start of the oldest segment kept.
        first: Position,
        /// End of the log.
        end: Position,
    },
    /// Nothing is kept under this sequence number.
    #[error("no log frame {sequence}: the log keeps {first} to {last}")]
    NoSuchSequence {
        /// What was asked for.
        sequence: u64,
        /// First frame kept.
        first: u64,
        /// Last frame.
        last: u64,
    },
    /// The file belongs to another log.
    #[error("log file {file}: belongs to another log ({what}): it was put into the wrong directory")]
    WrongLog {
        /// File name inside the log's directory.
        file: String,
        /// Which field differs.
        what: &'static str,
    },
    /// A log is there already.
    #[error("there is a log in this directory already: open it, or create the new one elsewhere")]
    Exists,
    /// No log is there.
    #[error("no log in this directory: restore it from a backup, or run `xinhubd init` for a new one")]
    Empty,
}

impl LogError {
    pub(super) fn io(file: &str, doing: &'static str, source: io::Error) -> Self {
        Self::Io { file: file.to_owned(), doing, source }
    }

    pub(super) fn corrupt(file: &str, offset: u64, what: &'static str) -> Self {
        Self::Corrupt { file: file.to_owned(), offset, what }
    }
}
