//! Imports that wait for a second person: staged, released, refused, taken.

use xinhub_domain::deadline::Clock;
use xinhub_domain::import::{Header, ImportAction, ImportState};
use xinhub_domain::listing::{Actor, Body, EventKind, RecordId, RecordKind};
use xinhub_domain::policy::RegistryPermit;
use xinhub_domain::time::Timestamp;

use super::deadlines::beginning;
use super::{Plan, Planned, Planner, Touch, actor, fault};
use crate::command::{CommandError, Request, StagedCommand};
use crate::resident::staged::{ImportRow, ListConfirmed};
use crate::table::Place;

/// So many imports of one court may wait: each holds a file.
const MAX_OPEN_IMPORTS: usize = 16;

impl Planner<'_> {
    /// Decides what a court does with a staged import.
    pub(super) fn staged(
        &mut self,
        request: &Request,
        permit: &RegistryPermit,
        command: &StagedCommand,
    ) -> Result<Plan, CommandError> {
        match command {
            StagedCommand::Stage { import } => {
                self.check_room(permit.court())?;
                let record = self.numbers.take(RecordKind::Import);
                let body = Body::Staged { content: import.clone(), actor: actor(request)?.clone() };
                let mut plan = self.import_event(permit, record.number, ImportState::Staged, Some(body));
                plan.event.new_record = true;
                // Room is counted by what is committed: two of them don't go into one entry.
                plan.touches.push(Touch::Import(0));
                Ok(plan)
            }
            StagedCommand::Release { import } => self.release_import(permit, actor(request)?, *import),
            StagedCommand::Confirm { import, ground, gone, added, in_force } => {
                let as_of = self.list_as_of(permit, *import)?;
                let as_of = as_of.ok_or(CommandError::OtherMode("the import is no complete list: approve it"))?;
                let additions_wait = permit.signing().additions_wait(*added, *in_force);
                let state = self.import_after(permit, *import, ImportAction::Confirm { additions_wait })?.1;
                let actor = actor(request)?.clone();
                let body = Body::Act { actor, ground: Some(ground.clone()), note: None, approver: None };
                let mut plan = self.import_event(permit, *import, state, Some(body));
                let confirmed = ListConfirmed { as_of, gone: *gone, added: *added };
                plan.event.open = Some(minicbor::to_vec(confirmed).expect("encoding into memory does not fail"));
                Ok(plan)
            }
            StagedCommand::Reject { import, note } => {
                let state = self.import_after(permit, *import, ImportAction::Reject)?.1;
                let body = act(actor(request)?, note.clone());
                Ok(self.import_event(permit, *import, state, Some(body)))
            }
            StagedCommand::Finish { import, counts } => {
                let state = self.import_after(permit, *import, ImportAction::Finish)?.1;
                let mut plan = self.import_event(permit, *import, state, None);
                let counts = minicbor::to_vec(counts).expect("encoding into memory does not fail");
                plan.event.open = Some(counts);
                Ok(plan)
            }
        }
    }

    fn check_room(&self, court: &str) -> Result<(), CommandError> {
        let Some(court) = self.resident.courts.find(court) else { return Ok(()) };
        let waiting = self.resident.imports.open.values().filter(|row| row.court == court).count();
        if waiting < MAX_OPEN_IMPORTS {
            return Ok(());
        }
        let problem =
            format!("{MAX_OPEN_IMPORTS} imports of this court wait for their release: approve or reject some");
        Err(fault("import", &problem))
    }

    /// The approver is an authorised signer, and another person than who sent the file.
    fn release_import(&mut self, permit: &RegistryPermit, actor: &Actor, number: u64) -> Result<Plan, CommandError> {
        let (row, state) = self.import_after(permit, number, ImportAction::Release)?;
        let sender = match self.vault.staged(Place(row.place))? {
            Some((_, sender)) => sender,
            None => return Err(CommandError::NotFound("import")),
        };
        if sender.staff_id == actor.staff_id {
            return Err(CommandError::SecondPersonRequired);
        }
        if !permit.signing().is_signer(&actor.staff_id) {
            return Err(CommandError::NotASigner);
        }
        if self.list_as_of(permit, number)?.is_some() && row.state == ImportState::Staged {
            let problem = "the import is a complete list: confirm it first, since its removals go before its additions";
            return Err(CommandError::OtherMode(problem));
        }
        Ok(self.import_event(permit, number, state, Some(act(actor, None))))
    }

    /// The time of a complete list, unless one of a later time was confirmed meanwhile; `None` for any other import.
    fn list_as_of(&self, permit: &RegistryPermit, number: u64) -> Result<Option<Timestamp>, CommandError> {
        let absent = || CommandError::NotFound("import that waits");
        let row = self.resident.imports.open.get(&number).ok_or_else(absent)?;
        if self.resident.courts.name(row.court) != permit.court() {
            return Err(absent());
        }
        let (staged, _) = self.vault.staged(Place(row.place))?.ok_or_else(absent)?;
        if staged.knows.is_none() {
            return Ok(None);
        }
        let header = Header::parse(&staged.header).map_err(|_| CommandError::Unreadable)?;
        match self.resident.imports.is_older_list(row.court, header.as_of) {
            true => Err(CommandError::OlderList),
            false => Ok(Some(header.as_of)),
        }
    }

    /// The import, and its state after an action. Another court's is as if it were not there.
    fn import_after(
        &self,
        permit: &RegistryPermit,
        number: u64,
        action: ImportAction,
    ) -> Result<(&ImportRow, ImportState), CommandError> {
        let absent = CommandError::NotFound("import that waits");
        let row = self.resident.imports.open.get(&number).ok_or(absent.clone())?;
        if self.resident.courts.name(row.court) != permit.court() {
            return Err(absent);
        }
        let state = row.state.next(action).ok_or(CommandError::Import(row.state))?;
        Ok((row, state))
    }

    fn import_event(&self, permit: &RegistryPermit, number: u64, state: ImportState, body: Option<Body>) -> Plan {
        let (court, record) = (permit.court().to_owned(), RecordId { kind: RecordKind::Import, number });
        let runs = state.is_open().then(|| beginning(self.rules.deadlines(&court), Clock::Release, self.now.day()));
        let deadlines = runs.flatten().into_iter().collect();
        let event =
            Planned { import: Some(state), body, deadlines, ..Planned::new(EventKind::Import, record, 0, court) };
        Plan {
            event,
            also: None,
            record: number,
            stale: false,
            reason_owed: false,
            late: false,
            restricts: false,
            touches: vec![Touch::Import(number)],
        }
    }
}

fn act(actor: &Actor, note: Option<String>) -> Body {
    Body::Act { actor: actor.clone(), ground: None, note, approver: None }
}
