//! Rows of an import on their way through the writer.

use tokio::sync::oneshot;
use xinhub_domain::policy::RegistryPermit;

use super::Ledger;
use crate::command::{CommandError, ImportBatch, RowOutcome};
use crate::writer::Job;

impl Ledger {
    /// Takes rows of an import, in order; returns once what was taken is durable and visible. All of them go into one entry,
    /// or none: only where their contents come to more than 12 MiB may an error leave the first of them taken.
    pub async fn import(&self, permit: RegistryPermit, batch: ImportBatch) -> Result<Vec<RowOutcome>, CommandError> {
        self.begin_import(permit, batch).await?.outcomes().await
    }

    /// [`Ledger::import`], begun. Whoever begins the next batch before this one is done keeps the writer from waiting for it; lifts
    /// go before both.
    pub async fn begin_import(&self, permit: RegistryPermit, batch: ImportBatch) -> Result<Importing, CommandError> {
        let queue = if batch.is_lift() { &self.0.lifts } else { &self.0.others };
        let (reply, answer) = oneshot::channel();
        queue.send(Job::Import(permit, batch, reply)).await.map_err(|_| self.stopped())?;
        Ok(Importing { ledger: self.clone(), answer })
    }
}

/// A batch that the writer has or will have. It is taken, or not, whether anybody waits for the outcomes or not.
#[derive(Debug)]
pub struct Importing {
    ledger: Ledger,
    answer: oneshot::Receiver<Result<Vec<RowOutcome>, CommandError>>,
}

impl Importing {
    /// What became of each row, in order, once what was taken is durable and visible.
    pub async fn outcomes(self) -> Result<Vec<RowOutcome>, CommandError> {
        self.answer.await.unwrap_or_else(|_| Err(self.ledger.stopped()))
    }
}
