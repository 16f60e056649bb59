//! What happens beside a listing: what units report (imposed, lifted, kept, handled), and deferred views.

use xinhub_domain::deadline::Clock;
use xinhub_domain::listing::{
    Action, Actor, Body, DEFERRAL_GROUNDS, EventKind, RecordId, RecordKind, State, UnitReport, next,
};
use xinhub_domain::policy::{RegistryPermit, UnitPermit};
use xinhub_domain::time::Day;

use super::deadlines::beginning;
use super::{Plan, Planner, Subject, actor, fault};
use crate::command::{CommandError, Request, UnitCommand};
use crate::table::{ERASED, ImposedRow, Rest};

impl Planner<'_> {
    /// Decides a client's report. A client that was never told of the listing learns nothing of it.
    pub(super) fn unit(
        &mut self,
        request: &Request,
        permit: &UnitPermit,
        command: &UnitCommand,
    ) -> Result<Plan, CommandError> {
        let UnitCommand::Report { listing, report } = command;
        let absent = CommandError::NotFound("listing that this client was told of");
        let row = self.resident.table.row_of(*listing).ok_or(absent.clone())?;
        let kept = *self.resident.table.row(row);
        let client = self.resident.clients.find(permit.client().id());
        let known = client.zip(self.resident.table.extra(row)).filter(|(client, extra)| knows(extra.rest, *client));
        let Some((client, extra)) = known.filter(|_| !kept.has(ERASED)) else { return Err(absent) };
        let state = kept.state().ok_or(absent)?;
        next(Some(state), Action::Beside)?;
        check(permit, report, extra.rest, client, state)?;
        // A machine may say that there was nothing to lift; whatever was done is somebody's.
        let actor = match report {
            UnitReport::Acknowledged => request.actor.clone(),
            UnitReport::Imposed { .. }
            | UnitReport::Lifted { .. }
            | UnitReport::Retained(_)
            | UnitReport::Handled { .. } => Some(actor(request)?.clone()),
        };
        let court = self.resident.courts.name(kept.court).to_owned();
        let body = Body::Report { client: permit.client().id().to_owned(), actor, report: report.clone() };
        let record = RecordId { kind: RecordKind::Listing, number: *listing };
        let mut plan = self.event_of(*listing, &court, EventKind::Report, record, None, Some(body));
        if matches!(report, UnitReport::Imposed { .. }) && state != State::Listed {
            let deadlines = self.rules.deadlines(&court);
            plan.event.deadlines.extend(beginning(deadlines, Clock::LiftMeasures, self.now.day()));
        }
        Ok(plan)
    }
}

impl Planner<'_> {
    /// Keeps who asked out of the subject's view: on a named ground, within the profile's maximum, and once more by another actor.
    pub(super) fn defer(
        &mut self,
        subject: &Subject,
        permit: &RegistryPermit,
        actor: &Actor,
        ground: &str,
        until: Day,
    ) -> Result<Plan, CommandError> {
        next(Some(subject.state), Action::Beside)?;
        if !DEFERRAL_GROUNDS.contains(&ground) {
            return Err(fault("ground", &format!("is one of {}", DEFERRAL_GROUNDS.join(", "))));
        }
        let (today, court) = (self.now.day(), permit.court());
        let max = self.rules.deadlines(court).profile().deferral_max_days;
        if until < today || until > today.plus_days(max) {
            return Err(fault("until", &format!("lies between today and {max} days from now")));
        }
        let row = self.resident.table.row_of(subject.number);
        let earlier = row.and_then(|row| self.resident.table.extra(row)).map_or(&[][..], |extra| &extra.rest.deferrals);
        match earlier {
            [] => {}
            [one] if one.staff_id == actor.staff_id => return Err(CommandError::SecondPersonRequired),
            [_] => {}
            [_, _, ..] => {
                return Err(fault("listing", "was deferred and renewed already: its subject is told now"));
            }
        }
        let client = permit.client().id().to_owned();
        let body = Body::Deferred { actor: actor.clone(), client, ground: ground.to_owned(), until };
        let record = RecordId { kind: RecordKind::Listing, number: subject.number };
        Ok(self.event_of(subject.number, court, EventKind::Defer, record, None, Some(body)))
    }
}

/// Whether a client was told of the listing, or is the unit that handles it.
fn knows(extra: &Rest, client: u32) -> bool {
    extra.disclosed_to.contains(&client)
        || extra.own_unit == Some(client)
        || extra.imposed.iter().any(|one| one.client == client)
        || extra.duties.iter().any(|one| one.client == client)
}

/// Whether a report fits what the client owes.
fn check(
    permit: &UnitPermit,
    report: &UnitReport,
    extra: &Rest,
    client: u32,
    state: State,
) -> Result<(), CommandError> {
    let owes =
        |clock| extra.duties.iter().any(|one| one.client == client && one.clock == clock && one.closed.is_none());
    let imposed = extra.imposed.iter().any(|one| one.client == client && !one.lifted)
        || extra.retained.iter().any(|one| one.client == client && !one.ended);
    let measure = |code: &str, item: Option<&str>| match (permit.catalogue().measure(code), item) {
        (None, _) => Err(fault("measure", "is not in the catalogue: list the measures for their codes")),
        // Kept in clear: never free text.
        (Some(measure), Some(item)) if measure.item(item).is_none() => {
            Err(fault("item", "is none of the measure's: list the measures for their items, or leave it out"))
        }
        (Some(_), _) => Ok(()),
    };
    match report {
        UnitReport::Imposed { measure: code, item, .. } => {
            let same = |one: &ImposedRow| one.client == client && (&one.measure, &one.item) == (code, item);
            // Kept again and again, one client's reports would have no bound.
            if extra.imposed.iter().any(|one| same(one) && !one.lifted) {
                return Err(fault("measure", "was reported already, and not as lifted: there is nothing to add"));
            }
            measure(code, item.as_deref())
        }
        UnitReport::Lifted { .. } if imposed || owes(Clock::LiftMeasures) => Ok(()),
        UnitReport::Lifted { .. } => Err(CommandError::NotFound("measure of this client on this listing")),
        UnitReport::Acknowledged if imposed => {
            let problem = "says that nothing was imposed, but a measure was reported: report it lifted or retained";
            Err(fault("report", problem))
        }
        UnitReport::Acknowledged if owes(Clock::LiftMeasures) => Ok(()),
        UnitReport::Acknowledged => Err(CommandError::NotFound("open duty of this client on this listing")),
        UnitReport::Retained(_) if state == State::Listed => {
            Err(fault("report", "is for what is kept after a lift: the listing is in force"))
        }
        UnitReport::Retained(kept) if owes(Clock::LiftMeasures) => measure(&kept.measure, None),
        UnitReport::Retained(_) => Err(CommandError::NotFound("open duty of this client on this listing")),
        UnitReport::Handled { .. } if owes(Clock::HandleNotice) => Ok(()),
        UnitReport::Handled { .. } => Err(CommandError::NotFound("notice for this client to handle")),
    }
}
