//! Answers from what a replica holds, by the rules that the hub decides by.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;
use xinhub_api::convert::{self, Inquiry, answer_to, timestamp_to};
use xinhub_api::v1;
use xinhub_domain::decision::{Answer, Hit, NameCheck, Plan, Question, Via, plan, view};
use xinhub_domain::identity::Identity;
use xinhub_domain::measure::{Condition, Measure, Relation, RelationSet};
use xinhub_domain::position::Position;
use xinhub_domain::time::Timestamp;
use xinhub_index::{Index, Key, Relations};

use super::held::View;
use super::{Granted, Shared, Standing};

/// What is known of somebody.
enum Seen {
    Nothing,
    Hit(Hit),
    /// The hub alone can say.
    Ask,
}

impl Standing {
    /// `None` where the hub alone can say.
    pub(super) fn may_ask<'a>(&'a self, code: &str, item: Option<&'a str>) -> Option<MayAsk<'a>> {
        let (measure, granted) = self.audience.granted(code)?;
        let is_granted = |item: &str| measure.item(item).is_none() || granted.items.iter().any(|one| one == item);
        item.is_none_or(is_granted).then_some(MayAsk { measure, item, granted })
    }

    fn keys<'a>(&'a self, identity: &'a Identity) -> impl Iterator<Item = Key> + 'a {
        identity.keys().map(|input| Key(self.audience.prf.digest(input.as_bytes())))
    }

    pub(super) fn is_clear(&self, identity: &Identity) -> bool {
        self.keys(identity).all(|key| self.view.is_clear(&key))
    }

    fn see(&self, identity: &Identity, mask: RelationSet, now: Timestamp) -> Seen {
        let View::Exact(index) = &*self.view else {
            return if self.is_clear(identity) { Seen::Nothing } else { Seen::Ask };
        };
        let bits = Relations::from_bits(mask.bits()).unwrap_or(Relations::ALL);
        let (mut relations, mut firm) = (RelationSet::EMPTY, RelationSet::EMPTY);
        for key in self.keys(identity) {
            let Some(found) = index.probe_mask(&key, bits) else { continue };
            if found.exemptions {
                return Seen::Ask;
            }
            let (held, flagged) = in_force(index, &key, bits, now);
            relations = relations.or(held);
            firm = firm.or(held.without(flagged));
        }
        if relations.is_empty() {
            return Seen::Nothing;
        }
        let flagged = relations.without(firm);
        Seen::Hit(Hit { relations, flagged, clock_unsure: false, exempt: false, listed_on: None })
    }
}

/// What of a key's relations is in force at a moment, and what of it may mean somebody else. A term ends here by itself.
fn in_force(index: &Index, key: &Key, mask: Relations, now: Timestamp) -> (RelationSet, RelationSet) {
    let Some(entry) = index.probe(key) else { return (RelationSet::EMPTY, RelationSet::EMPTY) };
    let now_s = u64::try_from(now.0 / 1_000).unwrap_or(0);
    let lasts = |at: &usize| entry.relations[*at].is_some_and(|until| until.ends_at_s().is_none_or(|end| now_s < end));
    let set = |of: Relations| of.positions().filter(lasts).filter_map(|at| Relation::ALL.get(at).copied()).collect();
    (set(mask & entry.in_force()), set(mask & entry.flagged))
}

impl Shared {
    /// Where what is held stands in the history.
    pub(super) fn place(&self) -> Option<Position> {
        let epoch = self.standing.load().as_ref()?.epoch;
        Some(Position { epoch, revision: self.times.revision.load(Ordering::Acquire), time: self.times.hub_now() })
    }

    /// See [`super::Replica::answer`].
    pub(super) fn answer(
        &self,
        measure: &str,
        item: Option<&str>,
        inquiry: &Inquiry,
        durable: Option<oneshot::Sender<()>>,
    ) -> Option<Answer> {
        let standing = self.standing.load();
        let standing = standing.as_ref()?;
        // A clock takes as long to read as a key to look up.
        let now = self.times.answers_at()?;
        let (answer, granted) = decide(standing, measure, item, inquiry, now)?;
        if !answer.verdict().is_adverse() {
            granted.clears.fetch_add(1, Ordering::Relaxed);
            return Some(answer);
        }
        if !self.leased() {
            return None;
        }
        let revision = self.times.revision.load(Ordering::Acquire);
        let record = record(&answer, measure, item, inquiry, revision, now);
        if !self.records.load().as_ref()?.take(record, durable) {
            return None;
        }
        let again = |now| decide(standing, measure, item, inquiry, now).is_some_and(|(again, _)| again == answer);
        self.may_leave(standing, again).then_some(answer)
    }

    /// Whether what speaks against somebody, and has its place in the records, may leave: if it is decided `again` as it was. A lift that came
    /// meanwhile wins. What was recorded says more than was answered, never less.
    pub(super) fn may_leave(&self, standing: &Arc<Standing>, again: impl FnOnce(Timestamp) -> bool) -> bool {
        // What is held is asked for last: no lift reaches what has been replaced, and the lease is another's by then.
        let is_held = || self.standing.load().as_ref().is_some_and(|held| Arc::ptr_eq(held, standing));
        self.times.answers_at().is_some_and(again) && self.leased() && is_held()
    }

    /// Whether what was answered would be answered again.
    pub(super) fn stands(&self, request: &v1::CheckRequest, response: &v1::CheckResponse) -> bool {
        let standing = self.standing.load();
        let Some(standing) = standing.as_ref() else { return false };
        let again = |now: Timestamp| {
            let inquiry = convert::inquiry(request.inquiry.as_ref(), "inquiry", now.date()).ok()?;
            let (answer, _) = decide(standing, &request.measure, convert::item(&request.item), &inquiry, now)?;
            self.response(&self.place()?, &answer)?.answer
        };
        self.may_leave(standing, |now| again(now).is_some_and(|again| Some(&again) == response.answer.as_ref()))
    }

    pub(super) fn response(&self, place: &Position, answer: &Answer) -> Option<v1::CheckResponse> {
        let fields = self.audience()?.fields;
        Some(v1::CheckResponse {
            answer: Some(answer_to(&view(answer, fields), &[], None)),
            position: Some(position_to(place)),
            use_by: Some(self.use_by(place)),
        })
    }

    /// For one decision, and no longer than the hub waits for it at a lift.
    pub(super) fn use_by(&self, place: &Position) -> prost_types::Timestamp {
        let lease_until = self.times.lease_until.load(Ordering::Acquire);
        let left_ms = i64::try_from(lease_until.saturating_sub(self.times.clock.boot_ms())).unwrap_or(0);
        timestamp_to(Timestamp(place.time.0 + left_ms))
    }

    /// What is said where neither this nor the hub can answer: never that anybody is restricted.
    pub(super) fn not_fresh(&self, measure: &str) -> Option<v1::CheckResponse> {
        let standing = self.standing.load();
        let known = standing.as_ref().and_then(|standing| standing.audience.catalogue.measure(measure));
        let measure = known.or_else(|| xinhub_domain::measure::Catalogue::shipped().measure(measure))?;
        let answer =
            answer_to(&view(&Answer::not_fresh(measure), xinhub_domain::decision::FieldMask::ONE_BIT), &[], None);
        Some(v1::CheckResponse { answer: Some(answer), position: None, use_by: None })
    }
}

/// What somebody is answered at a moment of hub time; `None` where the hub alone can say.
fn decide<'a>(
    standing: &'a Standing,
    code: &str,
    item: Option<&'a str>,
    inquiry: &Inquiry,
    now: Timestamp,
) -> Option<(Answer, &'a Granted)> {
    let may = standing.may_ask(code, item)?;
    Some((may.decide(standing, inquiry, now)?, may.granted))
}

/// What may be asked here.
#[derive(Clone, Copy)]
pub(super) struct MayAsk<'a> {
    pub(super) measure: &'a Measure,
    pub(super) item: Option<&'a str>,
    pub(super) granted: &'a Granted,
}

impl MayAsk<'_> {
    /// See [`decide`].
    pub(super) fn decide(&self, standing: &Standing, inquiry: &Inquiry, now: Timestamp) -> Option<Answer> {
        let MayAsk { measure, item, granted } = *self;
        let conditions = inquiry.conditions();
        let question = Question {
            subject: &inquiry.identity,
            item,
            officers: &inquiry.officers,
            conditions: &conditions,
            limit_fen: granted.limit_fen,
            today: now.date(),
        };
        let probe = match plan(measure, &question).ok()? {
            Plan::Answer(answer) => return Some(answer),
            Plan::Probe(probe) => probe,
        };
        let mut ask = false;
        let mut see = |identity: &Identity, mask: RelationSet| match standing.see(identity, mask, now) {
            Seen::Nothing => None,
            Seen::Hit(hit) => Some(hit),
            Seen::Ask => {
                ask = true;
                None
            }
        };
        let subject = probe.subject().and_then(|(identity, mask)| see(identity, mask));
        let conclusion = probe.conclude(subject, |_, identity| see(identity, RelationSet::DEBTOR));
        if ask || (inquiry.name.is_some() && conclusion.needs_name()) {
            return None;
        }
        let answer = conclusion.confirm_name(NameCheck::NotGiven);
        let rests_on_hit = answer.via() != Via::Nobody || !answer.officers_listed().is_empty();
        let is_said_here = match answer.via() {
            // Whose listing it is, and since when, the hub alone knows.
            Via::Officer { .. } => !rests_on_hit,
            Via::Subject(_) => {
                measure.condition != Condition::AcquiredAfterListing && !standing.audience.fields.is_one_bit()
            }
            Via::Nobody => true,
        };
        (is_said_here && answer.officers_listed().is_empty()).then_some(answer)
    }
}

pub(super) fn position_to(place: &Position) -> v1::Position {
    v1::Position { token: place.token(), time: Some(timestamp_to(place.time)) }
}

pub(super) fn record(
    answer: &Answer,
    measure: &str,
    item: Option<&str>,
    inquiry: &Inquiry,
    revision: u64,
    now: Timestamp,
) -> v1::ReplicaAnswer {
    let relation = match answer.via() {
        Via::Subject(relations) => relations.iter().next(),
        Via::Officer { .. } | Via::Nobody => None,
    };
    v1::ReplicaAnswer {
        time: Some(timestamp_to(now)),
        revision,
        measure: measure.to_owned(),
        item: item.unwrap_or_default().to_owned(),
        identity: Some(convert::identity_to(&inquiry.identity)),
        reference: inquiry.reference.clone(),
        verdict: convert::verdict_to(answer.verdict()) as i32,
        reason: convert::reason_to(answer.reason()) as i32,
        effect: answer.effect().map_or(v1::Effect::Unspecified, convert::effect_to) as i32,
        relation: relation.map_or(v1::Relation::Unspecified, convert::relation_to) as i32,
        open_condition: answer.open_condition().unwrap_or_default().to_owned(),
    }
}
