//! The way out: lifts, the reasons that they owe, and what makes one due.

use xinhub_domain::listing::{Action, Actor, EventKind, State, lift};
use xinhub_domain::time::Day;

use super::{Plan, Planner, Subject, fault, no_decision};
use crate::command::CommandError;

impl Planner<'_> {
    /// Hides, revokes or removes. Never refused for want of a matching reason: a missing one is owed.
    pub(super) fn lift(
        &mut self,
        subject: &Subject,
        court: &str,
        action: Action,
        actor: &Actor,
        ground: &str,
    ) -> Result<Plan, CommandError> {
        let (kind, reason_owed) = match action {
            Action::Hide => (EventKind::Hide, lift::hiding_reason_owed(ground)),
            Action::Revoke => (EventKind::Revoke, lift::revocation_reason_owed(ground)),
            // All that is left that takes somebody off the list on a ground.
            _ => (EventKind::Remove, self.removal_reason_owed(subject, ground)),
        };
        let mut plan = self.act(subject, court, action, kind, actor, ground, None)?;
        plan.reason_owed = reason_owed;
        Ok(plan)
    }

    fn removal_reason_owed(&self, subject: &Subject, ground: &str) -> bool {
        // A lift is never refused because its content can't be read.
        let listed_on = self.content(subject).ok().and_then(|content| content.ground);
        lift::removal_reason_owed(ground, listed_on)
    }

    /// The reason that a lift still owes. One that does not fit is refused: the duty stays open.
    pub(super) fn give_reason(
        &mut self,
        subject: &Subject,
        court: &str,
        actor: &Actor,
        ground: &str,
        note: Option<&str>,
    ) -> Result<Plan, CommandError> {
        if !self.owes_reason(subject) {
            return Err(CommandError::NotFound("reason owed for this listing"));
        }
        let fits = |ground: &str| match subject.state {
            // Whatever way it was taken off, that it should not have been on is always a reason.
            _ if !lift::revocation_reason_owed(ground) => true,
            State::Revoked => false,
            State::Removed => !self.removal_reason_owed(subject, ground),
            _ => !lift::hiding_reason_owed(ground),
        };
        if !fits(ground) {
            let fitting = lift::LiftGround::ALL.iter().map(|ground| ground.code()).filter(|code| fits(code));
            let fitting: Vec<&str> = fitting.collect();
            return Err(fault("ground", &format!("is, for this listing, one of {}", fitting.join(", "))));
        }
        self.act(subject, court, Action::GiveReason, EventKind::GiveReason, actor, ground, note)
    }

    /// Performance was reported: from here the court's duty to lift runs (法释〔2017〕7号 art. 10; the plan, section 四(二)).
    pub(super) fn record_performance(
        &mut self,
        subject: &Subject,
        court: &str,
        actor: &Actor,
        performed_on: Day,
        note: Option<&str>,
    ) -> Result<Plan, CommandError> {
        if performed_on > self.now.day() {
            return Err(fault("performed_on", "lies in the future"));
        }
        let (action, kind) = (Action::RecordPerformance, EventKind::RecordPerformance);
        self.act(subject, court, action, kind, actor, &performed_on.to_string(), note)
    }

    /// Lengthens the grace period: whoever was listed is in grace again.
    pub(super) fn widen_grace(
        &mut self,
        subject: &Subject,
        court: &str,
        actor: &Actor,
        grace_days: u32,
        grace_max_days: u32,
    ) -> Result<Plan, CommandError> {
        let mut content = self.content(subject)?;
        let decision = content.decision.as_mut().ok_or_else(no_decision)?;
        let served_on =
            decision.served_on.ok_or_else(|| fault("listing", "is not served yet: serve it with its grace"))?;
        if grace_days <= decision.grace_days {
            return Err(fault("grace_days", "is the whole period, and longer than it was"));
        }
        if grace_days > grace_max_days {
            return Err(fault("grace_days", &format!("is at most {grace_max_days}")));
        }
        if served_on.plus_days(grace_days).end() <= self.now {
            return Err(fault("grace_days", "would be over already: hide the listing instead"));
        }
        decision.grace_days = grace_days;
        let (action, kind) = (Action::WidenGrace, EventKind::WidenGrace);
        let mut plan = self.content_event(Some(subject), court, action, kind, Box::new(content), actor)?;
        plan.event.lift = true;
        Ok(plan)
    }
}
