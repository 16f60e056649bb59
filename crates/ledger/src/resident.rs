//! The state in memory, and the one function that folds an event into it.
//!
//! Promise: the state is a function of the journal alone. The writer, recovery and `fsck` all call [`Resident::apply`], so what
//! is answered after a crash is what was answered before it. After `apply` returns, no probe of the index finds anything
//! that the event has ended.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use xinhub_domain::listing::lift::LiftGround;
use xinhub_domain::listing::{About, Body, Clear, Content, EventKind, RecordKind, State, Visibility};
use xinhub_domain::measure::Relation;
use xinhub_domain::time::{Day, Timestamp};
use xinhub_index::{Entry as IndexEntry, Exemption, Exemptions, Index, IndexWriter, Key, Relations, Until};

use crate::crypto::Prf;
use crate::entry::OutcomeRecord;
use crate::table::{ERASED, ExemptionRow, FLAGGED, Link, OWN_UNIT_ONLY, Place, RelationRow, Row, Table};
use crate::vault::Opened;

pub mod before;
pub mod chain;
pub mod due;
pub mod outcomes;
pub mod remedy;
pub mod snapshot;
pub mod staged;
pub mod statistics;

use before::Before;
use due::Due;
use outcomes::Outcomes;
use remedy::Remedy;
use staged::Imports;
use statistics::Statistics;

/// Outcomes are kept this long.
pub const OUTCOMES_KEPT_MS: i64 = 7 * 86_400_000;

/// An event does not fit the state that the journal has built so far.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("revision {revision}: {what}; run `xinhubd fsck`")]
pub struct FoldError {
    /// Which event.
    pub revision: u64,
    /// What does not fit.
    pub what: &'static str,
}

/// Names that recur, as small numbers.
#[derive(Debug, Default)]
pub struct Interner {
    names: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Interner {
    /// The number of a name, given one when it is new.
    pub fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }

    /// The number of a name that was seen.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    /// The name of a number.
    pub fn name(&self, number: impl Into<u32>) -> &str {
        self.names.get(number.into() as usize).map_or("", String::as_str)
    }

    /// All names in the order of their numbers.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// How the index says that a key may be exempt: of what, and when, the listing table alone says.
static SOME_EXEMPTION: LazyLock<Exemptions> = LazyLock::new(|| {
    let ever = Exemption { from_s: 0, until_s: u64::MAX, scope: 0 };
    Exemptions::try_from(vec![ever]).unwrap_or_default()
});

/// All state in memory.
pub struct Resident {
    /// Every listing.
    pub table: Table,
    /// The read side of the index.
    index: Index,
    writer: IndexWriter,
    before: Arc<Before>,
    prf: Prf,
    /// Courts by number.
    pub courts: Interner,
    /// Clients by number.
    pub clients: Interner,
    /// The history.
    pub epoch: [u8; 16],
    /// How many events were folded.
    pub revision: u64,
    /// How many of them were lifts.
    pub lift_seq: u64,
    /// When the last was recorded.
    pub last_at: Timestamp,
    /// How many entries were folded, and the chain hash over them.
    pub sequence: u64,
    /// See `sequence`.
    pub chain: [u8; 32],
    /// How many relations and exemptions there ever were.
    pub relations: u64,
    /// See `relations`.
    pub exemptions: u64,
    /// What the clock will bring.
    pub due: Due,
    /// Petitions, and the deadlines that run.
    pub remedy: Remedy,
    /// 1 + the row of the first listing under each key that leads to none but those for the subject's own unit alone. They never
    /// enter the index: not even its size tells of them.
    pub aside: BTreeMap<[u8; 16], u32>,
    /// Imports that wait for their release.
    pub imports: Imports,
    /// Counts that name nobody, and lifts to announce.
    pub statistics: Statistics,
    /// What became of requests.
    pub outcomes: Outcomes,
    /// SHA-256 of the configuration texts in force, by name.
    pub configured: BTreeMap<String, [u8; 32]>,
}

impl std::fmt::Debug for Resident {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resident").field("revision", &self.revision).field("listings", &self.table.len()).finish()
    }
}

impl Resident {
    /// The state before the first event.
    pub fn new(epoch: [u8; 16], prf: Prf) -> Resident {
        let (index, writer) = Index::new();
        Resident {
            table: Table::default(),
            index,
            writer,
            before: Arc::default(),
            prf,
            courts: Interner::default(),
            clients: Interner::default(),
            epoch,
            revision: 0,
            lift_seq: 0,
            last_at: Timestamp(0),
            sequence: 0,
            chain: [0; 32],
            relations: 0,
            exemptions: 0,
            due: Due::default(),
            remedy: Remedy::default(),
            aside: BTreeMap::new(),
            imports: Imports::default(),
            statistics: Statistics::default(),
            outcomes: Outcomes::new(),
            configured: BTreeMap::new(),
        }
    }

    /// The read side of the index.
    pub fn index(&self) -> Index {
        self.index.clone()
    }

    /// What the index held when audiences were last told.
    pub fn before(&self) -> Arc<Before> {
        Arc::clone(&self.before)
    }

    /// The keys of an identity, in its own order.
    pub fn keys(&self, identity: &xinhub_domain::identity::Identity) -> impl Iterator<Item = Key> {
        identity.keys().map(|input| Key(self.prf.digest(input.as_bytes())))
    }

    /// Folds one event. `opened` is its sealed part.
    pub fn apply(&mut self, clear: &Clear, opened: &Opened, place: Place) -> Result<(), FoldError> {
        let fault = |what| FoldError { revision: clear.revision, what };
        if clear.revision != self.revision + 1 {
            return Err(fault("the revision does not follow the one before"));
        }
        self.revision = clear.revision;
        self.lift_seq += u64::from(clear.lift_seq.is_some());
        if clear.lift_seq.is_some_and(|seq| seq != self.lift_seq) {
            return Err(fault("the count of lifts does not follow the one before"));
        }
        self.last_at = self.last_at.max(clear.at);
        match clear.kind.about() {
            About::Hub => {
                self.configure(clear);
                return Ok(());
            }
            About::Erasure => return self.erase(clear).ok_or(fault("it erases a record that is not there")),
            About::Petition => return self.apply_petition(clear, opened, place).map_err(fault),
            About::Import => return self.apply_import(clear, place).map_err(fault),
            About::Beside if clear.record.kind == RecordKind::Petition => {
                self.note_overdue_petition(clear);
                return Ok(());
            }
            About::Listing | About::Beside => {}
        }
        let row = self.row_for(clear).map_err(fault)?;
        if clear.kind.about() == About::Beside {
            // It changes nothing else, least of all the state, nor anything that a court has read.
            self.apply_beside(row, clear, opened, place);
            return Ok(());
        }
        self.apply_to_listing(row, clear, opened, place).map_err(fault)
    }

    /// The listing's row; a new one where the event begins it.
    fn row_for(&mut self, clear: &Clear) -> Result<u32, &'static str> {
        if let Some(row) = self.table.row_of(clear.listing) {
            return Ok(row);
        }
        let begins = matches!(clear.kind, EventKind::Notice | EventKind::Propose | EventKind::Publish);
        if !begins || clear.listing != self.table.len() as u64 + 1 {
            return Err("it is about a listing that is not there");
        }
        let court = self.courts.number(&clear.court);
        // China has some 3,500 courts.
        let court = u16::try_from(court).map_err(|_| "there are more than 65,535 courts")?;
        Ok(self.table.push(Row::new(court)))
    }

    fn apply_to_listing(&mut self, row: u32, clear: &Clear, opened: &Opened, place: Place) -> Result<(), &'static str> {
        let mut touched = Vec::new();
        let counted = self.counted(row);
        match opened {
            Opened::Body(body) => match &**body {
                Body::Content { content, .. } => self.set_content(row, content, place, &mut touched),
                Body::Relation { content, .. } => {
                    let key = self.keys(&content.identity).next().ok_or("the related person has no key")?;
                    let (number, flagged) = (clear.record.number, content.identity.is_flagged());
                    let relation = RelationRow::new(number, key, content.relation, flagged, content.until, place.0);
                    self.add_relation(row, relation, &mut touched);
                }
                Body::Exemption { content, .. } => {
                    let key = self.keys(&content.identity).next().ok_or("the exempted person has no key")?;
                    self.exemptions = self.exemptions.max(clear.record.number);
                    self.due.at(content.until, due::Event::EndExemption { row, exemption: clear.record.number });
                    let exemption = ExemptionRow {
                        number: clear.record.number,
                        key,
                        measures: content.measures.clone(),
                        items: content.items.clone(),
                        from: content.from,
                        until: content.until,
                        ended: false,
                        place: place.0,
                    };
                    touched.push(key);
                    self.table.change_extra(row, |extra| extra.exemptions.push(exemption));
                }
                Body::Act { ground, .. } => self.note_creditor_request(row, clear, ground.as_deref()),
                Body::Ended { .. }
                | Body::Disclosed { .. }
                | Body::Petition { .. }
                | Body::Found(_)
                | Body::Report { .. }
                | Body::Deferred { .. }
                | Body::Staged { .. } => {}
            },
            Opened::Erased => self.note_erased(row, clear),
            Opened::Nothing => {}
        }
        self.end_record(row, clear, &mut touched);
        let before = self.table.row(row).state();
        self.set_standing(row, clear);
        self.settle_listing(row, before, clear);
        self.count_flow(row, counted, clear);
        self.begin_deadlines(clear, Some(row));
        touched.extend(self.keys_of(row));
        touched.sort_unstable();
        touched.dedup();
        for key in touched {
            self.refold(&key);
        }
        Ok(())
    }

    /// A removal that the creditor asked for bars that creditor's next application for a while.
    fn note_creditor_request(&mut self, row: u32, clear: &Clear, ground: Option<&str>) {
        // Also where the reason for it is given later: who gives it late shortens nothing.
        let removed = clear.kind == EventKind::GiveReason && self.table.row(row).state() == Some(State::Removed);
        let removes = clear.kind == EventKind::Remove || removed;
        if removes && ground == Some(LiftGround::CreditorRequest.code()) {
            self.table.change_extra(row, |extra| extra.creditor_request_on = Some(clear.at.day()));
        }
    }

    /// State, term, grace and etag after the event.
    fn set_standing(&mut self, row: u32, clear: &Clear) {
        self.table.row_mut(row).set_revision(clear.revision);
        let Some(state) = clear.state else { return };
        let before = (self.expiry(row), self.grace(row));
        self.table.row_mut(row).set_state(state);
        // The `until` of an event about a relation or an exemption is that record's own.
        if clear.record.kind == RecordKind::Listing {
            self.table.row_mut(row).set_until(clear.until);
            let grace = clear.grace_until.filter(|_| state == State::Grace);
            if grace != self.grace(row) {
                self.table.change_extra(row, |extra| extra.grace_until = grace);
            }
        }
        // Only what is new: one hint per listing, not one per event.
        self.schedule(row, before);
    }

    fn expiry(&self, row: u32) -> Option<Day> {
        expiry(self.table.row(row))
    }

    fn grace(&self, row: u32) -> Option<Day> {
        self.table.extra(row).and_then(|extra| extra.rest.grace_until)
    }

    /// Notes what the clock will bring for a listing, beyond what `noted` says. What no longer fits when it falls due is
    /// passed over.
    fn schedule(&mut self, row: u32, noted: (Option<Day>, Option<Day>)) {
        let now = (self.expiry(row), self.grace(row));
        if let Some(until) = now.0.filter(|_| now.0 != noted.0) {
            self.due.expiry(until, row);
        }
        if let Some(last) = now.1.filter(|_| now.1 != noted.1) {
            self.due.at(last.end(), due::Event::EndGrace { row });
        }
    }

    fn set_content(&mut self, row: u32, content: &Content, place: Place, touched: &mut Vec<Key>) {
        self.table.row_mut(row).place = place;
        let own_unit_only = content.visibility == Visibility::OwnUnitOnly;
        let own_unit = content.own_unit.as_ref().map(|client| self.clients.number(client));
        if self.table.extra(row).and_then(|extra| extra.rest.own_unit) != own_unit {
            self.table.change_extra(row, |extra| extra.own_unit = own_unit);
        }
        self.table.set_own_unit_only(row, own_unit_only);
        self.table.row_mut(row).set_ground(content.ground.map_or(0, |ground| ground as u8));
        // One key may come from two identities; it is flagged only if all of them are.
        let mut keys: Vec<(Key, bool)> = Vec::with_capacity(4);
        for identity in content.identities.iter() {
            for key in self.keys(identity) {
                match keys.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, flagged)) => *flagged &= identity.is_flagged(),
                    None => keys.push((key, identity.is_flagged())),
                }
            }
        }
        let now = self.debtor_keys(row);
        for (key, _) in &now {
            if !keys.iter().any(|(kept, _)| kept == key) {
                self.retire_debtor_key(row, key);
                touched.push(*key);
            }
        }
        for (key, flagged) in keys {
            self.put_debtor_key(row, key, flagged);
            touched.push(key);
        }
    }

    fn add_relation(&mut self, row: u32, relation: RelationRow, touched: &mut Vec<Key>) {
        self.relations = self.relations.max(relation.number);
        if let Some(until) = relation.until() {
            self.due.at(until.end(), due::Event::EndRelation { row, relation: relation.number });
        }
        touched.push(relation.key);
        let key = relation.key;
        self.table.change_extra(row, |extra| extra.relations.push(relation));
        if !self.is_chained(row, &key) {
            self.link(row, key, false, false);
        }
    }

    fn is_chained(&self, row: u32, key: &Key) -> bool {
        self.table.row(row).key == *key || self.table.links(row).any(|link| link.key == *key)
    }

    /// Puts a listing at the head of a further key's chain.
    fn link(&mut self, row: u32, key: Key, debtor: bool, flagged: bool) {
        let link = Link { key, next: self.head(&key), debtor, flagged, former: false };
        self.table.change_extra(row, |extra| extra.links.push(link));
        self.set_head(&key, row + 1);
    }

    /// Ends the relation or exemption that the event is about.
    fn end_record(&mut self, row: u32, clear: &Clear, touched: &mut Vec<Key>) {
        let number = clear.record.number;
        match clear.kind {
            EventKind::EndRelation => {
                self.table.change_extra(row, |extra| {
                    for relation in extra.relations.iter_mut().filter(|one| one.number == number) {
                        relation.set_ended(true);
                        touched.push(relation.key);
                    }
                });
            }
            EventKind::EndExemption => {
                self.table.change_extra(row, |extra| {
                    for exemption in extra.exemptions.iter_mut().filter(|one| one.number == number) {
                        exemption.ended = true;
                        touched.push(exemption.key);
                    }
                });
            }
            // What ends no relation and no exemption.
            _ => {}
        }
    }

    /// An event whose record was erased since: its number is taken, and that is all that is left of it.
    fn note_erased(&mut self, row: u32, clear: &Clear) {
        match clear.record.kind {
            RecordKind::Listing => self.table.row_mut(row).flags |= ERASED,
            RecordKind::Relation => self.relations = self.relations.max(clear.record.number),
            RecordKind::Exemption => self.exemptions = self.exemptions.max(clear.record.number),
            RecordKind::Hub | RecordKind::Petition | RecordKind::Import => {}
        }
    }

    /// A record's key was destroyed: nothing of that record stays in memory either.
    fn erase(&mut self, clear: &Clear) -> Option<()> {
        if clear.record.kind == RecordKind::Petition {
            return self.erase_petition(clear.record.number);
        }
        let row = self.table.row_of(clear.listing)?;
        let number = clear.record.number;
        match clear.record.kind {
            RecordKind::Listing => self.erase_listing(row),
            RecordKind::Relation => self.erase_relation(row, number)?,
            RecordKind::Exemption => {
                self.table.change_extra(row, |extra| extra.exemptions.retain(|one| one.number != number));
            }
            RecordKind::Hub | RecordKind::Petition | RecordKind::Import => return None,
        }
        Some(())
    }

    fn erase_listing(&mut self, row: u32) {
        self.forget_deadlines(row);
        let keys = self.keys_of(row);
        for key in &keys {
            self.unlink(row, key);
        }
        self.table.extras.remove(row);
        self.table.set_own_unit_only(row, false);
        let listing = self.table.row_mut(row);
        listing.key = Key([0; 16]);
        listing.flags = ERASED;
        for key in keys {
            self.refold(&key);
        }
    }

    fn erase_relation(&mut self, row: u32, number: u64) -> Option<()> {
        let (key, still) = self.table.change_extra(row, |extra| {
            let at = extra.relations.iter().position(|one| one.number == number)?;
            let key = extra.relations.remove(at).key;
            let related = extra.relations.iter().any(|one| one.key == key);
            Some((key, related || extra.links.iter().any(|link| link.key == key && (link.debtor || link.former))))
        })?;
        if !still && self.table.row(row).key != key {
            self.unlink(row, &key);
        }
        self.refold(&key);
        Some(())
    }

    fn configure(&mut self, clear: &Clear) {
        if let Some(open) = &clear.open
            && let Ok(configured) = minicbor::decode::<crate::command::Configured>(open)
        {
            self.configured.insert(configured.name, configured.hash);
        }
    }

    /// Keeps an outcome, and forgets those that are too old to be asked for.
    pub fn note_outcome(&mut self, outcome: &OutcomeRecord) {
        let caller = self.clients.number(&outcome.caller);
        let oldest = outcome.at.0 - OUTCOMES_KEPT_MS;
        self.outcomes.insert((outcome.request_id, caller), outcome.into());
        while let Some(first) = self.outcomes.first_entry() {
            // A UUIDv7 begins with its milliseconds: what comes first is oldest.
            if request_time(&first.key().0).0 >= oldest {
                break;
            }
            first.remove();
        }
    }

    /// The index entry of a key, worked out anew from its chain.
    fn refold(&mut self, key: &Key) {
        let head = self.head(key);
        let hidden = |row| self.table.row(row).has(OWN_UNIT_ONLY);
        if head == 0 || self.rows_from(head, key).all(hidden) {
            self.put_aside(key, head);
            return;
        }
        let mut entry = IndexEntry { head, ..IndexEntry::default() };
        let mut firm = [None::<Until>; Relations::COUNT];
        let mut flagged = [None::<Until>; Relations::COUNT];
        self.each_in_force_from(head, key, |held| {
            let position = held.relation.bit().trailing_zeros() as usize;
            let until = held.until.and_then(|day: Day| Until::day(day.0)).unwrap_or(Until::FOREVER);
            let of = if held.flagged { &mut flagged } else { &mut firm };
            of[position] = of[position].max(Some(until));
        });
        let mut only_flagged = 0;
        for position in 0..Relations::COUNT {
            entry.relations[position] = firm[position].or(flagged[position]);
            only_flagged |= u8::from(firm[position].is_none() && flagged[position].is_some()) << position;
        }
        entry.flagged = Relations::from_bits(only_flagged).unwrap_or(Relations::ALL);
        // Exemptions are decided from the table, listing by listing: one court's leave does not speak for another's. The index says that
        // there are any, for replicas, which have no table.
        if self.may_be_exempt(head, key) {
            entry.exemptions = SOME_EXEMPTION.clone();
        }
        self.note_before(key);
        self.writer.insert(*key, &entry);
        // Last: until the key is in the index, the way to its listings leads over this.
        self.aside.remove(&key.0);
    }

    fn set_head(&mut self, key: &Key, head: u32) {
        match self.index.probe(key) {
            Some(entry) if head != 0 => {
                self.note_before(key);
                self.writer.insert(*key, &IndexEntry { head, ..entry });
            }
            // Whether it comes into the index, the fold of the key decides.
            Some(_) => self.put_aside(key, head),
            None => self.set_aside(key, head),
        }
    }

    fn note_before(&self, key: &Key) {
        self.before.changes(key, || self.index.probe(key));
    }

    fn put_aside(&mut self, key: &Key, head: u32) {
        self.note_before(key);
        self.writer.remove(key);
        self.set_aside(key, head);
    }

    fn set_aside(&mut self, key: &Key, head: u32) {
        if head == 0 {
            self.aside.remove(&key.0);
        } else {
            self.aside.insert(key.0, head);
        }
    }

    fn put_debtor_key(&mut self, row: u32, key: Key, flagged: bool) {
        let listing = self.table.row(row);
        if listing.key == key {
            let flags = &mut self.table.row_mut(row).flags;
            *flags = if flagged { *flags | FLAGGED } else { *flags & !FLAGGED };
            return;
        }
        if self.is_chained(row, &key) {
            self.table.change_extra(row, |extra| {
                for link in extra.links.iter_mut().filter(|link| link.key == key) {
                    (link.debtor, link.flagged) = (true, flagged);
                }
            });
        } else if listing_has_no_key(self.table.row(row)) {
            let next = self.head(&key);
            let listing = self.table.row_mut(row);
            (listing.key, listing.next) = (key, next);
            listing.flags = if flagged { listing.flags | FLAGGED } else { listing.flags & !FLAGGED };
            self.set_head(&key, row + 1);
        } else {
            self.link(row, key, true, flagged);
        }
    }

    /// The key is no longer one of the debtor's. It keeps its place in the chain, where it restricts nobody by itself: a
    /// related person may have it, and an import must know that it was corrected.
    fn retire_debtor_key(&mut self, row: u32, key: &Key) {
        let listing = self.table.row_mut(row);
        if listing.key == *key {
            let next = std::mem::take(&mut listing.next);
            listing.key = Key([0; 16]);
            listing.flags &= !FLAGGED;
            let link = Link { key: *key, next, debtor: false, flagged: false, former: true };
            self.table.change_extra(row, |extra| extra.links.push(link));
            return;
        }
        self.table.change_extra(row, |extra| {
            for link in extra.links.iter_mut().filter(|link| link.key == *key) {
                (link.debtor, link.flagged, link.former) = (false, false, true);
            }
        });
    }
}

/// The last day of a term that will end by the clock.
fn expiry(listing: &Row) -> Option<Day> {
    listing.until().filter(|_| listing.state().is_some_and(can_expire))
}

fn listing_has_no_key(row: &Row) -> bool {
    row.key == Key([0; 16])
}

/// Which states a term ends (see the table of states).
pub(crate) fn can_expire(state: State) -> bool {
    matches!(state, State::Decided | State::Grace | State::Listed | State::Hidden)
}

/// The time that a UUIDv7 begins with (RFC 9562, section 5.7).
pub fn request_time(request_id: &[u8; 16]) -> Timestamp {
    let mut ms = [0; 8];
    ms[2..].copy_from_slice(&request_id[..6]);
    Timestamp(i64::try_from(u64::from_be_bytes(ms)).unwrap_or(i64::MAX))
}

/// One relation in force of one key, from one listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The listing's row.
    pub row: u32,
    /// How the key's owner stands to it.
    pub relation: Relation,
    /// It rests on a flagged identity.
    pub flagged: bool,
    /// Last day.
    pub until: Option<Day>,
}

#[cfg(test)]
mod tests;
