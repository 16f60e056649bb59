//! The one deep module that keeps the hub's state.
//!
//! Promises: an acknowledged write is never lost; a lift that was acknowledged is never answered from before; everything in
//! memory and in the detail store is a function of the journal and the slot files (decision D1) and may be deleted.
//!
//! Callers see [`Ledger`] and the types it takes and gives. The other modules are public for the audit log, which is a second
//! instance of the segmented log, and for checks from outside.

#![warn(missing_docs)]

pub mod background;
pub mod clock;
pub mod command;
pub mod crypto;
pub mod detail;
#[doc(hidden)]
pub mod entry;
pub mod fsck;
pub mod journal;
pub mod keys;
mod ledger;
mod plan;
#[doc(hidden)]
pub mod recovery;
#[doc(hidden)]
pub mod resident;
pub mod seglog;
pub mod slots;
pub mod storage;
#[doc(hidden)]
pub mod table;
#[cfg(any(test, feature = "testing"))]
#[allow(clippy::unwrap_used)] // It stands in for the test's own body.
#[doc(hidden)]
pub mod testing;
#[doc(hidden)]
pub mod vault;
mod writer;

pub use clock::{Clock, SystemClock};
pub use command::{
    Act, Command, CommandError, Complete, ImportBatch, ImportRow, ListingRef, Outcome, Redress, RemedyCommand, Request,
    RowFault, RowOutcome, StagedCommand, UnitCommand,
};
pub use detail::{Detail, DetailError, DetailExemption, DetailRelation};
pub use ledger::{
    Announcement, Audience, Count, DeadlineView, DeferralView, DutyCount, DutyView, Found, Importing, KeyChange,
    Ledger, Mark, Match, Named, OpenError, PetitionFilter, PetitionStep, PetitionView, ReachError, Settings,
    StagedView, Status, SubjectListing, SubjectView, Told, Touched, Unnamed,
};
pub use xinhub_domain::position::{BadToken, Position};
