//! The detail store against what the journal says.

use std::collections::BTreeMap;
use std::path::Path;

use xinhub_domain::listing::{Body, Exemption, RecordId, RecordKind, RelationContent};

use super::journal::Fold;
use super::{Area, Report};
use crate::detail::follow::belongs;
use crate::detail::store::{Store, StoreCopy, StoreFault};
use crate::detail::value::{self, ListingValue, RecordRef};
use crate::table::{ERASED, Extra, Place};
use crate::vault::{Opened, Vault, VaultError};

/// Compares the store in `dir` value by value.
pub(super) fn check(dir: &Path, fold: &Fold, vault: &Vault, report: &mut Report) {
    if !dir.is_dir() {
        return report.note("there is no detail store: it is built after the next start");
    }
    let copy = match StoreCopy::of(dir) {
        Ok(copy) => copy,
        Err(fault) => return report.find(Area::Detail, format!("can't be read, from a copy in TMPDIR: {fault}")),
    };
    if let Err(fault) = copy.store().and_then(|store| check_store(store, fold, vault, report)) {
        report.find(Area::Detail, fault.to_string());
    }
}

fn check_store(store: &Store, fold: &Fold, vault: &Vault, report: &mut Report) -> Result<(), StoreFault> {
    let Some(position) = store.position()? else {
        report.note("the detail store is empty: it is built after the next start");
        return Ok(());
    };
    report.detail_revision = Some(position.revision);
    let tail = (fold.resident.sequence, fold.resident.chain);
    if let Err(what) = belongs(&position, fold.resident.epoch, tail, &**vault.journal()) {
        report.find(Area::Detail, what);
        return Ok(());
    }
    let behind = fold.resident.revision.saturating_sub(position.revision);
    if behind > 0 {
        report.note(format!("the detail store is {behind} events behind: it catches up after the next start"));
    }
    let mut pass = Pass { store, fold, vault, reached: position.revision, caught_up: behind == 0, report };
    pass.listings()?;
    pass.records(RecordKind::Relation)?;
    pass.records(RecordKind::Exemption)
}

struct Pass<'a> {
    store: &'a Store,
    fold: &'a Fold,
    vault: &'a Vault,
    /// The revision up to which values must be there.
    reached: u64,
    caught_up: bool,
    report: &'a mut Report,
}

/// What a value turned out to be.
enum Read<T> {
    Content {
        revision: u64,
        content: T,
    },
    /// The record's key is destroyed.
    Erased,
    /// It was reported.
    Bad,
}

impl Pass<'_> {
    fn find(&mut self, record: RecordId, what: impl std::fmt::Display) {
        let kind = match record.kind {
            RecordKind::Listing => "listing",
            RecordKind::Relation => "relation",
            RecordKind::Exemption => "exemption",
            RecordKind::Petition => "petition",
            RecordKind::Import => "import",
            RecordKind::Hub => "position",
        };
        self.report.find(Area::Detail, format!("{kind} {}: {what}", record.number));
    }

    fn listings(&mut self) -> Result<(), StoreFault> {
        let mut next = 1;
        for found in self.store.values(RecordKind::Listing)? {
            let (number, bytes) = found?;
            self.report.detail_values += 1;
            for absent in next..number.min(self.last() + 1) {
                self.absent(absent);
            }
            next = number + 1;
            let record = value::record(RecordKind::Listing, number);
            if number == 0 || number > self.last() {
                self.find(record, "is superfluous: the journal has no such listing");
                continue;
            }
            self.listing(record, &bytes);
        }
        for absent in next..=self.last() {
            self.absent(absent);
        }
        Ok(())
    }

    fn last(&self) -> u64 {
        self.fold.resident.table.len() as u64
    }

    /// There is no value of this listing.
    fn absent(&mut self, number: u64) {
        let table = &self.fold.resident.table;
        let expected = table.row_of(number).map(|row| table.row(row));
        if expected.is_some_and(|row| !row.has(ERASED) && row.revision() <= self.reached) {
            self.find(value::record(RecordKind::Listing, number), "is missing");
        }
    }

    fn listing(&mut self, record: RecordId, bytes: &[u8]) {
        let Read::Content { revision, content } = self.open::<ListingValue>(record, bytes) else { return };
        let table = &self.fold.resident.table;
        let Some(at) = table.row_of(record.number) else { return };
        let row = table.row(at);
        if row.revision() > self.reached {
            // It is yet to be brought up to date.
            return;
        }
        if revision != row.revision() {
            let text = format!("is stale: as of revision {revision}, the listing's last is {}", row.revision());
            return self.find(record, text);
        }
        match self.expected(at) {
            Ok(Some(expected)) => {
                for field in differing(&expected, &self.without_erased(content)) {
                    self.find(record, format!("{field} differs from what the journal says"));
                }
            }
            Ok(None) => self.find(record, "is superfluous: the journal gives it no content"),
            Err(error) => self.find(record, error),
        }
    }

    /// The value that the journal gives a listing.
    fn expected(&self, at: u32) -> Result<Option<ListingValue>, VaultError> {
        let resident = &self.fold.resident;
        let (row, extra) = (resident.table.row(at), resident.table.extra(at));
        let (Some(state), Some(times)) = (row.state(), self.fold.times.get(at as usize)) else { return Ok(None) };
        let (_, opened) = self.vault.read(row.place)?;
        let Opened::Body(body) = opened else { return Ok(None) };
        let Body::Content { content, .. } = *body else { return Ok(None) };
        let extra = extra.map(Extra::from).unwrap_or_default();
        let relations =
            extra.relations.iter().map(|one| (RecordKind::Relation, one.number, one.place, one.has_ended()));
        let exemptions = extra.exemptions.iter().map(|one| (RecordKind::Exemption, one.number, one.place, one.ended));
        Ok(Some(ListingValue {
            state,
            court: resident.courts.name(row.court).to_owned(),
            content: *content,
            until: row.until(),
            grace_until: extra.grace_until,
            listed_on: times.listed_on,
            updated_at: times.updated_at,
            relations: self.references(relations)?,
            exemptions: self.references(exemptions)?,
        }))
    }

    fn references(
        &self,
        records: impl Iterator<Item = (RecordKind, u64, u64, bool)>,
    ) -> Result<Vec<RecordRef>, VaultError> {
        let mut references = Vec::new();
        for (kind, number, place, ended) in records {
            if self.vault.key(value::record(kind, number))?.is_some() {
                let (clear, _) = self.vault.read(Place(place))?;
                references.push(RecordRef { number, revision: clear.revision, ended });
            }
        }
        Ok(references)
    }

    /// A reader passes over what is erased, so a value may still name it.
    fn without_erased(&self, mut value: ListingValue) -> ListingValue {
        let live = |kind, one: &RecordRef| !matches!(self.vault.key(value::record(kind, one.number)), Ok(None));
        value.relations.retain(|one| live(RecordKind::Relation, one));
        value.exemptions.retain(|one| live(RecordKind::Exemption, one));
        value
    }

    /// Checks and opens a value, and reports what is wrong with it.
    fn open<T>(&mut self, record: RecordId, bytes: &[u8]) -> Read<T>
    where
        T: for<'b> minicbor::Decode<'b, ()>,
    {
        let value = match value::unframe(bytes) {
            Ok(value) => value,
            Err(fault) => {
                self.find(record, format!("is damaged: {fault}"));
                return Read::Bad;
            }
        };
        match self.vault.key(record) {
            Ok(Some(key)) => match value::open(&key, record, &value) {
                Ok(content) => Read::Content { revision: value.revision, content },
                Err(fault) => {
                    self.find(record, format!("is damaged: {fault}"));
                    Read::Bad
                }
            },
            Ok(None) => {
                // Unreadable for good; but what the store has been told to remove should be gone.
                if self.caught_up {
                    self.find(record, "is superfluous: the record was erased");
                }
                Read::Erased
            }
            Err(error) => {
                self.find(record, error);
                Read::Bad
            }
        }
    }

    /// Relations or exemptions: each a value of its own, made once and never changed.
    fn records(&mut self, kind: RecordKind) -> Result<(), StoreFault> {
        let mut known: BTreeMap<u64, u64> = BTreeMap::new();
        for (_, extra) in self.fold.resident.table.extras.iter() {
            match kind {
                RecordKind::Relation => known.extend(extra.relations.iter().map(|one| (one.number, one.place))),
                RecordKind::Exemption => known.extend(extra.rest.exemptions.iter().map(|one| (one.number, one.place))),
                RecordKind::Hub | RecordKind::Listing | RecordKind::Petition | RecordKind::Import => {}
            }
        }
        for found in self.store.values(kind)? {
            let (number, bytes) = found?;
            self.report.detail_values += 1;
            let record = value::record(kind, number);
            let bad = match known.remove(&number) {
                Some(place) => self.record(record, &bytes, Place(place)),
                None => self.stray(record),
            };
            if let Err(error) = bad {
                self.find(record, error);
            }
        }
        for (number, place) in known {
            let record = value::record(kind, number);
            match self.vault.read(Place(place)) {
                Ok((clear, Opened::Body(_))) if clear.revision <= self.reached => self.find(record, "is missing"),
                Ok(_) => {}
                Err(error) => self.find(record, error),
            }
        }
        Ok(())
    }

    /// A value that no listing has: it should not be, unless it goes with a listing that was erased.
    fn stray(&mut self, record: RecordId) -> Result<(), VaultError> {
        let count = match record.kind {
            RecordKind::Relation => self.fold.resident.relations,
            RecordKind::Exemption => self.fold.resident.exemptions,
            RecordKind::Hub | RecordKind::Listing | RecordKind::Petition | RecordKind::Import => 0,
        };
        if record.number == 0 || record.number > count {
            self.find(record, "is superfluous: the journal has no such record");
        } else if self.caught_up && self.vault.key(record)?.is_none() {
            self.find(record, "is superfluous: the record was erased");
        }
        Ok(())
    }

    fn record(&mut self, record: RecordId, bytes: &[u8], place: Place) -> Result<(), VaultError> {
        let (clear, opened) = self.vault.read(place)?;
        let Opened::Body(body) = opened else { return Ok(()) };
        let (revision, same) = match *body {
            Body::Relation { content, .. } => match self.open::<RelationContent>(record, bytes) {
                Read::Content { revision, content: found } => (revision, found == *content),
                Read::Erased | Read::Bad => return Ok(()),
            },
            Body::Exemption { content, .. } => match self.open::<Exemption>(record, bytes) {
                Read::Content { revision, content: found } => (revision, found == *content),
                Read::Erased | Read::Bad => return Ok(()),
            },
            _ => return Ok(()),
        };
        if revision != clear.revision {
            self.find(record, format!("is stale: as of revision {revision}, it was made with {}", clear.revision));
        } else if !same {
            self.find(record, "its content differs from what the journal says");
        }
        Ok(())
    }
}

/// Names of the fields that differ.
fn differing(expected: &ListingValue, found: &ListingValue) -> Vec<&'static str> {
    [
        ("its state", expected.state == found.state),
        ("its court", expected.court == found.court),
        ("its content", expected.content == found.content),
        ("its last day", expected.until == found.until),
        ("its last day of grace", expected.grace_until == found.grace_until),
        ("the day on which it came into force", expected.listed_on == found.listed_on),
        ("the time of its last event", expected.updated_at == found.updated_at),
        ("the list of its relations", expected.relations == found.relations),
        ("the list of its exemptions", expected.exemptions == found.exemptions),
    ]
    .into_iter()
    .filter_map(|(field, same)| (!same).then_some(field))
    .collect()
}
