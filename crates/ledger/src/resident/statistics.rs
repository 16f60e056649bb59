//! Counts that name nobody: what came onto the list and left it, by court, ground and month; what was done in time; and which
//! lifts are announced.
//!
//! A listing that only the subject's own unit may be shown is counted nowhere. A ground is known as long as its record can be
//! opened: what is folded again after an erasure counts under ground 0, so that totals stay and nobody's ground does.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};
use xinhub_domain::deadline::Clock;
use xinhub_domain::listing::{Clear, EventKind, State};
use xinhub_domain::time::{Day, Timestamp};

use super::Resident;
use super::remedy::{Bound, Running};
use crate::table::OWN_UNIT_ONLY;

/// Lifts are kept for announcing so long, whatever a profile says.
pub const MAX_ANNOUNCE_DAYS: u32 = 366;

/// A calendar month in Asia/Shanghai: 12 × year + month − 1.
pub type Month = u32;

/// The month that a day lies in.
pub fn month_of(day: Day) -> Month {
    let date = day.date();
    // Days begin in 1970: neither part is negative.
    u32::from(date.year().unsigned_abs()) * 12 + u32::from(date.month().unsigned_abs()) - 1
}

/// What a month brought for one court and ground.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Flow {
    /// Came into force.
    #[n(0)]
    pub listed: u64,
    /// Of these, back from hiding.
    #[n(1)]
    pub restored: u64,
    /// Masked, or in grace again.
    #[n(2)]
    pub hidden: u64,
    /// Should not have been.
    #[n(3)]
    pub revoked: u64,
    /// Performed, settled, or over.
    #[n(4)]
    pub removed: u64,
    /// By the clock.
    #[n(5)]
    pub expired: u64,
    /// Moved here from another ground by a rectification, less those moved away.
    #[n(6)]
    pub corrected: i64,
}

impl Flow {
    /// By how much it changes the number in force.
    pub fn net(&self) -> i64 {
        let out = self.hidden + self.revoked + self.removed + self.expired;
        self.listed.cast_signed() - out.cast_signed() + self.corrected
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Flow) {
        self.listed += other.listed;
        self.restored += other.restored;
        self.hidden += other.hidden;
        self.revoked += other.revoked;
        self.removed += other.removed;
        self.expired += other.expired;
        self.corrected += other.corrected;
    }
}

/// Who was bound by a deadline; an index into the courts or clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Bearer {
    /// A court.
    #[n(0)]
    Court(#[n(0)] u32),
    /// A client.
    #[n(1)]
    Client(#[n(0)] u32),
}

/// Deadlines of one month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Kept {
    /// Done in time.
    #[n(0)]
    pub kept: u64,
    /// Not done in time.
    #[n(1)]
    pub missed: u64,
}

/// The key of a [`Flow`]: court (an index), ground (0: unknown), month.
pub type FlowKey = (u32, u8, Month);
/// The key of a [`Kept`].
pub type KeptKey = (Bearer, Clock, Month);

/// All counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// On and off the list.
    pub flows: BTreeMap<FlowKey, Flow>,
    /// In time or not, by the month in which it fell due.
    pub deadlines: BTreeMap<KeptKey, Kept>,
    /// Listings that left the list, by day: of the last [`MAX_ANNOUNCE_DAYS`].
    pub lifted: BTreeSet<(Day, u32)>,
}

impl Statistics {
    fn flow(&mut self, key: FlowKey) -> &mut Flow {
        self.flows.entry(key).or_default()
    }

    /// The flows without their grounds: the same before and after an erasure.
    pub fn by_court(&self) -> BTreeMap<(u32, Month), Flow> {
        let mut all: BTreeMap<(u32, Month), Flow> = BTreeMap::new();
        for ((court, _, month), flow) in &self.flows {
            all.entry((*court, *month)).or_default().add(flow);
        }
        // What moves between grounds is nothing to a court, and nobody knows of it any more once it is erased.
        all.values_mut().for_each(|flow| flow.corrected = 0);
        all
    }
}

impl Resident {
    /// The ground under which a listing counts as in force; `None` where it doesn't.
    pub(super) fn counted(&self, row: u32) -> Option<u8> {
        let listing = self.table.row(row);
        let counts = listing.state() == Some(State::Listed) && !listing.has(OWN_UNIT_ONLY);
        counts.then(|| listing.ground())
    }

    /// Counts what an event on a listing has changed. `before` is [`Resident::counted`] before it.
    pub(super) fn count_flow(&mut self, row: u32, before: Option<u8>, clear: &Clear) {
        let (after, day) = (self.counted(row), clear.at.day());
        let (court, month) = (u32::from(self.table.row(row).court), month_of(day));
        let own_unit_only = self.table.row(row).has(OWN_UNIT_ONLY);
        let counts = &mut self.statistics;
        match (before, after) {
            (None, Some(ground)) => {
                let flow = counts.flow((court, ground, month));
                flow.listed += 1;
                flow.restored += u64::from(clear.kind == EventKind::Restore);
            }
            (Some(ground), None) => {
                let flow = counts.flow((court, ground, month));
                match clear.kind {
                    EventKind::Revoke => flow.revoked += 1,
                    EventKind::Remove => flow.removed += 1,
                    EventKind::Expire => flow.expired += 1,
                    // Hidden, in grace again, or shown to the own unit alone from now on.
                    _ => flow.hidden += 1,
                }
                if !own_unit_only && clear.kind != EventKind::WidenGrace {
                    self.announce(row, clear.at);
                }
            }
            (Some(was), Some(now)) if was != now => {
                counts.flow((court, was, month)).corrected -= 1;
                counts.flow((court, now, month)).corrected += 1;
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    fn announce(&mut self, row: u32, at: Timestamp) {
        let lifted = &mut self.statistics.lifted;
        lifted.insert((at.day(), row));
        let oldest = at.day().0.saturating_sub(MAX_ANNOUNCE_DAYS);
        while lifted.first().is_some_and(|(day, _)| day.0 < oldest) {
            lifted.pop_first();
        }
    }

    /// Counts a deadline that is over: done in time, or passed.
    pub(super) fn count_deadline(&mut self, bound: Bound, running: Running, in_time: bool) {
        let Some((bearer, clock)) = self.bearer(bound) else { return };
        let kept = self.statistics.deadlines.entry((bearer, clock, month_of(running.due))).or_default();
        if in_time { kept.kept += 1 } else { kept.missed += 1 }
    }

    /// Who is counted for a deadline; nobody where the listing is nobody else's to know.
    fn bearer(&self, bound: Bound) -> Option<(Bearer, Clock)> {
        let shown = |row: u32| !self.table.row(row).has(OWN_UNIT_ONLY);
        match bound {
            Bound::Listing { row, clock } => {
                shown(row).then(|| (Bearer::Court(u32::from(self.table.row(row).court)), clock))
            }
            Bound::Duty { row, client, clock } => shown(row).then_some((Bearer::Client(client), clock)),
            Bound::Import { number, clock } => {
                self.imports.open.get(&number).map(|row| (Bearer::Court(row.court), clock))
            }
            Bound::Petition { number, clock } => {
                let petition = self.remedy.petition(number)?;
                let row = self.table.row_of(petition.listing);
                let bearer = petition.against.map_or(Bearer::Court(petition.court), Bearer::Client);
                row.is_none_or(shown).then_some((bearer, clock))
            }
        }
    }
}
