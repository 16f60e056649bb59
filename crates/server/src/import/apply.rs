//! Handing batches to the ledger, and telling what became of them.

use tokio::sync::mpsc;
use xinhub_api::reason::{Failure, Reason};
use xinhub_domain::import::ImportCounts;
use xinhub_domain::policy::RegistryPermit;
use xinhub_domain::time::Timestamp;
use xinhub_ledger::{CommandError, ImportBatch, Ledger, RowFault as Untaken, RowOutcome};

use super::rows::{Batch, Step};
use super::{FileKind, Options, Report, RowFault, Summary};
use crate::service::status::command;

/// Hands batches to the ledger, in the order of the file, and keeps count.
pub(super) struct Taker<'a, P> {
    ledger: &'a Ledger,
    permits: &'a P,
    options: &'a Options,
    as_of: Timestamp,
    reports: &'a mpsc::Sender<Report>,
    rows_read: u64,
    summary: Summary,
}

impl<'a, P: Fn() -> Result<RegistryPermit, Failure> + Sync> Taker<'a, P> {
    pub(super) fn new(
        ledger: &'a Ledger,
        permits: &'a P,
        options: &'a Options,
        as_of: Timestamp,
        rows: u64,
        reports: &'a mpsc::Sender<Report>,
    ) -> Taker<'a, P> {
        let summary = Summary {
            rows,
            counts: ImportCounts::default(),
            dry_run: options.dry_run,
            position: ledger.position(),
            finished_at: as_of,
            staged: None,
        };
        Taker { ledger, permits, options, as_of, reports, rows_read: 0, summary }
    }

    pub(super) async fn take(&mut self, step: Step) -> Result<(), Failure> {
        match step {
            Step::Batch(batch) => self.apply(batch).await,
            Step::Fault(fault) => self.fault(fault).await,
            Step::Progress(rows_read) => {
                self.rows_read = rows_read;
                self.tell(Report::Progress { rows_read, rows_total: self.summary.rows }).await
            }
        }
    }

    async fn apply(&mut self, batch: Batch) -> Result<(), Failure> {
        let Batch { rows, origins } = batch;
        let Options { actor, dry_run, amend, released, .. } = self.options;
        let (actor, dry_run, amend, released) = (actor.clone(), *dry_run, *amend, *released);
        let batch = ImportBatch { actor, dry_run, amend, as_of: self.as_of, released, rows };
        let outcomes = self.ledger.import((self.permits)()?, batch).await.map_err(|error| self.stopped(&error))?;
        for (origin, outcome) in origins.into_iter().zip(outcomes) {
            match outcome {
                RowOutcome::Added { .. } => self.summary.counts.added += 1,
                RowOutcome::Amended { .. } => self.summary.counts.amended += 1,
                RowOutcome::Unchanged { .. } => self.summary.counts.unchanged += 1,
                RowOutcome::Fault(untaken) => {
                    let (column, reason) = place(&untaken, self.options.file);
                    self.fault(RowFault { line: origin.line, column, reason, message: untaken.to_string() }).await?;
                    continue;
                }
            }
            self.summary.counts.warnings += u64::from(origin.has_warnings);
        }
        Ok(())
    }

    async fn fault(&mut self, fault: RowFault) -> Result<(), Failure> {
        self.summary.counts.faults += 1;
        self.tell(Report::Fault(fault)).await
    }

    /// A caller who is gone ends the import: what was applied stays, and sending the file again goes on from there.
    async fn tell(&self, report: Report) -> Result<(), Failure> {
        let gone = |_| Failure::new(Reason::ImportFile, "the caller went away; send the file again to go on");
        self.reports.send(report).await.map_err(gone)
    }

    fn stopped(&self, error: &CommandError) -> Failure {
        let rows = self.rows_read;
        let text = format!(
            "stopped after {rows} rows: {error}. Send the file again: what was taken stays unchanged, the rest follows"
        );
        Failure::new(command(error.clone()).reason(), text)
    }

    pub(super) fn summary(self, finished_at: Timestamp) -> Summary {
        Summary { position: self.ledger.position(), finished_at, ..self.summary }
    }
}

/// The column and the catalogue's entry for a row that the ledger did not take.
fn place(untaken: &Untaken, file: FileKind) -> (&'static str, Reason) {
    let names_listing = match file {
        FileKind::Listings => "caseCode",
        FileKind::Relations => "listing",
    };
    match untaken {
        Untaken::Differs { .. } => ("", Reason::ListingExists),
        Untaken::Ended { .. } => (names_listing, Reason::EndedCase),
        Untaken::NoNotice | Untaken::LateNotice { .. } => ("noticeServedDate", Reason::InvalidField),
        Untaken::NotFound => (names_listing, Reason::NotFound),
        Untaken::Refused(error) => ("", command((**error).clone()).reason()),
    }
}
