//! The whole decision of a lookup: from a measure, a question and what the index holds to a verdict with its reason.
//!
//! It promises that nobody is `RESTRICTED` without a confirmed relation to a listing in force that the measure reaches;
//! that an unanswered condition and an unsure identity, name or clock never restrict; and that what can be said without
//! looking anybody up is said so.
//!
//! A decision takes three steps, because the index and the names lie outside this crate: [`plan`] says what to probe (or
//! answers at once), [`Probe::conclude`] weighs the hits, [`Conclusion::confirm_name`] lets a name confirm. Each step is
//! the only way to the next. What the caller then sees of an [`Answer`] is [`view`]'s business.

mod gate;
#[cfg(test)]
mod tests;
mod view;

use jiff::civil::Date;

use crate::closed::closed;
use crate::identity::{Identity, Subject};
use crate::measure::{Capacity, Effect, Measure, OnUnknown, Procedure, Relation, RelationSet, SubjectSort};
use crate::time::Day;

use gate::Gate;
pub use view::{Field, FieldMask, View, view};

/// Officers that one question may name.
pub const MAX_OFFICERS: usize = 30;

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
        /// All that a caller without the field `relation` learns of a hit. Only ever in a [`View`].
        CourtOrder = "COURT_ORDER",
    }
}

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

    fn with(self, position: usize) -> OfficerSet {
        OfficerSet(self.0 | (1 << position))
    }
}

/// What the hub knows, in full. Callers get a [`View`] of it.
///
/// Made in this module alone, so that `UNKNOWN` and `CLEAR` never carry an effect and `RESTRICTED` always has a hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    verdict: Verdict,
    reason: AnswerReason,
    effect: Option<Effect>,
    open_condition: Option<Box<str>>,
    procedure: Option<Procedure>,
    limit_fen: Option<u64>,
    via: Via,
    officers_listed: OfficerSet,
    on_unknown: Option<OnUnknown>,
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

    fn clear(reason: AnswerReason, via: Via) -> Answer {
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

    fn unknown(reason: AnswerReason, via: Via, measure: &Measure) -> Answer {
        Answer { verdict: Verdict::Unknown, on_unknown: measure.on_unknown, ..Answer::clear(reason, via) }
    }
}

/// What to do next with a question.
#[derive(Debug)]
pub enum Plan<'a> {
    /// Nothing: the question decides itself, and nobody is looked up.
    Answer(Answer),
    /// Look up whom the probe names.
    Probe(Probe<'a>),
}

/// A question that needs the index.
#[derive(Debug)]
pub struct Probe<'a> {
    measure: &'a Measure,
    question: &'a Question<'a>,
    subject: Standing,
    officers: OfficerSet,
    gate: Gate,
}

/// Whether an identity may be looked up at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// By rule no measure asks about a child.
    Minor,
    /// It may mean somebody else.
    Flagged,
    /// It may be looked up.
    Sound,
}

/// Plans the lookup, or answers without one.
///
/// What the caller's own words put outside the measure (kind of subject, item, a condition that isn't met) is answered
/// before any probe, listed or not: otherwise `OUT_OF_SCOPE` would tell that there is a listing.
///
/// # Errors
/// A [`Refusal`] where the question does not fit the measure; nobody is looked up then either.
pub fn plan<'a>(measure: &'a Measure, question: &'a Question<'a>) -> Result<Plan<'a>, Refusal> {
    let code = || measure.code.to_string();
    if !measure.is_askable() {
        return Err(Refusal::NotAskable { code: code(), effect: measure.effect });
    }
    if !measure.enabled {
        return Err(Refusal::Disabled { code: code() });
    }
    check_officers(measure, question)?;
    let gate = gate::gate(measure, question)?;
    let item_outside = match (question.item, measure.items.is_empty()) {
        (None, true) => false,
        (None, false) => return Err(Refusal::MissingItem { code: code(), items: measure.items.join(", ") }),
        (Some(_), true) => return Err(Refusal::UnexpectedItem { code: code() }),
        (Some(item), false) => measure.item(item).is_none(),
    };
    let subject = standing(question.subject, question.today);
    if !takes(measure.restricted.sort, question.subject) || item_outside {
        return Ok(Plan::Answer(Answer::clear(AnswerReason::OutOfScope, Via::Nobody)));
    }
    if subject == Standing::Minor {
        return Ok(Plan::Answer(Answer::clear(AnswerReason::Minor, Via::Nobody)));
    }
    if gate == Gate::Shut {
        return Ok(Plan::Answer(Answer::clear(AnswerReason::OutOfScope, Via::Nobody)));
    }
    let officers = question
        .officers
        .iter()
        .enumerate()
        .filter(|(_, officer)| standing(&officer.identity, question.today) == Standing::Sound)
        .fold(OfficerSet::default(), |set, (position, _)| set.with(position));
    let probe = Probe { measure, question, subject, officers, gate };
    if subject == Standing::Sound || !officers.is_empty() {
        return Ok(Plan::Probe(probe));
    }
    Ok(Plan::Answer(probe.conclude(None, |_, _| None).confirm_name(NameCheck::NotGiven)))
}

fn check_officers(measure: &Measure, question: &Question) -> Result<(), Refusal> {
    let given = question.officers.len();
    if given == 0 {
        return Ok(());
    }
    let code = || measure.code.to_string();
    if measure.also_check.is_empty() {
        return Err(Refusal::OfficersNotLookedAt { code: code() });
    }
    if question.subject.subject() == Subject::Person {
        return Err(Refusal::OfficersOfPerson);
    }
    if given > MAX_OFFICERS {
        return Err(Refusal::TooManyOfficers { given });
    }
    match question.officers.iter().position(|officer| !measure.also_check.contains(&officer.capacity)) {
        Some(position) => {
            Err(Refusal::CapacityNotLookedAt { code: code(), position, capacity: question.officers[position].capacity })
        }
        None => Ok(()),
    }
}

fn takes(sort: SubjectSort, identity: &Identity) -> bool {
    match (sort, identity.subject()) {
        (SubjectSort::Either, Subject::Person | Subject::Organisation)
        | (SubjectSort::Person, Subject::Person)
        | (SubjectSort::Organisation, Subject::Organisation) => true,
        (SubjectSort::Person, Subject::Organisation) | (SubjectSort::Organisation, Subject::Person) => false,
    }
}

fn standing(identity: &Identity, today: Date) -> Standing {
    if identity.is_minor(today) == Some(true) {
        Standing::Minor
    } else if identity.is_flagged() {
        Standing::Flagged
    } else {
        Standing::Sound
    }
}

impl<'a> Probe<'a> {
    /// The subject and the relations to look for; `None` if the subject itself is not to be looked up.
    pub fn subject(&self) -> Option<(&'a Identity, RelationSet)> {
        (self.subject == Standing::Sound).then(|| (self.question.subject, self.measure.mask()))
    }

    /// The officers to look up as debtors ([`RelationSet::DEBTOR`]), with their position in the question.
    pub fn officers(&self) -> impl Iterator<Item = (usize, &'a Identity)> {
        let all = self.question.officers;
        self.officers.iter().map(move |position| (position, &all[position].identity))
    }

    /// Weighs the hits: the subject's (for [`Probe::subject`]) and each officer's, which `officer_hit` looks up or has
    /// looked up (for [`Probe::officers`], in their order).
    pub fn conclude(
        &self,
        subject_hit: Option<Hit>,
        mut officer_hit: impl FnMut(usize, &Identity) -> Option<Hit>,
    ) -> Conclusion<'a> {
        let subject = match self.subject {
            Standing::Minor => Answer::clear(AnswerReason::Minor, Via::Nobody),
            Standing::Flagged => Answer::unknown(AnswerReason::IdentityNotConfirmed, Via::Nobody, self.measure),
            Standing::Sound => self.weigh(subject_hit, self.measure.mask(), self.measure.effect, Via::Subject),
        };
        let mut listed = OfficerSet::default();
        let mut officers: Option<Answer> = None;
        for (position, officer) in self.question.officers.iter().enumerate() {
            let via = Via::Officer { position, capacity: officer.capacity };
            let answer = match (standing(&officer.identity, self.question.today), self.measure.also_effect) {
                (Standing::Minor, _) => Answer::clear(AnswerReason::Minor, via),
                (Standing::Flagged, _) => Answer::unknown(AnswerReason::IdentityNotConfirmed, via, self.measure),
                (Standing::Sound, Some(effect)) => {
                    let hit = officer_hit(position, &officer.identity);
                    self.weigh(hit, RelationSet::DEBTOR, effect, |_| via)
                }
                // A measure without `also_effect` looks at no officers, and `plan` refused them.
                (Standing::Sound, None) => Answer::clear(AnswerReason::OutOfScope, via),
            };
            if answer.verdict.is_adverse() {
                listed = listed.with(position);
            }
            officers = Some(match officers {
                Some(so_far) => stronger(so_far, answer),
                None => answer,
            });
        }
        Conclusion { measure: self.measure, subject, officers, listed }
    }

    /// One hit's own answer.
    fn weigh(&self, hit: Option<Hit>, mask: RelationSet, effect: Effect, via: impl Fn(RelationSet) -> Via) -> Answer {
        let reached = hit.map_or(RelationSet::EMPTY, |hit| hit.relations.and(mask));
        let Some(hit) = hit.filter(|_| !reached.is_empty()) else {
            return Answer::clear(AnswerReason::NotListed, Via::Nobody);
        };
        if hit.exempt {
            return Answer::clear(AnswerReason::Exempt, via(reached));
        }
        let confirmed = reached.without(hit.flagged);
        if confirmed.is_empty() {
            return Answer::unknown(AnswerReason::IdentityNotConfirmed, via(reached), self.measure);
        }
        if hit.clock_unsure {
            return Answer::unknown(AnswerReason::ClockUnsure, via(confirmed), self.measure);
        }
        self.gate.let_through(self.measure, effect, &hit, via(confirmed))
    }
}

impl Via {
    /// The reason that an effect on this hit has.
    fn reason(self) -> AnswerReason {
        match self {
            Via::Nobody => AnswerReason::NotListed,
            Via::Subject(relations) if relations.contains(Relation::Debtor) => AnswerReason::ListedDebtor,
            Via::Subject(_) => AnswerReason::RelatedPerson,
            Via::Officer { .. } => AnswerReason::OfficerListed,
        }
    }
}

/// The stronger of two answers; of equals the first.
fn stronger(first: Answer, second: Answer) -> Answer {
    if second.verdict.strength() > first.verdict.strength() { second } else { first }
}

/// What became of comparing the name given with the name listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameCheck {
    /// The caller gave none.
    NotGiven,
    /// The names are the same in comparison form.
    Matches,
    /// They differ.
    Differs,
    /// The listed name can't be read just now.
    Unavailable,
}

/// The weighed hits, before a name is compared.
#[derive(Debug)]
pub struct Conclusion<'a> {
    measure: &'a Measure,
    subject: Answer,
    officers: Option<Answer>,
    listed: OfficerSet,
}

impl Conclusion<'_> {
    /// Whether comparing the subject's name could change the answer: names are compared on a hit only.
    pub fn needs_name(&self) -> bool {
        self.subject.verdict.is_adverse()
    }

    /// Lets the name confirm or unsettle the subject's own hit, and picks the strongest of all.
    ///
    /// A name never makes a hit: without one it changes nothing.
    pub fn confirm_name(self, name: NameCheck) -> Answer {
        let unsettled = match name {
            NameCheck::NotGiven | NameCheck::Matches => None,
            NameCheck::Differs => Some(AnswerReason::IdentityNotConfirmed),
            NameCheck::Unavailable => Some(AnswerReason::NameNotChecked),
        };
        let subject = match unsettled {
            Some(reason) if self.subject.verdict.is_adverse() => {
                Answer::unknown(reason, self.subject.via, self.measure)
            }
            Some(_) | None => self.subject,
        };
        let mut answer = match self.officers {
            Some(officers) => stronger(subject, officers),
            None => subject,
        };
        answer.officers_listed = self.listed;
        answer
    }
}
