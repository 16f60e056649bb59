//! The one writer: it alone changes anything.
//!
//! Order of a commit, and what a crash at each step leaves behind:
//!
//! 1. Decide each command against the state. Nothing is written: a crash loses what nobody was told.
//! 2. Make the slots of new records durable. A crash leaves slots that no entry names; they are overwritten later.
//! 3. Append the entry and sync: **the commit point**. A crash before its end leaves a torn tail, which is cut, or a whole
//!    entry that nobody was told about; both are right. A crash after it loses nothing: recovery folds the entry.
//! 4. Fold the events into the state: **visible**. The same function as recovery's, so a crash here changes nothing.
//! 5. Answer. A crash before the answer: the caller sends the same request id again and gets the outcome kept in the entry.
//!
//! When the outcome of step 3 is unknown the writer stops for good: a retried sync lies.
//!
//! Rows of an import go on while the entry before theirs is synced ([`flight`]): they are decided on top of it, as later rows of one
//! entry are on earlier ones. Everything else waits until that entry is visible. Behind a lift rows wait a moment ([`queue`]).

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;
use xinhub_domain::policy::{RegistryPermit, Rules};
use xinhub_domain::time::Timestamp;

use crate::clock::{Clock, ClockFault, ClockGuard};
use crate::command::{CommandError, ImportBatch, Outcome, Request, RowOutcome};
use crate::journal::Journal;
use crate::plan::Planner;
use crate::plan::pending::Pending;
use crate::resident::Resident;
use crate::vault::recent::Recent;
use crate::vault::{Slots, Vault};
use xinhub_domain::position::Position;

mod batch;
mod commit;
mod flight;
mod queue;
mod take;
mod tick;

use batch::{Batch, Reply};
use flight::Flight;
pub(crate) use queue::{LULL, Queue};

/// How often the writer looks at the clock when nothing else wakes it.
const TICK: Duration = Duration::from_millis(250);
/// An entry of commands is closed once its bodies come to this many bytes: well under a frame's bound.
const MAX_ENTRY_BYTES: usize = 4 << 20;
/// The same for an import, whose rows are to be taken together. One more row still fits a frame.
const MAX_IMPORT_BYTES: usize = 12 << 20;
/// After so many jobs what was decided is committed, also if few of them made events: nobody waits for a stream of refusals
/// to end.
const MAX_JOBS: usize = 1_024;

/// What the writer is asked for.
#[derive(Debug)]
pub(crate) enum Job {
    Command(Box<Request>, Reply<Outcome>),
    Import(RegistryPermit, ImportBatch, Reply<Vec<RowOutcome>>),
    Disclose { client: Arc<str>, listings: Vec<u64>, reply: Reply<()> },
    Configure { name: String, text: String, reply: Reply<()> },
    Rules(Arc<Rules>),
    AcceptClock,
    Freeze(oneshot::Sender<crate::resident::snapshot::Frozen>),
    Stop,
}

/// What everyone may see of the writer.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub position: Position,
    pub sequence: u64,
    pub chain: [u8; 32],
    pub lift_seq: u64,
    /// Until when what can wait leaves the processors to those who are told of the last lift.
    pub lull_until: Option<Instant>,
    pub clock_fault: Option<ClockFault>,
    /// Wall and boot time when they last agreed.
    pub agreed: (Timestamp, u64),
    pub full: bool,
    pub failed: bool,
    /// The writer was told to stop, and has.
    pub stopped: bool,
}

impl Published {
    /// For how long yet what can wait leaves the processors to others.
    pub(crate) fn lull(&self) -> Duration {
        self.lull_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// What is there to see of a state that was just loaded.
    pub(crate) fn of(resident: &Resident, clock: &dyn Clock) -> Published {
        Published {
            position: Position { epoch: resident.epoch, revision: resident.revision, time: resident.last_at },
            sequence: resident.sequence,
            chain: resident.chain,
            lift_seq: resident.lift_seq,
            lull_until: None,
            clock_fault: None,
            agreed: (clock.wall(), clock.boot_ms()),
            full: false,
            failed: false,
            stopped: false,
        }
    }
}

pub(crate) struct Writer {
    /// `None` while an entry is on its way.
    pub journal: Option<Box<dyn Journal>>,
    /// The entry that is on its way.
    pub flight: Option<Flight>,
    /// What the next that appends is to give back.
    pub spent: Vec<Arc<Recent>>,
    /// Wakes the writer when it has landed.
    pub landing: Arc<Notify>,
    /// An entry's bytes, again and again.
    pub payload: Vec<u8>,
    pub slots: Slots,
    pub vault: Vault,
    pub resident: Arc<RwLock<Resident>>,
    /// Held while an entry becomes visible: whoever needs one revision for many reads holds it for reading.
    pub gate: Arc<RwLock<()>>,
    /// Odd while an entry becomes visible.
    pub generation: Arc<AtomicU64>,
    pub clock: Arc<dyn Clock>,
    pub guard: ClockGuard,
    /// The time as of which what was due has been looked through.
    pub ticked: Timestamp,
    /// What deadlines are counted by.
    pub rules: Arc<Rules>,
    pub request_key: [u8; 32],
    pub key_epoch: u32,
    /// What an entry's bodies may come to in this journal.
    pub max_entry_bytes: usize,
    pub published: watch::Sender<Published>,
    pub queue: Queue,
    /// For how long rows of imports wait behind a lift.
    pub lull: Duration,
}

/// The writer has to stop.
#[derive(Debug)]
pub(crate) struct Stopped;

impl Writer {
    /// Runs until told to stop, or until the journal fails.
    pub(crate) async fn run(mut self) -> Writer {
        while self.turn().await.is_ok() {}
        // Whoever waits for it is told, and the journal is whole before its directory is unlocked.
        let _ = self.land();
        let failed = self.published.borrow().failed;
        self.queue.close().for_each(|job| refuse(job, failed));
        // Whoever finds the writer gone without this knows that it has not ended as it should.
        self.published.send_modify(|published| published.stopped = !published.failed);
        self
    }

    /// Waits for work, then commits what waits: lifts first, and what came during one sync goes into the next.
    async fn turn(&mut self) -> Result<(), Stopped> {
        let lull = self.lull_until(&Batch::default());
        let next = tokio::select! {
            biased;
            () = self.landing.notified() => None,
            // Where nobody can ask for anything any more, the directory is about to be unlocked.
            next = self.queue.next(lull) => Some(next?),
            () = tokio::time::sleep(TICK) => None,
        };
        let job = match next {
            Some(job) => job,
            None => {
                self.landed_meanwhile()?;
                self.spent = Vec::new();
                None
            }
        };
        // A lift goes on waiting, where it can overtake what the clock brings.
        let job = job.and_then(|job| self.queue.unless_lift(job));
        self.tick()?;
        let mut batch = Batch::default();
        // What the clock has brought may be lifts.
        let mut next = job.and_then(|job| self.queue.unless_held(job, self.lull_until(&batch)));
        for _ in 0..MAX_JOBS {
            let mut waiting = || self.queue.waiting(self.lull_until(&batch));
            let Some(mut job) = next.take().or_else(&mut waiting) else { break };
            if self.has_fallen_due() {
                // At midnight, say: what ends with the day ends before anything else happens to it.
                self.commit(&mut batch)?;
                let left = self.queue.unless_lift(job);
                self.tick()?;
                let Some(other) = left else { continue };
                job = other;
            }
            self.take(job, &mut batch)?;
            if self.is_full(&batch) {
                break;
            }
        }
        self.commit(&mut batch)
    }

    /// Whether no further command goes into one entry with these.
    fn is_full(&self, batch: &Batch) -> bool {
        batch.is_full(self.max_entry_bytes.min(MAX_ENTRY_BYTES))
    }

    /// Until when rows of imports wait for those who are told of lifts, also of those that go into this entry.
    fn lull_until(&self, batch: &Batch) -> Option<Instant> {
        if batch.lifts { Some(Instant::now() + self.lull) } else { self.published.borrow().lull_until }
    }

    fn take(&mut self, job: Job, batch: &mut Batch) -> Result<(), Stopped> {
        if !matches!(job, Job::Import(..)) {
            self.landed()?;
        }
        match job {
            Job::Command(request, reply) => self.take_command(&request, reply, batch),
            Job::Import(permit, import, reply) => self.take_import(&permit, import, reply, batch),
            Job::Disclose { client, listings, reply } => self.take_disclosure(&client, &listings, reply, batch),
            Job::Configure { name, text, reply } => {
                self.commit(batch)?;
                let _ = reply.send(self.configure(name, text));
                self.stopped()
            }
            Job::Rules(rules) => {
                self.commit(batch)?;
                self.rules = rules;
                Ok(())
            }
            Job::AcceptClock => {
                // What the clock brings now is not what the batch was decided on.
                self.commit(batch)?;
                let last = self.resident.read().last_at;
                self.guard.accept(&*self.clock, last);
                self.tick()
            }
            Job::Freeze(reply) => {
                self.commit(batch)?;
                let _ = reply.send(self.resident.write().freeze());
                Ok(())
            }
            Job::Stop => {
                self.commit(batch)?;
                Err(Stopped)
            }
        }
    }

    /// Whether the journal has failed. A job that failed for another reason is no reason to stop.
    fn stopped(&self) -> Result<(), Stopped> {
        if self.published.borrow().failed { Err(Stopped) } else { Ok(()) }
    }

    fn planner<'a>(&'a self, resident: &'a Resident, pending: &'a Pending) -> Planner<'a> {
        let clock_sure = self.published.borrow().clock_fault.is_none();
        let (now, numbers) = (self.now(resident), pending.numbers(resident));
        Planner { resident, vault: &self.vault, now, clock_sure, pending, numbers, rules: &self.rules }
    }

    /// Hub time.
    fn now(&self, resident: &Resident) -> Timestamp {
        self.guard.hub_time(&*self.clock, resident.last_at)
    }
}

fn refuse(job: Job, failed: bool) {
    let error = if failed { CommandError::Storage } else { CommandError::Stopping };
    match job {
        Job::Command(_, reply) => drop(reply.send(Err(error))),
        Job::Import(_, _, reply) => drop(reply.send(Err(error))),
        Job::Disclose { reply, .. } | Job::Configure { reply, .. } => drop(reply.send(Err(error))),
        Job::Rules(_) | Job::AcceptClock | Job::Freeze(_) | Job::Stop => {}
    }
}

#[cfg(test)]
mod tests;
