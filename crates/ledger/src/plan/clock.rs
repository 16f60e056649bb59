//! What the clock brings, as events: each once, however long the hub was down.

use xinhub_domain::deadline::Clock;
use xinhub_domain::import::ImportAction;
use xinhub_domain::listing::{Action, Deadline, EventKind, PetitionStanding, RecordId, RecordKind, State, next};
use xinhub_domain::policy::Rules;
use xinhub_domain::time::{Day, Timestamp};

use super::deadlines::{beginning, of_lift};
use super::{Planned, Touch};
use crate::resident::due::Event;
use crate::resident::remedy::Bound;
use crate::resident::{Resident, can_expire};
use crate::table::ERASED;

/// The event that a due hint comes to; `None` where the state has moved on since the hint was given.
pub(crate) fn planned(
    resident: &Resident,
    (when, event): (Timestamp, Event),
    now: Timestamp,
    rules: &Rules,
) -> Option<(Planned, Touch)> {
    match event {
        Event::Deadline(bound) => return passed(resident, bound, when),
        Event::EndRetention { row, until } => return end_retention(resident, row, until, now, rules),
        Event::EndGrace { .. } | Event::Expire { .. } | Event::EndRelation { .. } | Event::EndExemption { .. } => {}
    }
    // By its own instant: a hint given before a term or a grace period was changed is passed over, not taken for the new one.
    let (mut planned, touch) = ended(resident, event, when)?;
    if let Some(row) = resident.table.row_of(planned.listing).filter(|_| planned.lift) {
        planned.deadlines.extend(of_lift(resident, row, rules.deadlines(&planned.court), now.day()));
    }
    Some((planned, touch))
}

/// A deadline has passed without the act. A proposal lapses; everything else is overdue, and stays owed.
///
/// A hint given for an earlier clock of the same kind, settled since, is passed over: the one that runs has its own.
fn passed(resident: &Resident, bound: Bound, when: Timestamp) -> Option<(Planned, Touch)> {
    let running = resident.remedy.running.get(&bound).filter(|running| !running.overdue)?;
    if running.due.end() > when {
        return None;
    }
    let (record, listing, court, clock, touch) = match bound {
        Bound::Petition { number, clock } => {
            let petition = resident.remedy.petition(number)?;
            let record = RecordId { kind: RecordKind::Petition, number };
            (record, petition.listing, petition.court, clock, Touch::Petition(number))
        }
        Bound::Import { number, .. } => return lapsed_import(resident, number),
        Bound::Listing { row, clock } | Bound::Duty { row, clock, .. } => {
            let number = u64::from(row) + 1;
            let record = RecordId { kind: RecordKind::Listing, number };
            (record, number, u32::from(resident.table.row(row).court), clock, Touch::Listing(number))
        }
    };
    let court = resident.courts.name(court).to_owned();
    if let (Bound::Listing { row, .. }, Clock::Release) = (bound, clock) {
        let state = next(resident.table.row(row).state(), Action::Lapse).ok()?;
        let until = resident.table.row(row).until();
        let lapse = Planned::new(EventKind::Lapse, record, listing, court);
        return Some((Planned { state: Some(state), until, ..lapse }, touch));
    }
    let deadlines = vec![Deadline { clock, due: running.due }];
    let petition = match bound {
        Bound::Petition { number, .. } => {
            let row = resident.remedy.petition(number)?;
            Some(PetitionStanding { kind: row.kind, state: row.state })
        }
        Bound::Listing { .. } | Bound::Duty { .. } | Bound::Import { .. } => None,
    };
    Some((Planned { deadlines, petition, ..Planned::new(EventKind::Overdue, record, listing, court) }, touch))
}

/// Nobody released an import in time, or it was not taken to its end: what was taken stays, its file goes.
fn lapsed_import(resident: &Resident, number: u64) -> Option<(Planned, Touch)> {
    let row = resident.imports.open.get(&number)?;
    let record = RecordId { kind: RecordKind::Import, number };
    let court = resident.courts.name(row.court).to_owned();
    let import = row.state.next(ImportAction::Lapse);
    Some((Planned { import, ..Planned::new(EventKind::Import, record, 0, court) }, Touch::Import(number)))
}

/// What units kept after a lift has come to its last day.
fn end_retention(resident: &Resident, row: u32, until: Day, now: Timestamp, rules: &Rules) -> Option<(Planned, Touch)> {
    let listing = resident.table.row(row);
    let extra = resident.table.extra(row).filter(|_| until.end() <= now && !listing.has(ERASED))?;
    if !extra.rest.retained.iter().any(|kept| !kept.ended && kept.until <= until) {
        return None;
    }
    let number = u64::from(row) + 1;
    let record = RecordId { kind: RecordKind::Listing, number };
    let court = resident.courts.name(listing.court).to_owned();
    // In force again, what the unit does is lawful: the next lift finds it among those who were told.
    let owed = (listing.state() != Some(State::Listed)).then(|| rules.deadlines(&court));
    let deadlines = owed.and_then(|rules| beginning(rules, Clock::LiftMeasures, now.day())).into_iter().collect();
    let planned =
        Planned { until: Some(until), deadlines, ..Planned::new(EventKind::EndRetention, record, number, court) };
    Some((planned, Touch::Listing(number)))
}

/// The end of something that had a term.
fn ended(resident: &Resident, event: Event, now: Timestamp) -> Option<(Planned, Touch)> {
    let (row, kind, action, record) = match event {
        Event::Deadline(_) | Event::EndRetention { .. } => return None,
        Event::EndGrace { row } => (row, EventKind::EndGrace, Action::EndGrace, None),
        Event::Expire { row } => (row, EventKind::Expire, Action::Expire, None),
        Event::EndRelation { row, relation } => {
            let record = RecordId { kind: RecordKind::Relation, number: relation };
            (row, EventKind::EndRelation, Action::EndRelation, Some(record))
        }
        Event::EndExemption { row, exemption } => {
            let record = RecordId { kind: RecordKind::Exemption, number: exemption };
            (row, EventKind::EndExemption, Action::EndExemption, Some(record))
        }
    };
    let listing = resident.table.row(row);
    let extra = resident.table.extra(row);
    if listing.has(ERASED) || !is_due(resident, event, now) {
        return None;
    }
    let number = u64::from(row) + 1;
    let state = next(listing.state(), action).ok()?;
    let until = match event {
        Event::EndRelation { relation, .. } => extra
            .and_then(|extra| extra.relations.iter().find(|one| one.number == relation))
            .and_then(|one| one.until()),
        Event::EndExemption { .. } | Event::Deadline(_) | Event::EndRetention { .. } => None,
        Event::EndGrace { .. } | Event::Expire { .. } => listing.until(),
    };
    let record = record.unwrap_or(RecordId { kind: RecordKind::Listing, number });
    let court = resident.courts.name(listing.court).to_owned();
    let lift = matches!(kind, EventKind::Expire | EventKind::EndRelation);
    let planned = Planned { state: Some(state), until, lift, ..Planned::new(kind, record, number, court) };
    Some((planned, Touch::Listing(number)))
}

fn is_due(resident: &Resident, event: Event, now: Timestamp) -> bool {
    let extra = |row| resident.table.extra(row);
    match event {
        Event::Deadline(_) | Event::EndRetention { .. } => false,
        Event::EndGrace { row } => {
            extra(row).and_then(|extra| extra.rest.grace_until).is_some_and(|last| last.end() <= now)
        }
        Event::Expire { row } => {
            let listing = resident.table.row(row);
            listing.state().is_some_and(can_expire) && listing.until().is_some_and(|last| last.end() <= now)
        }
        Event::EndRelation { row, relation } => extra(row).is_some_and(|extra| {
            extra.relations.iter().any(|one| {
                one.number == relation && !one.has_ended() && one.until().is_some_and(|last| last.end() <= now)
            })
        }),
        Event::EndExemption { row, exemption } => extra(row).is_some_and(|extra| {
            extra.rest.exemptions.iter().any(|one| one.number == exemption && !one.ended && one.until <= now)
        }),
    }
}
