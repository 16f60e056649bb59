//! Files that wait for a second person, where two people release.
//!
//! Promises:
//! - Nothing of such a file is applied before another actor, an authorised signer, has released it; the ledger's one writer
//!   holds every batch to that.
//! - A file that was acknowledged as waiting survives a crash, sealed. Its key lies in the journal, sealed under the import's
//!   own; its copy goes once the import is taken, refused or lapsed.
//! - What taking it would change can be seen beforehand, as the listings are then.
//!
//! The order: the sealed copy is synced → the ledger records that it waits (**it waits**) → a release is recorded → rows are
//! taken, batch by batch → the ledger records that it is taken → the copy goes. A crash before the second step leaves a copy
//! that nobody knows, which the next sweep removes; one after the release is mended by releasing once more: rows that were
//! taken are unchanged.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use xinhub_api::reason::{Failure, Reason};
use xinhub_domain::import::{Header, ImportCounts, StagedImport, Trailer};
use xinhub_domain::policy::{Policy, RegistryPermit};
use xinhub_ledger::clock::Clock;
use xinhub_ledger::{Act, CommandError, Complete, Ledger, Request, StagedCommand, StagedView};

use super::complete::Foreseen;
use super::intake::{Encoding, Received};
use super::spool::{self, Kept, Spool};
use super::{Importer, Options, Report, Summary, WholeFile, joined, storage};
use crate::service::status::command;

impl Importer {
    /// Keeps a file until a second person has decided, with what its rows would come to now.
    pub(super) async fn stage(
        &self,
        ledger: &Ledger,
        permit: RegistryPermit,
        options: &Options,
        file: WholeFile,
        foreseen: ImportCounts,
    ) -> Result<u64, Failure> {
        let WholeFile { received, encoding } = file;
        let Received { header, trailer, trailer_line, spool, body_bytes, .. } = received;
        // Until the ledger knows of it, only this keeps a sweep from taking the copy for a leftover.
        let _keeping = self.keeping.read().await;
        let kept = joined(spawn_blocking(move || spool.keep()).await)?.map_err(|error| storage(&error))?;
        let copy = kept.copy;
        let import = StagedImport {
            client: permit.client().id().to_owned(),
            file: options.file,
            header: header.to_string(),
            amend: options.amend,
            rows: trailer.rows,
            sha256: trailer.sha256,
            trailer_line,
            body_bytes,
            kept_bytes: kept.bytes,
            gb18030: encoding == Encoding::Gb18030,
            copy,
            key: kept.key,
            foreseen,
            knows: options.complete.as_ref().map(|complete| complete.knows),
        };
        // The same import sent again is the one that waits already; another file under its id is refused. The hash doesn't
        // cover the header, which decides how the rows are read.
        let said = [options.file as u8, u8::from(options.amend)];
        let body = [&said[..], &trailer.sha256, import.header.as_bytes()].concat();
        let act = Act::Staged(permit, StagedCommand::Stage { import: Box::new(import) });
        let (request_id, actor) = (options.import_id.into_bytes(), Some(options.actor.clone()));
        let outcome = ledger.submit(Request { act, request_id, body, etag: None, actor, approver: None }).await;
        // Where the journal may hold it all the same, the next start's sweep knows.
        let unknown = matches!(outcome, Err(CommandError::Storage | CommandError::Stopping));
        if !unknown && outcome.as_ref().map_or(true, |outcome| outcome.replayed) {
            spool::remove(&self.settings.staging_dir, copy);
        }
        outcome.map(|outcome| outcome.record).map_err(command)
    }

    /// Takes the rows of an import that was released, or of a complete list that was confirmed.
    ///
    /// # Errors
    ///
    /// The copy can't be read; or the ledger stopped taking rows: releasing once more goes on.
    #[allow(clippy::too_many_arguments)] // As for `run`.
    pub async fn take_staged<P>(
        &self,
        ledger: &Ledger,
        permits: &P,
        policy: &Arc<Policy>,
        staged: &StagedView,
        clock: Arc<dyn Clock>,
        reports: &mpsc::Sender<Report>,
    ) -> Result<Summary, Failure>
    where
        P: Fn() -> Result<RegistryPermit, Failure> + Sync,
    {
        let file = self.reopen(&staged.import).await?;
        let options = options(staged);
        Ok(self.take(ledger, permits, policy, &options, clock, file, Some(reports)).await?.summary)
    }

    /// What the rows of an import that waits would come to now. Without ears nothing is told on the way.
    ///
    /// # Errors
    ///
    /// The copy can't be read; or a complete list is out of date, or has a row that can't be placed.
    #[allow(clippy::too_many_arguments)] // As for `run`.
    pub async fn foresee_staged<P>(
        &self,
        ledger: &Ledger,
        permits: &P,
        policy: &Arc<Policy>,
        staged: &StagedView,
        clock: Arc<dyn Clock>,
        reports: Option<&mpsc::Sender<Report>>,
    ) -> Result<Foreseen, Failure>
    where
        P: Fn() -> Result<RegistryPermit, Failure> + Sync,
    {
        let file = self.reopen(&staged.import).await?;
        let options = options(staged);
        self.foresee(ledger, permits, policy, &options, clock, file, reports).await.map(|(foreseen, _)| foreseen)
    }

    /// Whether the copy can be opened. One that is lost must not be released: what was released can't be rejected any more.
    ///
    /// # Errors
    /// It can't.
    pub async fn check(&self, import: &StagedImport) -> Result<(), Failure> {
        self.reopen(import).await.map(drop)
    }

    async fn reopen(&self, import: &StagedImport) -> Result<WholeFile, Failure> {
        let unreadable =
            || Failure::new(Reason::Storage, "what waits can't be read; reject it, and send the file again");
        let header = Header::parse(&import.header).map_err(|_| unreadable())?;
        let trailer = Trailer { rows: import.rows, sha256: import.sha256 };
        let kept = Kept { copy: import.copy, key: import.key, bytes: import.kept_bytes };
        let dir = self.settings.staging_dir.clone();
        let spool = joined(spawn_blocking(move || Spool::reopen(&dir, &kept)).await)?.map_err(|error| {
            tracing::error!(%error, "import: the copy of a file that waits");
            unreadable()
        })?;
        let encoding = if import.gb18030 { Encoding::Gb18030 } else { Encoding::Utf8 };
        let (trailer_line, body_bytes) = (import.trailer_line, import.body_bytes);
        let received = Received { header, trailer, marked: Some(encoding), trailer_line, spool, body_bytes };
        Ok(WholeFile { received, encoding })
    }

    /// The import is over: its copy goes.
    pub fn forget(&self, import: &StagedImport) {
        spool::remove(&self.settings.staging_dir, import.copy);
    }

    /// Removes the copies that no import waits for any more: of those that have lapsed, and of what a crash left.
    pub async fn sweep(&self, ledger: &Ledger) {
        let _nothing_is_being_kept = self.keeping.write().await;
        let (dir, waiting) = (self.settings.staging_dir.clone(), ledger.staged_copies());
        let swept = match waiting {
            Ok(waiting) => spawn_blocking(move || spool::sweep(&dir, &waiting)).await,
            Err(error) => return tracing::warn!(%error, "import: what waits can't be read, and nothing is removed"),
        };
        if let Ok(Err(error)) = swept {
            tracing::warn!(%error, "import: the staging directory can't be looked through");
        }
    }
}

fn options(staged: &StagedView) -> Options {
    Options {
        import_id: uuid::Uuid::from_bytes(staged.import.copy),
        file: staged.import.file,
        dry_run: false,
        amend: staged.import.amend,
        actor: staged.sender.clone(),
        released: Some(staged.number),
        complete: staged.import.knows.map(|knows| Complete { knows, ground: String::new() }),
    }
}
