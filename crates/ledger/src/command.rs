//! What the ledger is asked to do, and what it answers.

use xinhub_domain::import::ImportState;
use xinhub_domain::listing::{
    Actor, Content, ContentFault, Decision, Exemption, Petition, PetitionRefusal, PetitionState, Refusal,
    RelationContent, State, UnitReport,
};
use xinhub_domain::policy::{Client, RegistryPermit, RemedyPermit, Signing, UnitPermit};
use xinhub_domain::time::Day;

use xinhub_domain::position::Position;

mod import;

pub use import::{Complete, ImportBatch, ImportRow, ListingRef, MAX_IMPORT_ROWS, RowFault, RowOutcome, StagedCommand};

/// A mutation.
#[derive(Debug)]
pub struct Request {
    /// What to do, with the right to do it.
    pub act: Act,
    /// UUIDv7, chosen by the caller.
    pub request_id: [u8; 16],
    /// The request's encoded body, to tell a repetition from a reuse of its id. Kept only as a keyed MAC.
    pub body: Vec<u8>,
    /// The listing's or petition's revision as the caller last read it.
    pub etag: Option<u64>,
    /// The clerk behind it; only a machine's acknowledgement has none.
    pub actor: Option<Actor>,
    /// A second person of the court who has seen it: needed where two people release and it restricts somebody further.
    pub approver: Option<Actor>,
}

/// What to do, each kind with the permit that it takes.
#[derive(Debug)]
pub enum Act {
    /// A court changes its own listings.
    Registry(RegistryPermit, Command),
    /// A court or unit takes in or decides what a party asks.
    Remedy(RemedyPermit, RemedyCommand),
    /// A client reports what it did with a listing.
    Unit(UnitPermit, UnitCommand),
    /// A court stages, releases or refuses an import.
    Staged(RegistryPermit, StagedCommand),
}

impl Act {
    /// The client that asks for it.
    pub fn client(&self) -> &Client {
        match self {
            Act::Registry(permit, _) => permit.client(),
            Act::Remedy(permit, _) => permit.client(),
            Act::Unit(permit, _) => permit.client(),
            Act::Staged(permit, _) => permit.client(),
        }
    }

    /// Who releases what another of the acting court's staff decided; `None` for what no court does.
    pub(crate) fn signing(&self) -> Option<&Signing> {
        match self {
            Act::Registry(permit, _) | Act::Staged(permit, _) => Some(permit.signing()),
            Act::Remedy(permit, _) => Some(permit.signing()),
            Act::Unit(_, _) => None,
        }
    }

    /// Whether it frees somebody. A lift goes before everything else, needs no etag and is never refused as stale.
    pub fn is_lift(&self) -> bool {
        match self {
            Act::Registry(_, command) => command.is_lift(),
            Act::Remedy(_, command) => command.is_lift(),
            Act::Unit(_, _) | Act::Staged(_, _) => false,
        }
    }
}

/// What a court or unit may do with what parties ask.
#[derive(Clone, Debug)]
pub enum RemedyCommand {
    /// Takes a petition in.
    File {
        /// Which listing; `None` for an application.
        listing: Option<u64>,
        /// For an application: which court is asked.
        court: Option<String>,
        /// What is asked.
        content: Box<Petition>,
    },
    /// Refuses its intake.
    RefuseIntake {
        /// Which petition.
        petition: u64,
        /// Why.
        reasons: String,
        /// When that was served on the party.
        served_on: Option<Day>,
    },
    /// Decides it.
    Decide {
        /// Which petition.
        petition: u64,
        /// What was found.
        finding: Found,
    },
    /// Records service of a refusal or dismissal.
    ServeFinding {
        /// Which petition.
        petition: u64,
        /// The day of service.
        served_on: Day,
    },
    /// The party asks the court above.
    AskReconsideration {
        /// Which petition.
        petition: u64,
        /// Why.
        reasons: String,
        /// When it was received.
        received_on: Day,
    },
    /// The court above decides.
    DecideReconsideration {
        /// Which petition.
        petition: u64,
        /// What was found.
        finding: Found,
    },
    /// The party takes it back.
    Withdraw {
        /// Which petition.
        petition: u64,
        /// Why, in the party's words.
        reasons: String,
    },
}

/// What was found on a petition.
#[derive(Clone, Debug)]
pub struct Found {
    /// The party is right.
    pub upheld: bool,
    /// Why.
    pub reasons: String,
    /// When the finding was served on the party.
    pub served_on: Option<Day>,
    /// What it does to the listing; for an upheld objection alone.
    pub redress: Option<Redress>,
}

/// What an upheld objection does to the listing, in the same commit.
#[derive(Clone, Debug)]
pub enum Redress {
    /// Should not be listed.
    Revoke,
    /// Data were wrong.
    Rectify {
        /// The whole content as it should be.
        content: Box<Content>,
        /// The listing's etag as last read: its new content may catch somebody else.
        etag: Option<u64>,
    },
    /// Should be deleted.
    Remove {
        /// As for [`Command::Remove`].
        ground: String,
    },
    /// A related person should not be, or be no longer.
    EndRelation {
        /// Which relation.
        relation: u64,
        /// The document that shows it.
        basis_document: String,
    },
}

impl RemedyCommand {
    /// The petition that it is about, unless it brings one.
    pub(crate) fn petition(&self) -> Option<u64> {
        match self {
            RemedyCommand::File { .. } => None,
            RemedyCommand::RefuseIntake { petition, .. }
            | RemedyCommand::Decide { petition, .. }
            | RemedyCommand::ServeFinding { petition, .. }
            | RemedyCommand::AskReconsideration { petition, .. }
            | RemedyCommand::DecideReconsideration { petition, .. }
            | RemedyCommand::Withdraw { petition, .. } => Some(*petition),
        }
    }

    fn is_lift(&self) -> bool {
        match self {
            RemedyCommand::Decide { finding, .. } | RemedyCommand::DecideReconsideration { finding, .. } => {
                match &finding.redress {
                    Some(Redress::Revoke | Redress::Remove { .. } | Redress::EndRelation { .. }) => finding.upheld,
                    // As for `Command::Rectify`.
                    Some(Redress::Rectify { .. }) | None => false,
                }
            }
            RemedyCommand::File { .. }
            | RemedyCommand::RefuseIntake { .. }
            | RemedyCommand::ServeFinding { .. }
            | RemedyCommand::AskReconsideration { .. }
            | RemedyCommand::Withdraw { .. } => false,
        }
    }
}

/// What a client may report.
#[derive(Clone, Debug)]
pub enum UnitCommand {
    /// What it did with a listing that it was told of.
    Report {
        /// Which listing.
        listing: u64,
        /// What it did.
        report: UnitReport,
    },
}

/// What a court may do with its listings.
#[derive(Clone, Debug)]
pub enum Command {
    /// Gives the risk notice.
    Notice {
        /// What is known before the decision.
        content: Box<Content>,
    },
    /// Proposes a listing for release by another actor.
    Propose {
        /// The noticed listing, or `None` for a new one.
        listing: Option<u64>,
        /// The whole content.
        content: Box<Content>,
        /// The creditor's application that it follows.
        application: Option<u64>,
    },
    /// Lists in one step.
    Publish {
        /// The noticed listing, or `None` for a new one.
        listing: Option<u64>,
        /// The whole content.
        content: Box<Content>,
        /// The creditor's application that it follows.
        application: Option<u64>,
    },
    /// Releases a proposal.
    Approve {
        /// Which listing.
        listing: u64,
    },
    /// Refuses a proposal.
    Reject {
        /// Which listing.
        listing: u64,
        /// Why.
        note: Option<String>,
    },
    /// Takes a notice, proposal or unserved decision back.
    Withdraw {
        /// Which listing.
        listing: u64,
        /// Why.
        note: Option<String>,
    },
    /// Records service of the decision.
    Serve {
        /// Which listing.
        listing: u64,
        /// The day of service.
        served_on: Day,
        /// Days of grace after it.
        grace_days: u32,
    },
    /// Corrects data that identify nobody.
    Amend {
        /// Which listing.
        listing: u64,
        /// The whole content as it should be.
        content: Box<Content>,
    },
    /// Corrects wrong data, identities included.
    Rectify {
        /// Which listing.
        listing: u64,
        /// The whole content as it should be.
        content: Box<Content>,
        /// Why.
        note: Option<String>,
    },
    /// Masks for now.
    Hide {
        /// Which listing.
        listing: u64,
        /// A code of [`LiftGround`](xinhub_domain::listing::lift::LiftGround), or empty.
        ground: String,
    },
    /// Brings a hidden listing back by a new decision.
    Restore {
        /// Which listing.
        listing: u64,
        /// The new decision.
        decision: Box<Decision>,
    },
    /// Undoes a listing.
    Revoke {
        /// Which listing.
        listing: u64,
        /// As for [`Command::Hide`].
        ground: String,
    },
    /// Ends a listing.
    Remove {
        /// Which listing.
        listing: u64,
        /// As for [`Command::Hide`].
        ground: String,
    },
    /// Lengthens a fixed term.
    Extend {
        /// Which listing.
        listing: u64,
        /// By how many months.
        months: u32,
        /// On which lawful ground.
        ground: String,
    },
    /// Exempts one person for a time.
    Exempt {
        /// Which listing.
        listing: u64,
        /// Who, from what, how long.
        exemption: Box<Exemption>,
    },
    /// Ends an exemption early.
    EndExemption {
        /// Which listing.
        listing: u64,
        /// Which exemption.
        exemption: u64,
    },
    /// Names a related person.
    SetRelation {
        /// Which listing.
        listing: u64,
        /// Who, and how related.
        relation: Box<RelationContent>,
    },
    /// Ends a relation.
    EndRelation {
        /// Which listing.
        listing: u64,
        /// Which relation.
        relation: u64,
        /// The document that shows it.
        basis_document: String,
    },
    /// Lengthens the grace period.
    WidenGrace {
        /// Which listing.
        listing: u64,
        /// Days of grace after service, in all.
        grace_days: u32,
    },
    /// Gives the reason that a lift owes.
    GiveReason {
        /// Which listing.
        listing: u64,
        /// As for [`Command::Hide`].
        ground: String,
        /// Why, in the court's words.
        note: Option<String>,
    },
    /// Keeps who asked out of the subject's view for a time.
    Defer {
        /// Which listing.
        listing: u64,
        /// One of [`DEFERRAL_GROUNDS`](xinhub_domain::listing::DEFERRAL_GROUNDS).
        ground: String,
        /// The last day.
        until: Day,
    },
    /// Records that the obligation was performed.
    RecordPerformance {
        /// Which listing.
        listing: u64,
        /// The day.
        performed_on: Day,
        /// In the court's words.
        note: Option<String>,
    },
}

impl Command {
    /// Whether it frees somebody. A lift goes before everything else, needs no etag and is never refused as stale.
    pub fn is_lift(&self) -> bool {
        match self {
            Command::Hide { .. }
            | Command::Revoke { .. }
            | Command::Remove { .. }
            | Command::EndRelation { .. }
            | Command::Withdraw { .. }
            | Command::Reject { .. }
            | Command::Exempt { .. }
            | Command::WidenGrace { .. }
            // What is owed for a lift is never too late.
            | Command::GiveReason { .. } => true,
            Command::Notice { .. }
            | Command::Propose { .. }
            | Command::Publish { .. }
            | Command::Approve { .. }
            | Command::Serve { .. }
            | Command::Amend { .. }
            // Its new content may catch somebody else: it is taken only on what the caller has read.
            | Command::Rectify { .. }
            | Command::Restore { .. }
            | Command::Extend { .. }
            | Command::EndExemption { .. }
            | Command::RecordPerformance { .. }
            | Command::Defer { .. }
            | Command::SetRelation { .. } => false,
        }
    }

    /// Whether it changes nothing that a court has read, and so needs no etag.
    pub(crate) fn is_beside(&self) -> bool {
        matches!(self, Command::Defer { .. })
    }

    /// The listing that it is about, unless it makes one.
    pub fn listing(&self) -> Option<u64> {
        match self {
            Command::Notice { .. } => None,
            Command::Propose { listing, .. } | Command::Publish { listing, .. } => *listing,
            Command::Approve { listing }
            | Command::Reject { listing, .. }
            | Command::Withdraw { listing, .. }
            | Command::Serve { listing, .. }
            | Command::Amend { listing, .. }
            | Command::Rectify { listing, .. }
            | Command::Hide { listing, .. }
            | Command::Restore { listing, .. }
            | Command::Revoke { listing, .. }
            | Command::Remove { listing, .. }
            | Command::Extend { listing, .. }
            | Command::Exempt { listing, .. }
            | Command::EndExemption { listing, .. }
            | Command::SetRelation { listing, .. }
            | Command::EndRelation { listing, .. }
            | Command::WidenGrace { listing, .. }
            | Command::GiveReason { listing, .. }
            | Command::Defer { listing, .. }
            | Command::RecordPerformance { listing, .. } => Some(*listing),
        }
    }
}

/// What became of a mutation, once durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Which listing.
    pub listing: u64,
    /// The relation or exemption that was made or ended; 0 for none.
    pub record: u64,
    /// Its state afterwards.
    pub state: State,
    /// Its etag afterwards.
    pub etag: u64,
    /// The history with it.
    pub position: Position,
    /// A lift was applied though the caller's etag was not the last.
    pub stale: bool,
    /// Kept from an earlier call with the same request id.
    pub replayed: bool,
    /// A lift came without a matching reason.
    pub reason_owed: bool,
    /// For an act on a petition: its state afterwards. `etag` is then the petition's.
    pub petition: Option<PetitionState>,
    /// The party's act came after its own deadline.
    pub late: bool,
}

/// Why a mutation was refused. Unless it says otherwise, nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The listing's state does not allow it.
    #[error("{0}")]
    State(#[from] Refusal),
    /// The petition's state does not allow it.
    #[error("{0}")]
    Petition(#[from] PetitionRefusal),
    /// The import's state does not allow it.
    #[error("{}", import_state(*.0))]
    Import(ImportState),
    /// The import is no complete list, or is one.
    #[error("{0}")]
    OtherMode(&'static str),
    /// A newer complete list of the court is in force.
    #[error(
        "a complete list as of a later time was confirmed for this court already: what is older says nothing any more; reject it"
    )]
    OlderList,
    /// There is no such listing, relation, exemption, petition or import.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The listing is another court's.
    #[error("the listing belongs to another court; only its own court may touch it")]
    OtherCourt,
    /// The caller has read an older state.
    #[error("etag: the listing has changed since; read it again, then decide anew")]
    StaleEtag {
        /// The etag now.
        current: u64,
    },
    /// The id was used for another body.
    #[error("request_id: was used before with another body; make a new one")]
    RequestIdReused,
    /// The id's time lies outside the window.
    #[error("request_id: its time is over 7 days behind or 10 minutes ahead of the hub's; make a new UUIDv7")]
    RequestIdExpired,
    /// The same court has a listing for this subject and case.
    #[error("listing {listing} of the same court, case and subject is not over; amend it")]
    ListingExists {
        /// Which one.
        listing: u64,
    },
    /// Rows of an import that nobody has released, or the approver is who proposed or acts, or who renews is who deferred.
    #[error(
        "a second person: this takes another actor than the one before: a proposal is released, a change that restricts \
         somebody further approved, and a deferral renewed, by somebody else"
    )]
    SecondPersonRequired,
    /// The approver may not release.
    #[error(
        "a second person: only the court's authorised signers release or approve what another decided: those whose staff ids \
         the hub's policy lists as `signers` of this court; have one of them approve it, or have the hub's operator list the signer"
    )]
    NotASigner,
    /// Two people release, and somebody would be restricted further by one alone.
    #[error(
        "mutation.approver: is required where two people release: this restricts somebody further; name one of the court's signers \
         who has seen it. What frees needs none: hide, revoke, or rectify to fewer identities or a shorter term"
    )]
    ApproverRequired,
    /// The content does not fit.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Faults(Vec<ContentFault>),
    /// Too much is waiting.
    #[error("too many writes are waiting; try again in a moment")]
    Overloaded,
    /// The disk has no room; lifts still go through.
    #[error("the journal's disk is full: only lifts are taken until space returns")]
    Full,
    /// The journal failed; the outcome is unknown. The hub stops and recovers; the same request id tells what became of it.
    #[error("the journal failed; the hub stops and recovers. Send the same request again to learn what became of it")]
    Storage,
    /// What the listing says, or its key, can't be read; nothing has changed. The hub goes on, and lifts go through.
    #[error("what the listing says can't be read just now; the hub's log says why, and its operator has to see to it")]
    Unreadable,
    /// The hub is stopping.
    #[error("the hub is stopping; try again in a moment")]
    Stopping,
    /// Time can't be trusted just now.
    #[error("the hub's clock is unsure: only lifts are taken until it is synchronised")]
    ClockUnsure,
}

fn import_state(state: ImportState) -> &'static str {
    match state {
        ImportState::Staged => "the import waits: approve or reject it first",
        ImportState::Confirmed => "the list is confirmed, and its additions wait: approve or reject them",
        ImportState::Released => "the import was released, and is being taken: lift what should not be listed",
        ImportState::Taken | ImportState::Rejected | ImportState::Lapsed => "the import is over: send the file again",
    }
}

/// A configuration text in force: the open part of a `Configure` event.
#[derive(Clone, Debug, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Configured {
    /// Which one, such as `catalogue`.
    #[n(0)]
    pub name: String,
    /// SHA-256 of the text.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub hash: [u8; 32],
    /// The text, so that an answer can be worked out again later.
    #[n(2)]
    pub text: String,
}
