//! What must be so after every start, whatever the disk did before.

use std::collections::HashSet;

use xinhub_ledger::fsck::compare;
use xinhub_ledger::resident::Resident;
use xinhub_ledger::testing::Bench;
use xinhub_ledger::{Ledger, OpenError};

use crate::workload::{Lift, Model};

/// Opens what a disk holds and checks it against what was acknowledged.
///
/// # Errors
/// The broken promise; or `None` where the disk failed, as it was told to.
pub(crate) fn start(bench: &Bench, model: &mut Model) -> Result<Ledger, Option<String>> {
    let ledger = match bench.try_open() {
        Err(OpenError::Missing) if model.created => return Err(Some("the ledger is gone".to_owned())),
        Err(OpenError::Missing) => {
            bench.create().map_err(only_disk)?;
            bench.try_open().map_err(only_disk)?
        }
        opened => opened.map_err(only_disk)?,
    };
    model.created = true;
    check(bench, &ledger, model).map_err(Some)?;
    Ok(ledger)
}

/// Failures of the disk are what the test is about; what was found on it must be whole.
pub(crate) fn only_disk(error: OpenError) -> Option<String> {
    use xinhub_ledger::seglog::LogError;
    use xinhub_ledger::slots::SlotError;
    match error {
        OpenError::Io { .. }
        | OpenError::Tick(_)
        | OpenError::Log(LogError::Io { .. } | LogError::Poisoned | LogError::Full { .. })
        | OpenError::Slots(SlotError::Io { .. } | SlotError::Poisoned | SlotError::Full { .. }) => None,
        other => {
            let text = other.to_string();
            // A read that failed because the power was off is told with the words of what was read.
            if text.contains("power") { None } else { Some(text) }
        }
    }
}

/// Every acknowledged outcome there, nothing half-applied, every slot readable, and the state the journal's fold.
pub(crate) fn check(bench: &Bench, ledger: &Ledger, model: &Model) -> Result<(), String> {
    // Opens every sealed part of every entry: a slot that can't be read fails here.
    let fold = bench.fold().map_err(|text| format!("the journal does not fold: {text}"))?;
    ledger.inspect(|resident| {
        let differences = compare(&fold, resident);
        if !differences.is_empty() {
            return Err(format!("the state is not the journal's fold: {}", differences.join("; ")));
        }
        check_outcomes(resident, model)?;
        check_lifts(resident, model)?;
        check_imports(resident, model)?;
        for (listing, client) in &model.told {
            let told = resident.table.row_of(*listing).and_then(|row| resident.table.extra(row));
            let known = resident.clients.find(client);
            if !told.zip(known).is_some_and(|(extra, client)| extra.rest.disclosed_to.contains(&client)) {
                return Err(format!("listing {listing}: it is forgotten that {client} was told"));
            }
        }
        Ok(())
    })
}

fn check_outcomes(resident: &Resident, model: &Model) -> Result<(), String> {
    let mut made = HashSet::new();
    for acked in &model.acked {
        let outcome = &acked.outcome;
        let tell = |what: &str| Err(format!("listing {}, etag {}: {what}", outcome.listing, outcome.etag));
        let caller = resident.clients.find(acked.caller);
        let known = caller.and_then(|caller| resident.outcomes.get(&(acked.request_id, caller)));
        let Some(known) = known else { return tell("the acknowledged outcome is gone") };
        if (known.listing, known.record, known.etag, known.state)
            != (outcome.listing, outcome.record, outcome.etag, outcome.state)
        {
            return tell("another outcome is kept than was acknowledged");
        }
        let Some(row) = resident.table.row_of(outcome.listing) else { return tell("the listing is gone") };
        let listing = resident.table.row(row);
        if resident.courts.name(listing.court) != acked.court {
            return tell("the listing is another court's now");
        }
        if listing.revision() < outcome.etag || resident.revision < outcome.position.revision {
            return tell("the state is older than what was acknowledged");
        }
        if !made.insert(outcome.etag) {
            return tell("two outcomes have one revision");
        }
    }
    Ok(())
}

/// Nobody is restricted whose lift was acknowledged.
fn check_lifts(resident: &Resident, model: &Model) -> Result<(), String> {
    for acked in model.acked.iter().filter(|acked| acked.lift != Lift::None) {
        let (listing, record) = (acked.outcome.listing, acked.outcome.record);
        let Some(row) = resident.table.row_of(listing) else { continue };
        let mut restricts = false;
        for key in resident.keys_of(row) {
            resident.each_in_force(&key, |held| restricts |= held.row == row);
        }
        let extra = resident.table.extra(row);
        let lifted = match acked.lift {
            Lift::None => true,
            Lift::Hidden => !restricts || model.restored.contains(&listing),
            Lift::Ended => !restricts && resident.table.row(row).state().is_some_and(|state| state.has_ended()),
            Lift::Relation => {
                extra.is_some_and(|extra| extra.relations.iter().any(|one| one.number == record && one.has_ended()))
            }
            Lift::Exemption => extra.is_some_and(|extra| extra.rest.exemptions.iter().any(|one| one.number == record)),
        };
        if !lifted {
            return Err(format!(
                "listing {listing}, record {record}: the acknowledged lift ({:?}) is undone",
                acked.lift
            ));
        }
    }
    Ok(())
}

/// A batch of rows is there as a whole, or not at all.
fn check_imports(resident: &Resident, model: &Model) -> Result<(), String> {
    for (subjects, acked) in &model.imports {
        let known = |subject| resident.keys(subject).next().is_some_and(|key| resident.rows_of(&key).next().is_some());
        let there = subjects.iter().filter(|subject| known(subject)).count();
        if there != subjects.len() && (*acked || there != 0) {
            return Err(format!("{there} of {} rows of an import are there (acknowledged: {acked})", subjects.len()));
        }
    }
    Ok(())
}
