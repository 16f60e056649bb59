//! What is read of petitions, deadlines and duties, by those who may.

use std::ops::Bound as From;

use xinhub_domain::deadline::Clock;
use xinhub_domain::listing::{Body, EventKind, Finding, Petition, PetitionKind, PetitionState, State};
use xinhub_domain::policy::{RemedyPermit, UnitPermit};
use xinhub_domain::time::{Day, Timestamp};

use super::Ledger;
use crate::command::CommandError;
use crate::resident::Resident;
use crate::resident::remedy::{Bound, PetitionRow, Running};
use crate::table::{Closing, ImposedRow, OWN_UNIT_ONLY, Place, RetentionRow};
use crate::vault::{Opened, Vault};

/// So many are looked through before the writer, and whoever waits behind it, gets a turn.
pub(super) const SCAN: usize = 4_096;

/// A petition, and what happened to it.
#[derive(Clone, Debug)]
pub struct PetitionView {
    /// Its number.
    pub number: u64,
    /// Where it stands.
    pub state: PetitionState,
    /// Its etag.
    pub revision: u64,
    /// The listing; 0 for an application.
    pub listing: u64,
    /// The court whose listing it is, or that is asked to list.
    pub court: String,
    /// What is asked.
    pub content: Petition,
    /// What happened since, oldest first.
    pub steps: Vec<PetitionStep>,
    /// Who has to act, and by when.
    pub deadline: Option<DeadlineView>,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// One event of a petition after its filing.
#[derive(Clone, Debug)]
pub struct PetitionStep {
    /// What happened.
    pub kind: EventKind,
    /// Where it stood after it.
    pub state: PetitionState,
    /// When.
    pub at: Timestamp,
    /// Who, why, and when it was served.
    pub finding: Finding,
}

/// A deadline that runs, or has passed without the act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadlineView {
    /// Its place in the order of all; the next page comes after it.
    pub bound: Bound,
    /// What must be done.
    pub clock: Clock,
    /// The court of the listing or petition.
    pub court: String,
    /// Which listing; 0 for an application.
    pub listing: u64,
    /// Which petition; 0 for none.
    pub petition: u64,
    /// Which staged import; 0 for none.
    pub import: u64,
    /// The client that is bound; `None`: the court, or the court above.
    pub client: Option<String>,
    /// When it began, its last day, and whether that has passed.
    pub running: Running,
}

/// What a client owes, or owed, on one listing.
#[derive(Clone, Debug)]
pub struct DutyView {
    /// Which listing.
    pub listing: u64,
    /// Its court.
    pub court: String,
    /// What is owed.
    pub clock: Clock,
    /// When it began.
    pub since: Day,
    /// Its last day in time.
    pub due: Day,
    /// That day has passed without the act.
    pub overdue: bool,
    /// How it was closed, and when.
    pub closed: Option<(Closing, Option<Timestamp>)>,
    /// What the client has reported as imposed and not lifted.
    pub imposed: Vec<ImposedRow>,
    /// What the client keeps by its own act.
    pub retained: Vec<RetentionRow>,
}

/// Which petitions are listed. Empty lists mean all.
#[derive(Clone, Debug, Default)]
pub struct PetitionFilter {
    /// In these states.
    pub states: Vec<PetitionState>,
    /// Of these kinds.
    pub kinds: Vec<PetitionKind>,
    /// Of this listing.
    pub listing: Option<u64>,
}

impl Ledger {
    /// A petition, for its court, the court above, the client through which it came and the client it is against; to all others
    /// it is as if it were not there.
    pub fn petition(&self, permit: &RemedyPermit, number: u64) -> Result<Option<PetitionView>, CommandError> {
        let found = {
            let resident = self.0.resident.read();
            let row = resident.remedy.petition(number).filter(|row| !row.erased && may_read(&resident, permit, row));
            row.map(|row| (row.clone(), head(&resident, number, row)))
        };
        found.map(|(row, head)| open(&self.0.vault, number, &row, head)).transpose().map(Option::flatten)
    }

    /// The numbers of the petitions that the caller may read, newest first, before `before` (0: from the newest on).
    pub fn petitions(&self, permit: &RemedyPermit, filter: &PetitionFilter, before: u64, limit: usize) -> Vec<u64> {
        let mut found = Vec::new();
        let mut next = match before {
            0 => self.0.resident.read().remedy.petitions.len() as u64,
            before => before - 1,
        };
        while next > 0 && found.len() < limit {
            let resident = self.0.resident.read();
            let last = next.saturating_sub(SCAN as u64);
            while next > last && found.len() < limit {
                let row = resident.remedy.petition(next).filter(|row| !row.erased && filter.takes(row));
                if row.is_some_and(|row| may_read(&resident, permit, row)) {
                    found.push(next);
                }
                next -= 1;
            }
        }
        found
    }

    /// The deadlines that `take` takes among those that the caller may see, after a place, in their order.
    pub fn deadlines(
        &self,
        permit: &RemedyPermit,
        after: Option<Bound>,
        limit: usize,
        take: impl Fn(&DeadlineView) -> bool,
    ) -> Vec<DeadlineView> {
        let mut found = Vec::new();
        let mut from = after.map_or(From::Unbounded, From::Excluded);
        while found.len() < limit {
            let resident = self.0.resident.read();
            let mut seen = None;
            for (bound, running) in resident.remedy.running.range((from, From::Unbounded)).take(SCAN) {
                seen = Some(*bound);
                let view = deadline(&resident, *bound, *running);
                if may_see(&resident, permit, *bound, &view) && take(&view) {
                    found.push(view);
                    if found.len() == limit {
                        break;
                    }
                }
            }
            match seen {
                Some(last) => from = From::Excluded(last),
                None => break,
            }
        }
        found
    }

    /// How many deadlines run and how many are overdue, by [`Clock::ALL`]; without those of entries that only the subject's own
    /// unit may be shown.
    pub fn deadline_counts(&self) -> [(u64, u64); Clock::ALL.len()] {
        let mut counts = [(0, 0); Clock::ALL.len()];
        self.each_running(|resident, bound, running| {
            if is_own_unit_only(resident, bound) {
                return;
            }
            let count = &mut counts[clock_of(bound) as usize - 1];
            if running.overdue { count.1 += 1 } else { count.0 += 1 }
        });
        counts
    }

    /// Shows every deadline that runs or has passed.
    pub(super) fn each_running(&self, mut see: impl FnMut(&Resident, Bound, Running)) {
        let mut from = From::Unbounded;
        loop {
            let resident = self.0.resident.read();
            let mut seen = None;
            for (bound, running) in resident.remedy.running.range((from, From::Unbounded)).take(SCAN) {
                seen = Some(*bound);
                see(&resident, *bound, *running);
            }
            match seen {
                Some(last) => from = From::Excluded(last),
                None => return,
            }
        }
    }

    /// A listing's state and etag.
    pub fn standing(&self, listing: u64) -> Option<(State, u64)> {
        let resident = self.0.resident.read();
        let row = resident.table.row(resident.table.row_of(listing)?);
        Some((row.state()?, row.revision()))
    }

    /// The caller's own duties on listings after a number: the open ones, or with `all` the closed ones too.
    pub fn duties(&self, permit: &UnitPermit, after: u64, limit: usize, all: bool) -> Vec<DutyView> {
        let mut found = Vec::new();
        let mut row = u32::try_from(after).unwrap_or(u32::MAX);
        loop {
            let resident = self.0.resident.read();
            let Some(client) = resident.clients.find(permit.client().id()) else { return found };
            let len = u32::try_from(resident.table.len()).unwrap_or(u32::MAX);
            let end = len.min(row.saturating_add(SCAN as u32));
            while row < end && found.len() < limit {
                found.extend(duties_of(&resident, row, client, all));
                row += 1;
            }
            if row >= len || found.len() >= limit {
                return found;
            }
        }
    }

    /// The caller's latest duty on one listing.
    pub fn duty(&self, permit: &UnitPermit, listing: u64) -> Option<DutyView> {
        let resident = self.0.resident.read();
        let client = resident.clients.find(permit.client().id())?;
        let row = resident.table.row_of(listing)?;
        duties_of(&resident, row, client, true).into_iter().last()
    }
}

impl PetitionFilter {
    fn takes(&self, row: &PetitionRow) -> bool {
        (self.states.is_empty() || self.states.contains(&row.state))
            && (self.kinds.is_empty() || self.kinds.contains(&row.kind))
            && self.listing.is_none_or(|listing| listing == row.listing)
    }
}

fn may_read(resident: &Resident, permit: &RemedyPermit, row: &PetitionRow) -> bool {
    let court = resident.courts.name(row.court);
    let client = resident.clients.find(permit.client().id());
    permit.is_court(court)
        || permit.is_above(court)
        || client.is_some_and(|client| row.intake == client || row.against == Some(client))
}

/// A court sees what runs on its own listings and on those of the courts below it; a unit what binds it; operators and auditors
/// all, which names nobody.
fn may_see(resident: &Resident, permit: &RemedyPermit, bound: Bound, view: &DeadlineView) -> bool {
    if permit.client().class().asks() && permit.court().is_none() {
        return view.client.as_deref() == Some(permit.client().id());
    }
    match permit.court() {
        Some(_) => permit.is_court(&view.court) || permit.is_above(&view.court),
        None => !is_own_unit_only(resident, bound),
    }
}

/// Whether somebody is bound by an entry that only the subject's own unit may be shown.
fn is_own_unit_only(resident: &Resident, bound: Bound) -> bool {
    let row = match bound {
        Bound::Listing { row, .. } | Bound::Duty { row, .. } => Some(row),
        Bound::Petition { number, .. } => {
            resident.remedy.petition(number).and_then(|petition| resident.table.row_of(petition.listing))
        }
        Bound::Import { .. } => None,
    };
    row.is_some_and(|row| resident.table.row(row).has(OWN_UNIT_ONLY))
}

fn clock_of(bound: Bound) -> Clock {
    match bound {
        Bound::Listing { clock, .. }
        | Bound::Duty { clock, .. }
        | Bound::Petition { clock, .. }
        | Bound::Import { clock, .. } => clock,
    }
}

pub(super) fn deadline(resident: &Resident, bound: Bound, running: Running) -> DeadlineView {
    let clock = clock_of(bound);
    let (court, listing, petition, client) = match bound {
        Bound::Listing { row, .. } => (u32::from(resident.table.row(row).court), u64::from(row) + 1, 0, None),
        Bound::Duty { row, client, .. } => {
            (u32::from(resident.table.row(row).court), u64::from(row) + 1, 0, Some(client))
        }
        Bound::Petition { number, .. } => {
            let row = resident.remedy.petition(number);
            let against = row.and_then(|row| row.against);
            (row.map_or(u32::MAX, |row| row.court), row.map_or(0, |row| row.listing), number, against)
        }
        Bound::Import { number, .. } => {
            (resident.imports.open.get(&number).map_or(u32::MAX, |row| row.court), 0, 0, None)
        }
    };
    let import = if let Bound::Import { number, .. } = bound { number } else { 0 };
    let court = resident.courts.name(court).to_owned();
    let client = client.map(|client| resident.clients.name(client).to_owned());
    DeadlineView { bound, clock, court, listing, petition, import, client, running }
}

/// What a petition's reader gets that is not in its own record.
pub(super) fn head(resident: &Resident, number: u64, row: &PetitionRow) -> (String, Option<DeadlineView>) {
    let running = Clock::ALL.iter().find_map(|clock| {
        let bound = Bound::Petition { number, clock: *clock };
        resident.remedy.running.get(&bound).map(|running| deadline(resident, bound, *running))
    });
    (resident.courts.name(row.court).to_owned(), running)
}

pub(super) fn open(
    vault: &Vault,
    number: u64,
    row: &PetitionRow,
    (court, deadline): (String, Option<DeadlineView>),
) -> Result<Option<PetitionView>, CommandError> {
    let (mut content, mut steps, mut updated_at) = (None, Vec::new(), Timestamp(0));
    for place in &row.places {
        let (clear, opened) = vault.read(Place(*place)).map_err(|error| {
            tracing::error!(petition = number, %error, "a petition can't be read");
            CommandError::Unreadable
        })?;
        updated_at = clear.at;
        let Opened::Body(body) = opened else { return Ok(None) };
        match *body {
            Body::Petition { content: filed, .. } => content = Some(*filed),
            Body::Found(finding) => {
                let state = clear.petition.map_or(row.state, |standing| standing.state);
                steps.push(PetitionStep { kind: clear.kind, state, at: clear.at, finding });
            }
            _ => return Err(CommandError::Unreadable),
        }
    }
    let view = |content| PetitionView {
        number,
        state: row.state,
        revision: row.revision,
        listing: row.listing,
        court,
        content,
        steps,
        deadline,
        updated_at,
    };
    Ok(content.map(view))
}

pub(super) fn duties_of(resident: &Resident, row: u32, client: u32, all: bool) -> Vec<DutyView> {
    let Some(extra) = resident.table.extra(row).map(|extra| extra.rest) else { return Vec::new() };
    let duties = extra.duties.iter().filter(|duty| duty.client == client && (all || duty.closed.is_none()));
    let imposed = extra.imposed.iter().filter(|one| one.client == client && !one.lifted);
    let retained = extra.retained.iter().filter(|one| one.client == client && !one.ended);
    let (imposed, retained): (Vec<_>, Vec<_>) = (imposed.cloned().collect(), retained.cloned().collect());
    duties
        .map(|duty| DutyView {
            listing: u64::from(row) + 1,
            court: resident.courts.name(resident.table.row(row).court).to_owned(),
            clock: duty.clock,
            since: duty.since,
            due: duty.due,
            overdue: duty.overdue,
            closed: duty.closed.map(|how| (how, duty.closed_at)),
            imposed: imposed.clone(),
            retained: retained.clone(),
        })
        .collect()
}
