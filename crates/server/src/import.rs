//! Taking a court's file.
//!
//! Promises:
//! - Nothing is applied before the whole file is here and its trailer holds: every row counted, every byte hashed. A
//!   file that was cut or changed on its way is refused whole, with the line and the way out.
//! - A row that can't be taken is told with its line and column, and the rest goes on. Faults are streamed out as they are
//!   found; memory does not grow with the file.
//! - A file sent again, after a break or twice, adds nothing twice: the ledger knows court, case and subject.
//! - Where processors are scarce it goes at the pace that those who answer leave it, some hundred rows a second at least.
//! - An uploaded file lies on the disk under a key that is in memory alone. It is removed when the import ends; what a
//!   crash leaves can't be read by anybody, and goes at the next start.
//! - Where two people release, a file waits for the second of them ([`staged`]); a court's complete list waits for whoever confirms
//!   what it takes off the list ([`complete`]).
//!
//! The order: receive and spool ([`intake`]) → check rows and trailer ([`rows::survey`]) → read again, row by row, in
//! batches to the ledger ([`rows::read`]). A break before the last step has changed nothing; a break within it has applied
//! whole batches.

mod apply;
mod complete;
mod intake;
mod rows;
mod spool;
mod staged;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{RwLock, mpsc};
use tokio::task::spawn_blocking;
use tokio_stream::{Stream, StreamExt};
use tonic::Status;
use uuid::Uuid;
use xinhub_api::reason::{Failure, Reason};
pub use xinhub_domain::import::FileKind;
use xinhub_domain::import::{ImportCounts, ListFields, ListingRows};
use xinhub_domain::listing::Actor;
use xinhub_domain::policy::{Policy, RegistryPermit, Release};
use xinhub_domain::time::Timestamp;
use xinhub_ledger::background::{self, Pace};
use xinhub_ledger::clock::Clock;
use xinhub_ledger::{Complete, Ledger, Position};

use apply::{Taken, Taker};
pub use complete::Foreseen;
use intake::{Encoding, Intake, Received};
use rows::Step;

/// Bytes gathered before they go to a blocking thread.
const GATHER_BYTES: usize = 256 << 10;
/// Steps read ahead of the ledger: while it commits one batch the next is being checked.
const STEPS_AHEAD: usize = 4;

/// Where uploads lie while they are checked, and how large they may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportSettings {
    /// A directory of its own, `staging` under the data directory. Emptied at start.
    pub staging_dir: PathBuf,
    /// Largest file, in bytes.
    pub max_file_bytes: u64,
    /// Space that an upload leaves free on the disk, in bytes: the journal lives there too.
    pub min_free_bytes: u64,
}

impl ImportSettings {
    /// The defaults, in this directory: 16 GiB, and 256 MiB left free.
    pub fn new(staging_dir: impl Into<PathBuf>) -> ImportSettings {
        ImportSettings { staging_dir: staging_dir.into(), max_file_bytes: 16 << 30, min_free_bytes: 256 << 20 }
    }
}

/// What the caller wants.
#[derive(Clone, Debug)]
pub struct Options {
    /// Chosen by the caller, the same when a file is sent again. Names the import in logs.
    pub import_id: Uuid,
    /// What the rows are.
    pub file: FileKind,
    /// Report what would happen, and change nothing.
    pub dry_run: bool,
    /// Take rows that differ from a listing in force as amendments.
    pub amend: bool,
    /// The clerk behind it.
    pub actor: Actor,
    /// The staged import that a second person has released.
    pub released: Option<u64>,
    /// Of a complete list.
    pub complete: Option<Complete>,
}

/// What is told while an import runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// How far it is.
    Progress {
        /// Rows dealt with.
        rows_read: u64,
        /// Rows in the file.
        rows_total: u64,
    },
    /// A row that was not taken.
    Fault(RowFault),
    /// Where a complete list and the hub differ.
    Difference(Difference),
}

/// Where a complete list and the hub differ. Names nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// How.
    pub kind: DifferenceKind,
    /// The listing; 0 where there is none yet.
    pub listing: u64,
    /// The line in the file, from 1; 0 for what it does not name.
    pub line: u64,
    /// The fields that differ.
    pub fields: ListFields,
}

/// How a complete list and the hub differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DifferenceKind {
    /// Published, or would be.
    New,
    /// Amended, or would be.
    Changed,
    /// Left to a request of its own.
    Differing,
    /// Removed, or would be.
    Gone,
    /// Left as it is: the hub knows better.
    Newer,
    /// New, and held for a second person.
    Waiting,
}

/// A row that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFault {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// The first column at fault; empty where the row as a whole is.
    pub column: &'static str,
    /// Why.
    pub reason: Reason,
    /// What is wrong and what to do. Never a number or a name.
    pub message: String,
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Rows in it.
    pub rows: u64,
    /// What became of them.
    pub counts: ImportCounts,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// The history with it.
    pub position: Position,
    /// When it was done.
    pub finished_at: Timestamp,
    /// The number under which the file waits for a second person: nothing was applied.
    pub staged: Option<u64>,
}

/// A file that is here and whole.
struct WholeFile {
    received: Received,
    encoding: Encoding,
}

/// Takes files. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Importer {
    settings: Arc<ImportSettings>,
    /// Held while a copy is kept that the ledger doesn't know of yet.
    keeping: Arc<RwLock<()>>,
}

impl Importer {
    /// Makes the staging directory ready: leftovers of a crash can't be read by anybody, and go.
    ///
    /// # Errors
    ///
    /// What the file system said.
    pub fn open(settings: ImportSettings) -> io::Result<Importer> {
        spool::clear(&settings.staging_dir)?;
        Ok(Importer { settings: Arc::new(settings), keeping: Arc::default() })
    }

    /// Takes one file. Progress and faults go to `reports`; the summary is returned, to be sent last. `permits` is asked
    /// for each batch anew, so that a grant or certificate withdrawn meanwhile ends the import.
    ///
    /// # Errors
    ///
    /// The file is refused whole and nothing was applied; or the ledger stopped taking rows in between: whoever sends the
    /// file again finds what was applied unchanged, and the rest follows.
    #[allow(clippy::too_many_arguments)] // Each is another's to give: rights, rules, wishes, bytes, ears.
    pub async fn run<P, S>(
        &self,
        ledger: &Ledger,
        permits: &P,
        policy: &Arc<Policy>,
        options: Options,
        clock: Arc<dyn Clock>,
        chunks: S,
        reports: &mpsc::Sender<Report>,
    ) -> Result<Summary, Failure>
    where
        P: Fn() -> Result<RegistryPermit, Failure> + Sync,
        S: Stream<Item = Result<Vec<u8>, Status>> + Send + Unpin,
    {
        let permit = permits()?;
        let (received, encoding) = self.receive(permit.court(), options.file, &clock, chunks).await?;
        let complete = complete::terms(ledger, &received.header).await?;
        let options = Options { complete, ..options };
        let file = WholeFile { received, encoding };
        let waits = (permit.release() == Release::Two || options.complete.is_some()) && !options.dry_run;
        if !waits && options.complete.is_none() {
            return Ok(self.take(ledger, permits, policy, &options, clock, file, Some(reports)).await?.summary);
        }
        let (foreseen, file) = self.foresee(ledger, permits, policy, &options, clock, file, Some(reports)).await?;
        let mut summary = foreseen.summary;
        if !waits {
            return Ok(summary);
        }
        summary.staged = Some(self.stage(ledger, permit, &options, file, summary.counts).await?);
        summary.dry_run = false;
        Ok(summary)
    }

    /// Hands the rows of a whole file to the ledger. Without ears nothing is told on the way.
    #[allow(clippy::too_many_arguments)] // As for `run`.
    async fn take<P>(
        &self,
        ledger: &Ledger,
        permits: &P,
        policy: &Arc<Policy>,
        options: &Options,
        clock: Arc<dyn Clock>,
        file: WholeFile,
        reports: Option<&mpsc::Sender<Report>>,
    ) -> Result<Taken, Failure>
    where
        P: Fn() -> Result<RegistryPermit, Failure> + Sync,
    {
        let WholeFile { received, encoding } = file;
        if options.file == FileKind::Listings
            && let Err(fault) = ListingRows::check_mode(received.header.mode, policy)
        {
            return Err(FileFault::new(1, fault.to_string()).into());
        }
        let rows = received.trailer.rows;
        tracing::info!(import = %options.import_id, rows, dry_run = options.dry_run, "import: the file is whole");
        let as_of = received.header.as_of;
        let (steps, mut reading) = mpsc::channel(STEPS_AHEAD);
        let (policy, reader_clock) = (Arc::clone(policy), Arc::clone(&clock));
        let (file, behind_lifts) = (options.file, ledger.clone());
        let reader = background::run("import", move || {
            let sink = &mut |step: Step| {
                // Once in a while: with lifts all the time an import is slower, and goes on.
                if matches!(step, Step::Progress(_)) {
                    std::thread::sleep(behind_lifts.lull());
                }
                steps.blocking_send(step).is_ok()
            };
            let read = rows::read(&received, encoding, file, policy, &*reader_clock, sink);
            read.map(|()| received)
        });
        let mut taker = Taker::new(ledger, permits, options, as_of, rows, reports);
        while let Some(step) = reading.recv().await {
            taker.take(step).await?;
        }
        taker.settle().await?;
        let received = joined(reader.await)??;
        Ok(taker.done(clock.wall(), WholeFile { received, encoding }))
    }

    /// The whole file, spooled and proven whole.
    async fn receive<S>(
        &self,
        court: &str,
        file: FileKind,
        clock: &Arc<dyn Clock>,
        mut chunks: S,
    ) -> Result<(Received, Encoding), Failure>
    where
        S: Stream<Item = Result<Vec<u8>, Status>> + Send + Unpin,
    {
        let intake = Intake::begin(&self.settings, court, clock.wall());
        let mut intake = intake.map_err(|error| storage(&error))?;
        let mut gathered = Vec::with_capacity(GATHER_BYTES);
        let mut ended = false;
        while !ended {
            match chunks.next().await {
                Some(Ok(chunk)) => gathered.extend_from_slice(&chunk),
                Some(Err(_)) => return Err(FileFault::new(None, "the upload broke off; send the file again").into()),
                None => ended = true,
            }
            if gathered.len() < GATHER_BYTES && !ended {
                continue;
            }
            let mut pace = Pace::new();
            // Hashing, sealing and writing would hold up the calls that share this thread.
            let pushed = spawn_blocking(move || {
                let outcome = intake.push(&gathered);
                gathered.clear();
                (intake, gathered, outcome)
            });
            let outcome;
            (intake, gathered, outcome) = joined(pushed.await)?;
            outcome?;
            pace.pause().await;
        }
        let checked = background::run("import", move || {
            let received = intake.finish()?;
            let encoding = rows::survey(&received, file)?;
            Ok::<_, Refused>((received, encoding))
        });
        Ok(joined(checked.await)??)
    }
}

/// A file that is refused whole.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FileFault {
    reason: Reason,
    line: Option<u64>,
    problem: String,
}

impl FileFault {
    fn new(line: impl Into<Option<u64>>, problem: impl Into<String>) -> FileFault {
        FileFault { reason: Reason::ImportFile, line: line.into(), problem: problem.into() }
    }
}

impl From<FileFault> for Failure {
    fn from(fault: FileFault) -> Failure {
        let FileFault { reason, line, problem } = fault;
        let text = match line {
            Some(line) => format!("line {line}: {problem}"),
            None => problem,
        };
        Failure::new(reason, format!("{text} (nothing was applied)"))
    }
}

/// Why an upload doesn't come to its rows.
#[derive(Debug)]
enum Refused {
    File(FileFault),
    Disk(io::Error),
}

impl From<FileFault> for Refused {
    fn from(fault: FileFault) -> Refused {
        Refused::File(fault)
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Refused {
        Refused::Disk(error)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        match refused {
            Refused::File(fault) => fault.into(),
            Refused::Disk(error) => storage(&error),
        }
    }
}

fn storage(error: &io::Error) -> Failure {
    tracing::error!(%error, "import: the staging directory");
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let text = match full {
        true => "the hub has no room for the upload; nothing was applied. Try again later, or ask its operator",
        false => "the hub can't keep the upload; nothing was applied. Ask its operator to look into the log",
    };
    Failure::new(Reason::Storage, text)
}

fn joined<T>(outcome: Result<T, impl std::error::Error>) -> Result<T, Failure> {
    outcome.map_err(|error| {
        tracing::error!(%error, "import: a thread of it");
        Failure::new(Reason::Internal, "reading the file failed inside the hub; send the file again")
    })
}
