//! Rows of an import file: taken, unchanged, amended, or refused with a reason.
//!
//! No row ever revives an ended case, and the same row twice is one listing.

use xinhub_domain::listing::{Action, Actor, Content, EventKind, RelationContent, next};

use super::{Plan, Planner, Subject, check_amendment};
use crate::command::{CommandError, ImportBatch, ImportRow, ListingRef, RowFault, RowOutcome};

/// What a row comes to: an outcome, and the plan that makes it true.
pub(crate) type RowPlan = (RowOutcome, Option<Plan>);

impl Planner<'_> {
    /// Decides one row. Only failures that end the whole import are errors.
    pub(crate) fn row(&mut self, court: &str, batch: &ImportBatch, row: &ImportRow) -> Result<RowPlan, CommandError> {
        if !self.clock_sure {
            return Err(CommandError::ClockUnsure);
        }
        let planned = match row {
            ImportRow::Listing(content) => self.listing_row(court, batch, content),
            ImportRow::Relation { listing, content } => self.relation_row(court, &batch.actor, listing, content),
        };
        match planned {
            Ok(planned) => Ok(planned),
            Err(fatal @ (CommandError::Storage | CommandError::Full | CommandError::Stopping)) => Err(fatal),
            Err(refused) => Ok((RowOutcome::Fault(RowFault::Refused(Box::new(refused))), None)),
        }
    }

    fn listing_row(&mut self, court: &str, batch: &ImportBatch, content: &Content) -> Result<RowPlan, CommandError> {
        let known = self.same_case(content, court)?;
        // One that still runs speaks for the case; where all have ended, the case has.
        if let Some(subject) = known.iter().find(|one| !one.state.has_ended()) {
            return self.known_row(court, batch, subject, content);
        }
        if let Some(ended) = known.first() {
            return Ok((RowOutcome::Fault(RowFault::Ended { listing: ended.number }), None));
        }
        let plan = self.publish(None, court, content, &batch.actor)?;
        Ok((RowOutcome::Added { listing: plan.event.listing }, Some(plan)))
    }

    fn known_row(
        &mut self,
        court: &str,
        batch: &ImportBatch,
        subject: &Subject,
        content: &Content,
    ) -> Result<RowPlan, CommandError> {
        let old = self.content(subject)?;
        let listing = subject.number;
        let as_kept = Content { decision: old.decision.clone(), ..content.clone() };
        if as_kept == old && check_amendment(&old, content).is_ok() {
            return Ok((RowOutcome::Unchanged { listing }, None));
        }
        if !batch.amend {
            return Ok((RowOutcome::Fault(RowFault::Differs { listing }), None));
        }
        check_amendment(&old, content)?;
        let plan = self.content_event(Some(subject), court, Action::Amend, EventKind::Amend, &as_kept, &batch.actor)?;
        Ok((RowOutcome::Amended { listing }, Some(plan)))
    }

    fn relation_row(
        &mut self,
        court: &str,
        actor: &Actor,
        listing: &ListingRef,
        content: &RelationContent,
    ) -> Result<RowPlan, CommandError> {
        let Some(subject) = self.find(court, listing)? else {
            return Ok((RowOutcome::Fault(RowFault::NotFound), None));
        };
        next(Some(subject.state), Action::SetRelation)?;
        let key = self.resident.keys(&content.identity).next();
        let row = self.resident.table.row_of(subject.number);
        let extra = row.and_then(|row| self.resident.table.extra(row));
        let known = extra.is_some_and(|extra| {
            extra.relations.iter().any(|one| {
                !one.ended
                    && Some(one.key) == key
                    && one.relation == content.relation.bit()
                    && one.until == content.until
            })
        });
        if known {
            return Ok((RowOutcome::Unchanged { listing: subject.number }, None));
        }
        let plan = self.set_relation(subject.number, court, actor, content)?;
        Ok((RowOutcome::Added { listing: subject.number }, Some(plan)))
    }

    /// The court's listing that a row of relations names; the one still running where there are several.
    fn find(&self, court: &str, listing: &ListingRef) -> Result<Option<Subject>, CommandError> {
        let (case_number, subject) = match listing {
            ListingRef::Number(number) => return Ok(self.subject(*number, court).ok()),
            ListingRef::Case { case_number, subject } => (case_number, subject),
        };
        let mut found: Option<Subject> = None;
        for key in self.resident.keys(subject) {
            for row in self.resident.rows_of(&key) {
                let Ok(subject) = self.subject(u64::from(row) + 1, court) else { continue };
                if self.content(&subject)?.case_number == *case_number
                    && found.as_ref().is_none_or(|known| known.state.has_ended())
                {
                    found = Some(subject);
                }
            }
        }
        Ok(found)
    }
}
