//! The second person of a change that restricts somebody further than before.
//!
//! - Where two people release, nobody is restricted by one actor alone: not by a proposal, and not by what is done to a listing
//!   that has begun. Such a change names its second person in the same request, so that there is no half-done state, and a
//!   wrong identity is freed in the very commit in which the right one is caught.
//! - What frees needs nobody else, and is never refused for whom it names.

use xinhub_domain::listing::{Actor, Body, Content, Decision, State};
use xinhub_domain::policy::{Release, Signing};

use super::{Plan, Planned, Planner, Subject, actor, fault};
use crate::command::{Act, CommandError, Request, StagedCommand};
use crate::table::Place;
use crate::vault::Opened;

/// Checks the second person where one is needed, and keeps whoever was named with what they have seen.
pub(super) fn countersign(request: &Request, plan: &mut Plan) -> Result<(), CommandError> {
    let two = request.act.signing().filter(|signing| signing.release() == Release::Two);
    if let Some(signing) = two.filter(|_| plan.restricts) {
        check(signing, actor(request)?, request.approver.as_ref())?;
    }
    let Some(approver) = &request.approver else { return Ok(()) };
    let kept = match &request.act {
        Act::Registry(..) | Act::Remedy(..) | Act::Staged(_, StagedCommand::Reject { .. }) => {
            plan.keep_approver(approver)
        }
        // A report is one client's own, and a file's second person is the actor who releases it.
        Act::Unit(..)
        | Act::Staged(
            _,
            StagedCommand::Stage { .. }
            | StagedCommand::Release { .. }
            | StagedCommand::Confirm { .. }
            | StagedCommand::Finish { .. },
        ) => false,
    };
    if kept || plan.is_lift() {
        return Ok(());
    }
    // Taken and forgotten, it would let a caller believe that a second person is on record.
    Err(fault("mutation.approver", "has no place here: this restricts nobody by itself, leave it out"))
}

fn check(signing: &Signing, actor: &Actor, approver: Option<&Actor>) -> Result<(), CommandError> {
    let approver = approver.ok_or(CommandError::ApproverRequired)?;
    if approver.staff_id == actor.staff_id {
        return Err(CommandError::SecondPersonRequired);
    }
    if !signing.is_signer(&approver.staff_id) {
        return Err(CommandError::NotASigner);
    }
    Ok(())
}

impl Plan {
    /// Whether one of its events has a place for it.
    fn keep_approver(&mut self, named: &Actor) -> bool {
        let events = std::iter::once(&mut self.event).chain(&mut self.also);
        let places: Vec<_> = events.filter_map(Planned::approver).collect();
        let kept = !places.is_empty();
        places.into_iter().for_each(|place| *place = Some(named.clone()));
        kept
    }
}

impl Planned {
    fn approver(&mut self) -> Option<&mut Option<Actor>> {
        match self.body.as_mut()? {
            Body::Content { approver, .. }
            | Body::Act { approver, .. }
            | Body::Relation { approver, .. }
            | Body::Ended { approver, .. } => Some(approver),
            Body::Exemption { .. }
            | Body::Disclosed { .. }
            | Body::Petition { .. }
            | Body::Found(_)
            | Body::Report { .. }
            | Body::Deferred { .. }
            | Body::Staged { .. } => None,
        }
    }
}

impl Subject {
    /// Whether it has begun and has not ended: what restricts further takes a second person. A notice binds nobody, and what it
    /// says is proposed and released with the rest.
    pub(super) fn binds(&self) -> bool {
        self.state != State::Noticed && !self.state.has_ended()
    }
}

impl Planner<'_> {
    /// Whether a corrected content reaches somebody that the old one didn't, or lasts longer.
    pub(super) fn restricts_further(&self, old: &Content, new: &Content) -> bool {
        let before = self.keys(old);
        let until = |content: &Content| content.decision.as_ref().map(Decision::until);
        let longer = match (until(old), until(new)) {
            (Some(Some(before)), Some(after)) => after.is_none_or(|after| after > before),
            // Without a decision nothing binds, and what has no end can't last longer.
            (Some(None) | None, _) | (_, None) => false,
        };
        // Under a flagged identity nobody is restricted: a firm one in its place does it.
        let firm = |content: &Content| {
            let firm = content.identities.iter().filter(|identity| !identity.is_flagged());
            firm.flat_map(|identity| self.resident.keys(identity)).collect::<Vec<xinhub_index::Key>>()
        };
        let firm_before = firm(old);
        longer
            || self.keys(new).iter().any(|key| !before.contains(key))
            || firm(new).iter().any(|key| !firm_before.contains(key))
    }

    /// Whether one of a listing's related people was named by this member of staff and by nobody else: who releases the proposal
    /// would be alone in restricting that person.
    pub(super) fn named_alone(&self, subject: &Subject, staff_id: &str) -> Result<bool, CommandError> {
        for relation in self.running(subject) {
            match self.vault.read(Place(relation.place)) {
                Ok((_, Opened::Body(body))) => match *body {
                    Body::Relation { actor, approver: None, .. } if actor.staff_id == staff_id => return Ok(true),
                    _ => {}
                },
                Ok((_, Opened::Erased | Opened::Nothing)) => {}
                Err(error) => {
                    tracing::error!(listing = subject.number, %error, "a relation can't be read");
                    return Err(CommandError::Unreadable);
                }
            }
        }
        Ok(false)
    }
}
