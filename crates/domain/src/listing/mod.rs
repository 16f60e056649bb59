//! A listing: its states, its events, and what each event carries.
//!
//! Promises: only [`State::Listed`] restricts; a listing exists only with a decision, a ground, a basis document, a case
//! number and a court; an ended listing never comes back. The states × events table is [`state::next`], one exhaustive
//! match, and its test is the whole table.

mod codec;
mod content;
mod draft;
pub mod duty;
pub mod event;
pub mod lift;
pub mod petition;
mod relation;
pub mod state;

pub use content::{
    Actor, Bar, Content, Decision, FIXED_TERM_MONTHS, Ground, MAX_EXTENSION_MONTHS, MAX_GRACE_DAYS, Visibility, barred,
};
pub use draft::{ContentFault, Draft, DraftDecision, DraftRelation, RawIdentity, Stage};
pub use duty::{DEFERRAL_GROUNDS, Retention, UnitReport};
pub use event::{About, Body, Clear, Deadline, EventKind, PetitionStanding, RecordId, RecordKind};
pub use petition::{
    DraftPetition, Finding, ObjectionGround, PartyRole, Petition, PetitionAction, PetitionKind, PetitionRefusal,
    PetitionState, next_petition,
};
pub use relation::{Exemption, RelationContent};
pub use state::{Action, Refusal, Standing, State, next};
