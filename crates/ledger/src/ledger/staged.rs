//! What is read of imports that wait for their release.

use xinhub_domain::deadline::Clock;
use xinhub_domain::import::{ImportState, StagedImport};
use xinhub_domain::listing::Actor;
use xinhub_domain::policy::RegistryPermit;
use xinhub_domain::time::Day;

use super::Ledger;
use crate::command::CommandError;
use crate::resident::remedy::Bound;
use crate::table::Place;

/// An import that waits for its release, or is being taken.
#[derive(Clone, Debug)]
pub struct StagedView {
    /// Its number.
    pub number: u64,
    /// Where it stands.
    pub state: ImportState,
    /// Its file.
    pub import: StagedImport,
    /// Who sent it.
    pub sender: Actor,
    /// When it was staged, or released, and the last day on which it can be released or taken further.
    pub runs: Option<(Day, Day)>,
}

impl Ledger {
    /// The imports of the permit's own court that are open, by number.
    pub fn staged_imports(&self, permit: &RegistryPermit) -> Result<Vec<StagedView>, CommandError> {
        self.open_imports(|_, court| court == permit.court())
    }

    /// An open import of the permit's own court.
    pub fn staged_import(&self, permit: &RegistryPermit, import: u64) -> Result<Option<StagedView>, CommandError> {
        let found = self.open_imports(|number, court| court == permit.court() && number == import);
        Ok(found?.into_iter().next())
    }

    /// The names of the sealed copies that still have to be there, of all courts.
    pub fn staged_copies(&self) -> Result<Vec<[u8; 16]>, CommandError> {
        let open = self.open_imports(|_, _| true)?;
        Ok(open.into_iter().map(|view| view.import.copy).collect())
    }

    fn open_imports(&self, take: impl Fn(u64, &str) -> bool) -> Result<Vec<StagedView>, CommandError> {
        let rows: Vec<_> = {
            let resident = self.0.resident.read();
            let open = resident.imports.open.iter();
            let taken = open.filter(|(number, row)| take(**number, resident.courts.name(row.court)));
            let runs = |number| resident.remedy.running.get(&Bound::Import { number, clock: Clock::Release }).copied();
            taken.map(|(number, row)| (*number, *row, runs(*number))).collect()
        };
        let mut views = Vec::with_capacity(rows.len());
        for (number, row, runs) in rows {
            let Some((import, sender)) = self.0.vault.staged(Place(row.place))? else { continue };
            let runs = runs.map(|running| (running.since, running.due));
            views.push(StagedView { number, state: row.state, import, sender, runs });
        }
        Ok(views)
    }
}
