//! What the caller's answer to a measure's condition lets through. Unanswered conditions never restrict.

use super::{Answer, AnswerReason, ConditionAnswer, ConditionValue, Hit, Question, Refusal, Verdict, Via};
use crate::measure::{Condition, Effect, Measure, Procedure};
use crate::time::Day;

/// How a condition, as answered, bears on a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// The effect applies.
    Open,
    /// The effect applies by a procedure.
    ByProcedure(Procedure),
    /// The effect applies above this limit, and the amount is above it.
    AboveLimit(u64),
    /// The effect applies to what was acquired after the listing, and this was acquired on this day.
    AcquiredOn(Day),
    /// The effect doesn't apply, whoever is listed.
    Shut,
    /// Left open: a person decides. With the limit, where one is configured.
    Unanswered(Option<u64>),
}

/// The gate for this measure and the caller's answers.
pub(super) fn gate(measure: &Measure, question: &Question) -> Result<Gate, Refusal> {
    let Some((position, value)) = answer_to(measure, question.conditions)? else {
        return Ok(match &measure.condition {
            Condition::None | Condition::CourtOrder | Condition::Recipient(_) => Gate::Open,
            Condition::AmountRequired => Gate::Unanswered(question.limit_fen),
            Condition::InPost(_) | Condition::AcquiredAfterListing | Condition::Fact(_) => Gate::Unanswered(None),
        });
    };
    match (&measure.condition, value) {
        (Condition::InPost(procedure), ConditionValue::Met) => Ok(Gate::ByProcedure(*procedure)),
        // Not in post is a candidate, and the plan bars appointment as well as it orders removal.
        (Condition::InPost(_), ConditionValue::NotMet) => Ok(Gate::Open),
        (Condition::Fact(_), ConditionValue::Met) => Ok(Gate::Open),
        (Condition::Fact(_), ConditionValue::NotMet) => Ok(Gate::Shut),
        (Condition::AcquiredAfterListing, ConditionValue::Date(day)) => {
            if Day::from_date(question.today).is_some_and(|today| day > today) {
                let condition = name(measure);
                return Err(Refusal::ConditionInFuture { position, condition });
            }
            Ok(Gate::AcquiredOn(day))
        }
        (Condition::AmountRequired, ConditionValue::AmountFen(amount)) => Ok(match question.limit_fen {
            Some(limit) if amount > limit => Gate::AboveLimit(limit),
            Some(_) => Gate::Shut,
            None => Gate::Unanswered(None),
        }),
        (Condition::InPost(_) | Condition::Fact(_), ConditionValue::Date(_) | ConditionValue::AmountFen(_))
        | (
            Condition::AcquiredAfterListing,
            ConditionValue::Met | ConditionValue::NotMet | ConditionValue::AmountFen(_),
        )
        | (Condition::AmountRequired, ConditionValue::Met | ConditionValue::NotMet | ConditionValue::Date(_))
        | (Condition::None | Condition::CourtOrder | Condition::Recipient(_), _) => {
            let expected = measure.condition.expects();
            Err(Refusal::ConditionType { position, condition: name(measure), expected })
        }
    }
}

fn name(measure: &Measure) -> String {
    measure.condition.name().unwrap_or_default().to_owned()
}

/// The one answer to the measure's condition, with its position.
fn answer_to(measure: &Measure, answers: &[ConditionAnswer]) -> Result<Option<(usize, ConditionValue)>, Refusal> {
    let mut found = None;
    for (position, answer) in answers.iter().enumerate() {
        if measure.condition.name() != Some(answer.condition) {
            let hint = match measure.condition.name() {
                Some(name) => format!("it has `{name}`, answered with {}", measure.condition.expects()),
                None => "leave the answer out".to_owned(),
            };
            return Err(Refusal::UnknownCondition { code: measure.code.to_string(), position, hint });
        }
        if found.is_some() {
            return Err(Refusal::ConditionTwice { position });
        }
        found = Some((position, answer.value));
    }
    Ok(found)
}

impl Gate {
    /// What a confirmed hit answers behind this gate.
    pub(super) fn let_through(self, measure: &Measure, effect: Effect, hit: &Hit, via: Via) -> Answer {
        // `plan` refused measures without a verdict; were one to come through, it could still not restrict.
        let Some(verdict) = effect.verdict() else {
            return Answer::clear(AnswerReason::OutOfScope, via);
        };
        let applies = Answer { verdict, effect: Some(effect), ..Answer::clear(via.reason(), via) };
        let open = |limit_fen| Answer {
            verdict: Verdict::Consider,
            reason: AnswerReason::ConditionOpen,
            open_condition: measure.condition.name().map(Box::from),
            limit_fen,
            ..applies.clone()
        };
        match self {
            Gate::Open => applies,
            Gate::ByProcedure(procedure) => Answer { procedure: Some(procedure), ..applies },
            Gate::AboveLimit(limit) => Answer { limit_fen: Some(limit), ..applies },
            Gate::AcquiredOn(day) => match hit.listed_on {
                Some(listed_on) if day > listed_on => applies,
                Some(_) => Answer::clear(AnswerReason::OutOfScope, via),
                None => open(None),
            },
            Gate::Shut => Answer::clear(AnswerReason::OutOfScope, Via::Nobody),
            Gate::Unanswered(limit) => open(limit),
        }
    }
}
