//! An import that waits for a second person: two actors release a list as a whole, as they release a single listing.

use minicbor::{Decode, Encode};

use super::FileKind;

/// Where a staged import stands. The numbers are on disk for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
#[repr(u8)]
pub enum ImportState {
    /// It waits for its release.
    #[n(1)]
    Staged = 1,
    /// A second actor has released it; its rows are being taken.
    #[n(2)]
    Released = 2,
    /// Its rows were taken, those that could be.
    #[n(3)]
    Taken = 3,
    /// It was refused.
    #[n(4)]
    Rejected = 4,
    /// Nobody released it in time, or it was not taken to its end in time.
    #[n(5)]
    Lapsed = 5,
}

/// What happens to a staged import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportAction {
    /// A second actor releases it; once more where taking its rows broke off.
    Release,
    /// It is refused.
    Reject,
    /// Its last row was read.
    Finish,
    /// Its time is over, by the clock.
    Lapse,
}

impl ImportState {
    /// Whether its file still has to be there.
    pub fn is_open(self) -> bool {
        match self {
            ImportState::Staged | ImportState::Released => true,
            ImportState::Taken | ImportState::Rejected | ImportState::Lapsed => false,
        }
    }

    /// Where it stands after an action; `None` where that action is not for it.
    pub fn next(self, action: ImportAction) -> Option<ImportState> {
        match (self, action) {
            (ImportState::Staged | ImportState::Released, ImportAction::Release) => Some(ImportState::Released),
            (ImportState::Staged, ImportAction::Reject) => Some(ImportState::Rejected),
            (ImportState::Released, ImportAction::Finish) => Some(ImportState::Taken),
            (ImportState::Staged | ImportState::Released, ImportAction::Lapse) => Some(ImportState::Lapsed),
            // What is being taken is refused no more: each of its listings has its own way out.
            (ImportState::Released, ImportAction::Reject)
            | (ImportState::Staged, ImportAction::Finish)
            | (ImportState::Taken | ImportState::Rejected | ImportState::Lapsed, _) => None,
        }
    }
}

/// What became, or would become, of an import's rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct ImportCounts {
    /// New listings or relations.
    #[n(0)]
    pub added: u64,
    /// Amended listings.
    #[n(1)]
    pub amended: u64,
    /// Rows that were there already.
    #[n(2)]
    pub unchanged: u64,
    /// Rows not taken.
    #[n(3)]
    pub faults: u64,
    /// Rows taken that had soft faults.
    #[n(4)]
    pub warnings: u64,
}

/// A file that waits: what its sealed copy on the disk is, and how it is opened. Sealed in the journal, since it holds the key.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct StagedImport {
    /// The client that sent it.
    #[n(0)]
    pub client: String,
    /// What its rows are.
    #[n(1)]
    pub file: FileKind,
    /// Its first line.
    #[n(2)]
    pub header: String,
    /// Rows that differ from a listing in force are amendments.
    #[n(3)]
    pub amend: bool,
    /// Rows in it.
    #[n(4)]
    pub rows: u64,
    /// SHA-256 over its raw bytes between header and trailer.
    #[n(5)]
    #[cbor(with = "minicbor::bytes")]
    pub sha256: [u8; 32],
    /// The line of its trailer, from 1.
    #[n(6)]
    pub trailer_line: u64,
    /// Bytes of column row and rows.
    #[n(7)]
    pub body_bytes: u64,
    /// All bytes kept, the trailer's included.
    #[n(8)]
    pub kept_bytes: u64,
    /// Its text is GB 18030, else UTF-8.
    #[n(9)]
    pub gb18030: bool,
    /// The name of the sealed copy.
    #[n(10)]
    #[cbor(with = "minicbor::bytes")]
    pub copy: [u8; 16],
    /// The key of the sealed copy.
    #[n(11)]
    #[cbor(with = "minicbor::bytes")]
    pub key: [u8; 32],
    /// What its rows would have come to when it was staged.
    #[n(12)]
    pub foreseen: ImportCounts,
}

impl std::fmt::Debug for StagedImport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StagedImport").field("file", &self.file).field("rows", &self.rows).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_table_of_states_and_actions() {
        use ImportAction::{Finish, Lapse, Reject, Release};
        use ImportState::{Lapsed, Rejected, Released, Staged, Taken};
        let table = [
            (Staged, [Some(Released), Some(Rejected), None, Some(Lapsed)]),
            (Released, [Some(Released), None, Some(Taken), Some(Lapsed)]),
            (Taken, [None; 4]),
            (Rejected, [None; 4]),
            (Lapsed, [None; 4]),
        ];
        for (state, after) in table {
            assert_eq!(state.is_open(), after.iter().any(Option::is_some), "{state:?}");
            for (action, expected) in [Release, Reject, Finish, Lapse].into_iter().zip(after) {
                assert_eq!(state.next(action), expected, "{state:?} {action:?}");
            }
        }
    }
}
