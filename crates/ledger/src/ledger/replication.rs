//! What the replicas of an audience hold, and how it changes (decision D5).
//!
//! An audience has keys of its own, which only the identities themselves lead to. So whom an event concerns is found by opening the
//! listing that it is about, and what is told of a key is its *current* entry, as the hub's own index has it: telling it twice
//! changes nothing, and whoever is told late is told the newest. Nothing is kept for it: the journal says which listings
//! changed, and the state says what holds now.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;
use xinhub_domain::identity::Identity;
use xinhub_domain::listing::{About, Body, Clear, EventKind, State};
use xinhub_domain::measure::Relation;
use xinhub_domain::time::Timestamp;
use xinhub_index::{Change, Entry as IndexEntry, Key, Prf, Relations};

use super::{Ledger, ReachError};
use crate::command::CommandError;
use crate::entry::{Entry, EventRecord};
use crate::journal::Stored;
use crate::table::{ERASED, OWN_UNIT_ONLY, Place};
use crate::vault::recent::Follower;
use crate::vault::{Opened, VaultError};
use crate::writer::Published;
use xinhub_domain::position::Position;

/// Listings that are opened in one go while all of them are walked through: a millisecond's work.
const WALK_LISTINGS: u64 = 64;

/// Whom a group of clients may be told of, and under which key.
#[derive(Clone, Debug)]
pub struct Audience {
    prf: Prf,
    relations: Relations,
}

impl Audience {
    /// The audience with this index key, which is told of these relations.
    pub fn new(key: &[u8; 32], relations: Relations) -> Audience {
        Audience { prf: Prf::new(key), relations }
    }

    /// The key of an identity's key input.
    fn key(&self, input: &[u8; 32]) -> Key {
        Key(self.prf.digest(input))
    }

    /// What of the hub's entry the audience is told; `None` where no relation of it is the audience's.
    fn entry(&self, entry: &IndexEntry) -> Option<IndexEntry> {
        let reached = entry.in_force() & self.relations;
        if reached.is_empty() {
            return None;
        }
        let exemptions = entry.exemptions.clone();
        let mut told = IndexEntry { flagged: entry.flagged & reached, exemptions, ..IndexEntry::default() };
        for position in reached.positions() {
            told.relations[position] = entry.relations[position];
        }
        Some(told)
    }
}

/// A place in the history up to which changes have been told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The last event's revision.
    pub revision: u64,
    /// How many lifts there were.
    pub lift_seq: u64,
    /// The chain hash over the journal up to here: two histories of one past have it in common only up to where they part.
    pub chain: [u8; 32],
    /// The journal's entry that ends with it.
    sequence: u64,
}

/// The listings that a stretch of the history is about.
#[derive(Debug)]
pub struct Touched {
    /// Where the stretch ends.
    pub mark: Mark,
    listings: BTreeMap<u64, Touch>,
}

#[derive(Debug, Default)]
struct Touch {
    /// A lift is among what happened.
    lift: bool,
    /// One of them was that only the own unit may be shown it any more.
    hides: bool,
    /// Identities that were rectified away.
    former: Vec<Identity>,
}

/// What a key has from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// The key, and its entry if it has one.
    pub change: Change,
    /// A lift is among what brought it about.
    pub lift: bool,
    /// What it had when it was told last, where that is kept ([`Ledger::tell`]).
    pub before: Option<IndexEntry>,
}

/// What some audiences are told of a stretch of the history.
#[derive(Debug)]
pub struct Told {
    /// The entries are those of this revision: of the stretch's end, or beyond it.
    pub as_of: u64,
    /// For each audience.
    pub changes: Vec<Vec<KeyChange>>,
}

/// A key of the hub's that leads to somebody whom a stretch is about.
struct Concerned {
    key: Key,
    lift: bool,
    entry: Option<IndexEntry>,
    before: Option<IndexEntry>,
}

/// The journal or what it holds can't be read.
fn unreadable(error: impl std::fmt::Display) -> CommandError {
    tracing::error!(%error, "the history can't be read");
    CommandError::Unreadable
}

/// The first of a range of which something is not true, as it is of none behind it; its end where it is true of all.
fn first_not(
    Range { start: mut low, end: mut high }: Range<u64>,
    is_true: impl Fn(u64) -> Result<bool, CommandError>,
) -> Result<u64, CommandError> {
    while low < high {
        let middle = low + (high - low) / 2;
        if is_true(middle)? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

impl Ledger {
    /// Where the history stands, for whoever begins to follow it here.
    pub fn mark(&self) -> Mark {
        let published = self.0.published.borrow();
        let Published { position, lift_seq, chain, sequence, .. } = *published;
        Mark { revision: position.revision, lift_seq, chain, sequence }
    }

    /// Resolves once the history goes on beyond a mark; at once if it does already.
    pub async fn beyond(&self, mark: Mark) {
        let mut published = self.0.published.clone();
        // The sender lives as long as the writer; once that is gone nothing comes any more.
        if published.wait_for(|published| published.sequence > mark.sequence).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// For how long yet what can wait leaves the processors to those who are told of a lift. Whoever waited for one lull goes on,
    /// however many lifts followed.
    pub fn lull(&self) -> Duration {
        self.0.published.borrow().lull()
    }

    /// The mark at a revision that an entry ends with, for whoever has been told of lifts up to `lift_seq`; `None` where none does:
    /// whoever stands there can't be led on from it.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub fn mark_at(&self, revision: u64, lift_seq: u64) -> Result<Option<Mark>, CommandError> {
        let end = self.mark();
        if revision >= end.revision {
            return Ok((revision == end.revision).then_some(Mark { lift_seq, ..end }));
        }
        if revision == 0 {
            return Ok(Some(Mark { revision, lift_seq, ..Mark::default() }));
        }
        let low = self.sequence_of(revision)?;
        let Some((entry, chain)) = self.entry_after(low)? else { return Ok(None) };
        Ok((entry.last_revision() == revision).then_some(Mark { revision, lift_seq, chain, sequence: low + 1 }))
    }

    /// The lift that a token's position is of: when it was committed, and its number in the count of lifts, or that of a later one
    /// of the same commit. `None` where that position is of no lift.
    ///
    /// # Errors
    /// A token of another hub or history, or of a position that is not reached.
    pub fn lift_at(&self, token: &[u8]) -> Result<Option<(Timestamp, u64)>, ReachError> {
        let (epoch, revision) = Position::parse_token(token)?;
        let position = self.position();
        if epoch != position.epoch {
            return Err(ReachError::OtherEpoch);
        }
        if revision > position.revision {
            return Err(ReachError::NotYet);
        }
        let found = self.sequence_of(revision).and_then(|sequence| self.lift_of(sequence, revision));
        // A position that can't be read is not confirmed as anything; the cause is in the log.
        found.map_err(|_| ReachError::NotYet)
    }

    /// How many entries lie before the one that holds a revision.
    fn sequence_of(&self, revision: u64) -> Result<u64, CommandError> {
        self.entries_while(|entry| entry.last_revision() < revision)
    }

    /// How many entries there are before the first of which `early` is not true: of none behind that one it is. Of all segments but one no
    /// more than the beginning is read.
    pub(super) fn entries_while(&self, early: impl Fn(&Entry) -> bool) -> Result<u64, CommandError> {
        let is_early = |number: u64| Ok(self.entry_after(number - 1)?.is_some_and(|(entry, _)| early(&entry)));
        let end = self.mark().sequence;
        // What is durable and not visible yet is not there.
        let mut at_once = self.0.vault.journal().found_at_once();
        at_once.retain(|number| *number <= end);
        let known = first_not(0..at_once.len() as u64, |index| is_early(at_once[index as usize]))? as usize;
        // All up to the last of these are early, and the one behind isn't.
        let before = known.checked_sub(1).map_or(0, |last| at_once[last]);
        let until = at_once.get(known).map_or(end, |number| number - 1);
        Ok(first_not(before + 1..until + 1, is_early)? - 1)
    }

    /// The entry behind so many, and the chain hash with it.
    pub(super) fn entry_after(&self, entries: u64) -> Result<Option<(Entry, [u8; 32])>, CommandError> {
        let stored = self.0.vault.journal().after(entries).next().transpose().map_err(unreadable)?;
        let entry = |stored: Stored| Ok((Entry::decode(&stored.payload).map_err(unreadable)?, stored.chain));
        stored.map(entry).transpose()
    }

    fn lift_of(&self, before: u64, revision: u64) -> Result<Option<(Timestamp, u64)>, CommandError> {
        let Some((entry, _)) = self.entry_after(before)? else { return Ok(None) };
        let mut last = None;
        let mut is_lift = false;
        for record in &entry.events {
            let clear = record.clear().map_err(unreadable)?;
            // What an upheld objection brings comes right behind the finding.
            is_lift |= clear.lift_seq.is_some() && (revision..=revision + 1).contains(&clear.revision);
            last = clear.lift_seq.or(last);
        }
        Ok(last.filter(|_| is_lift).map(|lift_seq| (entry.at, lift_seq)))
    }

    /// Which listings changed after a mark: to the end of the history, or to the entry with which `max_events` are reached.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub fn touched(&self, after: Mark, max_events: usize) -> Result<Touched, CommandError> {
        self.touched_where(after, max_events, |_| true)
    }

    /// Which listings were lifted after a mark: of as many events, the lifts alone. Nothing is read where there was no lift.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub fn touched_by_lifts(&self, after: Mark, max_events: usize) -> Result<Touched, CommandError> {
        let end = self.mark();
        if end.lift_seq == after.lift_seq {
            return Ok(Touched { mark: end, listings: BTreeMap::new() });
        }
        self.touched_where(after, max_events, |event| event.lift_seq.is_some())
    }

    fn touched_where(
        &self,
        after: Mark,
        max_events: usize,
        which: impl Fn(&Clear) -> bool,
    ) -> Result<Touched, CommandError> {
        let end = self.mark();
        let mut touched = Touched { mark: after, listings: BTreeMap::new() };
        let mut events = 0;
        for stored in self.0.vault.journal().after(after.sequence) {
            let stored = stored.map_err(unreadable)?;
            // An entry that is durable and not visible yet is not told of before it is answered from.
            if stored.sequence > end.sequence || events >= max_events {
                break;
            }
            let entry = Entry::decode(&stored.payload).map_err(unreadable)?;
            events += entry.events.len();
            for record in &entry.events {
                let clear = record.clear().map_err(unreadable)?;
                touched.mark.revision = clear.revision;
                // By its own number: whoever is led on from here may have been told of lifts beyond it.
                touched.mark.lift_seq = clear.lift_seq.unwrap_or(touched.mark.lift_seq);
                if clear.kind.about() == About::Listing && which(&clear) {
                    self.note(record, &clear, &mut touched.listings).map_err(unreadable)?;
                }
            }
            (touched.mark.sequence, touched.mark.chain) = (stored.sequence, stored.chain);
        }
        Ok(touched)
    }

    fn note(&self, record: &EventRecord, clear: &Clear, listings: &mut BTreeMap<u64, Touch>) -> Result<(), VaultError> {
        let touch = listings.entry(clear.listing).or_default();
        touch.lift |= clear.lift_seq.is_some();
        touch.hides |= clear.lift_seq.is_some() && clear.kind == EventKind::Amend;
        if clear.kind == EventKind::Rectify
            && let Opened::Body(body) = self.0.vault.open(record, clear)?
            && let Body::Content { former: Some(former), .. } = *body
        {
            touch.former.extend(former);
        }
        Ok(())
    }

    /// Keeps from here on what keys had when they were told last, for [`Ledger::tell`].
    pub fn begin_telling(&self) -> Mark {
        let _between_commits = self.0.gate.read();
        self.0.before.begin();
        self.mark()
    }

    /// As [`Ledger::current`], by the one that tells every audience of every stretch: with what each key had when it was told last.
    ///
    /// # Errors
    /// Where a listing can't be opened.
    pub fn tell(&self, touched: &Touched, audiences: &[Audience]) -> Result<Told, CommandError> {
        let told = self.changes(touched, audiences, |key| self.0.before.told(key))?;
        self.0.vault.passed(Follower::Told, touched.mark.sequence);
        Ok(told)
    }

    /// What each of some audiences is told of the listings touched: the current entry of every key that leads or led to one.
    ///
    /// # Errors
    /// Where a listing can't be opened.
    pub fn current(&self, touched: &Touched, audiences: &[Audience]) -> Result<Told, CommandError> {
        self.changes(touched, audiences, |_| None)
    }

    fn changes(
        &self,
        touched: &Touched,
        audiences: &[Audience],
        before: impl Fn(&Key) -> Option<Option<IndexEntry>>,
    ) -> Result<Told, CommandError> {
        let mut concerned: BTreeMap<[u8; 32], Concerned> = BTreeMap::new();
        for (listing, touch) in &touched.listings {
            if self.is_own_unit_only(*listing) && !touch.hides {
                // Not even that something happened is told of whom only the own unit may be shown.
                continue;
            }
            let identities = self.identities_of(*listing).map_err(unreadable)?;
            for input in identities.iter().chain(&touch.former).flat_map(Identity::keys) {
                let one = concerned.entry(*input.as_bytes()).or_insert_with(|| {
                    let key = Key(self.0.prf.digest(input.as_bytes()));
                    Concerned { key, lift: false, entry: None, before: None }
                });
                // An entry goes by a lift alone: of whoever has none without one, nothing is told.
                one.lift |= touch.lift;
            }
        }
        let as_of = {
            let _between_commits = self.0.gate.read();
            for one in concerned.values_mut() {
                one.entry = self.0.index.probe(&one.key);
                one.before = before(&one.key).unwrap_or_else(|| one.entry.clone());
            }
            self.position().revision
        };
        let of = |audience: &Audience| {
            let changes = concerned.iter().map(|(input, one)| KeyChange {
                change: (audience.key(input), one.entry.as_ref().and_then(|entry| audience.entry(entry))),
                lift: one.lift,
                before: one.before.as_ref().and_then(|entry| audience.entry(entry)),
            });
            // What a later stretch takes away may be gone by now: whoever was told of it is told so at once.
            changes.filter(|one| one.lift || one.change.1.is_some() || one.before.is_some()).collect()
        };
        Ok(Told { as_of, changes: audiences.iter().map(of).collect() })
    }

    /// The listings that an answer from a replica's copy of a revision rests on: those by which somebody has a relation, and those that
    /// have ended since.
    pub fn answered_on(&self, identity: &Identity, relation: Option<Relation>, revision: u64) -> Vec<u64> {
        let resident = self.0.resident.read();
        let (mut held, mut past) = (Vec::new(), Vec::new());
        for key in resident.keys(identity) {
            resident.each_in_force(&key, |one| {
                if relation.is_none_or(|relation| relation == one.relation) {
                    held.push(u64::from(one.row) + 1);
                }
            });
            let ended_since = |row: &u32| {
                let listing = resident.table.row(*row);
                let ended = [State::Hidden, State::Revoked, State::Removed, State::Expired];
                listing.revision() > revision && listing.state().is_some_and(|state| ended.contains(&state))
            };
            let shown = |row: &u32| !resident.table.row(*row).has(OWN_UNIT_ONLY);
            let rows = resident.rows_of(&key).filter(ended_since).filter(shown);
            past.extend(rows.map(|row| u64::from(row) + 1));
        }
        let mut listings = held;
        listings.append(&mut past);
        listings.sort_unstable();
        listings.dedup();
        listings
    }

    fn is_own_unit_only(&self, listing: u64) -> bool {
        let resident = self.0.resident.read();
        resident.table.row_of(listing).is_some_and(|row| resident.table.row(row).has(OWN_UNIT_ONLY))
    }

    /// Everybody whom a listing names: its subject and all who are or were related to it. Nobody once it is erased.
    fn identities_of(&self, listing: u64) -> Result<Vec<Identity>, VaultError> {
        let places = {
            let resident = self.0.resident.read();
            let Some(row) = resident.table.row_of(listing) else { return Ok(Vec::new()) };
            if resident.table.row(row).has(ERASED) {
                return Ok(Vec::new());
            }
            let relations = resident.table.extra(row).map_or(&[][..], |extra| extra.relations);
            let mut places = vec![resident.table.row(row).place];
            places.extend(relations.iter().map(|relation| Place(relation.place)));
            places
        };
        let mut identities = Vec::with_capacity(places.len());
        for place in places {
            self.0.vault.look(place, |opened| {
                let Opened::Body(body) = opened else { return };
                match &**body {
                    Body::Content { content, .. } => identities.extend(content.identities.iter().cloned()),
                    Body::Relation { content, .. } => identities.push(content.identity.clone()),
                    _ => {}
                }
            })?;
        }
        Ok(identities)
    }

    /// Tells everything that some audiences hold: `each` is given the audience's place and a change, of which the last of a key
    /// wins. Takes no lock for longer than a few listings take; what changes meanwhile is told behind. Returns the mark that
    /// what was told is true at. `rest` is called every now and then, under no lock, with how long it was at work since: whoever
    /// is in no hurry leaves the processor to others.
    ///
    /// # Errors
    /// Where a listing can't be opened.
    pub fn walk(
        &self,
        audiences: &[Audience],
        mut each: impl FnMut(usize, Change),
        mut rest: impl FnMut(Duration),
    ) -> Result<Mark, CommandError> {
        let mut mark = self.mark();
        let mut tell = |changes: Vec<Vec<KeyChange>>, absent: bool| {
            for (place, changes) in changes.into_iter().enumerate() {
                let held = changes.into_iter().filter(|one| absent || one.change.1.is_some());
                held.for_each(|one| each(place, one.change));
            }
        };
        let listings = self.0.resident.read().table.len() as u64;
        for first in (1..=listings).step_by(WALK_LISTINGS as usize) {
            let numbers = first..=listings.min(first + WALK_LISTINGS - 1);
            let listings = numbers.map(|listing| (listing, Touch::default())).collect();
            let began = Instant::now();
            tell(self.current(&Touched { mark, listings }, audiences)?.changes, false);
            rest(began.elapsed());
        }
        loop {
            let touched = self.touched(mark, WALK_LISTINGS as usize)?;
            if touched.mark == mark {
                return Ok(mark);
            }
            tell(self.current(&touched, audiences)?.changes, true);
            mark = touched.mark;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::Clock;
    use crate::command::ImportRow;
    use crate::keys::Keyring;
    use crate::storage::sim::SimStorage;
    use crate::testing::*;

    /// Whoever comes back is led on from the very place where it was, wherever in the journal that is.
    #[tokio::test]
    async fn every_end_of_an_entry_is_found_again_and_nothing_between() {
        let mut bench = Bench::blank(SimStorage::new(31), Arc::new(Keyring::ephemeral()));
        (bench.settings.segment_bytes, bench.settings.max_payload_bytes) = (8 << 10, 4 << 10);
        bench.create().unwrap();
        let ledger = bench.open();
        let (mut marks, mut times) = (vec![Mark::default()], Vec::new());
        for number in 1..=60 {
            // Every third entry holds two events.
            let rows = (0..1 + u32::from(number % 3 == 0)).map(|nth| {
                ImportRow::Listing(content(&draft(organisation(u64::from(2 * number + nth)), 2 * number + nth)))
            });
            let imported = ledger.begin_import(court("court-one"), batch(rows.collect())).await.unwrap();
            imported.outcomes().await.unwrap();
            marks.push(ledger.mark());
            times.push(bench.clock.wall());
            bench.clock.advance_ms(1_000);
        }
        drop(ledger);
        let ledger = bench.open();
        let segments = bench.sim.storage().dir("journal").unwrap().list().unwrap().len();
        assert!(segments > 4, "{segments} segments");
        let end = ledger.mark().revision;
        for revision in 0..=end {
            let expected = marks.iter().find(|mark| mark.revision == revision).copied();
            assert_eq!(ledger.mark_at(revision, 0).unwrap(), expected, "revision {revision}");
        }
        assert_eq!(ledger.mark_at(end + 1, 0).unwrap(), None);
        for (at, time) in times.into_iter().enumerate() {
            let before = [time, Timestamp(time.0 + 1)].map(|when| ledger.recorded_before(when).unwrap());
            assert_eq!(before, [marks[at].revision, marks[at + 1].revision], "entry {}", at + 1);
        }
    }
}
