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

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot, watch};
use xinhub_domain::listing::event::FORMAT as EVENT_FORMAT;
use xinhub_domain::listing::{Body, Clear, EventKind, RecordId, RecordKind};
use xinhub_domain::policy::RegistryPermit;
use xinhub_domain::time::Timestamp;

use crate::clock::{Clock, ClockFault, ClockGuard};
use crate::command::{CommandError, Configured, ImportBatch, Outcome, Request, RowOutcome};
use crate::crypto;
use crate::entry::{Entry, EventRecord, FORMAT, MAX_EVENTS, OutcomeRecord};
use crate::journal::{Journal, JournalError};
use crate::plan::{Numbers, Plan, Planned, Planner, Touch, clock as clock_plan};
use crate::position::Position;
use crate::resident::Resident;
use crate::slots::SlotError;
use crate::table::Place;
use crate::vault::{self, Opened, RECORD_KEY_EPOCH, Slots, Vault};

/// How often the writer looks at the clock when nothing else wakes it.
const TICK: Duration = Duration::from_millis(250);
/// An entry is closed once its bodies come to this many bytes: well under a frame's bound.
const MAX_ENTRY_BYTES: usize = 4 << 20;

type Reply<T> = oneshot::Sender<Result<T, CommandError>>;

/// What the writer is asked for.
#[derive(Debug)]
pub(crate) enum Job {
    Command(Box<Request>, Reply<Outcome>),
    Import(RegistryPermit, ImportBatch, Reply<Vec<RowOutcome>>),
    Disclose { client: Arc<str>, listings: Vec<u64>, reply: Reply<()> },
    Configure { name: String, text: String, reply: Reply<()> },
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
    pub clock_fault: Option<ClockFault>,
    /// Wall and boot time when they last agreed.
    pub agreed: (Timestamp, u64),
    pub full: bool,
    pub failed: bool,
}

pub(crate) struct Writer {
    pub journal: Box<dyn Journal>,
    pub slots: Slots,
    pub vault: Vault,
    pub resident: Arc<RwLock<Resident>>,
    /// Held while an entry becomes visible: whoever needs one revision for many reads holds it for reading.
    pub gate: Arc<RwLock<()>>,
    /// Odd while an entry becomes visible.
    pub generation: Arc<AtomicU64>,
    pub clock: Arc<dyn Clock>,
    pub guard: ClockGuard,
    pub request_key: [u8; 32],
    pub key_epoch: u32,
    pub published: watch::Sender<Published>,
    pub lifts: mpsc::Receiver<Job>,
    pub others: mpsc::Receiver<Job>,
}

/// What goes into the next entry, and who waits for it.
#[derive(Default)]
struct Batch {
    events: Vec<(Planned, Vec<u8>)>,
    bytes: usize,
    outcomes: Vec<OutcomeRecord>,
    replies: Vec<(Reply<Outcome>, Outcome)>,
    touched: HashSet<Touch>,
    /// Lifts only: may use the reserve.
    urgent: bool,
}

impl Batch {
    fn meets(&self, touches: &[Touch]) -> bool {
        touches.iter().any(|touch| self.touched.contains(touch))
    }

    fn add(&mut self, planned: Planned, touches: &[Touch]) {
        let body =
            planned.body.as_ref().map(|body| minicbor::to_vec(body).expect("encoding into memory does not fail"));
        let body = body.unwrap_or_default();
        self.bytes += body.len() + 400;
        self.urgent = planned.lift && (self.events.is_empty() || self.urgent);
        self.events.push((planned, body));
        self.touched.extend(touches);
    }

    fn is_full(&self) -> bool {
        self.events.len() >= MAX_EVENTS || self.bytes >= MAX_ENTRY_BYTES
    }
}

/// The writer has to stop.
#[derive(Debug)]
pub(crate) struct Stopped;

impl Writer {
    /// Runs until told to stop, or until the journal fails.
    pub(crate) async fn run(mut self) -> Writer {
        while self.turn().await.is_ok() {}
        self.lifts.close();
        self.others.close();
        while let Ok(job) = self.lifts.try_recv() {
            refuse(job, self.published.borrow().failed);
        }
        while let Ok(job) = self.others.try_recv() {
            refuse(job, self.published.borrow().failed);
        }
        self
    }

    /// Waits for work, then commits what waits: lifts first, and what came during one sync goes into the next.
    async fn turn(&mut self) -> Result<(), Stopped> {
        let job = tokio::select! {
            biased;
            job = self.lifts.recv() => job,
            job = self.others.recv() => job,
            () = tokio::time::sleep(TICK) => None,
        };
        self.tick()?;
        let mut batch = Batch::default();
        let mut next = job;
        loop {
            let job = match next.take() {
                Some(job) => job,
                None => match self.lifts.try_recv().or_else(|_| self.others.try_recv()) {
                    Ok(job) => job,
                    Err(_) => break,
                },
            };
            self.take(job, &mut batch)?;
            if batch.is_full() {
                break;
            }
        }
        self.commit(&mut batch)
    }

    fn take(&mut self, job: Job, batch: &mut Batch) -> Result<(), Stopped> {
        match job {
            Job::Command(request, reply) => self.take_command(&request, reply, batch),
            Job::Import(permit, import, reply) => {
                self.commit(batch)?;
                let outcomes = self.import(permit.court(), &import);
                let stop = matches!(outcomes, Err(CommandError::Storage));
                let _ = reply.send(outcomes);
                if stop { Err(Stopped) } else { Ok(()) }
            }
            Job::Disclose { client, listings, reply } => {
                self.commit(batch)?;
                self.disclose(&client, &listings, batch);
                let done = self.commit_now(batch);
                let stop = matches!(done, Err(CommandError::Storage));
                let _ = reply.send(done);
                if stop { Err(Stopped) } else { Ok(()) }
            }
            Job::Configure { name, text, reply } => {
                self.commit(batch)?;
                self.configure(name, text, batch);
                let done = self.commit_now(batch);
                let stop = matches!(done, Err(CommandError::Storage));
                let _ = reply.send(done);
                if stop { Err(Stopped) } else { Ok(()) }
            }
            Job::AcceptClock => {
                self.guard.accept(&*self.clock);
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

    fn take_command(&mut self, request: &Request, reply: Reply<Outcome>, batch: &mut Batch) -> Result<(), Stopped> {
        let caller = request.permit.client().id();
        let mac = crypto::mac(&self.request_key, &[caller.as_bytes(), &request.body]);
        // A plan is made against the committed state: what shares a listing or a key with this entry waits for the next.
        let planned = match self.plan(request, batch) {
            Ok(planned) if batch.meets(&planned.touches) || batch.is_full() || batch.urgent != planned.event.lift => {
                self.commit(batch)?;
                self.plan(request, batch)
            }
            planned => planned,
        };
        match self.known_outcome(caller, &request.request_id, &mac) {
            Some(known) => {
                let _ = reply.send(known);
                return Ok(());
            }
            None => {}
        }
        match planned {
            Ok(plan) => {
                let revision = self.resident.read().revision + batch.events.len() as u64 + 1;
                let outcome = self.outcome(&plan, revision);
                batch.outcomes.push(self.outcome_record(caller, request.request_id, mac, &outcome));
                batch.add(plan.event, &plan.touches);
                batch.replies.push((reply, outcome));
            }
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
        Ok(())
    }

    fn plan(&self, request: &Request, batch: &Batch) -> Result<Plan, CommandError> {
        let resident = self.resident.read();
        let mut numbers = self.numbers(&resident, batch);
        self.planner(&resident, &mut numbers).command(request)
    }

    fn planner<'a>(&'a self, resident: &'a Resident, numbers: &'a mut Numbers) -> Planner<'a> {
        let clock_sure = self.published.borrow().clock_fault.is_none();
        Planner { resident, vault: &self.vault, now: self.now(), clock_sure, numbers }
    }

    /// The last numbers given out, those of the entry in the making included.
    fn numbers(&self, resident: &Resident, batch: &Batch) -> Numbers {
        let mut numbers = Numbers::of(resident);
        for (event, _) in batch.events.iter().filter(|(event, _)| event.new_record) {
            match event.record.kind {
                RecordKind::Listing => numbers.listings = event.record.number,
                RecordKind::Relation => numbers.relations = event.record.number,
                RecordKind::Exemption => numbers.exemptions = event.record.number,
                RecordKind::Hub => {}
            }
        }
        numbers
    }

    /// Hub time: never behind what is recorded.
    fn now(&self) -> Timestamp {
        self.clock.wall().max(self.resident.read_recursive().last_at)
    }

    fn known_outcome(&self, caller: &str, id: &[u8; 16], mac: &[u8; 16]) -> Option<Result<Outcome, CommandError>> {
        let resident = self.resident.read();
        let known = resident.outcomes.get(&(*id, resident.clients.find(caller)?))?;
        if known.mac != *mac {
            return Some(Err(CommandError::RequestIdReused));
        }
        let position = Position { epoch: resident.epoch, revision: resident.revision, time: resident.last_at };
        Some(Ok(Outcome {
            listing: known.listing,
            record: known.record,
            state: known.state,
            etag: known.etag,
            position,
            stale: known.stale,
            replayed: true,
            reason_owed: known.reason_owed,
        }))
    }

    fn outcome(&self, plan: &Plan, revision: u64) -> Outcome {
        let resident = self.resident.read();
        let state = plan.event.state.unwrap_or(xinhub_domain::listing::State::Noticed);
        Outcome {
            listing: plan.event.listing,
            record: plan.record,
            state,
            etag: revision,
            position: Position { epoch: resident.epoch, revision, time: resident.last_at },
            stale: plan.stale,
            replayed: false,
            reason_owed: plan.reason_owed,
        }
    }

    fn outcome_record(&self, caller: &str, request_id: [u8; 16], mac: [u8; 16], outcome: &Outcome) -> OutcomeRecord {
        OutcomeRecord {
            caller: caller.to_owned(),
            request_id,
            mac,
            listing: outcome.listing,
            record: outcome.record,
            state: outcome.state,
            etag: outcome.etag,
            stale: outcome.stale,
            reason_owed: outcome.reason_owed,
            at: self.now(),
        }
    }

    fn import(&mut self, court: &str, import: &ImportBatch) -> Result<Vec<RowOutcome>, CommandError> {
        let mut outcomes = Vec::with_capacity(import.rows.len());
        let mut batch = Batch::default();
        for row in &import.rows {
            let mut planned = self.plan_row(court, import, row, &batch)?;
            let meets = planned.1.as_ref().is_some_and(|plan| batch.meets(&plan.touches));
            if !import.dry_run && (meets || batch.is_full()) {
                self.commit_now(&mut batch)?;
                planned = self.plan_row(court, import, row, &batch)?;
            }
            let (outcome, plan) = planned;
            if let Some(plan) = plan {
                batch.add(plan.event, &plan.touches);
            }
            outcomes.push(outcome);
        }
        if !import.dry_run {
            self.commit_now(&mut batch)?;
        }
        Ok(outcomes)
    }

    fn plan_row(
        &self,
        court: &str,
        import: &ImportBatch,
        row: &crate::command::ImportRow,
        batch: &Batch,
    ) -> Result<crate::plan::import::RowPlan, CommandError> {
        let resident = self.resident.read();
        let mut numbers = self.numbers(&resident, batch);
        self.planner(&resident, &mut numbers).row(court, import, row)
    }

    fn disclose(&mut self, client: &Arc<str>, listings: &[u64], batch: &mut Batch) {
        let resident = self.resident.read();
        let known = resident.clients.find(client);
        for number in listings {
            let Some(row) = resident.table.row_of(*number) else { continue };
            let told = resident.table.extra(row).zip(known).is_some_and(|(extra, id)| extra.disclosed_to.contains(&id));
            let touch = Touch::Listing(*number);
            if told || batch.touched.contains(&touch) {
                continue;
            }
            let listing = resident.table.row(row);
            let planned = Planned {
                kind: EventKind::Disclose,
                record: RecordId { kind: RecordKind::Listing, number: *number },
                new_record: false,
                listing: *number,
                court: resident.courts.name(listing.court).to_owned(),
                state: listing.state(),
                until: listing.until(),
                grace_until: None,
                lift: false,
                body: Some(Body::Disclosed { client: client.to_string() }),
                open: None,
            };
            batch.add(planned, &[touch]);
        }
    }

    fn configure(&mut self, name: String, text: String, batch: &mut Batch) {
        let hash = crypto::sha256(&[text.as_bytes()]);
        if self.resident.read().configured.get(&name) == Some(&hash) {
            return;
        }
        let open = minicbor::to_vec(Configured { name, hash, text }).expect("encoding into memory does not fail");
        let planned = Planned {
            kind: EventKind::Configure,
            record: RecordId { kind: RecordKind::Hub, number: 0 },
            new_record: false,
            listing: 0,
            court: String::new(),
            state: None,
            until: None,
            grace_until: None,
            lift: false,
            body: None,
            open: Some(open),
        };
        batch.add(planned, &[]);
    }

    /// Looks at the clock, and records what it has brought: all of it before the next command is decided.
    pub(crate) fn tick(&mut self) -> Result<(), Stopped> {
        let last = self.resident.read().last_at;
        let checked = self.guard.check(&*self.clock, last);
        let fault = checked.err();
        if self.published.borrow().clock_fault != fault {
            if let Some(fault) = fault {
                tracing::error!(%fault, "the clock is unsure: time events are frozen");
            }
            self.published.send_modify(|published| published.clock_fault = fault);
        }
        let Ok(now) = checked else { return Ok(()) };
        let agreed = (now, self.clock.boot_ms());
        self.published.send_if_modified(|published| {
            published.agreed = agreed;
            false
        });
        loop {
            let due = self.resident.write().due.take(now, MAX_EVENTS);
            if due.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::default();
            let mut later = Vec::new();
            {
                let resident = self.resident.read();
                for (when, event) in &due {
                    match clock_plan::planned(&resident, *event, now) {
                        Some((_, touch)) if batch.meets(&[touch]) => later.push((*when, *event)),
                        Some((planned, touch)) => batch.add(planned, &[touch]),
                        None => {}
                    }
                }
            }
            // What is due frees somebody, or falls due again: on a full disk it may use the reserve.
            batch.urgent = true;
            match self.commit_now(&mut batch) {
                Ok(()) => self.resident.write().due.put_back(later),
                Err(CommandError::Storage) => return Err(Stopped),
                Err(_) => {
                    self.resident.write().due.put_back(due);
                    return Ok(());
                }
            }
        }
    }

    /// Commits; tells everyone who waits.
    fn commit(&mut self, batch: &mut Batch) -> Result<(), Stopped> {
        match self.commit_now(batch) {
            Err(CommandError::Storage) => Err(Stopped),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn commit_now(&mut self, batch: &mut Batch) -> Result<(), CommandError> {
        let batch = std::mem::take(batch);
        if batch.events.is_empty() {
            return Ok(());
        }
        let committed = self.write(&batch);
        match committed {
            Ok(()) => {
                for (reply, mut outcome) in batch.replies {
                    outcome.position.time = self.published.borrow().position.time;
                    let _ = reply.send(Ok(outcome));
                }
                Ok(())
            }
            Err(error) => {
                for (reply, _) in batch.replies {
                    let _ = reply.send(Err(error.clone()));
                }
                self.published.send_modify(|published| {
                    published.full = error == CommandError::Full;
                    published.failed |= error == CommandError::Storage;
                });
                Err(error)
            }
        }
    }

    /// Steps 2 to 4 of a commit.
    fn write(&mut self, batch: &Batch) -> Result<(), CommandError> {
        let entry = self.seal(batch)?;
        let frame = self.journal.append(&entry.encode(), batch.urgent).map_err(|error| match error {
            JournalError::Full => CommandError::Full,
            JournalError::Failed(what) => {
                tracing::error!(%what, "the journal failed: the hub has to stop and recover");
                CommandError::Storage
            }
        })?;
        self.make_visible(&entry, batch, frame)
    }

    /// Makes keys for new records durable, and seals every body.
    fn seal(&mut self, batch: &Batch) -> Result<Entry, CommandError> {
        let mut fresh = std::collections::HashMap::new();
        for kind in [RecordKind::Listing, RecordKind::Relation, RecordKind::Exemption] {
            let new: Vec<u64> = batch
                .events
                .iter()
                .filter(|(event, _)| event.new_record && event.record.kind == kind)
                .map(|(event, _)| event.record.number)
                .collect();
            let Some(first) = new.first() else { continue };
            let keys = self.slots.make(kind, *first, new.len()).map_err(slot_error)?;
            fresh.extend(new.iter().map(|number| (kind, *number)).zip(keys));
        }
        let (first_revision, mut lift_seq, epoch) = {
            let resident = self.resident.read();
            (resident.revision + 1, resident.lift_seq, resident.epoch)
        };
        let at = self.now();
        let mut events = Vec::with_capacity(batch.events.len());
        for (revision, (event, body)) in (first_revision..).zip(&batch.events) {
            lift_seq += u64::from(event.lift);
            let clear = Clear {
                format: EVENT_FORMAT,
                revision,
                kind: event.kind,
                record: event.record,
                listing: event.listing,
                key_epoch: RECORD_KEY_EPOCH,
                court: event.court.clone(),
                at,
                state: event.state,
                until: event.until,
                grace_until: event.grace_until,
                lift_seq: event.lift.then_some(lift_seq),
                commitment: None,
                open: event.open.clone(),
            };
            events.push(match (event.body.is_some(), fresh.get(&(event.record.kind, event.record.number))) {
                (false, _) => EventRecord::new(clear, None),
                (true, Some(key)) => vault::seal(key, clear, body),
                (true, None) => {
                    let key = self.vault.key(event.record).map_err(|error| {
                        tracing::error!(%error, "a record's key can't be read");
                        CommandError::Storage
                    })?;
                    vault::seal(&key.ok_or(CommandError::NotFound("record"))?, clear, body)
                }
            });
        }
        Ok(Entry {
            format: FORMAT,
            key_epoch: self.key_epoch,
            epoch,
            first_revision,
            at,
            events,
            outcomes: batch.outcomes.clone(),
        })
    }

    /// Step 4: folds the entry as recovery would, then tells the revision.
    fn make_visible(&mut self, entry: &Entry, batch: &Batch, frame: u64) -> Result<(), CommandError> {
        let tail = self.journal.tail();
        let _closed = self.gate.write();
        self.generation.fetch_add(1, Ordering::AcqRel);
        for (at, (record, (event, _))) in entry.events.iter().zip(&batch.events).enumerate() {
            let opened = match &event.body {
                Some(body) => Opened::Body(Box::new(body.clone())),
                None => Opened::Nothing,
            };
            let folded = record.clear().map_err(|error| error.to_string()).and_then(|clear| {
                let mut resident = self.resident.write();
                resident.apply(&clear, &opened, Place::new(frame, at)).map_err(|error| error.to_string())
            });
            if let Err(what) = folded {
                // The entry is durable and the state is not its fold: answering on would be answering wrongly.
                tracing::error!(%what, "an entry does not fit the state: the hub has to stop and recover");
                return Err(CommandError::Storage);
            }
        }
        let mut resident = self.resident.write();
        for outcome in &batch.outcomes {
            resident.note_outcome(outcome.clone());
        }
        (resident.sequence, resident.chain) = (tail.sequence, tail.chain);
        let position = Position { epoch: resident.epoch, revision: resident.revision, time: resident.last_at };
        let lift_seq = resident.lift_seq;
        drop(resident);
        self.published.send_modify(|published| {
            published.position = position;
            published.sequence = tail.sequence;
            published.chain = tail.chain;
            published.lift_seq = lift_seq;
            published.full = false;
        });
        // Published first: who sees the generation even again also sees the new revision.
        self.generation.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
}

fn slot_error(error: SlotError) -> CommandError {
    match error {
        SlotError::Full { .. } => CommandError::Full,
        other => {
            tracing::error!(error = %other, "the slot file failed: the hub has to stop and recover");
            CommandError::Storage
        }
    }
}

fn refuse(job: Job, failed: bool) {
    let error = if failed { CommandError::Storage } else { CommandError::Stopping };
    match job {
        Job::Command(_, reply) => drop(reply.send(Err(error))),
        Job::Import(_, _, reply) => drop(reply.send(Err(error))),
        Job::Disclose { reply, .. } | Job::Configure { reply, .. } => drop(reply.send(Err(error))),
        Job::AcceptClock | Job::Freeze(_) | Job::Stop => {}
    }
}
