//! The whole decision of a lookup: from a measure, a question and what the index holds to a verdict with its reason.
//!
//! It promises that nobody is `RESTRICTED` without a confirmed relation to a listing in force that the measure reaches;
//! that an unanswered condition and an unsure identity, name or clock never restrict; and that what can be said without
//! looking anybody up is said so.
//!
//! A decision takes three steps, because the index and the names lie outside this crate: [`plan`] says what to probe (or
//! answers at once), [`Probe::conclude`] weighs the hits, [`Conclusion::confirm_name`] lets a name confirm. Each step is
//! the only way to the next; for many questions of one request [`Alike`] says who is to be probed, and a miss needs nothing
//! else. What the caller then sees of an [`Answer`] is [`view`]'s business.

mod alike;
mod answer;
mod gate;
mod question;
#[cfg(test)]
mod tests;
mod view;

use jiff::civil::Date;

use crate::identity::{Identity, Subject};
use crate::measure::{Effect, Measure, RelationSet, SubjectSort};

pub use alike::Alike;
pub use answer::{Answer, AnswerReason, OfficerSet, Verdict, Via};
use gate::Gate;
pub use question::{ConditionAnswer, ConditionValue, Hit, MAX_OFFICERS, Officer, Question, Refusal};
pub use view::{Field, FieldMask, View, view};

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
    check_measure(measure)?;
    check_officers(measure, question)?;
    let gate = gate::gate(measure, question)?;
    let item_outside = is_item_outside(measure, question.item)?;
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

fn check_measure(measure: &Measure) -> Result<(), Refusal> {
    let code = || measure.code.to_string();
    if !measure.is_askable() {
        return Err(Refusal::NotAskable { code: code(), effect: measure.effect });
    }
    if !measure.enabled {
        return Err(Refusal::Disabled { code: code() });
    }
    Ok(())
}

fn is_item_outside(measure: &Measure, item: Option<&str>) -> Result<bool, Refusal> {
    let code = || measure.code.to_string();
    match (item, measure.items.is_empty()) {
        (None, true) => Ok(false),
        (None, false) => Err(Refusal::MissingItem { code: code(), items: measure.items.join(", ") }),
        (Some(_), true) => Err(Refusal::UnexpectedItem { code: code() }),
        (Some(item), false) => Ok(measure.item(item).is_none()),
    }
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
