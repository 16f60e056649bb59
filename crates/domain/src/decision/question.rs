//! A question, what the index holds for it, and what makes it no question.

use jiff::civil::Date;

use crate::identity::Identity;
use crate::measure::{Capacity, Effect, RelationSet};
use crate::time::Day;

/// Officers that one question may name.
pub const MAX_OFFICERS: usize = 30;

/// An officer of the organisation asked about.
#[derive(Clone, Debug)]
pub struct Officer {
    /// In what capacity they serve it.
    pub capacity: Capacity,
    /// Who they are.
    pub identity: Identity,
}

/// What the caller knows of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConditionAnswer<'a> {
    /// The condition, as named in the catalogue.
    pub condition: &'a str,
    /// What the caller says.
    pub value: ConditionValue,
}

/// An answer to a condition, of the type that the condition takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionValue {
    /// It holds.
    Met,
    /// It does not hold.
    NotMet,
    /// A day, for `acquired_after_listing`.
    Date(Day),
    /// An amount in fen, for `amount_required`.
    AmountFen(u64),
}

/// One question: who is asked about, and what narrows it.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who is asked about.
    pub subject: &'a Identity,
    /// The item, where the measure has items.
    pub item: Option<&'a str>,
    /// The officers of the organisation asked about, at most [`MAX_OFFICERS`].
    pub officers: &'a [Officer],
    /// What the caller knows of the measure's condition.
    pub conditions: &'a [ConditionAnswer<'a>],
    /// The limit configured for this measure, in fen (`Policy::limit_fen`); for `amount_required` only.
    pub limit_fen: Option<u64>,
    /// Today in Asia/Shanghai, by the hub's clock.
    pub today: Date,
}

/// What the index holds of one identity for one measure and item. Made by the index alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Relations in force at this instant and within the mask asked for, flagged ones included.
    pub relations: RelationSet,
    /// Those of them that rest on nothing but flagged records, which may mean somebody else.
    pub flagged: RelationSet,
    /// The clocks disagree on whether any of them is still in force.
    pub clock_unsure: bool,
    /// Single exemptions cover all of them at this instant, for this measure and item.
    pub exempt: bool,
    /// The first day on which one of the listings took effect, where it is known: decides `acquired_after_listing`.
    pub listed_on: Option<Day>,
}

/// A question that the measure does not take, and how to ask it. The caller's mistake, `INVALID_ARGUMENT`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// ASSIST, REPORT and NOT_OFFERED are no lookups.
    #[error(
        "measure: {code} can't be asked: it is {effect}, done on a court's order or not offered; no lookup decides it"
    )]
    NotAskable {
        /// The measure.
        code: String,
        /// What it is.
        effect: Effect,
    },
    /// The row ships switched off.
    #[error("measure: {code} is switched off here; the hub's operator switches it on with its legal basis")]
    Disabled {
        /// The measure.
        code: String,
    },
    /// The measure is asked by item.
    #[error("item: is missing; {code} is asked for one of {items}")]
    MissingItem {
        /// The measure.
        code: String,
        /// The items it has.
        items: String,
    },
    /// The measure has no items.
    #[error("item: {code} has no items; leave it empty")]
    UnexpectedItem {
        /// The measure.
        code: String,
    },
    /// The measure looks at no officers.
    #[error("officers: {code} looks at no officers; ask about the person, or leave them out")]
    OfficersNotLookedAt {
        /// The measure.
        code: String,
    },
    /// Officers named for a person.
    #[error("officers: a person has no officers; leave them out")]
    OfficersOfPerson,
    /// The measure looks at officers, but not at these.
    #[error("officers[{position}].capacity: {code} doesn't look at a {capacity}; leave this officer out")]
    CapacityNotLookedAt {
        /// The measure.
        code: String,
        /// Which officer, from 0.
        position: usize,
        /// Their capacity.
        capacity: Capacity,
    },
    /// More officers than a question may name.
    #[error("officers: {given} given, at most {MAX_OFFICERS}; ask twice")]
    TooManyOfficers {
        /// How many were given.
        given: usize,
    },
    /// An answer to what the measure does not ask.
    #[error("conditions[{position}].condition: {code} has no such condition; {hint}")]
    UnknownCondition {
        /// The measure.
        code: String,
        /// Which answer, from 0.
        position: usize,
        /// What may be answered.
        hint: String,
    },
    /// Two answers to one condition.
    #[error("conditions[{position}].condition: is answered twice; keep one answer")]
    ConditionTwice {
        /// The second answer, from 0.
        position: usize,
    },
    /// An answer of the wrong type.
    #[error("conditions[{position}].answer: {condition} is answered with {expected}")]
    ConditionType {
        /// Which answer, from 0.
        position: usize,
        /// The condition.
        condition: String,
        /// What it takes.
        expected: &'static str,
    },
    /// A day of acquisition after today.
    #[error("conditions[{position}].date: {condition} lies in the future; give the day on which it was acquired")]
    ConditionInFuture {
        /// Which answer, from 0.
        position: usize,
        /// The condition.
        condition: String,
    },
}
