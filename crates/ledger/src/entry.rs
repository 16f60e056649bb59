//! One committed batch, as the journal keeps it.
//!
//! An entry is self-contained: with the slot files it is all that is needed to rebuild everything (decision D1). It is a CBOR
//! array by index (RFC 8949); a field may be added at the end, none is ever moved.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Decoder, Encode};
use xinhub_domain::listing::{Clear, PetitionState, State};
use xinhub_domain::time::Timestamp;

use crate::crypto;

/// The format of entries that this build writes.
pub const FORMAT: u16 = 1;

/// At most this many events in one entry.
pub const MAX_EVENTS: usize = 1_000;

/// One committed batch.
#[derive(Clone, Debug, Encode, Decode)]
pub struct Entry {
    /// [`FORMAT`].
    #[n(0)]
    pub format: u16,
    /// The generation of the index key, under which `outcomes` hold their MACs.
    #[n(1)]
    pub key_epoch: u32,
    /// The history that it belongs to.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub epoch: [u8; 16],
    /// The revision of the first event.
    #[n(3)]
    pub first_revision: u64,
    /// When it was committed, by the hub's clock.
    #[n(4)]
    pub at: Timestamp,
    /// 1 to [`MAX_EVENTS`] events; none where only outcomes are recorded.
    #[n(5)]
    pub events: Vec<EventRecord>,
    /// What became of the requests in it.
    #[n(6)]
    pub outcomes: Vec<OutcomeRecord>,
}

/// One event: the leaf of the log, and what it commits to.
#[derive(Clone, Debug, Encode, Decode)]
pub struct EventRecord {
    /// The encoded [`Clear`]: the leaf's bytes.
    #[n(0)]
    pub clear: ByteVec,
    /// Random: hides what the commitment is about from whoever guesses the sealed bytes.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub salt: [u8; 16],
    /// The encoded body, sealed under the record's key.
    #[n(2)]
    pub sealed: Option<ByteVec>,
    /// RFC 6962: SHA-256 over 0x00 and the leaf's bytes.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub leaf_hash: [u8; 32],
}

/// What became of a request, kept for repetitions.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct OutcomeRecord {
    /// The client that asked.
    #[n(0)]
    pub caller: String,
    /// Its UUIDv7.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub request_id: [u8; 16],
    /// Keyed MAC of the request's body.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub mac: [u8; 16],
    /// The listing.
    #[n(3)]
    pub listing: u64,
    /// The relation or exemption, or 0.
    #[n(4)]
    pub record: u64,
    /// The listing's state afterwards.
    #[n(5)]
    pub state: State,
    /// The listing's etag afterwards.
    #[n(6)]
    pub etag: u64,
    /// Applied though stale.
    #[n(7)]
    pub stale: bool,
    /// A reason is owed.
    #[n(8)]
    pub reason_owed: bool,
    /// When.
    #[n(9)]
    pub at: Timestamp,
    /// For an act on a petition: its state afterwards.
    #[n(10)]
    pub petition: Option<PetitionState>,
    /// The party's act came after its own deadline.
    #[n(11)]
    #[cbor(default)]
    pub late: bool,
}

/// An entry, event or body can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Written by a newer hub.
    #[error("entry format {found} is newer than this build's {FORMAT}: run the version that wrote it")]
    NewerFormat {
        /// The format found.
        found: u16,
    },
    /// The bytes are no entry.
    #[error("the bytes are no entry: {0}")]
    Damaged(String),
    /// The leaf hash or the commitment does not match what stands beside it.
    #[error("revision {revision}: {what} does not match its bytes")]
    Mismatch {
        /// Which event.
        revision: u64,
        /// What does not match.
        what: &'static str,
    },
}

impl Entry {
    /// The bytes for the journal.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode_into(&mut bytes);
        bytes
    }

    /// [`Entry::encode`], in place of what `bytes` holds.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        let sealed = |event: &EventRecord| event.sealed.as_ref().map_or(0, |sealed| sealed.len());
        let events: usize = self.events.iter().map(|event| event.clear.len() + sealed(event) + 80).sum();
        bytes.clear();
        bytes.reserve(events + self.outcomes.len() * 200 + 100);
        minicbor::encode(self, bytes).expect("encoding into memory does not fail");
    }

    /// An entry from the journal's bytes. Newer formats are told apart before anything else is read.
    pub fn decode(bytes: &[u8]) -> Result<Entry, EntryError> {
        past_format(bytes)?;
        minicbor::decode(bytes).map_err(damaged)
    }

    /// Where in an entry's bytes its events lie, one behind the other: where each begins, and last where they end.
    pub fn event_starts(bytes: &[u8]) -> Result<Box<[u32]>, EntryError> {
        let mut decoder = past_format(bytes)?;
        for _before_events in 1..5 {
            decoder.skip().map_err(damaged)?;
        }
        let count =
            decoder.array().map_err(damaged)?.ok_or_else(|| EntryError::Damaged("no count of events".to_owned()))?;
        // A frame has at most 16 MiB.
        let mut starts = vec![decoder.position() as u32];
        for _ in 0..count {
            decoder.skip().map_err(damaged)?;
            starts.push(decoder.position() as u32);
        }
        Ok(starts.into())
    }

    /// The revision of the last event; that of the one before the entry where it has none.
    pub fn last_revision(&self) -> u64 {
        self.first_revision + self.events.len() as u64 - 1
    }
}

fn damaged(error: minicbor::decode::Error) -> EntryError {
    EntryError::Damaged(error.to_string())
}

/// A decoder of an entry's bytes, past the format.
fn past_format(bytes: &[u8]) -> Result<Decoder<'_>, EntryError> {
    let mut decoder = Decoder::new(bytes);
    decoder.array().map_err(damaged)?;
    let found = decoder.u16().map_err(damaged)?;
    if found > FORMAT { Err(EntryError::NewerFormat { found }) } else { Ok(decoder) }
}

impl EventRecord {
    /// Puts the commitment into the clear part, encodes it and hashes the leaf.
    pub fn new(clear: &mut Clear, sealed: Option<Vec<u8>>) -> EventRecord {
        let salt = crypto::random();
        clear.commitment = sealed.as_ref().map(|sealed| commitment(&salt, sealed));
        let clear = minicbor::to_vec(&*clear).expect("encoding into memory does not fail");
        let leaf_hash = leaf_hash(&clear);
        EventRecord { clear: clear.into(), salt, sealed: sealed.map(ByteVec::from), leaf_hash }
    }

    /// An event from the bytes between two of [`Entry::event_starts`].
    pub fn decode_from(bytes: &[u8]) -> Result<EventRecord, EntryError> {
        minicbor::decode(bytes).map_err(damaged)
    }

    /// The clear part.
    pub fn clear(&self) -> Result<Clear, EntryError> {
        minicbor::decode(&self.clear).map_err(damaged)
    }

    /// Whether hash and commitment match the bytes.
    pub fn verify(&self, clear: &Clear) -> Result<(), EntryError> {
        let revision = clear.revision;
        if leaf_hash(&self.clear) != self.leaf_hash {
            return Err(EntryError::Mismatch { revision, what: "the leaf hash" });
        }
        let committed = self.sealed.as_ref().map(|sealed| commitment(&self.salt, sealed));
        if committed != clear.commitment {
            return Err(EntryError::Mismatch { revision, what: "the commitment" });
        }
        Ok(())
    }
}

fn commitment(salt: &[u8; 16], sealed: &[u8]) -> [u8; 32] {
    crypto::sha256(&[b"xinhub commitment v1", salt, sealed])
}

/// RFC 6962, section 2.1.
fn leaf_hash(clear: &[u8]) -> [u8; 32] {
    crypto::sha256(&[&[0], clear])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(sealed: Option<&[u8]>) -> EventRecord {
        let sealed = sealed.map(|bytes| ByteVec::from(bytes.to_vec()));
        EventRecord { clear: ByteVec::from(vec![7, 8]), salt: [1; 16], sealed, leaf_hash: [2; 32] }
    }

    #[test]
    fn each_event_can_be_decoded_alone() {
        let events = vec![event(None), event(Some(&[9; 300])), event(Some(&[]))];
        let entry = Entry {
            format: FORMAT,
            key_epoch: 1,
            epoch: [3; 16],
            first_revision: 5,
            at: Timestamp(6),
            events,
            outcomes: Vec::new(),
        };
        let bytes = entry.encode();
        let starts = Entry::event_starts(&bytes).unwrap();
        assert_eq!(starts.len(), 4);
        for cut in 0..starts[3] as usize {
            assert!(matches!(Entry::event_starts(&bytes[..cut]), Err(EntryError::Damaged(_))), "cut at {cut}");
        }
        for (between, whole) in starts.windows(2).zip(&Entry::decode(&bytes).unwrap().events) {
            let alone = EventRecord::decode_from(&bytes[between[0] as usize..between[1] as usize]).unwrap();
            assert_eq!((&alone.clear, &alone.sealed, alone.leaf_hash), (&whole.clear, &whole.sealed, whole.leaf_hash));
        }
        let newer = Entry { format: FORMAT + 1, ..entry }.encode();
        assert_eq!(Entry::event_starts(&newer), Err(EntryError::NewerFormat { found: FORMAT + 1 }));
    }
}
