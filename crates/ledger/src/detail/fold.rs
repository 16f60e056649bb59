//! What an event makes of the values: the store's own fold of the journal.
//!
//! It is the same whether entries come one by one or all at once, and applying one again changes nothing.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Place;

use xinhub_domain::listing::{About, Body, Clear, Content, EventKind, RecordId, RecordKind, State};
use xinhub_domain::time::Day;

use super::store::{Put, Store, StoreFault, StorePosition};
use super::value::{self, ListingValue, RecordRef, ValueFault};
use crate::crypto::RecordKey;
use crate::entry::{Entry, EntryError};
use crate::journal::{JournalError, Stored};
use crate::vault::{Opened, Vault, VaultError};

/// As many changes are written together, and one entry's more.
const MAX_CHANGES: usize = 1_000;

/// Why the store can't go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum FollowFault {
    /// The store itself: it is built anew.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// A slot or sealed part: building anew would meet the same.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// An entry of the journal.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal ends before what is visible.
    #[error("the journal ends at entry {found}, before entry {expected}")]
    Short {
        /// The last that could be read.
        found: u64,
        /// The last that is visible.
        expected: u64,
    },
}

/// A listing as of a revision.
struct Working {
    revision: u64,
    /// Its record's, where it was at hand. Destroyed meanwhile, it seals what nobody opens any more.
    key: Option<RecordKey>,
    value: ListingValue,
}

/// Changes that are not in the store yet.
pub(super) struct Pending<'a> {
    store: &'a Store,
    vault: &'a Vault,
    position: StorePosition,
    /// `None`: to be removed.
    listings: BTreeMap<u64, Option<Working>>,
    records: BTreeMap<RecordId, Option<Vec<u8>>>,
    /// Listings of which a record was erased.
    erased: Vec<u64>,
}

impl<'a> Pending<'a> {
    /// Nothing yet, on top of a store at `position`.
    pub(super) fn new(store: &'a Store, vault: &'a Vault, position: StorePosition) -> Pending<'a> {
        let (listings, records, erased) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Pending { store, vault, position, listings, records, erased }
    }

    /// Whether it is time to write.
    pub(super) fn is_full(&self) -> bool {
        self.listings.len() + self.records.len() >= MAX_CHANGES
    }

    /// How far it is, changes that are not written included.
    pub(super) fn position(&self) -> &StorePosition {
        &self.position
    }

    /// Applies an entry.
    pub(super) fn entry(&mut self, stored: &Stored) -> Result<(), FollowFault> {
        if let Some(recent) = self.vault.recent(stored.sequence) {
            for (clear, prepared) in recent.events() {
                self.event(clear, prepared.opened.clone(), prepared.key.as_ref())?;
                self.position.revision = clear.revision;
            }
        } else {
            let entry = Entry::decode(&stored.payload)?;
            for record in &entry.events {
                let clear = record.clear()?;
                let opened = self.vault.open(record, &clear)?;
                self.event(&clear, opened, None)?;
            }
            self.position.revision = entry.last_revision();
        }
        (self.position.sequence, self.position.chain) = (stored.sequence, stored.chain);
        Ok(())
    }

    /// Applies an event; `key` is its record's, where that is at hand.
    fn event(&mut self, clear: &Clear, opened: Opened, key: Option<&RecordKey>) -> Result<(), FollowFault> {
        match clear.kind.about() {
            // What happens beside a listing changes nothing that a court could have read; petitions are read from the journal.
            About::Hub | About::Beside | About::Petition | About::Import => return Ok(()),
            About::Erasure => {
                self.erase(clear.record, clear.listing);
                return Ok(());
            }
            About::Listing => {}
        }
        self.put_record(clear, &opened, key)?;
        let new = clear.listing > self.position.listings;
        self.position.listings = self.position.listings.max(clear.listing);
        match opened {
            Opened::Erased if clear.record.kind == RecordKind::Listing => self.erase(clear.record, clear.listing),
            Opened::Body(body) => match *body {
                Body::Content { content, .. } => self.put_content(clear, *content, new, key)?,
                _ => self.advance(clear)?,
            },
            Opened::Erased | Opened::Nothing => self.advance(clear)?,
        }
        Ok(())
    }

    /// Keeps what a relation or exemption says.
    fn put_record(&mut self, clear: &Clear, opened: &Opened, key: Option<&RecordKey>) -> Result<(), FollowFault> {
        let Opened::Body(body) = opened else { return Ok(()) };
        let seal: &dyn Fn(&RecordKey) -> Vec<u8> = match &**body {
            Body::Relation { content, .. } => &|key| value::seal(key, clear.record, clear.revision, content),
            Body::Exemption { content, .. } => &|key| value::seal(key, clear.record, clear.revision, content),
            _ => return Ok(()),
        };
        if let Some(key) = self.key(clear.record, key)? {
            self.records.insert(clear.record, Some(seal(&key)));
        }
        Ok(())
    }

    fn put_content(
        &mut self,
        clear: &Clear,
        content: Content,
        new: bool,
        key: Option<&RecordKey>,
    ) -> Result<(), FollowFault> {
        if new {
            let value = ListingValue {
                state: clear.state.unwrap_or(State::Noticed),
                court: clear.court.clone(),
                content,
                until: None,
                grace_until: None,
                listed_on: None,
                updated_at: clear.at,
                relations: Vec::new(),
                exemptions: Vec::new(),
            };
            let mut working = Working { revision: 0, key: key.cloned(), value };
            working.advance(clear);
            self.listings.insert(clear.listing, Some(working));
            return Ok(());
        }
        if let Some(working) = self.working(clear)? {
            working.value.content = content;
            working.advance(clear);
        }
        Ok(())
    }

    /// An event that leaves the content as it is.
    fn advance(&mut self, clear: &Clear) -> Result<(), FollowFault> {
        if let Some(working) = self.working(clear)? {
            working.advance(clear);
        }
        Ok(())
    }

    /// The listing that an event is about; `None` where it is erased, or has this event already.
    fn working(&mut self, clear: &Clear) -> Result<Option<&mut Working>, FollowFault> {
        let (store, vault) = (self.store, self.vault);
        let working = match self.listings.entry(clear.listing) {
            Place::Occupied(known) => known.into_mut(),
            Place::Vacant(place) => place.insert(load(store, vault, clear.listing)?),
        };
        Ok(working.as_mut().filter(|working| working.revision < clear.revision))
    }

    fn erase(&mut self, record: RecordId, listing: u64) {
        match record.kind {
            RecordKind::Listing => {
                self.listings.insert(record.number, None);
            }
            RecordKind::Relation | RecordKind::Exemption => {
                self.records.insert(record, None);
            }
            RecordKind::Hub | RecordKind::Petition | RecordKind::Import => {}
        }
        self.erased.push(listing);
    }

    /// A record's key, read where it is not at hand; `None` once it is erased.
    fn key(&self, record: RecordId, at_hand: Option<&RecordKey>) -> Result<Option<RecordKey>, FollowFault> {
        match at_hand {
            Some(key) => Ok(Some(key.clone())),
            None => Ok(self.vault.key(record)?),
        }
    }

    /// Writes everything; returns the listings of which a record was erased.
    pub(super) fn write(&mut self) -> Result<Vec<u64>, FollowFault> {
        let mut values: Vec<Put> = std::mem::take(&mut self.records).into_iter().collect();
        for (number, working) in std::mem::take(&mut self.listings) {
            let record = value::record(RecordKind::Listing, number);
            let key = self.key(record, working.as_ref().and_then(|working| working.key.as_ref()))?;
            let bytes = match working.zip(key) {
                Some((working, key)) => Some(value::seal(&key, record, working.revision, &working.value)),
                None => None,
            };
            values.push((record, bytes));
        }
        self.store.put(values, &self.position)?;
        Ok(std::mem::take(&mut self.erased))
    }
}

/// The day on which a listing took effect: that of the event, or, where the header of a migration attests an earlier
/// service, the day of that service. The list that is migrated was in force before it came here.
pub(crate) fn took_effect(content: &Content, event: Day) -> Day {
    let attested = content.decision.as_ref().filter(|decision| decision.attested);
    attested.and_then(|decision| decision.served_on).map_or(event, |served| served.min(event))
}

impl Working {
    /// State, term, grace and revision after an event, as the state in memory has them.
    fn advance(&mut self, clear: &Clear) {
        self.revision = clear.revision;
        let value = &mut self.value;
        value.updated_at = clear.at;
        let list = match clear.record.kind {
            RecordKind::Relation => Some(&mut value.relations),
            RecordKind::Exemption => Some(&mut value.exemptions),
            RecordKind::Hub | RecordKind::Listing | RecordKind::Petition | RecordKind::Import => None,
        };
        if let Some(list) = list {
            let number = clear.record.number;
            let ends = matches!(clear.kind, EventKind::EndRelation | EventKind::EndExemption);
            match list.iter_mut().find(|known| known.number == number) {
                Some(known) => known.ended |= ends,
                None if ends => {}
                None => list.push(RecordRef { number, revision: clear.revision, ended: false }),
            }
        }
        let Some(state) = clear.state else { return };
        value.state = state;
        if state == State::Listed && value.listed_on.is_none() {
            value.listed_on = Some(took_effect(&value.content, clear.at.day()));
        }
        // The `until` of an event about a relation or an exemption is that record's own.
        if clear.record.kind == RecordKind::Listing {
            value.until = clear.until;
            value.grace_until = clear.grace_until.filter(|_| state == State::Grace);
        }
    }
}

/// A listing's value as the store has it; `None` once it is erased.
fn load(store: &Store, vault: &Vault, number: u64) -> Result<Option<Working>, FollowFault> {
    let record = value::record(RecordKind::Listing, number);
    let Some(key) = vault.key(record)? else { return Ok(None) };
    let fault = |fault| StoreFault::Value { kind: RecordKind::Listing, number, fault };
    let Some(bytes) = store.get(record)? else { return Err(fault(ValueFault::Missing).into()) };
    let value = value::unframe(&bytes).map_err(fault)?;
    let content = value::open(&key, record, &value).map_err(fault)?;
    Ok(Some(Working { revision: value.revision, key: Some(key), value: content }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::{content, draft, person, start};

    #[test]
    fn what_a_migration_attests_took_effect_when_it_was_served() {
        let mut listed = *content(&draft(person(1), 1));
        let today = start().day();
        assert_eq!(took_effect(&listed, today), today);
        let decision = listed.decision.as_mut().unwrap();
        decision.attested = true;
        let served = decision.served_on.unwrap();
        assert_eq!(took_effect(&listed, today), served);
        assert_eq!(took_effect(&listed, Day(served.0 - 5)), Day(served.0 - 5));
    }
}
