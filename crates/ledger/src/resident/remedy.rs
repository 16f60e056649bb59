//! Petitions, deadlines that run, and what units owe and keep: the fold of what happens beside a listing.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use minicbor::{Decode, Encode};
use xinhub_domain::deadline::Clock;
use xinhub_domain::listing::{
    Body, Clear, Deadline, EventKind, PetitionKind, PetitionState, RecordKind, State, UnitReport,
};
use xinhub_domain::time::{Day, Timestamp};
use xinhub_index::Key;

use super::Resident;
use super::due::Event;
use crate::table::{Closing, DeferralRow, DutyRow, ImposedRow, Place, RetentionRow};
use crate::vault::Opened;

/// One petition, as far as commands and boards need it.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct PetitionRow {
    /// What is asked.
    #[n(0)]
    pub kind: PetitionKind,
    /// Where it stands.
    #[n(1)]
    pub state: PetitionState,
    /// The listing; 0 for an application.
    #[n(2)]
    pub listing: u64,
    /// The court whose listing it is, or that is asked to list; an index.
    #[n(3)]
    pub court: u32,
    /// The party's first key, where it has an identity: of a credit code that is its organisation code's, by which either is found.
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    pub party: Option<[u8; 16]>,
    /// The client through which it came; an index.
    #[n(5)]
    pub intake: u32,
    /// For a complaint: the client that it is against; an index.
    #[n(6)]
    pub against: Option<u32>,
    /// Its etag: the revision of its last event.
    #[n(7)]
    pub revision: u64,
    /// Where its events lie, in order.
    #[n(8)]
    pub places: Vec<u64>,
    /// Its key was destroyed.
    #[n(9)]
    pub erased: bool,
}

/// Something by which somebody is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Bound {
    /// A court, by a listing.
    #[n(0)]
    Listing {
        /// Which.
        #[n(0)]
        row: u32,
        /// To do what.
        #[n(1)]
        clock: Clock,
    },
    /// A client, by a listing.
    #[n(1)]
    Duty {
        /// Which.
        #[n(0)]
        row: u32,
        /// Who; an index.
        #[n(1)]
        client: u32,
        /// To do what.
        #[n(2)]
        clock: Clock,
    },
    /// Whoever has to decide a petition.
    #[n(2)]
    Petition {
        /// Its number.
        #[n(0)]
        number: u64,
        /// To do what.
        #[n(1)]
        clock: Clock,
    },
    /// A court, by an import that waits for its release.
    #[n(3)]
    Import {
        /// Its number.
        #[n(0)]
        number: u64,
        /// To do what.
        #[n(1)]
        clock: Clock,
    },
}

/// A deadline that runs, or has passed without the act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Running {
    /// When it began.
    #[n(0)]
    pub since: Day,
    /// Its last day in time.
    #[n(1)]
    pub due: Day,
    /// That day has passed, and an event says so.
    #[n(2)]
    pub overdue: bool,
}

/// Petitions and deadlines.
#[derive(Clone, Debug, Default)]
pub struct Remedy {
    /// By number, from 1.
    pub petitions: Vec<Arc<PetitionRow>>,
    /// What is open.
    pub running: BTreeMap<Bound, Running>,
}

impl Remedy {
    /// A petition.
    pub fn petition(&self, number: u64) -> Option<&PetitionRow> {
        self.petitions.get(usize::try_from(number.checked_sub(1)?).ok()?).map(Arc::as_ref)
    }
}

impl Resident {
    /// Folds an event on a petition.
    pub(super) fn apply_petition(&mut self, clear: &Clear, opened: &Opened, place: Place) -> Result<(), &'static str> {
        let standing = clear.petition.ok_or("it is about a petition and does not say where that stands")?;
        let number = clear.record.number;
        if clear.kind == EventKind::FilePetition {
            if number != self.remedy.petitions.len() as u64 + 1 {
                return Err("a petition's number does not follow the one before");
            }
            let row = self.filed(clear, standing.kind, opened);
            self.remedy.petitions.push(Arc::new(row));
        }
        let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
        let row =
            self.remedy.petitions.get_mut(at).map(Arc::make_mut).ok_or("it is about a petition that is not there")?;
        row.state = standing.state;
        row.revision = clear.revision;
        row.places.push(place.0);
        row.erased |= *opened == Opened::Erased;
        if !standing.state.is_open() || clear.kind == EventKind::AskReconsideration {
            // What the party took back, nobody had to decide.
            self.settle_petition(number, clear.kind != EventKind::WithdrawPetition);
        }
        self.begin_deadlines(clear, None);
        Ok(())
    }

    fn filed(&mut self, clear: &Clear, kind: PetitionKind, opened: &Opened) -> PetitionRow {
        let court = self.courts.number(&clear.court);
        let mut row = PetitionRow {
            kind,
            state: PetitionState::Filed,
            listing: clear.listing,
            court,
            party: None,
            intake: u32::MAX,
            against: None,
            revision: clear.revision,
            places: Vec::with_capacity(2),
            erased: false,
        };
        if let Opened::Body(body) = opened
            && let Body::Petition { content, .. } = &**body
        {
            row.party = content.party.as_ref().and_then(|party| self.keys(party).next()).map(|Key(bytes)| bytes);
            row.intake = self.clients.number(&content.intake);
            row.against = content.against.as_ref().map(|client| self.clients.number(client));
        }
        row
    }

    /// Nobody is bound by it any more.
    fn settle_petition(&mut self, number: u64, done: bool) {
        for clock in Clock::ALL {
            self.settle(Bound::Petition { number, clock }, done);
        }
    }

    /// A deadline runs no longer. It is counted as kept if the act was `done` in time.
    pub(super) fn settle(&mut self, bound: Bound, done: bool) {
        if let Some(running) = self.remedy.running.remove(&bound).filter(|running| done && !running.overdue) {
            self.count_deadline(bound, running, true);
        }
    }

    /// Folds what happens beside a listing.
    pub(super) fn apply_beside(&mut self, row: u32, clear: &Clear, opened: &Opened, place: Place) {
        match (clear.kind, opened) {
            (EventKind::Overdue, _) => self.note_overdue(row, clear),
            (EventKind::EndRetention, _) => self.end_retentions(row, clear),
            (_, Opened::Body(body)) => match &**body {
                Body::Disclosed { client } => self.note_disclosure(row, clear, client),
                Body::Report { client, report, .. } => self.note_report(row, clear, client, report, place),
                Body::Deferred { until, actor, .. } => {
                    let deferral = DeferralRow { until: *until, staff_id: actor.staff_id.clone(), place: place.0 };
                    self.table.change_extra(row, |extra| extra.deferrals.push(deferral));
                }
                Body::Content { .. }
                | Body::Act { .. }
                | Body::Relation { .. }
                | Body::Ended { .. }
                | Body::Exemption { .. }
                | Body::Petition { .. }
                | Body::Found(_)
                | Body::Staged { .. } => {}
            },
            (_, Opened::Erased | Opened::Nothing) => {}
        }
    }

    fn note_disclosure(&mut self, row: u32, clear: &Clear, client: &str) {
        let client = self.clients.number(client);
        let new = self.table.change_extra(row, |extra| {
            let new = !extra.disclosed_to.contains(&client);
            if new {
                extra.disclosed_to.push(client);
            }
            new
        });
        if new && self.table.row(row).state() != Some(State::Listed) {
            // Answered a moment before the lift, recorded after it.
            self.owe(row, client, clear);
        }
    }

    /// A client owes what begins with this event.
    fn owe(&mut self, row: u32, client: u32, clear: &Clear) {
        let since = clear.at.day();
        for Deadline { clock, due } in clear.deadlines.iter().flatten().copied() {
            self.open_duty(row, client, clock, Running { since, due, overdue: false });
        }
    }

    fn note_report(&mut self, row: u32, clear: &Clear, client: &str, report: &UnitReport, place: Place) {
        let client = self.clients.number(client);
        let place = place.0;
        match report {
            UnitReport::Imposed { measure, item, on } => {
                let (measure, item, on) = (measure.clone(), item.clone(), *on);
                let imposed = ImposedRow { client, measure, item, on, lifted: false, place };
                self.table.change_extra(row, |extra| extra.imposed.push(imposed));
                // Reported after the lift: owed from now on.
                self.owe(row, client, clear);
            }
            UnitReport::Lifted { .. } => {
                self.table.change_extra(row, |extra| {
                    extra.imposed.iter_mut().filter(|one| one.client == client).for_each(|one| one.lifted = true);
                    extra.retained.iter_mut().filter(|one| one.client == client).for_each(|one| one.ended = true);
                });
                self.close_duty(row, client, Clock::LiftMeasures, Closing::Lifted, clear.at, place);
            }
            UnitReport::Acknowledged => {
                self.close_duty(row, client, Clock::LiftMeasures, Closing::Acknowledged, clear.at, place);
            }
            UnitReport::Retained(kept) => {
                let (measure, until) = (kept.measure.clone(), kept.until);
                let retained = RetentionRow { client, measure, until, ended: false, place };
                self.table.change_extra(row, |extra| extra.retained.push(retained));
                self.due.at(until.end(), Event::EndRetention { row, until });
                self.close_duty(row, client, Clock::LiftMeasures, Closing::Retained, clear.at, place);
            }
            UnitReport::Handled { .. } => {
                self.close_duty(row, client, Clock::HandleNotice, Closing::Handled, clear.at, place);
            }
        }
    }

    fn close_duty(&mut self, row: u32, client: u32, clock: Clock, how: Closing, at: Timestamp, place: u64) {
        self.settle(Bound::Duty { row, client, clock }, !matches!(how, Closing::Restored | Closing::Ended));
        self.table.change_extra(row, |extra| {
            let duties = extra.duties.iter_mut();
            for duty in duties.filter(|one| one.client == client && one.clock == clock && one.closed.is_none()) {
                (duty.closed, duty.closed_at, duty.place) = (Some(how), Some(at), place);
            }
        });
    }

    /// What the listing's own act settles: a reason that is given, a proposal that is decided, a lift that was due.
    pub(super) fn settle_listing(&mut self, row: u32, before: Option<State>, clear: &Clear) {
        let clocks: &[Clock] = match clear.kind {
            EventKind::GiveReason => &[Clock::GiveReason],
            EventKind::Approve => &[Clock::Release],
            EventKind::Hide => &[Clock::Remove],
            // Ended, however: nothing is left to release or to remove.
            EventKind::Reject
            | EventKind::Withdraw
            | EventKind::Lapse
            | EventKind::Expire
            | EventKind::Revoke
            | EventKind::Remove => &[Clock::Remove, Clock::Release],
            // Whatever else happens, the clock goes on.
            _ => &[],
        };
        for clock in clocks {
            let bound = Bound::Listing { row, clock: *clock };
            if clear.kind == EventKind::Lapse {
                self.mark(bound);
            }
            self.settle(bound, true);
        }
        let owing = clear.deadlines.iter().flatten().any(|deadline| deadline.clock == Clock::GiveReason);
        if matches!(clear.kind, EventKind::Revoke | EventKind::Remove) && !owing {
            // Ended with its reason: what an earlier hiding owed is given with it.
            self.settle(Bound::Listing { row, clock: Clock::GiveReason }, true);
        }
        if clear.state == Some(State::Listed) && before != Some(State::Listed) {
            // In force again: what units do is lawful again.
            self.settle_duties(row, Clock::LiftMeasures, Closing::Restored, clear);
        }
        if clear.state.is_some_and(State::has_ended) && !before.is_some_and(State::has_ended) {
            // The own unit would be overdue for ever with a notice of what is over. That it is over, it owes as a duty of its own.
            self.settle_duties(row, Clock::HandleNotice, Closing::Ended, clear);
        }
    }

    fn settle_duties(&mut self, row: u32, clock: Clock, how: Closing, clear: &Clear) {
        let open: Vec<u32> = self.table.extra(row).map_or_else(Vec::new, |extra| {
            let open = extra.rest.duties.iter().filter(|one| one.clock == clock && one.closed.is_none());
            open.map(|one| one.client).collect()
        });
        for client in open {
            self.close_duty(row, client, clock, how, clear.at, 0);
        }
    }

    /// What begins with an event. `row` is the listing's, for an event on a listing.
    pub(super) fn begin_deadlines(&mut self, clear: &Clear, row: Option<u32>) {
        let since = clear.at.day();
        for Deadline { clock, due } in clear.deadlines.iter().flatten().copied() {
            let running = Running { since, due, overdue: false };
            match (clear.record.kind, row) {
                (RecordKind::Petition, _) => self.run(Bound::Petition { number: clear.record.number, clock }, running),
                (RecordKind::Import, _) => self.run(Bound::Import { number: clear.record.number, clock }, running),
                (_, Some(row)) if clock == Clock::LiftMeasures => {
                    for client in self.told(row) {
                        self.open_duty(row, client, clock, running);
                    }
                }
                (_, Some(row)) if clock == Clock::HandleNotice => {
                    if let Some(client) = self.table.extra(row).and_then(|extra| extra.rest.own_unit) {
                        self.open_duty(row, client, clock, running);
                    }
                }
                (_, Some(row)) => self.run(Bound::Listing { row, clock }, running),
                (_, None) => {}
            }
        }
    }

    /// A clock that runs goes on: by doing again what started it nobody gets more time.
    fn run(&mut self, bound: Bound, running: Running) {
        let Entry::Vacant(place) = self.remedy.running.entry(bound) else { return };
        place.insert(running);
        self.due.at(running.due.end(), Event::Deadline(bound));
    }

    fn open_duty(&mut self, row: u32, client: u32, clock: Clock, running: Running) {
        let open = |duty: &DutyRow| duty.client == client && duty.clock == clock && duty.closed.is_none();
        let is_open = self.table.extra(row).is_some_and(|extra| extra.rest.duties.iter().any(open));
        if is_open {
            // The first lift's clock goes on: a second one gives nobody more time.
            return;
        }
        let Running { since, due, .. } = running;
        let duty = DutyRow { client, clock, since, due, overdue: false, closed: None, closed_at: None, place: 0 };
        self.table.change_extra(row, |extra| extra.duties.push(duty));
        self.run(Bound::Duty { row, client, clock }, running);
    }

    /// Every client that acted on a listing, or knows of it: each of them owes the end of it.
    pub fn told(&self, row: u32) -> Vec<u32> {
        let Some(extra) = self.table.extra(row).map(|extra| extra.rest) else { return Vec::new() };
        let imposed = extra.imposed.iter().filter(|one| !one.lifted).map(|one| one.client);
        // The own unit was told by its notice.
        let noticed = extra.duties.iter().filter(|duty| duty.clock == Clock::HandleNotice).map(|duty| duty.client);
        let mut clients: Vec<u32> = extra.disclosed_to.iter().copied().chain(imposed).chain(noticed).collect();
        clients.sort_unstable();
        clients.dedup();
        clients
    }

    fn note_overdue(&mut self, row: u32, clear: &Clear) {
        for Deadline { clock, due } in clear.deadlines.iter().flatten().copied() {
            self.mark(Bound::Listing { row, clock });
            let late =
                |duty: &DutyRow| duty.clock == clock && duty.due <= due && duty.closed.is_none() && !duty.overdue;
            let clients: Vec<u32> = self.table.extra(row).map_or_else(Vec::new, |extra| {
                extra.rest.duties.iter().filter(|duty| late(duty)).map(|duty| duty.client).collect()
            });
            if clients.is_empty() {
                continue;
            }
            self.table.change_extra(row, |extra| {
                extra.duties.iter_mut().filter(|duty| late(duty)).for_each(|duty| duty.overdue = true);
            });
            for client in clients {
                self.mark(Bound::Duty { row, client, clock });
            }
        }
    }

    /// Folds a petition's deadline that has passed.
    pub(super) fn note_overdue_petition(&mut self, clear: &Clear) {
        for Deadline { clock, .. } in clear.deadlines.iter().flatten() {
            self.mark(Bound::Petition { number: clear.record.number, clock: *clock });
        }
    }

    pub(super) fn mark(&mut self, bound: Bound) {
        if let Some(running) = self.remedy.running.get_mut(&bound).filter(|running| !running.overdue) {
            running.overdue = true;
            let running = *running;
            self.count_deadline(bound, running, false);
        }
    }

    /// What units kept after a lift has come to its last day: from now on it is owed again.
    fn end_retentions(&mut self, row: u32, clear: &Clear) {
        let Some(until) = clear.until else { return };
        let mut clients = Vec::new();
        self.table.change_extra(row, |extra| {
            for kept in extra.retained.iter_mut().filter(|kept| !kept.ended && kept.until <= until) {
                kept.ended = true;
                clients.push(kept.client);
            }
        });
        for client in clients {
            self.owe(row, client, clear);
        }
    }

    /// A listing's key was destroyed: nothing is owed by what nobody can read any more.
    pub(super) fn forget_deadlines(&mut self, row: u32) {
        let of = |bound: &Bound| match bound {
            Bound::Listing { row: of, .. } | Bound::Duty { row: of, .. } => *of == row,
            Bound::Petition { .. } | Bound::Import { .. } => false,
        };
        self.remedy.running.retain(|bound, _| !of(bound));
    }

    /// A petition's key was destroyed: who asked is forgotten, that somebody did is not.
    pub(super) fn erase_petition(&mut self, number: u64) -> Option<()> {
        self.settle_petition(number, false);
        let at = usize::try_from(number.checked_sub(1)?).ok()?;
        let row = Arc::make_mut(self.remedy.petitions.get_mut(at)?);
        (row.party, row.erased) = (None, true);
        Some(())
    }

    /// What the clock will bring for deadlines and retentions, after a snapshot was loaded.
    pub(super) fn schedule_remedy(&mut self) {
        for (bound, running) in &self.remedy.running {
            if !running.overdue {
                self.due.at(running.due.end(), Event::Deadline(*bound));
            }
        }
    }
}
