//! What the ledger is asked of files: to keep one until a second person has decided, and to take rows.

use xinhub_domain::case_number::CaseNumber;
use xinhub_domain::identity::Identity;
use xinhub_domain::import::{ImportCounts, ListFields, StagedImport};
use xinhub_domain::listing::{Actor, Content, RelationContent};
use xinhub_domain::time::Timestamp;

use super::CommandError;

/// What a court does with an import that waits.
#[derive(Clone, Debug)]
pub enum StagedCommand {
    /// Keeps its file until a second person has decided.
    Stage {
        /// The file.
        import: Box<StagedImport>,
    },
    /// Releases it: its rows may be taken. Once more where taking them broke off.
    Release {
        /// Which.
        import: u64,
    },
    /// One actor confirms what a complete list takes off the list. Once more where that broke off.
    Confirm {
        /// Which.
        import: u64,
        /// Why those are removed that it does not name; as for [`Command::Remove`](super::Command::Remove).
        ground: String,
        /// How many go.
        gone: u64,
        /// How many listings it adds.
        added: u64,
        /// The court's listings in force.
        in_force: u64,
    },
    /// Refuses it.
    Reject {
        /// Which.
        import: u64,
        /// Why.
        note: Option<String>,
    },
    /// Its last row was read.
    Finish {
        /// Which.
        import: u64,
        /// What became of its rows.
        counts: ImportCounts,
    },
}

/// At most this many rows in one batch, so that one batch is one entry.
pub const MAX_IMPORT_ROWS: usize = 1_000;

/// Rows of an import file, checked.
#[derive(Debug)]
pub struct ImportBatch {
    /// The clerk behind the import.
    pub actor: Actor,
    /// Say what would happen, and change nothing.
    pub dry_run: bool,
    /// Take a row that differs from its listing as an amendment.
    pub amend: bool,
    /// What the court's list was as of.
    pub as_of: Timestamp,
    /// The staged import that they are of; where two people release, without one that is released nothing is taken.
    pub released: Option<u64>,
    /// For rows of a complete list.
    pub complete: Option<Complete>,
    /// At most [`MAX_IMPORT_ROWS`].
    pub rows: Vec<ImportRow>,
}

impl ImportBatch {
    /// Whether it only frees: then it goes before everything else, as any lift.
    pub(crate) fn is_lift(&self) -> bool {
        !self.dry_run && self.rows.iter().all(|row| matches!(row, ImportRow::Gone(_)))
    }
}

/// Under what rows of a complete list are taken.
#[derive(Clone, Debug)]
pub struct Complete {
    /// The last revision that the list can know of: what was recorded later is newer than it, and is left as it is.
    pub knows: u64,
    /// Why those are removed that it does not name.
    pub ground: String,
}

/// One row of an import file.
#[derive(Clone, Debug)]
pub enum ImportRow {
    /// A listing that a complete list does not name.
    Gone(u64),
    /// Of the court's list.
    Listing(Box<Content>),
    /// Of the second file.
    Relation {
        /// Which listing it belongs to.
        listing: ListingRef,
        /// Who is related, and how.
        content: Box<RelationContent>,
    },
}

/// How a row of relations names its listing.
#[derive(Clone, Debug)]
pub enum ListingRef {
    /// By the hub's number.
    Number(u64),
    /// By case and subject.
    Case {
        /// The enforcement case.
        case_number: CaseNumber,
        /// Any identity of the subject.
        subject: Identity,
    },
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowOutcome {
    /// A new listing or relation.
    Added {
        /// Which listing.
        listing: u64,
    },
    /// The listing was amended.
    Amended {
        /// Which listing.
        listing: u64,
        /// In which fields.
        fields: ListFields,
    },
    /// A complete list does not name it: it was removed.
    Removed {
        /// Which listing.
        listing: u64,
    },
    /// It was published, changed or lifted after the complete list's time, and is left as it is.
    Newer {
        /// Which listing.
        listing: u64,
    },
    /// A complete list says something else, and no import may make it so.
    Differing {
        /// Which listing.
        listing: u64,
        /// In which fields; `state` where it is hidden.
        fields: ListFields,
    },
    /// A new listing, which waits for a second person.
    Waits,
    /// It was there already.
    Unchanged {
        /// Which listing.
        listing: u64,
    },
    /// It can't be taken.
    Fault(RowFault),
}

/// Why a row can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowFault {
    /// There is a listing of the same case and subject that says something else.
    #[error("differs from listing {listing} of the same case and subject; import with `amend` to take it")]
    Differs {
        /// Which one.
        listing: u64,
    },
    /// The case has ended: no import ever revives it.
    #[error("listing {listing} of the same case and subject has ended; no import revives it, a new decision does")]
    Ended {
        /// Which one.
        listing: u64,
    },
    /// Nothing says that the risk notice was served.
    #[error(
        "is empty, and the case does not stand as noticed: nobody is listed without a risk notice (法释〔2017〕7号 art. 5)"
    )]
    NoNotice,
    /// The risk notice came after the decision.
    #[error(
        "listing {listing} of the same case and subject was noticed after the decision's date: a decision follows its notice"
    )]
    LateNotice {
        /// Which one.
        listing: u64,
    },
    /// The relation's listing is not there.
    #[error("there is no listing of this court with that number, or case and subject")]
    NotFound,
    /// The row is refused as a command would be.
    #[error("{0}")]
    Refused(Box<CommandError>),
}
