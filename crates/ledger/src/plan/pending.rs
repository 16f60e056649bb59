//! The entry in the making: what was decided and is not committed yet.
//!
//! An import decides each row as if those before it were done already, so that all of a batch goes into one entry and
//! is taken whole or not at all.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use xinhub_domain::listing::{Actor, Body, Content, RecordKind};
use xinhub_domain::time::Day;
use xinhub_index::Key;

use super::{Numbers, Plan, Planned, Touch};
use crate::crypto::RecordKey;
use crate::resident::Resident;
use crate::vault::Opened;

/// What an event adds to an entry beside its body: clear part, hashes, framing, outcome. An upper bound.
const EVENT_OVERHEAD_BYTES: usize = 500;

/// Room that the body of a listing mostly fits.
const USUAL_BODY_BYTES: usize = 1_024;

/// One event, ready to be sealed.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// What it is; its body has moved to `opened`.
    pub event: Planned,
    /// What the fold gets to see of it.
    pub opened: Opened,
    /// The body's bytes.
    pub encoded: Vec<u8>,
    /// The record's key; a new one gets its own when the entry is written.
    pub key: Option<RecordKey>,
}

/// Events of the entry in the making.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    events: Vec<Prepared>,
    bytes: usize,
    /// The entry before, while it is not visible yet: what it holds is seen as if it stood in front of these.
    before: Option<Arc<Pending>>,
    numbers: Option<Numbers>,
    /// By listing, which event has its newest content.
    contents: HashMap<u64, usize>,
    /// New listings by key: the first, and the rest.
    keys: HashMap<[u8; 16], (u64, Vec<u64>)>,
    /// Related people that rows have named: to which listing, who, how; with the last day.
    related: HashMap<(u64, [u8; 16], u8), Option<Day>>,
}

impl Pending {
    /// With room for the events of so many rows, decided on top of an entry that is on its way.
    pub(crate) fn of_rows(rows: usize, before: Option<Arc<Pending>>) -> Pending {
        Pending {
            before,
            events: Vec::with_capacity(rows),
            contents: HashMap::with_capacity(rows),
            keys: HashMap::with_capacity(rows),
            ..Pending::default()
        }
    }

    /// The entry before is visible.
    pub(crate) fn forget_before(&mut self) {
        self.before = None;
    }

    /// These events, and those of the entry before.
    fn all(&self) -> impl Iterator<Item = &Pending> {
        std::iter::once(self).chain(self.before.as_deref())
    }

    /// The events so far, to be sealed.
    pub(crate) fn events_mut(&mut self) -> &mut [Prepared] {
        &mut self.events
    }

    /// The events so far.
    pub(crate) fn events(&self) -> &[Prepared] {
        &self.events
    }

    /// About how many bytes they take in the journal.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The last numbers given out, those of the events so far included.
    pub(crate) fn numbers(&self, resident: &Resident) -> Numbers {
        self.all().find_map(|pending| pending.numbers).unwrap_or_else(|| Numbers::of(resident))
    }

    /// Adds an event. `numbers` are the last given out with it.
    pub(crate) fn add(&mut self, mut event: Planned, numbers: Numbers, key: Option<RecordKey>) {
        let body = event.body.take();
        let mut encoded = Vec::new();
        if let Some(body) = &body {
            encoded.reserve(USUAL_BODY_BYTES);
            minicbor::encode(body, &mut encoded).expect("encoding into memory does not fail");
        }
        self.bytes += encoded.len() + event.open.as_ref().map_or(0, Vec::len) + EVENT_OVERHEAD_BYTES;
        self.numbers = Some(numbers);
        let opened = body.map_or(Opened::Nothing, |body| Opened::Body(Box::new(body)));
        self.events.push(Prepared { event, opened, encoded, key });
    }

    /// Adds a row's event, so that later rows see it.
    pub(crate) fn add_row(&mut self, plan: Plan, numbers: Numbers, key: Option<RecordKey>) {
        let listing = plan.event.listing;
        if plan.event.record.kind == RecordKind::Listing {
            self.contents.insert(listing, self.events.len());
        }
        for touch in plan.touches {
            match touch {
                Touch::Key(key) if plan.event.new_record => match self.keys.entry(key) {
                    Entry::Vacant(place) => drop(place.insert((listing, Vec::new()))),
                    Entry::Occupied(mut known) => known.get_mut().1.push(listing),
                },
                Touch::Related { listing, key, relation, until } => {
                    self.related.insert((listing, key, relation), until);
                }
                Touch::Key(_) | Touch::Listing(_) | Touch::Request(_) | Touch::Petition(_) | Touch::Import(_) => {}
            }
        }
        self.add(plan.event, numbers, key);
    }

    /// Whether a row has named this person already.
    pub(crate) fn has_relation(&self, listing: u64, key: Key, relation: u8, until: Option<Day>) -> bool {
        self.all().find_map(|pending| pending.related.get(&(listing, key.0, relation))) == Some(&until)
    }

    /// Whether a row has named this person in this relation, whatever its last day.
    pub(crate) fn has_relation_with_other_end(&self, listing: u64, key: Key, relation: u8) -> bool {
        self.all().any(|pending| pending.related.contains_key(&(listing, key.0, relation)))
    }

    /// New listings under a key.
    pub(crate) fn listings_of(&self, key: &Key) -> impl Iterator<Item = u64> + use<'_> {
        let key = key.0;
        let found = self.all().filter_map(move |pending| pending.keys.get(&key));
        found.flat_map(|(first, rest)| std::iter::once(*first).chain(rest.iter().copied()))
    }

    /// The event with a listing's newest content, if it is among these.
    pub(crate) fn listing(&self, number: u64) -> Option<&Planned> {
        self.newest(number).map(|prepared| &prepared.event)
    }

    fn newest(&self, listing: u64) -> Option<&Prepared> {
        self.all().find_map(|pending| pending.contents.get(&listing).map(|at| &pending.events[*at]))
    }

    /// A listing's newest content, and who gave it, if it is among these.
    pub(crate) fn content(&self, number: u64) -> Option<(&Content, &Actor)> {
        let Opened::Body(body) = &self.newest(number)?.opened else { return None };
        match &**body {
            Body::Content { content, actor, .. } => Some((content, actor)),
            _ => None,
        }
    }

    /// Who gave a listing's newest content, and who shaped it before, if it is among these.
    pub(crate) fn shaped_by(&self, number: u64) -> Option<(&Actor, Option<&[String]>)> {
        let Opened::Body(body) = &self.newest(number)?.opened else { return None };
        match &**body {
            Body::Content { actor, shaped_by, .. } => Some((actor, shaped_by.as_deref())),
            _ => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::Pending;

    /// An entry without events that counts as so many bytes.
    pub(crate) fn pending_of_bytes(bytes: usize) -> Pending {
        Pending { bytes, ..Pending::default() }
    }
}
