//! Step 1 of a commit: what each job comes to.

use std::sync::Arc;

use xinhub_domain::deadline::Clock;
use xinhub_domain::import::ImportState;
use xinhub_domain::listing::{Body, EventKind, RecordId, RecordKind, State};
use xinhub_domain::policy::{RegistryPermit, Release};

use super::batch::{Batch, Reply, Waiting};
use super::{MAX_ENTRY_BYTES, MAX_IMPORT_BYTES, Stopped, Writer};
use crate::command::{CommandError, Configured, ImportBatch, MAX_IMPORT_ROWS, Outcome, Request, RowOutcome};
use crate::crypto::{self, RecordKey};
use crate::entry::OutcomeRecord;
use crate::plan::deadlines::beginning;
use crate::plan::import::Terms;
use crate::plan::pending::Pending;
use crate::plan::{Numbers, Plan, Planned, Touch, fault};
use crate::resident::Resident;
use xinhub_domain::position::Position;

impl Writer {
    pub(super) fn take_command(
        &mut self,
        request: &Request,
        reply: Reply<Outcome>,
        batch: &mut Batch,
    ) -> Result<(), Stopped> {
        let caller = request.act.client().id();
        let mac = crypto::mac(&self.request_key, &[caller.as_bytes(), &request.body]);
        if batch.touched.contains(&Touch::Request(request.request_id)) {
            // Sent twice at once: the second gets what becomes of the first.
            self.commit(batch)?;
        }
        if let Some(known) = self.known_outcome(caller, &request.request_id, &mac) {
            let _ = reply.send(known);
            return Ok(());
        }
        // A plan is made against the committed state: what shares a listing or a key with this entry waits for the next.
        let mut planned = self.plan(request, batch);
        if planned.as_ref().is_ok_and(|(plan, ..)| batch.conflicts(plan)) {
            self.commit(batch)?;
            planned = self.plan(request, batch);
        }
        match planned {
            Ok((plan, numbers, keys)) => {
                let outcome = self.outcome(&plan, batch);
                batch.outcomes.push(self.outcome_record(caller, request.request_id, mac, &outcome));
                batch.add_plan(plan, numbers, keys);
                batch.waiting.push(Waiting::Outcome(reply, outcome));
            }
            Err(error) => drop(reply.send(Err(error))),
        }
        Ok(())
    }

    #[allow(clippy::type_complexity)] // A plan, and what it is committed with.
    fn plan(&self, request: &Request, batch: &Batch) -> Result<(Plan, Numbers, [Option<RecordKey>; 2]), CommandError> {
        let resident = self.resident.read();
        let mut planner = self.planner(&resident, &batch.pending);
        let mut plan = planner.command(request)?;
        let numbers = planner.numbers;
        let first = self.record_key(&mut plan.event)?;
        let second = plan.also.as_mut().map(|event| self.record_key(event)).transpose()?.flatten();
        Ok((plan, numbers, [first, second]))
    }

    /// The key of a record that is there already. A lift whose record's key can't be read goes through all the same; what is
    /// lost then is who lifted it and why.
    fn record_key(&self, event: &mut Planned) -> Result<Option<RecordKey>, CommandError> {
        let Some(body) = event.body.as_ref().filter(|_| !event.new_record) else { return Ok(None) };
        let error = match self.vault.key(event.record) {
            Ok(Some(key)) => return Ok(Some(key)),
            Ok(None) => CommandError::NotFound("record"),
            Err(error) => {
                tracing::error!(record = ?event.record, %error, "a record's key can't be read");
                CommandError::Unreadable
            }
        };
        if event.lift && matches!(body, Body::Act { .. } | Body::Ended { .. }) {
            event.body = None;
            return Ok(None);
        }
        Err(error)
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
            petition: known.petition,
            late: known.late,
        }))
    }

    /// What a plan comes to, as the next event of the entry.
    fn outcome(&self, plan: &Plan, batch: &Batch) -> Outcome {
        let resident = self.resident.read();
        let revision = resident.revision + batch.len() as u64 + 1;
        let row = resident.table.row_of(plan.event.listing);
        let standing = row.and_then(|row| resident.table.row(row).state());
        Outcome {
            listing: plan.event.listing,
            record: plan.record,
            state: plan.events().filter_map(|event| event.state).last().or(standing).unwrap_or(State::Noticed),
            etag: revision,
            position: Position { epoch: resident.epoch, revision, time: resident.last_at },
            stale: plan.stale,
            replayed: false,
            reason_owed: plan.reason_owed,
            petition: plan.event.petition.map(|petition| petition.state),
            late: plan.late,
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
            petition: outcome.petition,
            late: outcome.late,
            at: self.now(&self.resident.read()),
        }
    }

    pub(super) fn take_import(
        &mut self,
        permit: &RegistryPermit,
        import: ImportBatch,
        reply: Reply<Vec<RowOutcome>>,
        batch: &mut Batch,
    ) -> Result<(), Stopped> {
        self.commit(batch)?;
        // Only what is appended to the list is decided on top of an entry that is on its way: a complete list is compared with
        // what stands, and by its revisions.
        if import.dry_run || import.complete.is_some() {
            self.landed()?;
        }
        match self.import(permit, import) {
            Ok((batch, rows)) => self.launch(batch, rows, reply),
            Err(error) => {
                let _ = reply.send(Err(error));
                self.stopped()
            }
        }
    }

    /// What rows come to: all of them in one entry, unless their contents come to more than [`MAX_IMPORT_BYTES`].
    fn import(
        &mut self,
        permit: &RegistryPermit,
        import: ImportBatch,
    ) -> Result<(Batch, Vec<RowOutcome>), CommandError> {
        if import.rows.len() > MAX_IMPORT_ROWS {
            return Err(fault("rows", &format!("are at most {MAX_IMPORT_ROWS} a batch")));
        }
        let lifts = import.is_lift();
        if self.published.borrow().clock_fault.is_some() && !lifts {
            return Err(CommandError::ClockUnsure);
        }
        let adds = self.may_add(permit, &import)?;
        let (complete, amend) = (import.complete.as_ref(), import.amend);
        let terms = Terms { court: permit.court(), actor: &import.actor, amend, complete, adds };
        let mut outcomes = Vec::with_capacity(import.rows.len());
        let before = self.flight.as_ref().map(|flight| Arc::clone(&flight.pending));
        let pending = Pending::of_rows(import.rows.len(), before);
        let mut batch = Batch { urgent: lifts, pending, ..Batch::default() };
        for row in import.rows {
            if !import.dry_run && batch.is_full_of_rows(self.max_entry_bytes.min(MAX_IMPORT_BYTES)) {
                self.land()?;
                batch.pending.forget_before();
                self.commit_now(&mut batch)?;
                batch.urgent = lifts;
            }
            let resident = self.resident.read();
            let mut planner = self.planner(&resident, &batch.pending);
            let (outcome, plan) = planner.row(terms, row)?;
            let numbers = planner.numbers;
            if let Some(mut plan) = plan {
                let key = self.record_key(&mut plan.event)?;
                batch.pending.add_row(plan, numbers, key);
            }
            outcomes.push(outcome);
        }
        Ok((if import.dry_run { Batch::default() } else { batch }, outcomes))
    }

    /// Whether rows may list somebody. An error where they may do nothing: what two people release waits for the second, and a
    /// complete list for its confirmation.
    fn may_add(&self, permit: &RegistryPermit, import: &ImportBatch) -> Result<bool, CommandError> {
        if import.dry_run || (permit.release() == Release::One && import.complete.is_none()) {
            return Ok(true);
        }
        let resident = self.resident.read();
        let row = import.released.and_then(|number| resident.imports.open.get(&number));
        let row = row.filter(|row| resident.courts.name(row.court) == permit.court());
        if import.complete.is_some() && row.is_some_and(|row| resident.imports.is_older_list(row.court, import.as_of)) {
            // Confirmed while this one was being taken.
            return Err(CommandError::OlderList);
        }
        match (row.map(|row| row.state), &import.complete) {
            (Some(ImportState::Released), _) => Ok(true),
            (Some(ImportState::Confirmed), Some(_)) => Ok(false),
            (_, _) => Err(CommandError::SecondPersonRequired),
        }
    }

    /// Goes into the entry in the making: the first answers to many callers are recorded with one sync.
    pub(super) fn take_disclosure(
        &mut self,
        client: &Arc<str>,
        listings: &[u64],
        reply: Reply<()>,
        batch: &mut Batch,
    ) -> Result<(), Stopped> {
        if batch.urgent && !batch.is_empty() {
            self.commit(batch)?;
        }
        let mut waits = false;
        for listing in listings {
            if batch.told.contains(&(*listing, Arc::clone(client))) {
                waits = true;
                continue;
            }
            let (event, numbers) = {
                let resident = self.resident.read();
                let Some(event) = self.disclosure(&resident, client, *listing) else { continue };
                (event, batch.pending.numbers(&resident))
            };
            if batch.is_full(self.max_entry_bytes.min(MAX_ENTRY_BYTES))
                && let Err(error) = self.commit_now(batch)
            {
                let _ = reply.send(Err(error));
                return self.stopped();
            }
            let mut event = event;
            match self.record_key(&mut event) {
                Ok(key) => batch.add(event, numbers, key, &[]),
                Err(error) => {
                    let _ = reply.send(Err(error));
                    return Ok(());
                }
            }
            batch.told.insert((*listing, Arc::clone(client)));
            waits = true;
        }
        if waits && !batch.is_empty() {
            batch.waiting.push(Waiting::Done(reply));
        } else {
            let _ = reply.send(Ok(()));
        }
        Ok(())
    }

    /// Commits a configuration text, unless it is in force already.
    pub(super) fn configure(&mut self, name: String, text: String) -> Result<(), CommandError> {
        if text.len() > MAX_ENTRY_BYTES {
            return Err(fault(&name, &format!("has more than {MAX_ENTRY_BYTES} bytes")));
        }
        let hash = crypto::sha256(&[text.as_bytes()]);
        let numbers = {
            let resident = self.resident.read();
            if resident.configured.get(&name) == Some(&hash) {
                return Ok(());
            }
            Numbers::of(&resident)
        };
        let open = minicbor::to_vec(Configured { name, hash, text }).expect("encoding into memory does not fail");
        let record = RecordId { kind: RecordKind::Hub, number: 0 };
        let event = Planned { open: Some(open), ..Planned::new(EventKind::Configure, record, 0, String::new()) };
        let mut batch = Batch::default();
        batch.add(event, numbers, None, &[]);
        self.commit_now(&mut batch)
    }

    /// The event for a client that is answered adversely on a listing for the first time.
    fn disclosure(&self, resident: &Resident, client: &Arc<str>, number: u64) -> Option<Planned> {
        let row = resident.table.row_of(number)?;
        let known = resident.clients.find(client);
        let told =
            resident.table.extra(row).zip(known).is_some_and(|(extra, id)| extra.rest.disclosed_to.contains(&id));
        if told {
            return None;
        }
        let listing = resident.table.row(row);
        let record = RecordId { kind: RecordKind::Listing, number };
        let court = resident.courts.name(listing.court).to_owned();
        let body = Body::Disclosed { client: client.to_string() };
        // What else goes into the entry may lift the listing: who is told after that owes the end of it from the start.
        let owed = beginning(self.rules.deadlines(&court), Clock::LiftMeasures, self.now(resident).day());
        let deadlines = owed.into_iter().collect();
        Some(Planned { body: Some(body), deadlines, ..Planned::new(EventKind::Disclose, record, number, court) })
    }
}
