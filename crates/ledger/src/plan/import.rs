//! Rows of an import file: taken, unchanged, amended, or refused with a reason.
//!
//! No row ever revives an ended case, an ended relation or an identity that was corrected, and the same row twice is one
//! listing.

use xinhub_domain::case_number::CaseNumber;
use xinhub_domain::identity::Identity;
use xinhub_domain::import::differing_fields;
use xinhub_domain::listing::{Action, Actor, Content, EventKind, RelationContent, State, next};
use xinhub_domain::time::Day;
use xinhub_index::Key;

use super::content::{check_amendment, keep_bars};
use super::{Plan, Planner, Subject, Touch, fault};
use crate::command::{CommandError, Complete, ImportRow, ListingRef, RowFault, RowOutcome};

/// What a row comes to: an outcome, and the plan that makes it true.
pub(crate) type RowPlan = (RowOutcome, Option<Plan>);

/// Under what a batch's rows are taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    /// The court whose list it is.
    pub court: &'a str,
    /// The clerk behind it.
    pub actor: &'a Actor,
    /// A row that differs is an amendment.
    pub amend: bool,
    /// Of a complete list.
    pub complete: Option<&'a Complete>,
    /// Rows may list somebody; else they are told to wait.
    pub adds: bool,
}

impl Terms<'_> {
    /// Whether a complete list can't know what became of a listing.
    fn is_newer(&self, subject: &Subject) -> bool {
        self.complete.is_some_and(|complete| subject.revision > complete.knows)
    }
}

fn is_attested(content: &Content) -> bool {
    content.decision.as_ref().is_some_and(|decision| decision.attested)
}

impl Planner<'_> {
    /// Decides one row. Only failures that end the whole import are errors.
    pub(crate) fn row(&mut self, terms: Terms<'_>, row: ImportRow) -> Result<RowPlan, CommandError> {
        let planned = match row {
            ImportRow::Gone(listing) => self.gone_row(terms, listing),
            ImportRow::Listing(content) => self.listing_row(terms, content),
            ImportRow::Relation { listing, content } => self.relation_row(terms, &listing, &content),
        };
        match planned {
            Ok((outcome, mut plan)) => {
                // A row may be what brings an entry into force that only the own unit may be shown.
                plan.iter_mut().for_each(|plan| self.begin_deadlines(plan));
                Ok((outcome, plan))
            }
            Err(fatal @ CommandError::Unreadable) => Err(fatal),
            Err(refused) => Ok((RowOutcome::Fault(RowFault::Refused(Box::new(refused))), None)),
        }
    }

    /// Whom a complete list does not name is freed, unless the hub knows better by now.
    fn gone_row(&mut self, terms: Terms<'_>, listing: u64) -> Result<RowPlan, CommandError> {
        let subject = self.subject(listing, terms.court)?;
        let Some(complete) = terms.complete.filter(|_| subject.state == State::Listed && !terms.is_newer(&subject))
        else {
            return Ok((RowOutcome::Newer { listing }, None));
        };
        let plan = self.lift(&subject, terms.court, Action::Remove, terms.actor, &complete.ground)?;
        Ok((RowOutcome::Removed { listing }, Some(plan)))
    }

    fn listing_row(&mut self, terms: Terms<'_>, content: Box<Content>) -> Result<RowPlan, CommandError> {
        let keys = self.keys(&content);
        let known = self.same_case(&content, &keys, terms.court)?;
        // One that still runs speaks for the case; where all have ended, the case has.
        if let Some(subject) = known.iter().find(|one| !one.state.has_ended()) {
            return self.known_row(terms, subject, content);
        }
        if let Some(newer) = known.iter().find(|one| terms.is_newer(one)) {
            return Ok((RowOutcome::Newer { listing: newer.number }, None));
        }
        if let Some(ended) = known.first() {
            return Ok((RowOutcome::Fault(RowFault::Ended { listing: ended.number }), None));
        }
        if let Some(listing) = self.corrected(&content, &keys, terms.court)? {
            let problem = format!("listing {listing} of the same case had them until they were corrected");
            return Err(fault("identities", &problem));
        }
        // What a migration attests was decided before the court went live, and its file was held to that.
        if content.notice_served_on.is_none() && !is_attested(&content) {
            return Ok((RowOutcome::Fault(RowFault::NoNotice), None));
        }
        if !terms.adds {
            return Ok((RowOutcome::Waits, None));
        }
        let action = Action::Publish(self.standing(&content)?);
        let plan = self.content_plan(None, terms.court, action, EventKind::Publish, content, &keys, terms.actor)?;
        Ok((RowOutcome::Added { listing: plan.event.listing }, Some(plan)))
    }

    /// A listing of the same case that had one of these keys until it was rectified: a file from before that would list the
    /// wrong person again.
    fn corrected(&self, content: &Content, keys: &[Key], court: &str) -> Result<Option<u64>, CommandError> {
        for key in keys {
            for row in self.resident.rows_of(key) {
                if !self.resident.is_former(row, key) {
                    continue;
                }
                let Ok(subject) = self.subject(u64::from(row) + 1, court) else { continue };
                if self.content(&subject)?.case_number == content.case_number {
                    return Ok(Some(subject.number));
                }
            }
        }
        Ok(None)
    }

    fn known_row(
        &mut self,
        terms: Terms<'_>,
        subject: &Subject,
        content: Box<Content>,
    ) -> Result<RowPlan, CommandError> {
        let old = self.content(subject)?;
        let listing = subject.number;
        if subject.state == State::Noticed && !is_attested(&content) {
            if terms.is_newer(subject) {
                return Ok((RowOutcome::Newer { listing }, None));
            }
            return self.noticed_row(terms, subject, content, old.notice_served_on);
        }
        if terms.complete.is_some() {
            return self.named_row(terms, subject, &old, *content);
        }
        let amendment = check_amendment(&old, &content);
        let as_kept = Box::new(Content {
            decision: old.decision.clone(),
            notice_served_on: old.notice_served_on,
            visibility: old.visibility,
            own_unit: old.own_unit.clone(),
            bars: old.bars.clone(),
            ..*content
        });
        if *as_kept == old && amendment.is_ok() {
            return Ok((RowOutcome::Unchanged { listing }, None));
        }
        if !terms.amend {
            return Ok((RowOutcome::Fault(RowFault::Differs { listing }), None));
        }
        amendment?;
        let fields = differing_fields(&old, &as_kept);
        let plan = self.amendment(subject, terms.court, terms.actor, &old, as_kept)?;
        Ok((RowOutcome::Amended { listing, fields }, Some(plan)))
    }

    /// A complete list names a listing that stands. It changes what an amendment may: that restricts nobody further.
    fn named_row(
        &mut self,
        terms: Terms<'_>,
        subject: &Subject,
        old: &Content,
        row: Content,
    ) -> Result<RowPlan, CommandError> {
        let listing = subject.number;
        // A row names its subject by one number, and has no birth date; what else the hub knows of either stays.
        let named = row.identities.iter().all(|one| old.identities.iter().any(|known| known == one));
        let row = Content {
            identities: if named { old.identities.clone() } else { row.identities },
            birth_date: old.birth_date,
            notice_served_on: old.notice_served_on,
            visibility: old.visibility,
            own_unit: old.own_unit.clone(),
            bars: old.bars.clone(),
            ..row
        };
        let mut fields = differing_fields(old, &row);
        let hidden = subject.state == State::Hidden;
        if fields.is_empty() && !hidden {
            return Ok((RowOutcome::Unchanged { listing }, None));
        }
        if terms.is_newer(subject) {
            return Ok((RowOutcome::Newer { listing }, None));
        }
        if hidden {
            fields.push("state");
        }
        let by_hand = ["identities", "name", "ground", "decision", "state"];
        if fields.iter().any(|field| by_hand.contains(field)) {
            return Ok((RowOutcome::Differing { listing, fields }, None));
        }
        let amended = Box::new(Content { decision: old.decision.clone(), ..row });
        let plan = self.amendment(subject, terms.court, terms.actor, old, amended)?;
        Ok((RowOutcome::Amended { listing, fields }, Some(plan)))
    }

    /// The decision that a notice has led to: its row lists, with the service of the notice as it was recorded.
    fn noticed_row(
        &mut self,
        terms: Terms<'_>,
        subject: &Subject,
        mut content: Box<Content>,
        recorded: Option<Day>,
    ) -> Result<RowPlan, CommandError> {
        let listing = subject.number;
        if !terms.adds {
            return Ok((RowOutcome::Waits, None));
        }
        let Some(served) = recorded.or(content.notice_served_on) else {
            return Ok((RowOutcome::Fault(RowFault::NoNotice), None));
        };
        if content.decision.as_ref().is_none_or(|decision| served > decision.date) {
            return Ok((RowOutcome::Fault(RowFault::LateNotice { listing }), None));
        }
        content.notice_served_on = Some(served);
        // A file of rows doesn't say who may be shown them: the notice has.
        let noticed = self.content(subject)?;
        keep_bars(&mut content, &noticed)?;
        (content.visibility, content.own_unit) = (noticed.visibility, noticed.own_unit);
        let action = Action::Publish(self.standing(&content)?);
        let plan = self.content_event(Some(subject), terms.court, action, EventKind::Publish, content, terms.actor)?;
        Ok((RowOutcome::Added { listing }, Some(plan)))
    }

    fn relation_row(
        &mut self,
        terms: Terms<'_>,
        listing: &ListingRef,
        content: &RelationContent,
    ) -> Result<RowPlan, CommandError> {
        let Some(subject) = self.find(terms.court, listing)? else {
            return Ok((RowOutcome::Fault(RowFault::NotFound), None));
        };
        next(Some(subject.state), Action::SetRelation)?;
        let listing = subject.number;
        let Some(key) = self.resident.keys(&content.identity).next() else {
            return Err(fault("identity", "has no key"));
        };
        let (relation, until) = (content.relation.bit(), content.until);
        let row = self.resident.table.row_of(listing);
        let known = row.and_then(|row| self.resident.table.extra(row)).map_or(&[][..], |extra| extra.relations);
        let same = || known.iter().filter(|one| one.key == key && one.relation_bit() == relation);
        if same().any(|one| !one.has_ended() && one.until() == until)
            || self.pending.has_relation(listing, key, relation, until)
        {
            return Ok((RowOutcome::Unchanged { listing }, None));
        }
        if same().any(|one| !one.has_ended()) || self.pending.has_relation_with_other_end(listing, key, relation) {
            return Err(fault("until", "differs from the relation in force for this person: end that one first"));
        }
        if same().any(|one| one.has_ended()) {
            // The end of a relation is a lift: a file from before it must not undo it.
            let problem = "was ended, and no import revives it; set it by a request of its own if it is so again";
            return Err(fault("relation", problem));
        }
        let mut plan = self.set_relation(&subject, terms.court, terms.actor, content)?;
        plan.touches = vec![Touch::Related { listing, key: key.0, relation, until }];
        Ok((RowOutcome::Added { listing }, Some(plan)))
    }

    /// The court's listing that a row of relations names; the one still running where there are several.
    fn find(&self, court: &str, listing: &ListingRef) -> Result<Option<Subject>, CommandError> {
        match listing {
            ListingRef::Number(number) => Ok(self.subject(*number, court).ok()),
            ListingRef::Case { case_number, subject } => self.find_case(court, case_number, subject),
        }
    }

    fn find_case(&self, court: &str, case: &CaseNumber, who: &Identity) -> Result<Option<Subject>, CommandError> {
        let keys: Vec<Key> = self.resident.keys(who).collect();
        let mut found: Option<Subject> = None;
        for subject in self.of_keys(&keys, court) {
            let content = self.content(&subject)?;
            // A related person's key leads here too, and names another's listing.
            let own = content.identities.iter().any(|one| self.resident.keys(one).any(|key| keys.contains(&key)));
            if own && content.case_number == *case && found.as_ref().is_none_or(|known| known.state.has_ended()) {
                found = Some(subject);
            }
        }
        Ok(found)
    }
}
