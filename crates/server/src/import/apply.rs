//! Handing batches to the ledger, and telling what became of them.
//!
//! One batch is always on its way while the one before it is told of: else the ledger's writer would wait for that between any two.

use tokio::sync::mpsc;
use xinhub_api::reason::{Failure, Reason};
use xinhub_domain::case_number::CaseNumber;
use xinhub_domain::import::{ImportCounts, ListCounts, ListFields};
use xinhub_domain::policy::RegistryPermit;
use xinhub_domain::time::Timestamp;
use xinhub_ledger::background::Pace;
use xinhub_ledger::{CommandError, ImportBatch, ImportRow, Importing, Ledger, Named, RowFault as Untaken, RowOutcome};

use super::rows::{Batch, Origin, Step};
use super::{Difference, DifferenceKind, FileKind, Options, Report, RowFault, Summary, WholeFile};
use crate::service::status::command;

/// Where a batch has to rest it is taken in pieces of as many rows, each with a rest of its own: the whole of one keeps a processor from
/// those who answer for ten milliseconds.
const PIECE_ROWS: usize = 50;

/// Hands batches to the ledger, in the order of the file, and keeps count.
pub(super) struct Taker<'a, P> {
    ledger: &'a Ledger,
    permits: &'a P,
    options: &'a Options,
    as_of: Timestamp,
    reports: Option<&'a mpsc::Sender<Report>>,
    rows_read: u64,
    summary: Summary,
    named: Named,
    unplaced: Option<u64>,
    running: Option<Running>,
    pace: Pace,
}

/// A batch that the ledger has.
struct Running {
    importing: Importing,
    origins: Vec<Origin>,
    /// Of a complete list, by row.
    cases: Vec<CaseNumber>,
    /// How far the file is read with it.
    rows_read: Option<u64>,
}

/// What a pass over a file came to.
pub(super) struct Taken {
    pub(super) summary: Summary,
    pub(super) file: WholeFile,
    /// What a complete list names.
    pub(super) named: Named,
    /// The first line of which not even the case can be told.
    pub(super) unplaced: Option<u64>,
}

impl<'a, P: Fn() -> Result<RegistryPermit, Failure> + Sync> Taker<'a, P> {
    pub(super) fn new(
        ledger: &'a Ledger,
        permits: &'a P,
        options: &'a Options,
        as_of: Timestamp,
        rows: u64,
        reports: Option<&'a mpsc::Sender<Report>>,
    ) -> Taker<'a, P> {
        let summary = Summary {
            rows,
            counts: ImportCounts {
                list: options.complete.as_ref().map(|_| ListCounts::default()),
                ..Default::default()
            },
            dry_run: options.dry_run,
            position: ledger.position(),
            finished_at: as_of,
            staged: None,
        };
        Taker {
            ledger,
            permits,
            options,
            as_of,
            reports,
            rows_read: 0,
            summary,
            named: Named::default(),
            unplaced: None,
            running: None,
            pace: Pace::new(),
        }
    }

    pub(super) async fn take(&mut self, step: Step) -> Result<(), Failure> {
        match step {
            Step::Batch(batch) => {
                let mut left = Some(batch);
                while let Some(batch) = left.take() {
                    let piece;
                    (piece, left) = if self.pace.pause().await { batch.split(PIECE_ROWS) } else { (batch, None) };
                    let next = self.begin(piece).await?;
                    if let Some(before) = self.running.replace(next) {
                        self.finish(before).await?;
                    }
                }
                Ok(())
            }
            Step::Fault(fault, case) => {
                self.settle().await?;
                match case {
                    Some(case) => self.named.cases.extend([case]),
                    None => self.unplaced = self.unplaced.or(Some(fault.line)),
                }
                self.fault(fault).await
            }
            Step::Progress(rows_read) => match &mut self.running {
                // It is told once those rows are taken.
                Some(running) => {
                    running.rows_read = Some(rows_read);
                    Ok(())
                }
                None => self.progress(rows_read).await,
            },
        }
    }

    /// Waits for the batch that the ledger has.
    pub(super) async fn settle(&mut self) -> Result<(), Failure> {
        match self.running.take() {
            Some(running) => self.finish(running).await,
            None => Ok(()),
        }
    }

    async fn progress(&mut self, rows_read: u64) -> Result<(), Failure> {
        self.rows_read = rows_read;
        self.tell(Report::Progress { rows_read, rows_total: self.summary.rows }).await
    }

    async fn begin(&self, batch: Batch) -> Result<Running, Failure> {
        let Batch { rows, origins } = batch;
        let Options { actor, dry_run, amend, released, .. } = self.options;
        let (actor, dry_run, amend, released) = (actor.clone(), *dry_run, *amend, *released);
        let complete = self.options.complete.clone();
        let cases = if complete.is_some() { cases(&rows) } else { Vec::new() };
        let batch = ImportBatch { actor, dry_run, amend, as_of: self.as_of, released, complete, rows };
        let importing =
            self.ledger.begin_import((self.permits)()?, batch).await.map_err(|error| self.stopped(&error))?;
        Ok(Running { importing, origins, cases, rows_read: None })
    }

    async fn finish(&mut self, running: Running) -> Result<(), Failure> {
        let Running { importing, origins, cases, rows_read } = running;
        let outcomes = importing.outcomes().await.map_err(|error| self.stopped(&error))?;
        for (at, (origin, outcome)) in origins.into_iter().zip(outcomes).enumerate() {
            self.compare(&outcome, origin.line).await?;
            let counts = &mut self.summary.counts;
            match outcome {
                RowOutcome::Added { .. } => counts.added += 1,
                RowOutcome::Amended { .. } => counts.amended += 1,
                RowOutcome::Unchanged { .. } => counts.unchanged += 1,
                // A row of a file removes nothing.
                RowOutcome::Newer { .. } | RowOutcome::Removed { .. } => counts.list.get_or_insert_default().newer += 1,
                RowOutcome::Differing { .. } => counts.list.get_or_insert_default().differing += 1,
                RowOutcome::Waits => counts.list.get_or_insert_default().waiting += 1,
                RowOutcome::Fault(untaken) => {
                    self.named.cases.extend(cases.get(at).cloned());
                    let (column, reason) = place(&untaken, self.options.file);
                    self.fault(RowFault { line: origin.line, column, reason, message: untaken.to_string() }).await?;
                    continue;
                }
            }
            self.summary.counts.warnings += u64::from(origin.has_warnings);
        }
        match rows_read {
            Some(rows_read) => self.progress(rows_read).await,
            None => Ok(()),
        }
    }

    /// Notes and tells what a row of a complete list comes to.
    async fn compare(&mut self, outcome: &RowOutcome, line: u64) -> Result<(), Failure> {
        if self.options.complete.is_none() {
            return Ok(());
        }
        let difference =
            |kind, listing, fields: &ListFields| Difference { kind, listing, line, fields: fields.clone() };
        let none = ListFields::new();
        let difference = match outcome {
            // A number that nobody has got yet says nothing.
            RowOutcome::Added { .. } if self.options.dry_run => difference(DifferenceKind::New, 0, &none),
            RowOutcome::Added { listing } => difference(DifferenceKind::New, *listing, &none),
            RowOutcome::Waits => difference(DifferenceKind::Waiting, 0, &none),
            RowOutcome::Amended { listing, fields } => difference(DifferenceKind::Changed, *listing, fields),
            RowOutcome::Differing { listing, fields } => difference(DifferenceKind::Differing, *listing, fields),
            RowOutcome::Newer { listing } => difference(DifferenceKind::Newer, *listing, &none),
            RowOutcome::Unchanged { listing } => {
                self.named.listings.insert(*listing);
                return Ok(());
            }
            RowOutcome::Removed { .. } | RowOutcome::Fault(_) => return Ok(()),
        };
        self.named.listings.extend(Some(difference.listing).filter(|listing| *listing > 0));
        self.tell(Report::Difference(difference)).await
    }

    async fn fault(&mut self, fault: RowFault) -> Result<(), Failure> {
        self.summary.counts.faults += 1;
        self.tell(Report::Fault(fault)).await
    }

    /// A caller who is gone ends the import: what was applied stays, and sending the file again goes on from there.
    async fn tell(&self, report: Report) -> Result<(), Failure> {
        match self.reports {
            Some(reports) => tell(reports, report).await,
            None => Ok(()),
        }
    }

    fn stopped(&self, error: &CommandError) -> Failure {
        let rows = self.rows_read;
        let text = format!(
            "stopped after {rows} rows: {error}. Send the file again: what was taken stays unchanged, the rest follows"
        );
        Failure::new(command(error.clone()).reason(), text)
    }

    pub(super) fn done(self, finished_at: Timestamp, file: WholeFile) -> Taken {
        let summary = Summary { position: self.ledger.position(), finished_at, ..self.summary };
        Taken { summary, file, named: self.named, unplaced: self.unplaced }
    }
}

/// Tells whoever listens; an error where nobody does any more.
pub(super) async fn tell(reports: &mpsc::Sender<Report>, report: Report) -> Result<(), Failure> {
    let gone = |_| Failure::new(Reason::ImportFile, "the caller went away; send the file again to go on");
    reports.send(report).await.map_err(gone)
}

fn cases(rows: &[ImportRow]) -> Vec<CaseNumber> {
    let case = |row: &ImportRow| match row {
        ImportRow::Listing(content) => Some(content.case_number.clone()),
        ImportRow::Relation { .. } | ImportRow::Gone(_) => None,
    };
    rows.iter().filter_map(case).collect()
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
