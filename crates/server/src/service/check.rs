//! One question answered: plan, probe, conclude, confirm the name, and what of it the caller sees.
//!
//! Promises: the index is read only with a permit; an answer is noted for the record in the same breath as it is made, so
//! that none can leave without; what the caller doesn't see is in the record alone.

use jiff::civil::Date;
use xinhub_api::convert::{Inquiry, Whom, answer_to};
use xinhub_api::reason::Failure;
use xinhub_api::v1;
use xinhub_domain::decision::{
    Alike, Answer, AnswerReason, ConditionAnswer, NameCheck, Plan, Probe, Question, Verdict, Via, plan, view,
};
use xinhub_domain::identity::Identity;
use xinhub_domain::measure::{Relation, RelationSet};
use xinhub_domain::name::Name;
use xinhub_domain::policy::{LookupPermit, Policy};
use xinhub_ledger::{Detail, Found, Ledger};

use super::call::Call;
use crate::audit::{AuditId, AuditItem, SubjectView};

/// Times that an answer may be overtaken while it is being recorded.
pub(super) const MAX_OVERTAKEN: usize = 4;

/// One question, permitted.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// The right to ask it.
    pub(super) permit: &'a LookupPermit,
    /// The item as the caller names it; whether the measure has it is part of the decision.
    pub(super) item: Option<&'a str>,
    /// Who is asked about.
    pub(super) inquiry: &'a Inquiry,
    /// Where the inquiry stands in the request, for faults.
    pub(super) path: &'a str,
}

impl<'a> Asked<'a> {
    fn question(&self, conditions: &'a [ConditionAnswer<'a>], today: Date) -> Question<'a> {
        Question {
            subject: &self.inquiry.identity,
            item: self.item,
            officers: &self.inquiry.officers,
            conditions,
            limit_fen: self.permit.limit_fen(),
            today,
        }
    }

    fn plan<'q>(&self, question: &'q Question<'q>) -> Result<Plan<'q>, Failure>
    where
        'a: 'q,
    {
        plan(self.permit.measure(), question).map_err(|refusal| Failure::from((refusal, self.path)))
    }

    /// Whoever is to be looked up as the subject: not a minor, say.
    fn looked_up(&self, today: Date) -> Option<&'a Identity> {
        let conditions = self.inquiry.conditions();
        match plan(self.permit.measure(), &self.question(&conditions, today)) {
            Ok(Plan::Probe(probe)) => probe.subject().map(|_| &self.inquiry.identity),
            Ok(Plan::Answer(_)) | Err(_) => None,
        }
    }
}

/// What the hub knows, and the listings that it rests on.
pub(super) struct Decided {
    pub(super) answer: Answer,
    listings: Vec<u64>,
}

impl Decided {
    /// The item of the record.
    pub(super) fn item(&self, identity: Option<&Identity>) -> AuditItem {
        let told = self.tells();
        AuditItem {
            key: identity.and_then(|identity| identity.keys().next()),
            verdict: Some(self.answer.verdict()),
            error: None,
            listings: if told { self.listings.clone() } else { Vec::new() },
            subject_view: told.then(|| Box::new(self.view())),
            reference: String::new(),
        }
    }

    fn view(&self) -> SubjectView {
        SubjectView {
            reason: self.answer.reason(),
            effect: self.answer.effect(),
            relation: match self.answer.via() {
                Via::Subject(relations) => relations.iter().next(),
                Via::Officer { .. } => Some(Relation::Debtor),
                Via::Nobody => None,
            },
            open_condition: self.answer.open_condition().map(str::to_owned),
        }
    }

    /// Whether it tells of a listing: an adverse verdict, or a count of officers beside another one.
    pub(super) fn tells(&self) -> bool {
        self.answer.verdict().is_adverse() || !self.answer.officers_listed().is_empty()
    }

    /// Whether it may still be said where by now it would be decided like this: all that it rests on is there, and none of it speaks less
    /// against anybody. What has come in addition is no matter: it was right when it was decided.
    pub(super) fn holds(&self, now: &Decided) -> bool {
        let is_stricter = (self.answer.verdict(), now.answer.verdict()) == (Verdict::Consider, Verdict::Restricted);
        let rests = self.listings.iter().all(|listing| now.listings.contains(listing));
        rests && (is_stricter || now.answer == self.answer)
    }

    /// Whether it is that nobody is listed, and nothing else: every caller then sees the same.
    fn is_not_listed(&self) -> bool {
        self.answer.reason() == AnswerReason::NotListed && self.answer.officers_listed().is_empty()
    }

    /// The listings of which somebody is told, one way or another.
    pub(super) fn disclosed(&self) -> &[u64] {
        if self.tells() { &self.listings } else { &[] }
    }

    /// The answer as the caller sees it. Notes it for the record of `call`, and so whom it tells about.
    pub(super) fn leave(&self, call: &Call, asked: &Asked<'_>, item: AuditItem) -> v1::Answer {
        call.hub().metrics.count_answer(call.method(), self.answer.verdict());
        let answer = self.seen(call, asked.permit);
        call.note_item(item, self.disclosed());
        answer
    }

    /// The answer as the caller sees it, for whoever notes it for the record.
    pub(super) fn seen(&self, call: &Call, permit: &LookupPermit) -> v1::Answer {
        let hub = call.hub();
        let view = view(&self.answer, permit.fields());
        let slip = view.slip.then(|| {
            let court = self.listings.first().and_then(|listing| hub.ledger.court_of(*listing));
            slip(&hub.authority.policy(), court.as_deref(), call.audit_reference())
        });
        answer_to(&view, &self.listings, slip)
    }
}

/// Decides a question by the state as it is. Takes no lock on a miss, and reads names on a hit alone.
///
/// # Errors
/// Where the question doesn't fit its measure.
pub(super) fn decide(ledger: &Ledger, asked: &Asked<'_>, today: Date) -> Result<Decided, Failure> {
    decide_known(ledger, asked, today, true)
}

/// One inquiry of many, or what is wrong with it.
pub(super) type OneOfMany = Result<Whom, Box<Failure>>;

/// What became of one inquiry of many. The first is nearly always so, and takes no room for what the others have to say.
pub(super) enum Outcome {
    /// Nobody is listed, and nothing else is said.
    NotListed,
    Decided(Box<Decided>),
    Refused(Box<Failure>),
}

impl Outcome {
    /// What tells of a listing. See [`Decided::tells`].
    pub(super) fn telling(&self) -> Option<&Decided> {
        match self {
            Outcome::NotListed | Outcome::Refused(_) => None,
            Outcome::Decided(decided) => decided.tells().then_some(&**decided),
        }
    }
}

/// Whether answers hold, by what `hold` works out: once more where a lift is acknowledged meanwhile.
pub(super) fn held(ledger: &Ledger, hold: impl Fn() -> bool) -> bool {
    for _ in 0..MAX_OVERTAKEN {
        let lifts = ledger.lift_seq();
        if !hold() {
            return false;
        }
        if ledger.lift_seq() == lifts {
            return true;
        }
    }
    false
}

impl From<Result<Decided, Failure>> for Outcome {
    fn from(decided: Result<Decided, Failure>) -> Outcome {
        match decided {
            Ok(decided) if decided.is_not_listed() => Outcome::NotListed,
            Ok(decided) => Outcome::Decided(Box::new(decided)),
            Err(failure) => Outcome::Refused(Box::new(failure)),
        }
    }
}

/// [`decide`] for each of many inquiries, in their order: whether there is anything about somebody is looked up together, and the rest
/// one by one. What the request alone settles is settled once.
pub(super) fn decide_many(
    ledger: &Ledger,
    permit: &LookupPermit,
    item: Option<&str>,
    inquiries: &[OneOfMany],
    today: Date,
    decided: &mut Vec<Outcome>,
) {
    let alike = Alike::new(permit.measure(), item, today);
    let probed = |identity| alike.is_some_and(|alike| alike.is_probed(identity)).then_some(identity);
    let subjects = inquiries.iter().map(|one| match one {
        Ok(whom) if whom.is_plain() => probed(whom.identity()),
        Ok(Whom::More(inquiry)) => Asked { permit, item, inquiry, path: "" }.looked_up(today),
        Ok(Whom::Alone(_)) | Err(_) => None,
    });
    let missed = ledger.missed(permit, subjects, permit.measure().mask());
    let decide = |inquiry: &Inquiry, missed: bool| {
        let asked = Asked { permit, item, inquiry, path: "" };
        decide_known(ledger, &asked, today, !missed).into()
    };
    decided.extend(inquiries.iter().zip(missed).map(|(one, missed)| match one {
        Ok(whom) if missed && whom.is_plain() => Outcome::NotListed,
        Ok(whom) => decide(&whom.inquiry(), missed),
        Err(failure) => Outcome::Refused(failure.clone()),
    }));
}

/// [`decide`]; where nothing is `known` of the subject it is not looked up.
fn decide_known(ledger: &Ledger, asked: &Asked<'_>, today: Date, known: bool) -> Result<Decided, Failure> {
    let conditions = asked.inquiry.conditions();
    let question = asked.question(&conditions, today);
    Ok(match asked.plan(&question)? {
        Plan::Answer(answer) => Decided { answer, listings: Vec::new() },
        Plan::Probe(probe) => {
            let subject = probe.subject().filter(|_| known);
            let subject = subject.and_then(|(identity, mask)| ledger.probe(asked.permit, identity, mask));
            conclude(ledger, asked, &probe, subject)
        }
    })
}

/// The answer once the subject has been looked up.
fn conclude(ledger: &Ledger, asked: &Asked<'_>, probe: &Probe<'_>, subject: Option<Found>) -> Decided {
    let Asked { permit, inquiry, .. } = *asked;
    let mut officers: Vec<(usize, Found)> = Vec::new();
    let conclusion = probe.conclude(subject.as_ref().map(|found| found.hit), |position, identity| {
        let found = ledger.probe(permit, identity, RelationSet::DEBTOR)?;
        let hit = found.hit;
        officers.push((position, found));
        Some(hit)
    });
    let name = match (&inquiry.name, &subject) {
        (Some(name), Some(found)) if conclusion.needs_name() => compare(ledger, name, &inquiry.identity, found),
        (Some(_) | None, _) => NameCheck::NotGiven,
    };
    let answer = conclusion.confirm_name(name);
    let listings = listings(&answer, subject.as_ref(), &officers);
    Decided { answer, listings }
}

/// The listings that an answer rests on, and those of the officers that it counts.
fn listings(answer: &Answer, subject: Option<&Found>, officers: &[(usize, Found)]) -> Vec<u64> {
    let mut listings: Vec<u64> = Vec::new();
    if let (Via::Subject(relations), Some(found)) = (answer.via(), subject) {
        let counts = found.listings.iter().filter(|one| !one.flagged && relations.contains(one.relation));
        listings.extend(counts.map(|one| one.listing));
    }
    for position in answer.officers_listed().iter() {
        let found = officers.iter().filter(|(at, _)| *at == position).flat_map(|(_, found)| &found.listings);
        listings.extend(found.filter(|one| !one.flagged).map(|one| one.listing));
    }
    listings.sort_unstable();
    listings.dedup();
    listings
}

/// Compares a name with those that the listings behind a hit have for this person. One that matches is enough: several
/// courts may write a name in several ways.
fn compare(ledger: &Ledger, name: &Name, identity: &Identity, found: &Found) -> NameCheck {
    let mut unread = false;
    for one in found.listings.iter().filter(|one| !one.flagged) {
        match ledger.detail(one.listing) {
            Ok(Some(detail)) if confirms(&detail, one.relation, name, identity) => return NameCheck::Matches,
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => unread = true,
        }
    }
    if unread { NameCheck::Unavailable } else { NameCheck::Differs }
}

fn confirms(detail: &Detail, relation: Relation, name: &Name, identity: &Identity) -> bool {
    if relation == Relation::Debtor {
        return detail.content.name.confirms(name);
    }
    let same = |other: &Identity| identity.keys().any(|key| other.keys().any(|theirs| theirs == key));
    let related = detail.relations.iter().filter(|one| !one.ended && one.content.relation == relation);
    related.filter(|one| same(&one.content.identity)).any(|one| one.content.name.confirms(name))
}

/// What a one-bit caller hands to the person: no detail, and never a word of what they may have done.
fn slip(policy: &Policy, court: Option<&str>, reference: Option<AuditId>) -> v1::Slip {
    let name = court.map(|id| policy.court(id).map_or(id, |court| court.name_zh())).unwrap_or_default();
    let reference = reference.map(|id| id.to_string()).unwrap_or_default();
    v1::Slip {
        text_zh: format!(
            "本次消费依人民法院的命令受到限制。本单位不掌握任何详情；如有疑问，请凭编号 {reference} 向{name}查询。"
        ),
        text_en: format!(
            "This purchase is restricted by court order. We hold no details. Please ask {name} under reference {reference}."
        ),
        court: name.to_owned(),
        reference,
    }
}
