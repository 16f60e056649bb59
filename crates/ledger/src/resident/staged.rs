//! Imports that wait for their release, or are being taken: the fold.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use xinhub_domain::deadline::Clock;
use xinhub_domain::import::ImportState;
use xinhub_domain::listing::Clear;
use xinhub_domain::time::Timestamp;

use super::Resident;
use super::remedy::Bound;
use crate::table::Place;

/// One import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ImportRow {
    /// The court whose list it is; an index.
    #[n(0)]
    pub court: u32,
    /// Where it stands.
    #[n(1)]
    pub state: ImportState,
    /// Where it was staged: its file's name and key lie there.
    #[n(2)]
    pub place: u64,
}

/// What a confirmed complete list says in clear: the open part of its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ListConfirmed {
    /// Its time.
    #[n(0)]
    pub as_of: Timestamp,
    /// How many listings it does not name.
    #[n(1)]
    pub gone: u64,
    /// How many it adds.
    #[n(2)]
    pub added: u64,
}

/// All imports that wait, or once did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imports {
    /// How many there ever were.
    pub count: u64,
    /// Those whose file still has to be there, by number.
    pub open: BTreeMap<u64, ImportRow>,
    /// The time of the newest complete list that was confirmed, by court: an older one says nothing any more.
    pub lists: BTreeMap<u32, Timestamp>,
}

impl Imports {
    /// Whether a complete list of a later time was confirmed for the court.
    pub fn is_older_list(&self, court: u32, as_of: Timestamp) -> bool {
        self.lists.get(&court).is_some_and(|last| as_of < *last)
    }
}

impl Resident {
    /// Folds an event on a staged import.
    pub(super) fn apply_import(&mut self, clear: &Clear, place: Place) -> Result<(), &'static str> {
        let state = clear.import.ok_or("it is about an import and does not say where that stands")?;
        let number = clear.record.number;
        if state == ImportState::Staged {
            if number != self.imports.count + 1 {
                return Err("an import's number does not follow the one before");
            }
            let court = self.courts.number(&clear.court);
            self.imports.count = number;
            self.imports.open.insert(number, ImportRow { court, state, place: place.0 });
        }
        let row = self.imports.open.get_mut(&number).ok_or("it is about an import that does not wait")?;
        row.state = state;
        let confirms = matches!(state, ImportState::Confirmed | ImportState::Released);
        if let Some(open) = clear.open.as_ref().filter(|_| confirms) {
            let list: ListConfirmed = minicbor::decode(open).map_err(|_| "what its list is as of does not decode")?;
            let last = self.imports.lists.entry(row.court).or_insert(list.as_of);
            *last = list.as_of.max(*last);
        }
        let bound = Bound::Import { number, clock: Clock::Release };
        if state == ImportState::Lapsed {
            self.mark(bound);
        }
        if state != ImportState::Staged {
            self.settle(bound, true);
        }
        if !state.is_open() {
            self.imports.open.remove(&number);
        }
        self.begin_deadlines(clear, None);
        Ok(())
    }
}
