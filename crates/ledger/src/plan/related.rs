//! Related people, and exemptions.

use xinhub_domain::identity::Subject as Who;
use xinhub_domain::listing::{Action, Actor, Body, EventKind, Exemption, RecordId, RecordKind, RelationContent, next};
use xinhub_index::Key;

use super::{Plan, Planner, Subject, fault};
use crate::command::CommandError;
use crate::table::RelationRow;

impl Planner<'_> {
    pub(super) fn exempt(
        &mut self,
        subject: &Subject,
        court: &str,
        actor: &Actor,
        exemption: &Exemption,
    ) -> Result<Plan, CommandError> {
        let state = next(Some(subject.state), Action::Exempt)?;
        self.check_exemption(court, exemption)?;
        let keys: Vec<Key> = self.resident.keys(&exemption.identity).collect();
        let own = self.resident.table.row_of(subject.number).map(|row| self.resident.keys_of(row)).unwrap_or_default();
        if !keys.iter().any(|key| own.contains(key)) {
            return Err(fault("content.identity", "is neither the listing's subject nor one of its related people"));
        }
        let record = self.numbers.take(RecordKind::Exemption);
        let body = Body::Exemption { content: Box::new(exemption.clone()), actor: actor.clone() };
        let mut plan = self.event_of(subject.number, court, EventKind::Exempt, record, Some(state), Some(body));
        plan.event.lift = true;
        plan.event.new_record = true;
        Ok(plan)
    }

    /// Within the grounds and the maximum of the court's profile (法发〔2019〕35号).
    fn check_exemption(&self, court: &str, exemption: &Exemption) -> Result<(), CommandError> {
        let profile = self.rules.deadlines(court).profile();
        if !profile.exemption_grounds.contains(&exemption.ground) {
            return Err(fault("content.ground", &format!("is one of {}", profile.exemption_grounds.join(", "))));
        }
        let max_ms = i64::from(profile.exemption_max_days) * 86_400_000;
        if exemption.until.0.saturating_sub(exemption.from.0) > max_ms {
            return Err(fault(
                "content.until",
                &format!("is at most {} days after `from`", profile.exemption_max_days),
            ));
        }
        Ok(())
    }

    pub(super) fn end_exemption(
        &mut self,
        subject: &Subject,
        court: &str,
        actor: &Actor,
        exemption: u64,
    ) -> Result<Plan, CommandError> {
        let state = next(Some(subject.state), Action::EndExemption)?;
        let row = self.resident.table.row_of(subject.number);
        let known = row
            .and_then(|row| self.resident.table.extra(row))
            .is_some_and(|extra| extra.rest.exemptions.iter().any(|one| one.number == exemption && !one.ended));
        if !known {
            return Err(CommandError::NotFound("exemption of this listing that has not ended"));
        }
        let record = RecordId { kind: RecordKind::Exemption, number: exemption };
        let body = Body::Ended { actor: actor.clone(), basis_document: None, approver: None };
        let mut plan = self.event_of(subject.number, court, EventKind::EndExemption, record, Some(state), Some(body));
        plan.restricts = subject.binds();
        Ok(plan)
    }

    pub(super) fn set_relation(
        &mut self,
        subject: &Subject,
        court: &str,
        actor: &Actor,
        content: &RelationContent,
    ) -> Result<Plan, CommandError> {
        let state = next(Some(subject.state), Action::SetRelation)?;
        if content.until.zip(subject.until).is_some_and(|(own, listing)| own > listing) {
            return Err(fault("content.until", "lies after the end of the listing itself: leave it out"));
        }
        if self.content(subject)?.identities.subject() != Who::Organisation {
            return Err(fault("listing", "is a natural person's: only an organisation has related people"));
        }
        // Twice in force, ending one would leave the other: the court would be told of a lift that frees nobody.
        let bit = content.relation.bit();
        let mut keys = self.resident.keys(&content.identity);
        if keys.any(|key| self.running(subject).any(|one| one.key == key && one.relation_bit() == bit)) {
            return Err(fault("content.relation", "is in force for this person already: end it first"));
        }
        let record = self.numbers.take(RecordKind::Relation);
        let body = Body::Relation { content: Box::new(content.clone()), actor: actor.clone(), approver: None };
        let mut plan = self.event_of(subject.number, court, EventKind::SetRelation, record, Some(state), Some(body));
        plan.restricts = subject.binds();
        plan.event.new_record = true;
        plan.event.until = content.until;
        Ok(plan)
    }

    /// The relations of a listing that have not ended.
    pub(super) fn running(&self, subject: &Subject) -> impl Iterator<Item = &RelationRow> {
        let extra = self.resident.table.row_of(subject.number).and_then(|row| self.resident.table.extra(row));
        extra.into_iter().flat_map(|extra| extra.relations.iter().filter(|one| !one.has_ended()))
    }

    /// Whether a listing has related people.
    pub(super) fn has_relations(&self, subject: &Subject) -> bool {
        self.running(subject).next().is_some()
    }

    pub(super) fn end_relation(
        &mut self,
        subject: &Subject,
        court: &str,
        actor: &Actor,
        relation: u64,
        basis_document: &str,
    ) -> Result<Plan, CommandError> {
        let state = next(Some(subject.state), Action::EndRelation)?;
        let row = self.resident.table.row_of(subject.number);
        let known = row
            .and_then(|row| self.resident.table.extra(row))
            .is_some_and(|extra| extra.relations.iter().any(|one| one.number == relation && !one.has_ended()));
        if !known {
            return Err(CommandError::NotFound("relation of this listing that has not ended"));
        }
        let record = RecordId { kind: RecordKind::Relation, number: relation };
        let basis_document = Some(basis_document.to_owned()).filter(|text| !text.is_empty());
        let reason_owed = basis_document.is_none();
        let body = Body::Ended { actor: actor.clone(), basis_document, approver: None };
        let mut plan = self.event_of(subject.number, court, EventKind::EndRelation, record, Some(state), Some(body));
        plan.event.lift = true;
        plan.reason_owed = reason_owed;
        Ok(plan)
    }
}
