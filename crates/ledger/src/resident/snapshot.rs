//! The state in memory as a file, so that a start reads the journal's tail only.
//!
//! A snapshot is derived: a missing, damaged or foreign one costs time, never data. It is written from a frozen copy, to a
//! temporary name, synced, then renamed; so a file under a snapshot's name is whole unless the disk has damaged it.
//!
//! Layout: the magic, format u16, key_epoch u32, the epoch; then, sealed ([`sealed`]), sections of chunks
//! `length u32 | crc32c u32 | bytes`, little-endian: the header (CBOR), rows of 40 bytes by 4,096 a chunk, side entries (CBOR) by
//! 1,024, outcomes, petitions, open deadlines, open imports and counts
//! (CBOR) by 1,024; then the index's own section.

mod sealed;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::Scope;

use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};
use xinhub_domain::time::{Day, Timestamp};
use xinhub_index::{Heads, LoadError, read_entries, write_entries};

use sealed::{Ahead, SealedReader, SealedWriter};

use super::due::{Due, Event};
use super::outcomes::{KeptOutcome, Outcomes};
use super::remedy::{Bound, PetitionRow, Remedy, Running};
use super::staged::{ImportRow, Imports};
use super::statistics::{Flow, FlowKey, Kept, KeptKey, Statistics};
use super::{Interner, Resident};
use crate::crypto::{self, Prf, RecordKey};
use crate::entry::OutcomeRecord;
use crate::table::{Extra, Row, Side, Table};

const MAGIC: &[u8; 8] = b"XHSNAP\x00\x01";
/// The format of snapshots that this build writes. One of another format is passed over: the journal rebuilds the state.
const FORMAT: u16 = 5;
/// What the key is for that seals a snapshot.
const SEALING: &[u8; 16] = b"xinhub snapshot ";
const ROWS_PER_CHUNK: usize = 4_096;
const ITEMS_PER_CHUNK: usize = 1_024;
/// Chunks of side entries that wait to be put into the table.
const CHUNKS_AHEAD: usize = 4;
/// No chunk is larger; a longer length is damage.
const MAX_CHUNK_BYTES: u32 = 256 << 20;

#[derive(Debug, Encode, Decode)]
struct Header {
    #[n(0)]
    format: u16,
    /// The generation of the index key that made the digests.
    #[n(1)]
    key_epoch: u32,
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    epoch: [u8; 16],
    #[n(3)]
    revision: u64,
    #[n(4)]
    lift_seq: u64,
    #[n(5)]
    last_at: Timestamp,
    /// How many entries of the journal it holds, and the chain hash over them.
    #[n(6)]
    sequence: u64,
    #[n(7)]
    #[cbor(with = "minicbor::bytes")]
    chain: [u8; 32],
    #[n(8)]
    relations: u64,
    #[n(9)]
    exemptions: u64,
    #[n(10)]
    courts: Vec<String>,
    #[n(11)]
    clients: Vec<String>,
    #[n(12)]
    configured: Vec<(String, minicbor::bytes::ByteVec)>,
    #[n(13)]
    rows: u64,
    #[n(14)]
    extras: u64,
    #[n(15)]
    outcomes: u64,
    #[n(16)]
    petitions: u64,
    #[n(17)]
    running: u64,
    #[n(18)]
    flows: u64,
    #[n(19)]
    deadlines: u64,
    #[n(20)]
    lifted: u64,
    /// How many imports there ever were, and how many wait.
    #[n(21)]
    imports: u64,
    #[n(22)]
    open_imports: u64,
    #[n(23)]
    aside: u64,
    /// By court, the time of the newest complete list. Snapshots from before there were any have none.
    #[n(24)]
    lists: Option<Vec<(u32, Timestamp)>>,
}

/// The state as it was at one moment, to be written without the writer.
pub struct Frozen {
    header: Header,
    table: Table,
    outcomes: Outcomes,
    remedy: Remedy,
    imports: Imports,
    aside: BTreeMap<[u8; 16], u32>,
    statistics: Statistics,
    index: xinhub_index::Frozen,
    key: RecordKey,
}

impl std::fmt::Debug for Frozen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frozen").field("revision", &self.header.revision).finish()
    }
}

/// Why a snapshot was not loaded. The journal rebuilds the state all the same.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It can't be read.
    #[error("reading failed: {0}")]
    Io(#[from] io::Error),
    /// It is damaged, or none.
    #[error("damaged: {0}")]
    Damaged(&'static str),
    /// Another format.
    #[error("format {0} is not this build's {FORMAT}")]
    Format(u16),
    /// Made under another index key, or of another history.
    #[error("belongs to another {0}")]
    Foreign(&'static str),
    /// Its index part.
    #[error(transparent)]
    Index(#[from] LoadError),
}

impl Frozen {
    fn client(&self, number: u32) -> &str {
        self.header.clients.get(number as usize).map_or("", String::as_str)
    }

    /// The revision that it holds.
    pub fn revision(&self) -> u64 {
        self.header.revision
    }

    /// Writes it; syncing is the caller's.
    pub fn write(mut self, key_epoch: u32, out: &mut impl Write) -> io::Result<()> {
        self.header.key_epoch = key_epoch;
        out.write_all(MAGIC)?;
        out.write_all(&FORMAT.to_le_bytes())?;
        out.write_all(&key_epoch.to_le_bytes())?;
        out.write_all(&self.header.epoch)?;
        let mut sealing = SealedWriter::new(out, self.key.clone());
        self.write_sealed(key_epoch, &mut sealing)?;
        sealing.finish()
    }

    fn write_sealed(&self, key_epoch: u32, out: &mut impl Write) -> io::Result<()> {
        write_chunk(out, &encoded(&self.header))?;
        let mut rows = self.table.iter().peekable();
        let mut chunk = Vec::with_capacity(ROWS_PER_CHUNK * Row::BYTES);
        while rows.peek().is_some() {
            chunk.clear();
            rows.by_ref().take(ROWS_PER_CHUNK).for_each(|(_, row)| chunk.extend_from_slice(&row.to_bytes()));
            write_chunk(out, &chunk)?;
        }
        write_items(out, self.table.extras.iter().map(|(row, side)| (row, Extra::from(side))))?;
        write_items(
            out,
            self.outcomes.iter().map(|((id, caller), outcome)| outcome.record(*id, self.client(*caller))),
        )?;
        write_items(out, self.remedy.petitions.iter().map(Arc::as_ref))?;
        write_items(out, self.remedy.running.iter())?;
        write_items(out, self.imports.open.iter())?;
        write_items(out, self.aside.iter().map(|(key, head)| (ByteArray::from(*key), *head)))?;
        write_items(out, self.statistics.flows.iter())?;
        write_items(out, self.statistics.deadlines.iter())?;
        write_items(out, self.statistics.lifted.iter())?;
        write_entries(&self.index, key_epoch, Heads::Keep, out)
    }
}

impl Resident {
    /// A copy for a snapshot. Table and index are shared, and copied part by part as they change.
    pub fn freeze(&mut self) -> Frozen {
        let configured = self.configured.iter();
        let header = Header {
            format: FORMAT,
            key_epoch: 0,
            epoch: self.epoch,
            revision: self.revision,
            lift_seq: self.lift_seq,
            last_at: self.last_at,
            sequence: self.sequence,
            chain: self.chain,
            relations: self.relations,
            exemptions: self.exemptions,
            courts: self.courts.names().to_vec(),
            clients: self.clients.names().to_vec(),
            configured: configured.map(|(name, hash)| (name.clone(), hash.to_vec().into())).collect(),
            rows: self.table.len() as u64,
            extras: self.table.extras.len() as u64,
            outcomes: self.outcomes.len() as u64,
            petitions: self.remedy.petitions.len() as u64,
            running: self.remedy.running.len() as u64,
            flows: self.statistics.flows.len() as u64,
            deadlines: self.statistics.deadlines.len() as u64,
            lifted: self.statistics.lifted.len() as u64,
            imports: self.imports.count,
            open_imports: self.imports.open.len() as u64,
            aside: self.aside.len() as u64,
            lists: Some(self.imports.lists.iter().map(|(court, as_of)| (*court, *as_of)).collect()),
        };
        let (table, remedy, statistics) = (self.table.clone(), self.remedy.clone(), self.statistics.clone());
        let (outcomes, imports, aside) = (self.outcomes.clone(), self.imports.clone(), self.aside.clone());
        let (index, key) = (self.writer.freeze(), crypto::derive_from(&self.prf, SEALING));
        Frozen { header, table, outcomes, remedy, imports, aside, statistics, index, key }
    }

    /// Loads a snapshot of the history `epoch`, made under the index key of generation `key_epoch`.
    ///
    /// Opening the blocks, making sense of what is in them, and putting side entries together with all that the clock will bring
    /// take about as long each: each is done by a thread of its own.
    pub fn load(
        from: &mut (impl Read + Send),
        epoch: [u8; 16],
        key_epoch: u32,
        prf: Prf,
    ) -> Result<Resident, SnapshotError> {
        if read_array(from)? != *MAGIC {
            return Err(SnapshotError::Damaged("it does not begin as a snapshot does"));
        }
        let format = u16::from_le_bytes(read_array(from)?);
        if format != FORMAT {
            return Err(SnapshotError::Format(format));
        }
        if u32::from_le_bytes(read_array(from)?) != key_epoch {
            return Err(SnapshotError::Foreign("generation of the index key"));
        }
        if read_array(from)? != epoch {
            return Err(SnapshotError::Foreign("history"));
        }
        let sealed = SealedReader::new(from, crypto::derive_from(&prf, SEALING));
        let loaded = std::thread::scope(|scope| {
            let mut from = Ahead::of(sealed, scope);
            Resident::load_sealed(&mut from, epoch, key_epoch, prf, scope)
        });
        loaded.map_err(|error| match error {
            SnapshotError::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                SnapshotError::Damaged("a sealed block does not open")
            }
            other => other,
        })
    }

    fn load_sealed<'scope>(
        from: &mut impl Read,
        epoch: [u8; 16],
        key_epoch: u32,
        prf: Prf,
        scope: &'scope Scope<'scope, '_>,
    ) -> Result<Resident, SnapshotError> {
        let damaged = |_| SnapshotError::Damaged("its header does not decode");
        let header: Header = minicbor::decode(&read_chunk(from)?).map_err(damaged)?;
        // What stands in clear before it might have been changed.
        if header.epoch != epoch || header.key_epoch != key_epoch {
            return Err(SnapshotError::Foreign("history"));
        }
        let mut resident = Resident::new(epoch, prf.clone());
        // Of this one only the table is used, and what the clock will bring.
        let mut tabled = Resident::new(epoch, prf);
        load_rows(from, &header, &mut tabled)?;
        let (entries, packing) = sync_channel::<Vec<(u32, Extra)>>(CHUNKS_AHEAD);
        let tabling = scope.spawn(move || {
            packing.into_iter().for_each(|entries| tabled.table.extras.extend(entries));
            tabled.schedule_table();
            (tabled.table, tabled.due)
        });
        load_chunks(from, header.extras, |chunk| {
            // Where the thread has ended, joining it says so.
            let _ = entries.send(chunk);
        })?;
        drop(entries);
        resident.clients = interner(&header.clients);
        let mut outcomes = Vec::with_capacity(usize::try_from(header.outcomes).unwrap_or(0));
        load_items(from, header.outcomes, |outcome: OutcomeRecord| {
            let caller = resident.clients.number(&outcome.caller);
            outcomes.push(((outcome.request_id, caller), KeptOutcome::from(&outcome)));
        })?;
        // All at once: a map that is filled in order, one by one, stays half empty.
        resident.outcomes = outcomes.into_iter().collect();
        load_items(from, header.petitions, |petition: PetitionRow| {
            resident.remedy.petitions.push(Arc::new(petition));
        })?;
        load_items(from, header.running, |(bound, running): (Bound, Running)| {
            resident.remedy.running.insert(bound, running);
        })?;
        resident.imports.count = header.imports;
        load_items(from, header.open_imports, |(number, row): (u64, ImportRow)| {
            resident.imports.open.insert(number, row);
        })?;
        load_items(from, header.aside, |(key, head): (ByteArray<16>, u32)| {
            resident.aside.insert(key.into(), head);
        })?;
        let counts = &mut resident.statistics;
        load_items(from, header.flows, |(key, flow): (FlowKey, Flow)| {
            counts.flows.insert(key, flow);
        })?;
        load_items(from, header.deadlines, |(key, kept): (KeptKey, Kept)| {
            counts.deadlines.insert(key, kept);
        })?;
        load_items(from, header.lifted, |lifted: (Day, u32)| {
            counts.lifted.insert(lifted);
        })?;
        read_entries(from, key_epoch, &mut resident.writer)?;
        let tabled = tabling.join().map_err(|_| SnapshotError::Damaged("its table can't be put together"));
        (resident.table, resident.due) = tabled?;
        resident.adopt(header)?;
        Ok(resident)
    }

    fn adopt(&mut self, header: Header) -> Result<(), SnapshotError> {
        self.revision = header.revision;
        self.lift_seq = header.lift_seq;
        self.last_at = header.last_at;
        self.sequence = header.sequence;
        self.chain = header.chain;
        self.relations = header.relations;
        self.exemptions = header.exemptions;
        self.courts = interner(&header.courts);
        self.imports.lists = header.lists.unwrap_or_default().into_iter().collect();
        for (name, hash) in header.configured {
            let hash = <[u8; 32]>::try_from(hash.as_slice());
            self.configured.insert(name, hash.map_err(|_| SnapshotError::Damaged("a hash has 32 bytes"))?);
        }
        self.schedule_remedy();
        Ok(())
    }

    /// What the clock will bring for listings, with their relations, exemptions and retentions.
    fn schedule_table(&mut self) {
        for (row, listing) in self.table.iter() {
            if let Some(until) = super::expiry(listing) {
                self.due.expiry(until, row);
            }
        }
        for (row, side) in self.table.extras.iter() {
            schedule_side(row, side, &mut self.due);
        }
        self.due.shrink();
    }
}

/// What the clock will bring for a listing's grace, relations, exemptions and retentions.
fn schedule_side(row: u32, side: Side<'_>, due: &mut Due) {
    if let Some(last) = side.rest.grace_until {
        due.at(last.end(), Event::EndGrace { row });
    }
    for relation in side.relations.iter().filter(|one| !one.has_ended()) {
        if let Some(until) = relation.until() {
            due.at(until.end(), Event::EndRelation { row, relation: relation.number });
        }
    }
    for exemption in side.rest.exemptions.iter().filter(|one| !one.ended) {
        due.at(exemption.until, Event::EndExemption { row, exemption: exemption.number });
    }
    for kept in side.rest.retained.iter().filter(|one| !one.ended) {
        due.at(kept.until.end(), Event::EndRetention { row, until: kept.until });
    }
}

fn load_rows(from: &mut impl Read, header: &Header, resident: &mut Resident) -> Result<(), SnapshotError> {
    let mut left = header.rows;
    while left > 0 {
        let chunk = read_chunk(from)?;
        let (rows, rest) = chunk.as_chunks::<{ Row::BYTES }>();
        if !rest.is_empty() || rows.is_empty() || rows.len() as u64 > left {
            return Err(SnapshotError::Damaged("a chunk of rows has another length"));
        }
        for row in rows {
            resident.table.push(Row::from_bytes(row));
        }
        left -= rows.len() as u64;
    }
    Ok(())
}

fn load_items<T>(from: &mut impl Read, count: u64, mut see: impl FnMut(T)) -> Result<(), SnapshotError>
where
    T: for<'b> Decode<'b, ()>,
{
    load_chunks(from, count, |items: Vec<T>| items.into_iter().for_each(&mut see))
}

fn load_chunks<T>(from: &mut impl Read, count: u64, mut see: impl FnMut(Vec<T>)) -> Result<(), SnapshotError>
where
    T: for<'b> Decode<'b, ()>,
{
    let mut left = count;
    while left > 0 {
        let decoded = minicbor::decode(&read_chunk(from)?);
        let items: Vec<T> = decoded.map_err(|_| SnapshotError::Damaged("a chunk does not decode"))?;
        let fewer = left.checked_sub(items.len() as u64).filter(|_| !items.is_empty());
        left = fewer.ok_or(SnapshotError::Damaged("a chunk has another number of items"))?;
        see(items);
    }
    Ok(())
}

fn read_array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn interner(names: &[String]) -> Interner {
    let mut interner = Interner::default();
    for name in names {
        interner.number(name);
    }
    interner
}

fn encoded<T: Encode<()> + ?Sized>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).expect("encoding into memory does not fail")
}

fn write_items<T: Encode<()>>(out: &mut impl Write, items: impl Iterator<Item = T>) -> io::Result<()> {
    let mut items = items.peekable();
    while items.peek().is_some() {
        let chunk: Vec<T> = items.by_ref().take(ITEMS_PER_CHUNK).collect();
        write_chunk(out, &encoded(&chunk))?;
    }
    Ok(())
}

fn write_chunk(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::Error::other("a chunk is over 4 GiB"))?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(&crc32c::crc32c(bytes).to_le_bytes())?;
    out.write_all(bytes)
}

fn read_chunk(from: &mut impl Read) -> Result<Vec<u8>, SnapshotError> {
    let [l0, l1, l2, l3, c0, c1, c2, c3] = read_array(from)?;
    let length = u32::from_le_bytes([l0, l1, l2, l3]);
    if length > MAX_CHUNK_BYTES {
        return Err(SnapshotError::Damaged("a chunk is longer than any"));
    }
    let mut bytes = vec![0; length as usize];
    from.read_exact(&mut bytes)?;
    if crc32c::crc32c(&bytes) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Err(SnapshotError::Damaged("a checksum does not match"));
    }
    Ok(bytes)
}
