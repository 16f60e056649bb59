//! Events that carry a listing's content.

use xinhub_domain::identity::Identity;
use xinhub_domain::listing::{
    Action, Actor, Bar, Body, Content, ContentFault, Decision, EventKind, Ground, MAX_EXTENSION_MONTHS, MAX_GRACE_DAYS,
    RecordId, RecordKind, Standing, State, Visibility, barred, next,
};
use xinhub_domain::time::Day;
use xinhub_index::Key;

use super::{Plan, Planner, Subject, Touch, fault, no_decision};
use crate::command::CommandError;
use crate::vault::Opened;

impl Planner<'_> {
    pub(super) fn propose(
        &mut self,
        subject: Option<&Subject>,
        court: &str,
        content: Box<Content>,
        actor: &Actor,
        application: Option<u64>,
    ) -> Result<Plan, CommandError> {
        let content = self.way_in(subject, court, content, application)?;
        let plan = self.content_event(subject, court, Action::Propose, EventKind::Propose, content, actor)?;
        Ok(following(plan, application))
    }

    pub(super) fn publish(
        &mut self,
        subject: Option<&Subject>,
        court: &str,
        content: Box<Content>,
        actor: &Actor,
        application: Option<u64>,
    ) -> Result<Plan, CommandError> {
        let action = Action::Publish(self.standing(&content)?);
        let content = self.way_in(subject, court, content, application)?;
        let plan = self.content_event(subject, court, action, EventKind::Publish, content, actor)?;
        Ok(following(plan, application))
    }

    /// What must come before a decision to list: the risk notice, served (法释〔2017〕7号 art. 5; the plan, section 四(二)), and a
    /// creditor's application where the decision follows one.
    fn way_in(
        &self,
        subject: Option<&Subject>,
        court: &str,
        mut content: Box<Content>,
        application: Option<u64>,
    ) -> Result<Box<Content>, CommandError> {
        if let Some(subject) = subject {
            let earlier = self.content(subject)?;
            if subject.state == State::Noticed {
                check_follows(&earlier, &content)?;
                content.notice_served_on = content.notice_served_on.or(earlier.notice_served_on);
                if earlier.visibility == Visibility::OwnUnitOnly {
                    // Left out of the decision's own content, it would list in public whom only the own unit may be shown.
                    (content.visibility, content.own_unit) = (earlier.visibility, earlier.own_unit.clone());
                }
            }
            keep_bars(&mut content, &earlier)?;
        }
        let decision = content.decision.as_ref().ok_or_else(no_decision)?;
        if content.notice_served_on.is_none_or(|served| served > decision.date) {
            let problem = "is required, and not after the decision: nobody is listed without a risk notice";
            return Err(fault("content.notice_served_on", problem));
        }
        if let Some(application) = application {
            self.check_application(court, application, &content)?;
        }
        Ok(content)
    }

    pub(super) fn serve(
        &mut self,
        subject: &Subject,
        court: &str,
        actor: &Actor,
        served_on: Day,
        grace_days: u32,
        grace_max_days: u32,
    ) -> Result<Plan, CommandError> {
        let mut content = self.content(subject)?;
        let decision = content.decision.as_mut().ok_or_else(no_decision)?;
        if served_on < decision.date || served_on > self.now.day() {
            return Err(fault("served_on", "lies before the decision's date or in the future"));
        }
        let max = grace_max_days.min(MAX_GRACE_DAYS);
        if grace_days > max {
            return Err(fault("grace_days", &format!("is at most {max}")));
        }
        decision.served_on = Some(served_on);
        decision.grace_days = grace_days;
        let action = Action::Serve(decision.standing(self.now));
        self.content_event(Some(subject), court, action, EventKind::Serve, Box::new(content), actor)
    }

    pub(super) fn amend(
        &mut self,
        subject: &Subject,
        court: &str,
        actor: &Actor,
        new: &Content,
    ) -> Result<Plan, CommandError> {
        let old = self.content(subject)?;
        check_amendment(&old, new)?;
        // Service, grace and extensions are facts of their own events.
        let new = Content { decision: old.decision.clone(), ..kept(new, &old) };
        self.amendment(subject, court, actor, &old, Box::new(new))
    }

    /// The event of an amendment that was found to be one.
    pub(super) fn amendment(
        &mut self,
        subject: &Subject,
        court: &str,
        actor: &Actor,
        old: &Content,
        new: Box<Content>,
    ) -> Result<Plan, CommandError> {
        let hides = new.visibility != old.visibility && new.visibility == Visibility::OwnUnitOnly;
        let mut plan = self.content_event(Some(subject), court, Action::Amend, EventKind::Amend, new, actor)?;
        // What only the subject's own unit may see any more frees it everywhere else.
        plan.event.lift = hides;
        Ok(plan)
    }

    pub(super) fn rectify(
        &mut self,
        subject: &Subject,
        court: &str,
        actor: &Actor,
        new: &Content,
        note: Option<String>,
    ) -> Result<Plan, CommandError> {
        let old = self.content(subject)?;
        let mut new = kept(new, &old);
        if let Some(fault) = other_case(&old, &new) {
            return Err(CommandError::Faults(vec![fault]));
        }
        if old.identities.subject() != new.identities.subject() && self.has_relations(subject) {
            return Err(fault(
                "content.identities",
                "change from organisation to person or back: end its relations first",
            ));
        }
        // Service and term are facts of their own events; a rectification corrects what the decision says.
        match (&mut new.decision, &old.decision) {
            (Some(now), Some(was)) => {
                (now.served_on, now.grace_days) = (was.served_on, was.grace_days);
                (now.attested, now.extended_months) = (was.attested, was.extended_months);
            }
            (None, None) => {}
            // Without a decision there would be no term, and the listing would stand for ever.
            (None, Some(_)) => return Err(no_decision()),
            (Some(_), None) => {
                return Err(fault("content.decision", "is not taken yet: publish or propose the listing instead"));
            }
        }
        let restricts = subject.binds() && self.restricts_further(&old, &new);
        let dropped = old.identities.iter().filter(|identity| !new.identities.iter().any(|kept| kept == *identity));
        let dropped: Vec<Identity> = dropped.cloned().collect();
        let new = Box::new(new);
        let mut plan = self.content_event(Some(subject), court, Action::Rectify, EventKind::Rectify, new, actor)?;
        (plan.event.lift, plan.restricts) = (true, restricts);
        if let Some(Body::Content { note: kept, former, .. }) = &mut plan.event.body {
            (*kept, *former) = (note, Some(dropped).filter(|dropped| !dropped.is_empty()));
        }
        Ok(plan)
    }

    pub(super) fn restore(
        &mut self,
        subject: &Subject,
        court: &str,
        actor: &Actor,
        decision: &Decision,
    ) -> Result<Plan, CommandError> {
        let mut content = self.content(subject)?;
        let fixed_term = content.ground.is_some_and(Ground::has_fixed_term);
        if fixed_term != decision.term_months.is_some() {
            let problem = if fixed_term { "is 24 for the listing's ground" } else { "is 0 for the listing's ground" };
            return Err(fault("decision.term_months", &format!("{problem} (法释〔2017〕7号 art. 2)")));
        }
        content.decision = Some(decision.clone());
        let (action, content) = (Action::Restore(decision.standing(self.now)), Box::new(content));
        let mut plan = self.content_event(Some(subject), court, action, EventKind::Restore, content, actor)?;
        plan.restricts = subject.binds();
        Ok(plan)
    }

    pub(super) fn extend(
        &mut self,
        subject: &Subject,
        court: &str,
        actor: &Actor,
        months: u32,
        ground: &str,
    ) -> Result<Plan, CommandError> {
        let mut content = self.content(subject)?;
        let decision = content.decision.as_mut().ok_or_else(no_decision)?;
        if decision.term_months.is_none() {
            return Err(fault("listing", "has no fixed term to extend (法释〔2017〕7号 art. 2)"));
        }
        if !(12..=MAX_EXTENSION_MONTHS).contains(&months) || decision.extended_months + months > MAX_EXTENSION_MONTHS {
            return Err(fault("months", "a term is extended by 1 to 3 years in all (法释〔2017〕7号 art. 2)"));
        }
        if !["serious_violence_or_threats", "several_acts"].contains(&ground) {
            return Err(fault("ground", "is serious_violence_or_threats or several_acts (法释〔2017〕7号 art. 2)"));
        }
        decision.extended_months += months;
        let content = Box::new(content);
        let mut plan = self.content_event(Some(subject), court, Action::Extend, EventKind::Extend, content, actor)?;
        plan.restricts = subject.binds();
        if let Some(Body::Content { ground: kept, .. }) = &mut plan.event.body {
            *kept = Some(ground.to_owned());
        }
        Ok(plan)
    }

    /// An event that carries the whole content.
    pub(super) fn content_event(
        &mut self,
        subject: Option<&Subject>,
        court: &str,
        action: Action,
        kind: EventKind,
        content: Box<Content>,
        actor: &Actor,
    ) -> Result<Plan, CommandError> {
        let keys = self.keys(&content);
        let ended = subject.is_some_and(|subject| subject.state.has_ended());
        let number = subject.map(|subject| subject.number);
        // What ended may be listed anew by a new decision, and is corrected beside it; what has not ended is amended, not
        // doubled.
        let mut others = if ended { Vec::new() } else { self.same_case(&content, &keys, court)? }.into_iter();
        if let Some(listing) = others.find(|one| Some(one.number) != number && !one.state.has_ended()) {
            // The state first: it says more.
            next(subject.map(|subject| subject.state), action)?;
            return Err(CommandError::ListingExists { listing: listing.number });
        }
        self.content_plan(subject, court, action, kind, content, &keys, actor)
    }

    /// [`Planner::content_event`], once it is known that the case has no other listing.
    #[allow(clippy::too_many_arguments)] // The parts of one event, each of another type's meaning.
    pub(super) fn content_plan(
        &mut self,
        subject: Option<&Subject>,
        court: &str,
        action: Action,
        kind: EventKind,
        content: Box<Content>,
        keys: &[Key],
        actor: &Actor,
    ) -> Result<Plan, CommandError> {
        let state = next(subject.map(|subject| subject.state), action)?;
        let record = match subject {
            Some(subject) => RecordId { kind: RecordKind::Listing, number: subject.number },
            None => self.numbers.take(RecordKind::Listing),
        };
        let decision = content.decision.as_ref();
        let (until, grace_until) = (decision.and_then(Decision::until), decision.and_then(Decision::grace_until));
        let body = Body::Content {
            content,
            actor: actor.clone(),
            ground: None,
            note: None,
            application: None,
            approver: None,
            former: None,
            shaped_by: self.shaped_by(subject)?,
        };
        let mut plan = self.event_of(record.number, court, kind, record, Some(state), Some(body));
        plan.event.new_record = subject.is_none();
        (plan.event.until, plan.event.grace_until) = (until, grace_until);
        plan.touches.extend(keys.iter().map(|key| Touch::Key(key.0)));
        Ok(plan)
    }

    /// The keys of all identities, each once.
    pub(super) fn keys(&self, content: &Content) -> Vec<Key> {
        let mut keys = Vec::with_capacity(4);
        for identity in content.identities.iter() {
            for key in self.resident.keys(identity) {
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
        keys
    }

    pub(super) fn standing(&self, content: &Content) -> Result<Standing, CommandError> {
        content.decision.as_ref().map(|decision| decision.standing(self.now)).ok_or_else(no_decision)
    }

    pub(super) fn content(&self, subject: &Subject) -> Result<Content, CommandError> {
        self.content_and_actor(subject).map(|(content, _)| content)
    }

    /// Who has shaped a proposal so far: whoever changes a trifle of it last is not the only one who must not release it.
    pub(super) fn shaped_by(&self, subject: Option<&Subject>) -> Result<Option<Vec<String>>, CommandError> {
        let Some(subject) = subject.filter(|subject| subject.state == State::Proposed) else { return Ok(None) };
        let shaped = |actor: &Actor, before: Option<&[String]>| {
            let mut staff = before.map(<[String]>::to_vec).unwrap_or_default();
            if !staff.contains(&actor.staff_id) {
                staff.push(actor.staff_id.clone());
            }
            Some(staff)
        };
        if let Some((actor, before)) = self.pending.shaped_by(subject.number) {
            return Ok(shaped(actor, before));
        }
        match self.vault.read(subject.place) {
            Ok((_, Opened::Body(body))) => match *body {
                Body::Content { actor, shaped_by, .. } => Ok(shaped(&actor, shaped_by.as_deref())),
                _ => Err(CommandError::Unreadable),
            },
            Ok((_, Opened::Erased | Opened::Nothing)) | Err(_) => Err(CommandError::Unreadable),
        }
    }

    pub(super) fn content_and_actor(&self, subject: &Subject) -> Result<(Content, Actor), CommandError> {
        if let Some((content, actor)) = self.pending.content(subject.number) {
            return Ok((content.clone(), actor.clone()));
        }
        match self.vault.read(subject.place) {
            Ok((_, Opened::Body(body))) => match *body {
                Body::Content { content, actor, .. } => Ok((*content, actor)),
                _ => Err(CommandError::Unreadable),
            },
            Ok((_, Opened::Erased | Opened::Nothing)) => Err(CommandError::NotFound("listing")),
            Err(error) => {
                tracing::error!(listing = subject.number, %error, "a listing's content can't be read");
                Err(CommandError::Unreadable)
            }
        }
    }

    /// The court's listings of the same case and subject, ended ones included, by number.
    pub(super) fn same_case(&self, content: &Content, keys: &[Key], court: &str) -> Result<Vec<Subject>, CommandError> {
        let mut found = Vec::new();
        for subject in self.of_keys(keys, court) {
            let other = self.content(&subject)?;
            if other.case_number == content.case_number && other.same_subject(content) {
                found.push(subject);
            }
        }
        Ok(found)
    }

    /// The court's listings under any of these keys, those of related people too, each once.
    pub(super) fn of_keys(&self, keys: &[Key], court: &str) -> Vec<Subject> {
        let mut numbers: Vec<u64> = Vec::new();
        for key in keys {
            numbers.extend(self.resident.rows_of(key).map(|row| u64::from(row) + 1));
            numbers.extend(self.pending.listings_of(key));
        }
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().filter_map(|number| self.subject(number, court).ok()).collect()
    }
}

/// Notes the application that a listing follows.
fn following(mut plan: Plan, follows: Option<u64>) -> Plan {
    if let Some(Body::Content { application, .. }) = &mut plan.event.body {
        *application = follows;
    }
    plan
}

/// What was found before the decision still stands, until an amendment of the notice says otherwise.
pub(super) fn keep_bars(content: &mut Content, noticed: &Content) -> Result<(), CommandError> {
    let missing: Vec<Bar> = noticed.bars.iter().filter(|bar| !content.bars.contains(bar)).copied().collect();
    content.bars.extend(missing);
    match barred(content.ground, &content.bars) {
        Some(found) => Err(fault("content.ground", &found.problem)),
        None => Ok(()),
    }
}

/// A correction, with what a call doesn't carry and an import's row has brought: it must not be lost on the way.
fn kept(new: &Content, old: &Content) -> Content {
    Content {
        age: old.age,
        court_name: old.court_name.clone(),
        visibility: old.visibility,
        own_unit: old.own_unit.clone(),
        notice_served_on: new.notice_served_on.or(old.notice_served_on),
        ..new.clone()
    }
}

/// By its case number an import finds that a case is known, or has ended. Were it corrected in place, an older file would list
/// the same subject anew under the old one.
fn other_case(old: &Content, new: &Content) -> Option<ContentFault> {
    let problem = "differs: another case is another listing; revoke this one and publish anew";
    (old.case_number != new.case_number).then(|| ContentFault::new("content.case_number", problem))
}

/// A decision is about whom and what its notice was about: another's notice is no notice.
fn check_follows(notice: &Content, content: &Content) -> Result<(), CommandError> {
    let mut faults: Vec<ContentFault> = other_case(notice, content).into_iter().collect();
    if !notice.same_subject(content) {
        let problem = "have none in common with the notice's: rectify the notice, or publish a listing of its own";
        faults.push(ContentFault::new("content.identities", problem));
    }
    if faults.is_empty() { Ok(()) } else { Err(CommandError::Faults(faults)) }
}

/// An amendment corrects what identifies nobody and restricts nobody longer.
pub(super) fn check_amendment(old: &Content, new: &Content) -> Result<(), CommandError> {
    let mut faults: Vec<ContentFault> = other_case(old, new).into_iter().collect();
    let mut check = |same: bool, field: &str, problem: &str| {
        if !same {
            faults.push(ContentFault::new(field, problem));
        }
    };
    check(old.identities == new.identities, "content.identities", "differ: rectify the listing instead");
    check(old.name == new.name, "content.name", "differs: rectify the listing instead");
    check(old.ground == new.ground, "content.ground", "differs: a ground is part of the decision; rectify the listing");
    let same_decision = match (&old.decision, &new.decision) {
        (Some(old), Some(new)) => (&old.number, old.date, old.term_months) == (&new.number, new.date, new.term_months),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    check(same_decision, "content.decision", "differs: serve, extend or rectify the listing instead");
    if faults.is_empty() { Ok(()) } else { Err(CommandError::Faults(faults)) }
}
