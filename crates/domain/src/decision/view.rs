//! What a caller sees of an answer: no more than the grant's fields, and for a one-bit caller one bit.
//!
//! A caller without the field `relation` can't tell a defaulter from a related person, nor an exempt person from one who
//! isn't listed. An answer about a related person never says "defaulter" to anyone.

use super::{Answer, AnswerReason, Verdict, Via};
use crate::closed::closed;
use crate::measure::{Effect, OnUnknown, Procedure, Relation, RelationSet};

closed! {
    /// A part of an answer that a grant may open.
    Field {
        /// How the subject stands to the listing, and whether an exemption applies.
        Relation = "relation",
        /// The effect that the catalogue orders.
        Effect = "effect",
        /// Which of the officers asked about are listed; without it, how many.
        Officers = "officers",
        /// The numbers of the listings that the answer rests on, for `GetListing`.
        Detail = "detail",
    }
}

/// The fields that a grant opens. Empty: a one-bit caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldMask(u8);

impl FieldMask {
    /// What hotels, travel agencies and ticket desks get.
    pub const ONE_BIT: FieldMask = FieldMask(0);

    /// Whether the caller gets one bit, and the slip.
    pub fn is_one_bit(self) -> bool {
        self.0 == 0
    }

    /// Whether the field is open.
    pub fn contains(self, field: Field) -> bool {
        self.0 & Self::bit(field) != 0
    }

    fn bit(field: Field) -> u8 {
        match field {
            Field::Relation => 1,
            Field::Effect => 2,
            Field::Officers => 4,
            Field::Detail => 8,
        }
    }
}

impl FromIterator<Field> for FieldMask {
    fn from_iter<I: IntoIterator<Item = Field>>(fields: I) -> Self {
        FieldMask(fields.into_iter().fold(0, |bits, field| bits | FieldMask::bit(field)))
    }
}

/// What leaves the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// What the hub says.
    pub verdict: Verdict,
    /// Why, as far as the caller may know.
    pub reason: AnswerReason,
    /// With the field `effect`, on adverse verdicts; without any field, where a restriction is less than a prohibition.
    pub effect: Option<Effect>,
    /// With the field `relation`, on adverse verdicts that rest on the subject.
    pub relation: Option<Relation>,
    /// The condition that the caller has to establish.
    pub open_condition: Option<Box<str>>,
    /// The procedure for someone already in post.
    pub procedure: Option<Procedure>,
    /// The configured limit in fen: a rule, not a fact about the person.
    pub limit_fen: Option<u64>,
    /// What to do with `UNKNOWN`.
    pub on_unknown: Option<OnUnknown>,
    /// How many officers are listed; 0 for one-bit callers.
    pub officers_listed: usize,
    /// Which ones, with the field `officers`.
    pub officer_positions: Vec<usize>,
    /// Whether the numbers of the listings go along (field `detail`, adverse verdicts).
    pub shows_listings: bool,
    /// Whether the slip goes along: a one-bit caller's restriction, to hand to the person.
    pub slip: bool,
}

/// What a caller with these fields sees.
pub fn view(answer: &Answer, fields: FieldMask) -> View {
    let adverse = answer.verdict.is_adverse();
    let one_bit = fields.is_one_bit();
    let officers = answer.officers_listed;
    // Whoever gets one bit refuses by it: that it means something less than a prohibition has to be said.
    let is_less = |effect| one_bit && answer.verdict == Verdict::Restricted && effect != Effect::Prohibit;
    View {
        verdict: answer.verdict,
        reason: reason(answer, fields),
        effect: answer.effect.filter(|effect| fields.contains(Field::Effect) || is_less(*effect)),
        relation: match answer.via {
            Via::Subject(relations) if adverse && fields.contains(Field::Relation) => foremost(relations),
            Via::Subject(_) | Via::Nobody | Via::Officer { .. } => None,
        },
        open_condition: answer.open_condition.clone(),
        procedure: answer.procedure,
        limit_fen: answer.limit_fen,
        on_unknown: answer.on_unknown,
        officers_listed: if one_bit { 0 } else { officers.len() },
        officer_positions: if fields.contains(Field::Officers) { officers.iter().collect() } else { Vec::new() },
        shows_listings: adverse && fields.contains(Field::Detail),
        slip: one_bit && answer.verdict == Verdict::Restricted,
    }
}

/// The relation to name where there are several: the subject's own listing before a related one.
fn foremost(relations: RelationSet) -> Option<Relation> {
    relations.iter().next()
}

fn reason(answer: &Answer, fields: FieldMask) -> AnswerReason {
    if fields.contains(Field::Relation) {
        return answer.reason;
    }
    let rests_on_hit = answer.via != Via::Nobody;
    match answer.reason {
        AnswerReason::ListedDebtor | AnswerReason::RelatedPerson | AnswerReason::CourtOrder => AnswerReason::CourtOrder,
        AnswerReason::OfficerListed if fields.is_one_bit() => AnswerReason::CourtOrder,
        // These would tell that there is a listing after all.
        AnswerReason::Exempt => AnswerReason::NotListed,
        AnswerReason::OutOfScope if rests_on_hit => AnswerReason::NotListed,
        AnswerReason::ClockUnsure | AnswerReason::NameNotChecked if fields.is_one_bit() => {
            AnswerReason::IdentityNotConfirmed
        }
        AnswerReason::OfficerListed
        | AnswerReason::OutOfScope
        | AnswerReason::ClockUnsure
        | AnswerReason::NameNotChecked
        | AnswerReason::NotListed
        | AnswerReason::NotFresh
        | AnswerReason::Minor
        | AnswerReason::ConditionOpen
        | AnswerReason::IdentityNotConfirmed => answer.reason,
    }
}
