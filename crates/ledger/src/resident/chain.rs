//! The chain of listings under one key.
//!
//! The index points to the first listing of a key, each listing to the next: so that several listings of one subject, from
//! several courts, stand side by side, and ending one leaves the rest.

use xinhub_domain::measure::Relation;
use xinhub_domain::time::Timestamp;
use xinhub_index::Key;

use super::{Held, Resident};
use crate::table::{FLAGGED, OWN_UNIT_ONLY};

impl Resident {
    /// 1 + the row of the key's first listing; 0 for none.
    pub(super) fn head(&self, key: &Key) -> u32 {
        let head = self.index.probe(key).map(|entry| entry.head);
        head.or(self.aside.get(&key.0).copied()).unwrap_or(0)
    }

    /// The rows of all listings under a key, ended ones included, newest first.
    pub fn rows_of<'a>(&'a self, key: &'a Key) -> impl Iterator<Item = u32> + 'a {
        self.rows_from(self.head(key), key)
    }

    /// [`Resident::rows_of`], for whoever knows the head.
    pub(super) fn rows_from<'a>(&'a self, head: u32, key: &'a Key) -> impl Iterator<Item = u32> + 'a {
        let row = |at: u32| at.checked_sub(1);
        std::iter::successors(row(head), move |before| row(self.next(*before, key)))
    }

    /// Calls `see` for every relation in force that the key's owner has.
    pub fn each_in_force(&self, key: &Key, see: impl FnMut(Held)) {
        self.each_in_force_from(self.head(key), key, see);
    }

    /// [`Resident::each_in_force`], for whoever knows the head.
    pub(super) fn each_in_force_from(&self, head: u32, key: &Key, mut see: impl FnMut(Held)) {
        for row in self.rows_from(head, key) {
            self.each_of_row(row, key, &mut see);
        }
    }

    /// Whether an exemption frees the owner of `key` from what it holds. A debtor's covers every identity of the debtor, and
    /// stays the debtor's when the identity that it was given for is rectified.
    pub fn is_exempt(&self, held: &Held, key: &Key, measure: &str, item: Option<&str>, now: Timestamp) -> bool {
        let exemptions = self.table.extra(held.row).map_or(&[][..], |extra| &extra.rest.exemptions);
        exemptions.iter().any(|one| one.covers(measure, item, now) && self.frees(&one.key, held, key))
    }

    /// Whether any listing by which a key is restricted has an exemption of its owner: of what, and when, is not asked.
    pub(super) fn may_be_exempt(&self, head: u32, key: &Key) -> bool {
        let mut may_be = false;
        self.each_in_force_from(head, key, |held| {
            let exemptions = self.table.extra(held.row).map_or(&[][..], |extra| &extra.rest.exemptions);
            may_be |= exemptions.iter().any(|one| !one.ended && self.frees(&one.key, &held, key));
        });
        may_be
    }

    /// Whether an exemption that was given for one key is of the owner of `key` in what it holds.
    fn frees(&self, given: &Key, held: &Held, key: &Key) -> bool {
        given == key || held.relation == Relation::Debtor && self.was_debtor_key(held.row, given)
    }

    /// Whether a key is, or was until a rectification, one of the debtor's.
    fn was_debtor_key(&self, row: u32, key: &Key) -> bool {
        let mut links = self.table.links(row);
        self.table.row(row).key == *key || links.any(|link| link.key == *key && (link.debtor || link.former))
    }

    /// Whether a listing restricts anybody whom all may be shown.
    fn restricts(&self, row: u32) -> bool {
        let listing = self.table.row(row);
        listing.state().is_some_and(|state| state.restricts()) && !listing.has(OWN_UNIT_ONLY)
    }

    fn each_of_row(&self, row: u32, key: &Key, see: &mut impl FnMut(Held)) {
        let listing = self.table.row(row);
        if !self.restricts(row) {
            return;
        }
        let link = self.table.links(row).find(|link| link.key == *key && link.debtor);
        if listing.key == *key {
            see(Held { row, relation: Relation::Debtor, flagged: listing.has(FLAGGED), until: listing.until() });
        } else if let Some(link) = link {
            see(Held { row, relation: Relation::Debtor, flagged: link.flagged, until: listing.until() });
        }
        for related in self.table.extra(row).map_or(&[][..], |extra| extra.relations) {
            if related.key != *key || related.has_ended() {
                continue;
            }
            let until = match (related.until(), listing.until()) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            if let Some(relation) = related.relation() {
                see(Held { row, relation, flagged: related.is_flagged(), until });
            }
        }
    }

    fn next(&self, row: u32, key: &Key) -> u32 {
        let listing = self.table.row(row);
        if listing.key == *key {
            return listing.next;
        }
        let link = self.table.links(row).find(|link| link.key == *key);
        link.map_or(0, |link| link.next)
    }

    fn set_next(&mut self, row: u32, key: &Key, next: u32) {
        if self.table.row(row).key == *key {
            self.table.row_mut(row).next = next;
            return;
        }
        self.table.change_extra(row, |extra| {
            for link in extra.links.iter_mut().filter(|link| link.key == *key) {
                link.next = next;
            }
        });
    }

    /// Whether the key was one of the debtor's until the listing was rectified, and is nobody's of it now.
    pub fn is_former(&self, row: u32, key: &Key) -> bool {
        let mut links = self.table.links(row);
        links.any(|link| link.key == *key && link.former && !link.debtor)
    }

    /// The debtor's keys of a listing, with their flags.
    pub fn debtor_keys(&self, row: u32) -> Vec<(Key, bool)> {
        let listing = self.table.row(row);
        let mut keys = Vec::new();
        if listing.key != Key([0; 16]) {
            keys.push((listing.key, listing.has(FLAGGED)));
        }
        keys.extend(self.table.links(row).filter(|link| link.debtor).map(|link| (link.key, link.flagged)));
        keys
    }

    /// Every key under which a listing is chained.
    pub fn keys_of(&self, row: u32) -> Vec<Key> {
        let listing = self.table.row(row);
        let primary = (listing.key != Key([0; 16])).then_some(listing.key);
        primary.into_iter().chain(self.table.links(row).map(|link| link.key)).collect()
    }

    /// Takes a listing out of a key's chain.
    pub(super) fn unlink(&mut self, row: u32, key: &Key) {
        let after = self.next(row, key);
        let rows: Vec<u32> = self.rows_of(key).collect();
        match rows.iter().position(|one| *one == row) {
            Some(0) => self.set_head(key, after),
            Some(at) => self.set_next(rows[at - 1], key, after),
            None => {}
        }
        let listing = self.table.row_mut(row);
        if listing.key == *key {
            listing.key = Key([0; 16]);
            listing.next = 0;
            listing.flags &= !FLAGGED;
        } else if self.table.extra(row).is_some() {
            self.table.change_extra(row, |extra| extra.links.retain(|link| link.key != *key));
        }
    }
}
