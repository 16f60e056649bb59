//! What the ledger is asked of files: to keep one until a second person has decided, and to take rows.

use xinhub_domain::case_number::CaseNumber;
use xinhub_domain::identity::Identity;
use xinhub_domain::import::{ImportCounts, StagedImport};
use xinhub_domain::listing::{Actor, Content, RelationContent};
use xinhub_domain::time::Timestamp;

use super::CommandError;

/// What a court does with an import that two people release.
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
    /// At most [`MAX_IMPORT_ROWS`].
    pub rows: Vec<ImportRow>,
}

/// One row of an import file.
#[derive(Clone, Debug)]
pub enum ImportRow {
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
    },
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
