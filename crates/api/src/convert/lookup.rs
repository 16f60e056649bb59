//! Questions inwards, answers outwards.

use jiff::civil::Date;
use xinhub_domain::decision::{ConditionAnswer, ConditionValue, MAX_OFFICERS, Officer, View};
use xinhub_domain::identity::{Identity, contains_identity};
use xinhub_domain::name::Name;
use xinhub_domain::time::Day;

use super::enums::{capacity_from, effect_to, kind_from, on_unknown_to, reason_to, relation_to, verdict_to};
use super::identity::{Role, identity, sound};
use crate::reason::{FieldFaults, Reason, join};
use crate::v1;

/// Characters of a caller's reference.
pub const MAX_REFERENCE_CHARS: usize = 64;
/// Answers to conditions in one inquiry; a measure has one condition.
pub const MAX_CONDITIONS: usize = 8;

/// What is asked about, checked; whether it fits the measure is `decision::plan`'s to say.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// Who is asked about.
    pub identity: Identity,
    /// Confirms a hit.
    pub name: Option<Name>,
    /// Officers of the organisation asked about, in the order of the request.
    pub officers: Vec<Officer>,
    /// The caller's own reference. Holds no identity number.
    pub reference: String,
    conditions: Vec<(String, ConditionValue)>,
}

impl From<Identity> for Inquiry {
    /// Nothing is said but whom it is about.
    fn from(identity: Identity) -> Inquiry {
        Inquiry { identity, name: None, officers: Vec::new(), reference: String::new(), conditions: Vec::new() }
    }
}

impl Inquiry {
    /// Whether no officer is named and no condition answered: of one request, what is decided of all such inquiries differs by
    /// the identity alone, until there is a hit.
    pub fn is_plain(&self) -> bool {
        self.officers.is_empty() && self.conditions.is_empty()
    }

    /// What the caller knows of the measure's condition.
    pub fn conditions(&self) -> Vec<ConditionAnswer<'_>> {
        self.conditions.iter().map(|(condition, value)| ConditionAnswer { condition, value: *value }).collect()
    }
}

/// The inquiry of a message. `today` is the date in Asia/Shanghai.
///
/// # Errors
/// Every fault, by its path.
pub fn inquiry(message: Option<&v1::Inquiry>, path: &str, today: Date) -> Result<Inquiry, FieldFaults> {
    let mut faults = FieldFaults::default();
    let Some(message) = message else {
        faults.add(path, "is missing: name whom you ask about");
        return Err(faults);
    };
    // Most inquiries are an identity without a fault: a path is put together only where it may be needed.
    let subject = message.identity.as_ref();
    let sound_one = |message: &v1::Identity| {
        sound(kind_from(message.kind)?, &message.number, &message.issuing_state, Role::LookerUp, today)
    };
    let subject = match subject.and_then(sound_one) {
        Some(identity) => Some(identity),
        None => faults.take(identity(subject, &join(path, "identity"), Role::LookerUp, today)),
    };
    let name = (!message.name.is_empty()).then(|| Name::parse(&message.name));
    let name = name.transpose().map_err(|fault| faults.add(join(path, "name"), fault.to_string())).unwrap_or(None);
    let officers = match message.officers.is_empty() {
        true => Some(Vec::new()),
        false => faults.take(officers(&message.officers, &join(path, "officers"), today)),
    };
    let conditions = match message.conditions.is_empty() {
        true => Some(Vec::new()),
        false => faults.take(conditions(&message.conditions, &join(path, "conditions"))),
    };
    if !message.reference.is_empty() {
        check_reference(&message.reference, &join(path, "reference"), &mut faults);
    }
    let reference = message.reference.clone();
    let whole = subject.zip(officers).zip(conditions);
    faults.or(whole.map(|((identity, officers), conditions)| Inquiry {
        identity,
        name,
        officers,
        reference,
        conditions,
    }))
}

/// The answer that nobody is listed, as every caller sees it.
pub fn not_listed() -> v1::Answer {
    let (verdict, reason) = (v1::Verdict::Clear as i32, v1::AnswerReason::NotListed as i32);
    v1::Answer { verdict, reason, ..v1::Answer::default() }
}

/// The item of a request; empty is none.
pub fn item(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn officers(messages: &[v1::Officer], path: &str, today: Date) -> Result<Vec<Officer>, FieldFaults> {
    let mut faults = FieldFaults::default();
    if messages.len() > MAX_OFFICERS {
        faults.add(path, format!("has {} officers, at most {MAX_OFFICERS}; ask twice", messages.len()));
        return Err(faults);
    }
    let mut officers = Vec::with_capacity(messages.len());
    for (at, message) in messages.iter().enumerate() {
        let path = format!("{path}[{at}]");
        let capacity = capacity_from(message.capacity);
        if capacity.is_none() {
            faults.add(join(&path, "capacity"), "is missing, or not a capacity that this hub knows");
        }
        let identity =
            faults.take(identity(message.identity.as_ref(), &join(&path, "identity"), Role::LookerUp, today));
        officers.extend(capacity.zip(identity).map(|(capacity, identity)| Officer { capacity, identity }));
    }
    faults.or(Some(officers))
}

fn conditions(messages: &[v1::ConditionAnswer], path: &str) -> Result<Vec<(String, ConditionValue)>, FieldFaults> {
    use v1::condition_answer::Answer;
    let mut faults = FieldFaults::default();
    if messages.len() > MAX_CONDITIONS {
        faults.add(path, format!("has {} answers, at most {MAX_CONDITIONS}", messages.len()));
        return Err(faults);
    }
    let mut conditions = Vec::with_capacity(messages.len());
    for (at, message) in messages.iter().enumerate() {
        let value = match &message.answer {
            Some(Answer::Met(true)) => Ok(ConditionValue::Met),
            Some(Answer::Met(false)) => Ok(ConditionValue::NotMet),
            Some(Answer::AmountFen(fen)) => u64::try_from(*fen)
                .map(ConditionValue::AmountFen)
                .map_err(|_| ("amount_fen", "is negative; give the amount in fen".to_owned())),
            Some(Answer::Date(text)) => {
                Day::parse(text).map(ConditionValue::Date).map_err(|fault| ("date", fault.to_string()))
            }
            None => Err((
                "answer",
                "is missing: say whether it is met, or give the amount or date that it takes".to_owned(),
            )),
        };
        match value {
            Ok(value) => conditions.push((message.condition.clone(), value)),
            Err((field, problem)) => faults.add(format!("{path}[{at}].{field}"), problem),
        }
    }
    faults.or(Some(conditions))
}

/// Checks a short text that is kept in records: nobody's number may stand in it.
pub fn check_reference(reference: &str, path: &str, faults: &mut FieldFaults) {
    if reference.len() > 4 * MAX_REFERENCE_CHARS || reference.chars().count() > MAX_REFERENCE_CHARS {
        faults.add(path, format!("has more than {MAX_REFERENCE_CHARS} characters"));
    } else if reference.chars().any(char::is_control) {
        faults.add(path, "holds control characters");
    } else if contains_identity(reference) {
        let problem = "holds an identity number: a reference is kept in records, so use a number of your own";
        faults.add_of(Reason::ReferenceHoldsIdentity, path, problem);
    }
}

/// What leaves the hub of an answer. `listings` and `slip` are taken where the view shows them.
pub fn answer_to(view: &View, listings: &[u64], slip: Option<v1::Slip>) -> v1::Answer {
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    v1::Answer {
        verdict: verdict_to(view.verdict) as i32,
        reason: reason_to(view.reason) as i32,
        effect: view.effect.map_or(v1::Effect::Unspecified, effect_to) as i32,
        relation: view.relation.map_or(v1::Relation::Unspecified, relation_to) as i32,
        open_condition: view.open_condition.as_deref().unwrap_or_default().to_owned(),
        procedure: view.procedure.map(|procedure| procedure.as_str().to_owned()).unwrap_or_default(),
        limit_fen: view.limit_fen.map_or(0, |fen| i64::try_from(fen).unwrap_or(i64::MAX)),
        on_unknown: view.on_unknown.map_or(v1::OnUnknown::Unspecified, on_unknown_to) as i32,
        officers_listed: count(view.officers_listed),
        officer_positions: view.officer_positions.iter().copied().map(count).collect(),
        listings: if view.shows_listings { listings.to_vec() } else { Vec::new() },
        slip: slip.filter(|_| view.slip),
    }
}
