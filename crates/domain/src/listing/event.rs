//! What the journal keeps of each event: a part in clear and a part that is sealed.
//!
//! In clear stands only what names nobody: kind, numbers, court, times, state and the commitment to the sealed bytes
//! (decision D9). Everything about a person is a [`Body`], sealed under the key of the event's record. Both are CBOR arrays
//! (RFC 8949) by index: a field may be added at the end, and none is ever moved or reused.

use minicbor::{Decode, Encode};

use super::content::{Actor, Content};
use super::duty::UnitReport;
use super::petition::{Finding, Petition, PetitionKind, PetitionState};
use super::relation::{Exemption, RelationContent};
use super::state::State;
use crate::deadline::Clock;
use crate::identity::Identity;
use crate::import::{ImportState, StagedImport};
use crate::time::{Day, Timestamp};

/// The format of [`Clear`] and [`Body`] that this build writes.
pub const FORMAT: u16 = 1;

/// What happened. The numbers are on disk for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
#[repr(u16)]
pub enum EventKind {
    /// The risk notice was given.
    #[n(1)]
    Notice = 1,
    /// Proposed for release.
    #[n(2)]
    Propose = 2,
    /// Released by a second actor.
    #[n(3)]
    Approve = 3,
    /// The proposal was refused.
    #[n(4)]
    Reject = 4,
    /// Taken back before it took effect.
    #[n(5)]
    Withdraw = 5,
    /// Listed in one step.
    #[n(6)]
    Publish = 6,
    /// Service of the decision was recorded.
    #[n(7)]
    Serve = 7,
    /// The grace period ended, by the clock.
    #[n(8)]
    EndGrace = 8,
    /// The grace period was lengthened.
    #[n(9)]
    WidenGrace = 9,
    /// Masked for now.
    #[n(10)]
    Hide = 10,
    /// Brought back by a new decision.
    #[n(11)]
    Restore = 11,
    /// Wrong data were corrected.
    #[n(12)]
    Rectify = 12,
    /// Data that identify nobody were corrected.
    #[n(13)]
    Amend = 13,
    /// The term was lengthened.
    #[n(14)]
    Extend = 14,
    /// Undone: should not have been listed.
    #[n(15)]
    Revoke = 15,
    /// Ended on a lawful ground.
    #[n(16)]
    Remove = 16,
    /// The term ended, by the clock.
    #[n(17)]
    Expire = 17,
    /// A related person was named.
    #[n(18)]
    SetRelation = 18,
    /// A relation ended.
    #[n(19)]
    EndRelation = 19,
    /// One person was exempted.
    #[n(20)]
    Exempt = 20,
    /// An exemption ended.
    #[n(21)]
    EndExemption = 21,
    /// A reason owed for a lift was given.
    #[n(22)]
    GiveReason = 22,
    /// A client was first answered adversely on this listing.
    #[n(23)]
    Disclose = 23,
    /// The record's key was destroyed.
    #[n(24)]
    Erase = 24,
    /// A petition was received: an application, an objection or a complaint.
    #[n(25)]
    FilePetition = 25,
    /// A petition's intake was refused, with reasons.
    #[n(26)]
    RefuseIntake = 26,
    /// A petition was decided by whoever it was filed with.
    #[n(27)]
    DecidePetition = 27,
    /// Service of a refusal or dismissal on the party was recorded.
    #[n(28)]
    ServeFinding = 28,
    /// The party asked the court above.
    #[n(29)]
    AskReconsideration = 29,
    /// The court above decided.
    #[n(30)]
    DecideReconsideration = 30,
    /// The party took its petition back.
    #[n(31)]
    WithdrawPetition = 31,
    /// A unit reported what it imposed, lifted or keeps.
    #[n(32)]
    Report = 32,
    /// What units had kept after a lift ended, by the clock.
    #[n(33)]
    EndRetention = 33,
    /// A deadline passed without the act, by the clock.
    #[n(34)]
    Overdue = 34,
    /// A proposal was not released in time, by the clock.
    #[n(35)]
    Lapse = 35,
    /// Performance was reported: the court's duty to lift runs.
    #[n(36)]
    RecordPerformance = 36,
    /// The subject's own view was deferred, on a named ground.
    #[n(37)]
    Defer = 37,
    /// A catalogue, audience table or deadline profile came into force; its text stands in `open`.
    #[n(40)]
    Configure = 40,
    /// An import was staged for release, or moved on from there.
    #[n(41)]
    Import = 41,
}

/// What an event is about, and so what folds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The hub itself.
    Hub,
    /// A listing: its state, content, relations or exemptions. Moves the listing's etag.
    Listing,
    /// What happens beside a listing, and makes no court's next write stale: who was told, what units report, what passed.
    Beside,
    /// A petition.
    Petition,
    /// An import that waits for its release.
    Import,
    /// The end of a record's key.
    Erasure,
}

impl EventKind {
    /// What it is about.
    pub fn about(self) -> About {
        match self {
            EventKind::Notice
            | EventKind::Propose
            | EventKind::Approve
            | EventKind::Reject
            | EventKind::Withdraw
            | EventKind::Publish
            | EventKind::Serve
            | EventKind::EndGrace
            | EventKind::WidenGrace
            | EventKind::Hide
            | EventKind::Restore
            | EventKind::Rectify
            | EventKind::Amend
            | EventKind::Extend
            | EventKind::Revoke
            | EventKind::Remove
            | EventKind::Expire
            | EventKind::SetRelation
            | EventKind::EndRelation
            | EventKind::Exempt
            | EventKind::EndExemption
            | EventKind::GiveReason
            | EventKind::Lapse
            | EventKind::RecordPerformance => About::Listing,
            EventKind::Disclose
            | EventKind::Report
            | EventKind::EndRetention
            | EventKind::Overdue
            | EventKind::Defer => About::Beside,
            EventKind::FilePetition
            | EventKind::RefuseIntake
            | EventKind::DecidePetition
            | EventKind::ServeFinding
            | EventKind::AskReconsideration
            | EventKind::DecideReconsideration
            | EventKind::WithdrawPetition => About::Petition,
            EventKind::Erase => About::Erasure,
            EventKind::Import => About::Import,
            EventKind::Configure => About::Hub,
        }
    }
}

/// What a record number counts. Each kind has its own numbers, from 1, and its own slot file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
#[repr(u8)]
pub enum RecordKind {
    /// Events of the hub itself, which name nobody and have no slot.
    #[n(0)]
    Hub = 0,
    /// A listing, from its notice on.
    #[n(1)]
    Listing = 1,
    /// One related person of one listing.
    #[n(2)]
    Relation = 2,
    /// One exemption.
    #[n(3)]
    Exemption = 3,
    /// One petition of one party.
    #[n(4)]
    Petition = 4,
    /// One import that waits for its release.
    #[n(5)]
    Import = 5,
}

/// A day by which something must be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Deadline {
    /// What must be done, and by whom.
    #[n(0)]
    pub clock: Clock,
    /// The last day on which it is in time.
    #[n(1)]
    pub due: Day,
}

/// What stands in clear of a petition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PetitionStanding {
    /// What is asked.
    #[n(0)]
    pub kind: PetitionKind,
    /// Where it stands after the event.
    #[n(1)]
    pub state: PetitionState,
}

/// One record: the unit of sealing and of erasure. Its number is its slot in the slot file of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct RecordId {
    /// What it is.
    #[n(0)]
    pub kind: RecordKind,
    /// Its number, from 1; 0 for [`RecordKind::Hub`].
    #[n(1)]
    pub number: u64,
}

/// The part of an event that stands in clear. Its encoding is the leaf that the log hashes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Clear {
    /// [`FORMAT`].
    #[n(0)]
    pub format: u16,
    /// Its place in the history, from 1, without gaps.
    #[n(1)]
    pub revision: u64,
    /// What happened.
    #[n(2)]
    pub kind: EventKind,
    /// The record whose key seals the body.
    #[n(3)]
    pub record: RecordId,
    /// The listing concerned; 0 where none is.
    #[n(4)]
    pub listing: u64,
    /// The generation of the record's key.
    #[n(5)]
    pub key_epoch: u32,
    /// The court that acted; empty for the hub itself.
    #[n(6)]
    pub court: String,
    /// When, by the hub's clock.
    #[n(7)]
    pub at: Timestamp,
    /// The listing's state after it.
    #[n(8)]
    pub state: Option<State>,
    /// The last day in force of the listing, or of the relation that the event is about.
    #[n(9)]
    pub until: Option<Day>,
    /// The last day of grace.
    #[n(10)]
    pub grace_until: Option<Day>,
    /// For a lift: its number in the count of lifts.
    #[n(11)]
    pub lift_seq: Option<u64>,
    /// SHA-256 over the leaf's salt and the sealed bytes.
    #[n(12)]
    #[cbor(with = "minicbor::bytes")]
    pub commitment: Option<[u8; 32]>,
    /// What the hub itself records in clear, such as a catalogue.
    #[n(13)]
    #[cbor(with = "minicbor::bytes")]
    pub open: Option<Vec<u8>>,
    /// The deadlines that begin with it, or, for `Overdue`, that have passed.
    #[n(14)]
    pub deadlines: Option<Vec<Deadline>>,
    /// For an event on a petition: its kind, and its state after it.
    #[n(15)]
    pub petition: Option<PetitionStanding>,
    /// For an event on a staged import: where it stands after it.
    #[n(16)]
    pub import: Option<ImportState>,
}

/// The part of an event that is sealed.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Body {
    /// The whole content after the event: `Notice`, `Propose`, `Publish`, `Serve`, `WidenGrace`, `Restore`, `Extend`,
    /// `Amend`, `Rectify`.
    #[n(1)]
    Content {
        /// What the listing says from now on.
        #[n(0)]
        content: Box<Content>,
        /// Who acted.
        #[n(1)]
        actor: Actor,
        /// The lawful ground, where the event needs one.
        #[n(2)]
        ground: Option<String>,
        /// Why, in the court's words.
        #[n(3)]
        note: Option<String>,
        /// The creditor's application that it follows.
        #[n(4)]
        application: Option<u64>,
        /// The second person who has seen it, where one was named.
        #[n(5)]
        approver: Option<Actor>,
        /// The identities that a rectification took away: whoever keeps a copy has to drop them too.
        #[n(6)]
        former: Option<Vec<Identity>>,
        /// While it is a proposal: the staff ids of who shaped it before. None of them releases it.
        #[n(7)]
        shaped_by: Option<Vec<String>>,
    },
    /// An act without content: `Approve`, `Reject`, `Withdraw`, `Hide`, `Revoke`, `Remove`, `GiveReason`, `RecordPerformance`,
    /// and `Import` once it is staged.
    #[n(2)]
    Act {
        /// Who acted.
        #[n(0)]
        actor: Actor,
        /// The lawful ground, as a code where there is one.
        #[n(1)]
        ground: Option<String>,
        /// Why, in the court's words.
        #[n(2)]
        note: Option<String>,
        /// The second person who has seen it, where one was named.
        #[n(3)]
        approver: Option<Actor>,
    },
    /// `SetRelation`.
    #[n(3)]
    Relation {
        /// The related person.
        #[n(0)]
        content: Box<RelationContent>,
        /// Who acted.
        #[n(1)]
        actor: Actor,
        /// The second person who has seen it, where one was named.
        #[n(2)]
        approver: Option<Actor>,
    },
    /// `EndRelation`, `EndExemption` on demand.
    #[n(4)]
    Ended {
        /// Who acted.
        #[n(0)]
        actor: Actor,
        /// The document that shows it.
        #[n(1)]
        basis_document: Option<String>,
        /// The second person who has seen it, where one was named.
        #[n(2)]
        approver: Option<Actor>,
    },
    /// `Exempt`.
    #[n(5)]
    Exemption {
        /// What is exempted.
        #[n(0)]
        content: Box<Exemption>,
        /// Who acted.
        #[n(1)]
        actor: Actor,
    },
    /// `Disclose`.
    #[n(6)]
    Disclosed {
        /// The client that was answered.
        #[n(0)]
        client: String,
    },
    /// `FilePetition`.
    #[n(7)]
    Petition {
        /// What is asked.
        #[n(0)]
        content: Box<Petition>,
        /// Who took it in.
        #[n(1)]
        actor: Actor,
    },
    /// Every other event of a petition.
    #[n(8)]
    Found(#[n(0)] Finding),
    /// `Report`.
    #[n(9)]
    Report {
        /// The client that reports.
        #[n(0)]
        client: String,
        /// Who stands behind it; a machine's acknowledgement has nobody.
        #[n(1)]
        actor: Option<Actor>,
        /// What it reports.
        #[n(2)]
        report: UnitReport,
    },
    /// `Defer`.
    #[n(10)]
    Deferred {
        /// Who deferred.
        #[n(0)]
        actor: Actor,
        /// The client that did.
        #[n(1)]
        client: String,
        /// The named ground.
        #[n(2)]
        ground: String,
        /// The last day on which the view is deferred.
        #[n(3)]
        until: Day,
    },
    /// `Import`, as it is staged. What becomes of it then is an [`Body::Act`].
    #[n(11)]
    Staged {
        /// The file, and how its sealed copy is opened.
        #[n(0)]
        content: Box<StagedImport>,
        /// Who sent it.
        #[n(1)]
        actor: Actor,
    },
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use minicbor::Encoder;

    use super::*;

    /// As written before there was a second person to name: one field fewer.
    fn old_act(actor: &Actor) -> Vec<u8> {
        let mut bytes = Encoder::new(Vec::new());
        let fields = bytes.array(2).and_then(|bytes| bytes.u32(2)).and_then(|bytes| bytes.array(3)).unwrap();
        fields.encode(actor).and_then(|bytes| bytes.null()).and_then(|bytes| bytes.str("note")).unwrap();
        bytes.into_writer()
    }

    #[test]
    fn a_body_without_a_second_person_is_as_it_was_before_there_was_one() {
        let actor = Actor::parse("j-1", "judge").unwrap();
        let act = |approver| Body::Act { actor: actor.clone(), ground: None, note: Some("note".to_owned()), approver };
        assert_eq!(minicbor::decode::<Body>(&old_act(&actor)).unwrap(), act(None));
        assert_eq!(minicbor::to_vec(act(None)).unwrap(), old_act(&actor));
        let named = act(Some(Actor::parse("j-2", "president").unwrap()));
        assert_eq!(minicbor::decode::<Body>(&minicbor::to_vec(&named).unwrap()).unwrap(), named);
    }
}
