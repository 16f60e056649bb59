//! What is done, as plain data: a list of steps that failed is shrunk and done again without the seed that made it.
//!
//! A step names what an earlier one made by that one's [`Tag`], and days by how far they lie from the day on which it is done: so
//! that it still says something when others are left out.

use xinhub_domain::listing::{ObjectionGround, PartyRole};
use xinhub_domain::measure::Relation;
use xinhub_domain::time::Day;

use crate::world::{Decided, Facts, Who};

/// What a step has made: its number, and its place among what the step makes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tag(pub(crate) u32, pub(crate) u8);

impl std::fmt::Debug for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tag({}, {})", self.0, self.1)
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// One mutation.
    Do(Try),
    /// Several at once.
    Together(Vec<Try>),
    /// Rows of a file.
    Import { court: usize, dry_run: bool, amend: bool, rows: Vec<(Tag, Row)> },
    /// A client looks somebody up and is told of what it finds.
    Look { client: usize, who: Who },
    /// A client was answered a moment ago, and that is recorded only now.
    Tell { client: usize, on: Tag },
    /// The same while a lift of that listing comes in.
    Race { client: usize, on: Tag, lift: Try },
    /// The wall clock strays for the time of one mutation.
    Stray { hours: i64, one: Try },
    /// The first two courts exchange their profiles, or have their own again.
    Rules { exchanged: bool },
    /// Time passes.
    Pass { hours: u32 },
    /// The hub stops, with a snapshot or killed, and starts again after so many hours.
    Stop { clean: bool, hours: u32, seed: u64 },
}

/// A mutation.
#[derive(Clone, Debug)]
pub(crate) struct Try {
    /// What it makes, if it makes something.
    pub(crate) tag: Tag,
    /// Who acts, a number of [`PARTIES`](crate::world::PARTIES), and the clerk behind it.
    pub(crate) by: usize,
    pub(crate) staff: &'static str,
    /// The second person who is named; empty for none.
    pub(crate) approver: &'static str,
    pub(crate) etag: Etag,
    /// The listing or petition that it is about.
    pub(crate) on: Option<Tag>,
    pub(crate) what: What,
    pub(crate) sent: Sent,
}

/// How often a mutation is sent under its request id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Once,
    /// And again once it is answered.
    Again,
    /// Twice at once.
    Doubled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Etag {
    Current,
    Stale,
    Absent,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Notice(Says),
    Propose(Says, Option<Tag>),
    Publish(Says, Option<Tag>),
    Approve,
    Reject,
    Withdraw,
    Serve { ago: u32, grace: u32 },
    Amend { conduct: u32, other_case: bool },
    Rectify(Correction),
    Hide(&'static str),
    Restore(Decides),
    Revoke(&'static str),
    Remove(&'static str),
    Extend { months: u32 },
    Exempt(Exempts),
    EndExemption(Tag),
    SetRelation(Relates),
    EndRelation(Tag, Basis),
    WidenGrace(u32),
    GiveReason(&'static str),
    Defer { ground: &'static str, days: u32 },
    RecordPerformance { ahead: bool },
    Apply { court: Option<usize>, case: u32, debtor: Who, ago: u32 },
    Object { ground: ObjectionGround, role: PartyRole, party: Who, ago: u32 },
    Complain { against: usize, party: Who, ago: u32 },
    RefuseIntake { served: Option<u32> },
    Decide(Finds),
    ServeFinding { ago: u32 },
    AskReconsideration { ago: u32 },
    Reconsider(Finds),
    TakeBack,
    Imposed,
    Lifted,
    Acknowledged,
    Retained { days: u32 },
    Handled,
}

impl What {
    /// Its name, for the tally.
    pub(crate) fn name(&self) -> String {
        format!("{self:?}").split([' ', '{', '(']).next().unwrap_or_default().to_owned()
    }

    /// Whether it may take a second person (ARCHITECTURE.md, "What takes a second person").
    pub(crate) fn may_restrict(&self) -> bool {
        match self {
            What::Rectify(_)
            | What::Restore(_)
            | What::Extend { .. }
            | What::SetRelation(_)
            | What::EndExemption(_) => true,
            What::Decide(finds) | What::Reconsider(finds) => matches!(finds.redress, Some(Redress::Rectify(..))),
            _ => false,
        }
    }

    /// Whether a second person who is named is kept, or at least does no harm: anything that frees.
    pub(crate) fn takes_approver(&self) -> bool {
        match self {
            What::Imposed
            | What::Lifted
            | What::Acknowledged
            | What::Retained { .. }
            | What::Handled
            | What::Defer { .. }
            | What::Apply { .. }
            | What::Object { .. }
            | What::Complain { .. }
            | What::RefuseIntake { .. }
            | What::ServeFinding { .. }
            | What::AskReconsideration { .. }
            | What::TakeBack => false,
            What::Decide(finds) | What::Reconsider(finds) => finds.redress.is_some(),
            _ => true,
        }
    }

    /// Whether it goes before everything else and needs no etag (ARCHITECTURE.md, "Publish, and any mutation").
    pub(crate) fn is_lift(&self) -> bool {
        match self {
            What::Hide(_)
            | What::Revoke(_)
            | What::Remove(_)
            | What::EndRelation(..)
            | What::Withdraw
            | What::Reject
            | What::Exempt(_)
            | What::WidenGrace(_)
            | What::GiveReason(_) => true,
            What::Decide(finds) | What::Reconsider(finds) => {
                finds.upheld && finds.redress.as_ref().is_some_and(|one| !matches!(one, Redress::Rectify(..)))
            }
            _ => false,
        }
    }
}

/// Whether a document shows that a relation has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Basis {
    Given,
    Owed,
}

#[derive(Clone, Debug)]
pub(crate) struct Correction {
    pub(crate) who: Vec<Who>,
    /// By so many days the decision was made earlier than was said.
    pub(crate) earlier: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Exempts {
    pub(crate) who: Who,
    pub(crate) hotels_only: bool,
    pub(crate) stars_only: bool,
    pub(crate) from_hours: i64,
    pub(crate) hours: u32,
    pub(crate) ground: &'static str,
}

#[derive(Clone, Debug)]
pub(crate) struct Relates {
    pub(crate) who: Who,
    pub(crate) relation: Relation,
    /// In so many days.
    pub(crate) until: Option<u32>,
}

#[derive(Clone, Debug)]
pub(crate) struct Finds {
    pub(crate) upheld: bool,
    pub(crate) served: Option<u32>,
    pub(crate) redress: Option<Redress>,
}

#[derive(Clone, Debug)]
pub(crate) enum Redress {
    Revoke,
    Rectify(Correction, Etag),
    Remove(&'static str),
    EndRelation(Tag, Basis),
}

/// What a court says of somebody.
#[derive(Clone, Debug)]
pub(crate) struct Says {
    pub(crate) who: Vec<Who>,
    pub(crate) case: u32,
    pub(crate) fixed: bool,
    pub(crate) decision: Option<Decides>,
    pub(crate) noticed: bool,
    pub(crate) own_unit: bool,
    pub(crate) conduct: u32,
}

/// A decision made and served so many days ago.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decides {
    pub(crate) ago: u32,
    pub(crate) served: Option<u32>,
    pub(crate) grace: u32,
    pub(crate) attested: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Row {
    Listing(Says),
    /// As a listing is now, with this conduct.
    Known {
        on: Tag,
        conduct: Option<u32>,
    },
    /// A related person of the case and subject of an earlier row or listing.
    Relation {
        case: u32,
        subject: Who,
        relates: Relates,
    },
}

impl Says {
    pub(crate) fn facts(&self, today: Day) -> Facts {
        Facts {
            who: self.who.clone(),
            case: self.case,
            fixed: self.fixed,
            decision: self.decision.map(|one| one.decided(today)),
            noticed: self.noticed,
            own_unit: self.own_unit,
            conduct: self.conduct,
        }
    }
}

impl Decides {
    pub(crate) fn decided(&self, today: Day) -> Decided {
        Decided {
            date: before(today, self.ago),
            served: self.served.map(|ago| before(today, ago)),
            grace: self.grace,
            attested: self.attested,
            extended: 0,
        }
    }
}

/// The day so many days before.
pub(crate) fn before(today: Day, days: u32) -> Day {
    Day(today.0 - days)
}
