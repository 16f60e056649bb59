//! What is read for the person or organisation concerned: listings, relations, petitions, duties, and whether anything in
//! force reaches them.
//!
//! Contents are read from the journal, not from the detail store: what somebody is told about themselves is never behind.

use xinhub_domain::identity::Identity;
use xinhub_domain::listing::{Body, Content, Exemption, RelationContent, Retention, State, UnitReport};
use xinhub_domain::measure::Relation;
use xinhub_domain::name::Name;
use xinhub_domain::policy::SubjectPermit;
use xinhub_domain::time::{Day, Timestamp};
use xinhub_index::Key;

use std::ops::Bound as From;

use super::remedy::{SCAN, deadline, duties_of, head, open};
use super::{DeadlineView, DutyView, Ledger, PetitionView};
use crate::command::CommandError;
use crate::resident::Resident;
use crate::resident::remedy::Bound;
use crate::table::{DeferralRow, ERASED, Extra, ImposedRow, OWN_UNIT_ONLY, Place, RetentionRow};
use crate::vault::{Opened, Vault};
use xinhub_domain::position::Position;

/// All that concerns one subject.
#[derive(Clone, Debug)]
pub struct SubjectView {
    /// By number.
    pub listings: Vec<SubjectListing>,
    /// What the subject has asked for, by number.
    pub petitions: Vec<PetitionView>,
}

/// One listing, as far as its subject is concerned.
#[derive(Clone)]
pub struct SubjectListing {
    /// Its number.
    pub listing: u64,
    /// Where it stands.
    pub state: State,
    /// Its court.
    pub court: String,
    /// The last day in force.
    pub until: Option<Day>,
    /// The subject is the debtor.
    pub is_debtor: bool,
    /// It named the subject by mistake, and was rectified.
    pub was_corrected: bool,
    /// What it says.
    pub content: Content,
    /// How else the subject stands to it, with the end.
    pub relations: Vec<(RelationContent, bool)>,
    /// Exemptions of the subject: number, content, ended.
    pub exemptions: Vec<(u64, Exemption, bool)>,
    /// What runs; for the debtor alone.
    pub deadlines: Vec<DeadlineView>,
    /// What clients owe and owed by it; for the debtor alone.
    pub duties: Vec<(String, DutyView)>,
    /// What clients report that they imposed; for the debtor alone.
    pub imposed: Vec<(String, ImposedRow)>,
    /// What clients keep, whether that is over, and on which basis; for the debtor alone.
    pub retained: Vec<(String, RetentionRow, Option<Retention>)>,
    /// Clients that were told of it; for the debtor alone.
    pub told: Vec<String>,
    /// Deferrals of the view, oldest first.
    pub deferrals: Vec<DeferralView>,
}

impl std::fmt::Debug for SubjectListing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubjectListing").field("listing", &self.listing).finish_non_exhaustive()
    }
}

/// A deferral of the subject's view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeferralView {
    /// On which ground.
    pub ground: String,
    /// When.
    pub at: Timestamp,
    /// Its last day.
    pub until: Day,
}

/// What of a listing is copied out under the lock.
struct Row {
    number: u64,
    state: State,
    court: String,
    until: Option<Day>,
    place: Place,
    is_debtor: bool,
    was_corrected: bool,
    extra: Extra,
    relations: Vec<(Place, bool)>,
    exemptions: Vec<(u64, Place, bool)>,
    deadlines: Vec<DeadlineView>,
    duties: Vec<(String, DutyView)>,
    clients: Vec<(u32, String)>,
    told: Vec<String>,
}

impl Ledger {
    /// All that concerns a subject. What is proposed and not decided yet concerns nobody.
    ///
    /// # Errors
    /// Something can't be read.
    pub fn subject(&self, permit: &SubjectPermit, identity: &Identity) -> Result<SubjectView, CommandError> {
        let keys = self.keys_of(identity);
        let rows = {
            let resident = self.0.resident.read();
            let mut rows: Vec<u32> = keys.iter().flat_map(|key| resident.rows_of(key)).collect();
            rows.sort_unstable();
            rows.dedup();
            rows.into_iter().filter_map(|row| copy(&resident, permit, &keys, row)).collect::<Vec<_>>()
        };
        let mut listings = Vec::with_capacity(rows.len());
        for row in rows {
            listings.extend(listing(&self.0.vault, row)?);
        }
        Ok(SubjectView { listings, petitions: self.petitions_of(permit, &keys)? })
    }

    /// Whether a listing in force reaches an identity, as debtor or as a related person, on a firm identity or a flagged one. What
    /// only the subject's own unit may be shown reaches nobody. With the position at which that was found: one read before or after
    /// might be of a state that said otherwise.
    ///
    /// # Errors
    /// The clocks differ: a term may be over or not.
    pub fn reaches(&self, _permit: &SubjectPermit, identity: &Identity) -> Result<(bool, Position), CommandError> {
        let (wall, expected) = (self.0.clock.wall(), self.expected_clock());
        let (mut in_force, mut unsure) = (false, false);
        let resident = self.0.resident.read();
        for key in self.keys_of(identity) {
            resident.each_in_force(&key, |held| {
                let over = |now| held.until.is_some_and(|until| until.end() <= now);
                in_force |= !over(wall) && !over(expected);
                unsure |= over(wall) != over(expected);
            });
        }
        let position = Position { epoch: resident.epoch, revision: resident.revision, time: resident.last_at };
        if unsure && !in_force { Err(CommandError::ClockUnsure) } else { Ok((in_force, position)) }
    }

    fn keys_of(&self, identity: &Identity) -> Vec<Key> {
        identity.keys().map(|input| Key(self.0.prf.digest(input.as_bytes()))).collect()
    }

    fn petitions_of(&self, permit: &SubjectPermit, keys: &[Key]) -> Result<Vec<PetitionView>, CommandError> {
        let (mut found, mut next) = (Vec::new(), 1);
        loop {
            let mut some = Vec::new();
            {
                let resident = self.0.resident.read();
                let end = resident.remedy.petitions.len() as u64;
                for number in (next..=end).take(SCAN) {
                    let row = resident.remedy.petition(number).filter(|row| !row.erased);
                    let own = row.filter(|row| row.party.is_some_and(|party| keys.contains(&Key(party))));
                    if let Some(row) = own.filter(|row| is_shown(&resident, permit, row.listing)) {
                        some.push((number, row.clone(), head(&resident, number, row)));
                    }
                    next = number + 1;
                }
                if some.is_empty() && next > end {
                    return Ok(found);
                }
            }
            for (number, row, head) in some {
                found.extend(open(&self.0.vault, number, &row, head)?);
            }
        }
    }
}

/// Whether the caller may know of a listing; 0 is none.
fn is_shown(resident: &Resident, permit: &SubjectPermit, listing: u64) -> bool {
    let Some(row) = resident.table.row_of(listing) else { return true };
    let own_unit = resident.table.extra(row).and_then(|extra| extra.rest.own_unit);
    let own_unit = own_unit.map(|client| resident.clients.name(client));
    let kept = resident.table.row(row);
    !kept.has(OWN_UNIT_ONLY) || permit.sees_own_unit_only(resident.courts.name(kept.court), own_unit)
}

fn copy(resident: &Resident, permit: &SubjectPermit, keys: &[Key], row: u32) -> Option<Row> {
    let kept = resident.table.row(row);
    let number = u64::from(row) + 1;
    let state = kept.state().filter(|state| *state != State::Proposed && !kept.has(ERASED))?;
    if !is_shown(resident, permit, number) {
        return None;
    }
    let extra = resident.table.extra(row).map(Extra::from).unwrap_or_default();
    let is_debtor = resident.debtor_keys(row).iter().any(|(key, _)| keys.contains(key));
    let was_corrected = keys.iter().any(|key| resident.is_former(row, key));
    let own = |key: &Key| keys.contains(key);
    let relations: Vec<_> = extra.relations.iter().filter(|one| own(&one.key)).collect();
    if !is_debtor && !was_corrected && relations.is_empty() {
        return None;
    }
    let exemptions = extra.exemptions.iter().filter(|one| own(&one.key));
    let names = |clients: &[u32]| clients.iter().map(|client| resident.clients.name(*client).to_owned()).collect();
    let mut clients: Vec<u32> = extra.duties.iter().map(|duty| duty.client).collect();
    clients.extend(extra.imposed.iter().map(|one| one.client));
    clients.extend(extra.retained.iter().map(|one| one.client));
    clients.sort_unstable();
    clients.dedup();
    let named: Vec<(u32, String)> =
        clients.into_iter().map(|client| (client, resident.clients.name(client).to_owned())).collect();
    let of_client = |(client, name): &(u32, String)| {
        let duties = duties_of(resident, row, *client, true).into_iter();
        duties.map(|duty| (name.clone(), duty)).collect::<Vec<_>>()
    };
    Some(Row {
        number,
        state,
        court: resident.courts.name(kept.court).to_owned(),
        until: kept.until(),
        place: kept.place,
        is_debtor,
        was_corrected,
        relations: relations.iter().map(|one| (Place(one.place), one.has_ended())).collect(),
        exemptions: exemptions.map(|one| (one.number, Place(one.place), one.ended)).collect(),
        deadlines: if is_debtor { deadlines_of(resident, row) } else { Vec::new() },
        duties: if is_debtor { named.iter().flat_map(of_client).collect() } else { Vec::new() },
        told: if is_debtor { names(&extra.disclosed_to) } else { Vec::new() },
        clients: named,
        extra,
    })
}

/// What runs on a listing and binds its court; what binds clients are duties.
fn deadlines_of(resident: &Resident, row: u32) -> Vec<DeadlineView> {
    let first = Bound::Listing { row, clock: xinhub_domain::deadline::Clock::DecideApplication };
    let after = Bound::Listing { row: row.saturating_add(1), clock: xinhub_domain::deadline::Clock::DecideApplication };
    let range = resident.remedy.running.range((From::Included(first), From::Excluded(after)));
    range.map(|(bound, running)| deadline(resident, *bound, *running)).collect()
}

fn listing(vault: &Vault, row: Row) -> Result<Option<SubjectListing>, CommandError> {
    let Some(Body::Content { content, .. }) = body(vault, row.place)?.map(|(_, body)| body) else { return Ok(None) };
    let mut relations = Vec::with_capacity(row.relations.len());
    for (place, ended) in &row.relations {
        if let Some((_, Body::Relation { content, .. })) = body(vault, *place)? {
            relations.push((*content, *ended));
        }
    }
    let mut exemptions = Vec::with_capacity(row.exemptions.len());
    for (number, place, ended) in &row.exemptions {
        if let Some((_, Body::Exemption { content, .. })) = body(vault, *place)? {
            exemptions.push((*number, *content, *ended));
        }
    }
    let deferrals = row.extra.deferrals.iter().map(|one| deferral(vault, one)).collect::<Result<Vec<_>, _>>()?;
    let name = |client: u32| row.clients.iter().find(|(id, _)| *id == client).map_or("", |(_, name)| name).to_owned();
    let (mut imposed, mut retained) = (Vec::new(), Vec::new());
    if row.is_debtor {
        imposed = row.extra.imposed.iter().map(|one| (name(one.client), one.clone())).collect();
        for one in &row.extra.retained {
            retained.push((name(one.client), one.clone(), retention(vault, one)?));
        }
    }
    Ok(Some(SubjectListing {
        listing: row.number,
        state: row.state,
        court: row.court,
        until: row.until,
        is_debtor: row.is_debtor,
        was_corrected: row.was_corrected,
        content: *content,
        relations,
        exemptions,
        deadlines: row.deadlines,
        duties: row.duties,
        imposed,
        retained,
        told: row.told,
        deferrals: deferrals.into_iter().flatten().collect(),
    }))
}

fn retention(vault: &Vault, row: &RetentionRow) -> Result<Option<Retention>, CommandError> {
    Ok(match body(vault, Place(row.place))? {
        Some((_, Body::Report { report: UnitReport::Retained(kept), .. })) => Some(kept),
        Some(_) | None => None,
    })
}

fn deferral(vault: &Vault, row: &DeferralRow) -> Result<Option<DeferralView>, CommandError> {
    Ok(match body(vault, Place(row.place))? {
        Some((at, Body::Deferred { ground, until, .. })) => Some(DeferralView { ground, at, until }),
        Some(_) | None => None,
    })
}

/// The opened event at a place; `None` once its record is erased.
fn body(vault: &Vault, place: Place) -> Result<Option<(Timestamp, Body)>, CommandError> {
    match vault.read(place) {
        Ok((clear, Opened::Body(body))) => Ok(Some((clear.at, *body))),
        Ok((_, Opened::Erased | Opened::Nothing)) => Ok(None),
        Err(error) => {
            tracing::error!(%error, "an event can't be read for its subject");
            Err(CommandError::Unreadable)
        }
    }
}

impl SubjectListing {
    /// Whether this name is the subject's, as far as the listing knows; an empty one was not given.
    pub fn is_named(&self, name: &Name) -> bool {
        let debtor = !self.is_debtor || self.content.name.confirms(name);
        debtor && self.relations.iter().all(|(related, _)| related.name.confirms(name))
    }

    /// How the subject stands to it: relation, ended, last day.
    pub fn standings(&self) -> Vec<(Relation, bool, Option<Day>)> {
        let debtor = self.is_debtor.then_some((Relation::Debtor, self.state.has_ended(), self.until));
        let related = self.relations.iter().map(|(one, ended)| (one.relation, *ended, one.until));
        debtor.into_iter().chain(related).collect()
    }

    /// Whether the view is deferred on this day.
    pub fn is_deferred(&self, today: Day) -> bool {
        self.deferrals.iter().any(|one| one.until >= today)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use xinhub_domain::policy::{Method, Moment, SubjectAsk, decide};

    use crate::command::Command;
    use crate::testing::*;

    /// A certificate named a position from before the check: at that very one a listing may still have been in force.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_reaches_nobody_does_so_at_the_position_that_is_told() {
        let bench = Bench::new(18);
        let (ledger, done) = (bench.open(), std::sync::Arc::new(AtomicBool::new(false)));
        let moment = Moment { now: start(), crl_expired: false };
        let permit = decide(policy(), "court-one", Method::IssueCertificate, &SubjectAsk, moment).unwrap();
        let asking = (ledger.clone(), std::sync::Arc::clone(&done));
        let asks = std::thread::spawn(move || {
            let (mut told, who) = (Vec::new(), identity(&person(1)));
            while !asking.1.load(Ordering::Relaxed) {
                let (reached, position) = asking.0.reaches(&permit, &who).unwrap();
                told.push((position.revision, reached));
            }
            told
        });
        let mut in_force = Vec::new();
        for case in 1..60 {
            let publish =
                Command::Publish { listing: None, content: content(&draft(person(1), case)), application: None };
            let listed = ledger.submit(request("court-one", "j-1", None, publish)).await.unwrap();
            let revoke = Command::Revoke { listing: listed.listing, ground: "wrongly_listed".to_owned() };
            let revoked = ledger.submit(request("court-one", "j-1", None, revoke)).await.unwrap();
            in_force.push(listed.etag..revoked.etag);
        }
        done.store(true, Ordering::Relaxed);
        for (revision, reached) in asks.join().unwrap() {
            let expected = in_force.iter().any(|listed| listed.contains(&revision));
            assert_eq!(reached, expected, "at {revision}");
        }
    }
}
