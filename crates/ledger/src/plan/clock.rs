//! What the clock brings, as events: each once, however long the hub was down.

use xinhub_domain::listing::{Action, EventKind, RecordId, RecordKind, next};
use xinhub_domain::time::Timestamp;

use super::{Planned, Touch};
use crate::resident::due::Event;
use crate::resident::{Resident, can_expire};
use crate::table::{ERASED, Extra};

/// The event that a due hint comes to; `None` where the state has moved on since the hint was given.
pub(crate) fn planned(resident: &Resident, event: Event, now: Timestamp) -> Option<(Planned, Touch)> {
    let (row, kind, action, record) = match event {
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
        Event::EndRelation { relation, .. } => {
            extra.and_then(|extra| extra.relations.iter().find(|one| one.number == relation)).and_then(|one| one.until)
        }
        Event::EndExemption { .. } => None,
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
        Event::EndGrace { row } => {
            extra(row).and_then(|extra: &Extra| extra.grace_until).is_some_and(|last| last.end() <= now)
        }
        Event::Expire { row } => {
            let listing = resident.table.row(row);
            listing.state().is_some_and(can_expire) && listing.until().is_some_and(|last| last.end() <= now)
        }
        Event::EndRelation { row, relation } => extra(row).is_some_and(|extra| {
            extra
                .relations
                .iter()
                .any(|one| one.number == relation && !one.ended && one.until.is_some_and(|last| last.end() <= now))
        }),
        Event::EndExemption { row, exemption } => extra(row).is_some_and(|extra| {
            extra.exemptions.iter().any(|one| one.number == exemption && !one.ended && one.until <= now)
        }),
    }
}
