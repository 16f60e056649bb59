//! Verdicts, their reasons, and the full answer behind every view.

use super::MAX_OFFICERS;
use crate::closed::closed;
use crate::measure::{Capacity, Effect, Measure, OnUnknown, Procedure, Relation, RelationSet};

closed! {
    /// What the hub says. Ordered by nothing: see [`Verdict::strength`].
    Verdict {
        /// No listing in force restricts this purpose.
        Clear = "CLEAR",
        /// The purpose must be refused, suspended, terminated, withdrawn or limited.
        Restricted = "RESTRICTED",
        /// A person decides; the listing is one fact among others.
        Consider = "CONSIDER",
        /// The hub can't say. Never a restriction.
        Unknown = "UNKNOWN",
    }
}

impl Verdict {
    /// Of several hits the strongest wins: RESTRICTED, UNKNOWN, CONSIDER, CLEAR.
    pub fn strength(self) -> u8 {
        match self {
            Verdict::Clear => 0,
            Verdict::Consider => 1,
            Verdict::Unknown => 2,
            Verdict::Restricted => 3,
        }
    }

    /// Whether it speaks against the subject, so that it may only leave once its record is durable.
    pub fn is_adverse(self) -> bool {
        match self {
            Verdict::Restricted | Verdict::Consider => true,
            Verdict::Clear | Verdict::Unknown => false,
        }
    }
}

closed! {
    /// Why the hub says it. A closed catalogue.
    AnswerReason {
        /// No listing that the measure reaches.
        NotListed = "NOT_LISTED",
        /// The item, the kind of subject or a condition puts the question outside the measure.
        OutOfScope = "OUT_OF_SCOPE",
        /// No measure asks about a child.
        Minor = "MINOR",
        /// A single exemption covers this measure and item now.
        Exempt = "EXEMPT",
        /// The subject itself is listed.
        ListedDebtor = "LISTED_DEBTOR",
        /// The subject is related to a listed organisation, and not listed for it.
        RelatedPerson = "RELATED_PERSON",
        /// An officer of the organisation is listed.
        OfficerListed = "OFFICER_LISTED",
        /// There is a hit, and the caller has yet to establish the open condition.
        ConditionOpen = "CONDITION_OPEN",
        /// The name differs, or the identity asked or listed is flagged or ambiguous.
        IdentityNotConfirmed = "IDENTITY_NOT_CONFIRMED",
        /// The name can't be compared just now.
        NameNotChecked = "NAME_NOT_CHECKED",
        /// The hub's clocks disagree on whether the listing is still in force.
        ClockUnsure = "CLOCK_UNSURE",
        /// What a replica holds may be out of date, and the hub is not reached.
        NotFresh = "NOT_FRESH",
        /// All that a caller without the field `relation` learns of a hit. Only ever in a [`View`].
        CourtOrder = "COURT_ORDER",
    }
}

/// Whose listing an answer rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// Nobody's: the question alone, or the absence of a hit, decided.
    Nobody,
    /// The subject's own hit, with the relations that count.
    Subject(RelationSet),
    /// An officer's own listing.
    Officer {
        /// Their position in the question.
        position: usize,
        /// Their capacity.
        capacity: Capacity,
    },
}

impl Via {
    /// The reason that an effect on this hit has.
    pub(super) fn reason(self) -> AnswerReason {
        match self {
            Via::Nobody => AnswerReason::NotListed,
            Via::Subject(relations) if relations.contains(Relation::Debtor) => AnswerReason::ListedDebtor,
            Via::Subject(_) => AnswerReason::RelatedPerson,
            Via::Officer { .. } => AnswerReason::OfficerListed,
        }
    }
}

/// Positions of officers in a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfficerSet(u32);

impl OfficerSet {
    /// How many.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The positions, ascending.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..MAX_OFFICERS).filter(move |position| self.0 & (1 << position) != 0)
    }

    pub(super) fn with(self, position: usize) -> OfficerSet {
        OfficerSet(self.0 | (1 << position))
    }
}

/// What the hub knows, in full. Callers get a [`View`] of it.
///
/// Made in this module alone, so that `UNKNOWN` and `CLEAR` never carry an effect and `RESTRICTED` always has a hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub(super) verdict: Verdict,
    pub(super) reason: AnswerReason,
    pub(super) effect: Option<Effect>,
    pub(super) open_condition: Option<Box<str>>,
    pub(super) procedure: Option<Procedure>,
    pub(super) limit_fen: Option<u64>,
    pub(super) via: Via,
    pub(super) officers_listed: OfficerSet,
    pub(super) on_unknown: Option<OnUnknown>,
}

impl Answer {
    /// What the hub says.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Why.
    pub fn reason(&self) -> AnswerReason {
        self.reason
    }

    /// The effect; with an open condition, the effect once the condition is established. Only on adverse verdicts.
    pub fn effect(&self) -> Option<Effect> {
        self.effect
    }

    /// The condition that the caller has to establish before the effect applies.
    pub fn open_condition(&self) -> Option<&str> {
        self.open_condition.as_deref()
    }

    /// The procedure for someone already in post.
    pub fn procedure(&self) -> Option<Procedure> {
        self.procedure
    }

    /// The configured limit in fen, where the measure has one.
    pub fn limit_fen(&self) -> Option<u64> {
        self.limit_fen
    }

    /// Whose listing it rests on.
    pub fn via(&self) -> Via {
        self.via
    }

    /// The officers whose own listing counts, whatever decided the verdict.
    pub fn officers_listed(&self) -> OfficerSet {
        self.officers_listed
    }

    /// What to do with `UNKNOWN`; set on that verdict alone.
    pub fn on_unknown(&self) -> Option<OnUnknown> {
        self.on_unknown
    }

    /// What a replica says of whom it can't answer for just now.
    pub fn not_fresh(measure: &Measure) -> Answer {
        Answer::unknown(AnswerReason::NotFresh, Via::Nobody, measure)
    }

    pub(super) fn clear(reason: AnswerReason, via: Via) -> Answer {
        Answer {
            verdict: Verdict::Clear,
            reason,
            effect: None,
            open_condition: None,
            procedure: None,
            limit_fen: None,
            via,
            officers_listed: OfficerSet::default(),
            on_unknown: None,
        }
    }

    pub(super) fn unknown(reason: AnswerReason, via: Via, measure: &Measure) -> Answer {
        Answer { verdict: Verdict::Unknown, on_unknown: measure.on_unknown, ..Answer::clear(reason, via) }
    }
}
