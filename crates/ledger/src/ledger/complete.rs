//! What is read for a court's complete list: what it can know of, and what it does not name.

use std::collections::{BTreeSet, HashSet};

use xinhub_domain::case_number::CaseNumber;
use xinhub_domain::listing::{Body, State};
use xinhub_domain::policy::RegistryPermit;
use xinhub_domain::time::Timestamp;

use super::Ledger;
use super::remedy::SCAN;
use crate::command::CommandError;
use crate::table::{ERASED, OWN_UNIT_ONLY, Place};
use crate::vault::Opened;

/// What a complete list names.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// The listings that its rows are of.
    pub listings: BTreeSet<u64>,
    /// The cases of rows that could not be taken: each stands for every listing of its case, whoever it is about.
    pub cases: HashSet<CaseNumber>,
}

/// What it doesn't, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unnamed {
    /// Listings in force that it could have named.
    pub gone: Vec<u64>,
    /// Those of which something was recorded since.
    pub newer: Vec<u64>,
    /// All listings of the court that are in force, named or not.
    pub in_force: u64,
}

impl Ledger {
    /// The last revision that was recorded before a time: all that a list as of then can know. What bears that very time is taken
    /// for later, so that nothing yet to come is ever taken for earlier.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub fn recorded_before(&self, when: Timestamp) -> Result<u64, CommandError> {
        let entries = self.entries_while(|entry| entry.at < when)?;
        match entries {
            0 => Ok(0),
            entries => Ok(self.entry_after(entries - 1)?.map_or(0, |(entry, _)| entry.last_revision())),
        }
    }

    /// Whether a complete list of a later time was confirmed for the permit's court.
    pub fn is_older_list(&self, permit: &RegistryPermit, as_of: Timestamp) -> bool {
        let resident = self.0.resident.read();
        resident.courts.find(permit.court()).is_some_and(|court| resident.imports.is_older_list(court, as_of))
    }

    /// The court's listings in force that a complete list does not name. Those that only the subject's own unit may be shown are
    /// on no list that goes round, and are left out. Blocks: it looks at every listing there is.
    ///
    /// # Errors
    /// A listing's content can't be read, and with it not its case, where rows that could not be taken name cases.
    pub fn unnamed(&self, permit: &RegistryPermit, named: &Named, knows: u64) -> Result<Unnamed, CommandError> {
        let mut unnamed = Unnamed::default();
        let mut candidates = Vec::new();
        let mut from = 0;
        loop {
            let resident = self.0.resident.read();
            let Some(court) = resident.courts.find(permit.court()) else { return Ok(unnamed) };
            let to = resident.table.len().min(from + SCAN);
            if from >= to {
                break;
            }
            for at in from..to {
                // Row numbers are u32.
                let listing = resident.table.row(at as u32);
                if u32::from(listing.court) != court || listing.state() != Some(State::Listed) || listing.has(ERASED) {
                    continue;
                }
                unnamed.in_force += 1;
                let number = at as u64 + 1;
                if !listing.has(OWN_UNIT_ONLY) && !named.listings.contains(&number) {
                    candidates.push((number, listing.revision() > knows, listing.place));
                }
            }
            from = to;
        }
        for (number, is_newer, place) in candidates {
            if !named.cases.is_empty() && named.cases.contains(&self.case_at(place)?) {
                continue;
            }
            let list = if is_newer { &mut unnamed.newer } else { &mut unnamed.gone };
            list.push(number);
        }
        Ok(unnamed)
    }

    fn case_at(&self, place: Place) -> Result<CaseNumber, CommandError> {
        match self.0.vault.read(place) {
            Ok((_, Opened::Body(body))) => match *body {
                Body::Content { content, .. } => Ok(content.case_number),
                _ => Err(CommandError::Unreadable),
            },
            Ok((_, Opened::Erased | Opened::Nothing)) | Err(_) => Err(CommandError::Unreadable),
        }
    }
}
