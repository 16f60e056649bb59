//! A court's complete list beside what the hub has of that court.
//!
//! Promises:
//! - Whom the list does not name is freed once somebody has confirmed how many that are, with a reason; nobody whose listing was
//!   published, restored or changed after the list's time, and nobody whose case a row names that could not be taken.
//! - What was seen is what is done: what the list can know of is fixed by a revision when it is staged, so that from then on
//!   nothing comes to be gone; whatever is recorded since only takes away from it.
//! - Lifts come first, in commits of their own; a break leaves whole commits, and the rest is done when it is confirmed again.
//!
//! The order: a pass over the rows finds what they name → the court's listings in force that are not named are gone → the ledger
//! records the confirmation (**it stands**) → lifts → rows. Each step is found done, or not, when it is done again.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use xinhub_api::reason::Failure;
use xinhub_domain::import::{Header, Mode};
use xinhub_domain::listing::Actor;
use xinhub_domain::policy::{Policy, RegistryPermit};
use xinhub_ledger::clock::Clock;
use xinhub_ledger::command::MAX_IMPORT_ROWS;
use xinhub_ledger::{CommandError, Complete, ImportBatch, ImportRow, Ledger, RowOutcome, StagedView};

use super::apply::{Taken, tell};
use super::{Difference, DifferenceKind, FileFault, Importer, Options, Report, Summary, WholeFile, joined};
use crate::service::status::command;

/// What a file would come to.
#[derive(Debug)]
pub struct Foreseen {
    /// What would become of its rows.
    pub summary: Summary,
    /// The listings that a complete list does not name.
    pub gone: Vec<u64>,
}

/// What a complete list can know of; `None` for any other file.
pub(super) async fn terms(ledger: &Ledger, header: &Header) -> Result<Option<Complete>, Failure> {
    if header.mode != Mode::Complete {
        return Ok(None);
    }
    let (ledger, as_of) = (ledger.clone(), header.as_of);
    let knows = joined(spawn_blocking(move || ledger.recorded_before(as_of)).await)?.map_err(command)?;
    Ok(Some(Complete { knows, ground: String::new() }))
}

impl Importer {
    /// What a file would come to now; of a complete list also what it does not name.
    #[allow(clippy::too_many_arguments)] // As for `run`.
    pub(super) async fn foresee<P>(
        &self,
        ledger: &Ledger,
        permits: &P,
        policy: &Arc<Policy>,
        options: &Options,
        clock: Arc<dyn Clock>,
        file: WholeFile,
        reports: Option<&mpsc::Sender<Report>>,
    ) -> Result<(Foreseen, WholeFile), Failure>
    where
        P: Fn() -> Result<RegistryPermit, Failure> + Sync,
    {
        let permit = permits()?;
        if options.complete.is_some() && ledger.is_older_list(&permit, file.received.header.as_of) {
            return Err(command(CommandError::OlderList));
        }
        let options = Options { dry_run: true, ..options.clone() };
        let taken = self.take(ledger, permits, policy, &options, clock, file, reports).await?;
        let Taken { mut summary, file, named, unplaced } = taken;
        let Some(Complete { knows, .. }) = options.complete else {
            return Ok((Foreseen { summary, gone: Vec::new() }, file));
        };
        if let Some(line) = unplaced {
            let problem = "neither the row nor its case can be read: what a complete list does not name is lifted, so that no row \
                           of it may be lost";
            return Err(FileFault::new(line, problem).into());
        }
        let signing = permit.signing().clone();
        let reader = ledger.clone();
        let unnamed = spawn_blocking(move || reader.unnamed(&permit, &named, knows));
        let unnamed = joined(unnamed.await)?.map_err(command)?;
        let list = summary.counts.list.get_or_insert_default();
        (list.gone, list.in_force) = (unnamed.gone.len() as u64, unnamed.in_force);
        list.newer += unnamed.newer.len() as u64;
        let waits = signing.additions_wait(summary.counts.added, unnamed.in_force);
        list.waiting = if waits { summary.counts.added } else { 0 };
        if let Some(reports) = reports {
            for (kind, listings) in [(DifferenceKind::Gone, &unnamed.gone), (DifferenceKind::Newer, &unnamed.newer)] {
                for listing in listings {
                    tell(reports, unnamed_difference(kind, *listing)).await?;
                }
            }
        }
        Ok((Foreseen { summary, gone: unnamed.gone }, file))
    }

    /// Lifts what a complete list does not name, once that was confirmed; returns how many, and how many the hub knew better of by
    /// then.
    ///
    /// # Errors
    ///
    /// The ledger stopped taking lifts in between, or nobody listens any more: confirming once more goes on.
    #[allow(clippy::too_many_arguments)] // As for `run`.
    pub async fn lift_gone<P>(
        &self,
        ledger: &Ledger,
        permits: &P,
        staged: &StagedView,
        gone: &[u64],
        (actor, ground): (&Actor, &str),
        reports: &mpsc::Sender<Report>,
    ) -> Result<(u64, u64), Failure>
    where
        P: Fn() -> Result<RegistryPermit, Failure> + Sync,
    {
        let header = Header::parse(&staged.import.header).map_err(|_| command(CommandError::Unreadable))?;
        let knows = staged.import.knows.unwrap_or_default();
        let (mut lifted, mut newer) = (0, 0);
        for listings in gone.chunks(MAX_IMPORT_ROWS) {
            let batch = ImportBatch {
                actor: actor.clone(),
                dry_run: false,
                amend: false,
                as_of: header.as_of,
                released: Some(staged.number),
                complete: Some(Complete { knows, ground: ground.to_owned() }),
                rows: listings.iter().copied().map(ImportRow::Gone).collect(),
            };
            let outcomes = ledger.import(permits()?, batch).await.map_err(command)?;
            for (listing, outcome) in listings.iter().zip(outcomes) {
                let removed = matches!(outcome, RowOutcome::Removed { .. });
                let kind = if removed { DifferenceKind::Gone } else { DifferenceKind::Newer };
                lifted += u64::from(removed);
                newer += u64::from(!removed);
                tell(reports, unnamed_difference(kind, *listing)).await?;
            }
        }
        Ok((lifted, newer))
    }
}

fn unnamed_difference(kind: DifferenceKind, listing: u64) -> Report {
    Report::Difference(Difference { kind, listing, line: 0, fields: Vec::new() })
}
