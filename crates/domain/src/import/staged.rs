//! An import that waits: for a second person, as two actors release a list as a whole, as they release a single listing; or, a
//! complete list, for whoever confirms what it takes off the list.

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
    /// A complete list, of which what it doesn't name is lifted; its additions wait for their release.
    #[n(6)]
    Confirmed = 6,
}

/// What happens to a staged import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportAction {
    /// A second actor releases it; once more where taking its rows broke off.
    Release,
    /// One actor confirms what a complete list takes off the list; once more where that broke off.
    Confirm {
        /// What it adds takes a second person.
        additions_wait: bool,
    },
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
            ImportState::Staged | ImportState::Confirmed | ImportState::Released => true,
            ImportState::Taken | ImportState::Rejected | ImportState::Lapsed => false,
        }
    }

    /// Where it stands after an action; `None` where that action is not for it.
    pub fn next(self, action: ImportAction) -> Option<ImportState> {
        match (self, action) {
            (ImportState::Staged | ImportState::Confirmed | ImportState::Released, ImportAction::Release)
            | (ImportState::Staged, ImportAction::Confirm { additions_wait: false })
            // What was within one actor's right when it was confirmed goes on: the removals alone have made the list shorter.
            | (ImportState::Released, ImportAction::Confirm { .. }) => Some(ImportState::Released),
            (ImportState::Staged, ImportAction::Confirm { additions_wait: true })
            | (ImportState::Confirmed, ImportAction::Confirm { .. }) => Some(ImportState::Confirmed),
            (ImportState::Staged | ImportState::Confirmed, ImportAction::Reject) => Some(ImportState::Rejected),
            (ImportState::Released, ImportAction::Finish) => Some(ImportState::Taken),
            (ImportState::Staged | ImportState::Confirmed | ImportState::Released, ImportAction::Lapse) => {
                Some(ImportState::Lapsed)
            }
            // What is being taken is refused no more: each of its listings has its own way out.
            (ImportState::Released, ImportAction::Reject)
            | (ImportState::Staged | ImportState::Confirmed, ImportAction::Finish)
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
    /// Of a complete list: what else it came to.
    #[n(5)]
    pub list: Option<ListCounts>,
}

/// What a complete list comes to beside what its rows add, amend and leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct ListCounts {
    /// Listings in force that it does not name: lifted, or to be.
    #[n(0)]
    pub gone: u64,
    /// Listings that were published, changed or lifted after its time: nothing in it touches them.
    #[n(1)]
    pub newer: u64,
    /// Listings that it would change as no import may: left for a request of their own.
    #[n(2)]
    pub differing: u64,
    /// Additions that wait for a second person.
    #[n(3)]
    pub waiting: u64,
    /// The court's listings in force beforehand.
    #[n(4)]
    pub in_force: u64,
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
    /// Of a complete list: the last revision that was recorded before its time. What was recorded later it doesn't know of.
    #[n(13)]
    pub knows: Option<u64>,
}

impl std::fmt::Debug for StagedImport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StagedImport").field("file", &self.file).field("rows", &self.rows).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_table_of_states_and_actions() {
        use ImportAction::{Confirm, Finish, Lapse, Reject, Release};
        use ImportState::{Confirmed, Lapsed, Rejected, Released, Staged, Taken};
        let (one, two) = (Confirm { additions_wait: false }, Confirm { additions_wait: true });
        let table = [
            (Staged, [Some(Released), Some(Released), Some(Confirmed), Some(Rejected), None, Some(Lapsed)]),
            (Confirmed, [Some(Released), Some(Confirmed), Some(Confirmed), Some(Rejected), None, Some(Lapsed)]),
            (Released, [Some(Released), Some(Released), Some(Released), None, Some(Taken), Some(Lapsed)]),
            (Taken, [None; 6]),
            (Rejected, [None; 6]),
            (Lapsed, [None; 6]),
        ];
        for (state, after) in table {
            assert_eq!(state.is_open(), after.iter().any(Option::is_some), "{state:?}");
            for (action, expected) in [Release, one, two, Reject, Finish, Lapse].into_iter().zip(after) {
                assert_eq!(state.next(action), expected, "{state:?} {action:?}");
            }
        }
    }

    #[test]
    fn what_any_other_file_comes_to_is_written_and_read_as_before_there_were_lists() {
        let counts = ImportCounts { added: 1, amended: 2, unchanged: 3, faults: 4, warnings: 5, list: None };
        let before = minicbor::to_vec([1_u64, 2, 3, 4, 5]).unwrap();
        assert_eq!(minicbor::to_vec(counts).unwrap(), before);
        assert_eq!(minicbor::decode::<ImportCounts>(&before).unwrap(), counts);
    }
}
