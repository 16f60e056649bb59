//! How a detail value looks on disk: checked, bound to its place, and sealed under its record's own key.
//!
//! Where it lies is [`super::group`]'s. A value is, numbers little-endian:
//!
//! | bytes | field |
//! |---|---|
//! | 0..2 | format |
//! | 2..6 | `key_epoch`: the generation of the record's key |
//! | 6..14 | revision: the event that the value is as of |
//! | 14..18 | CRC-32C of all other bytes |
//! | 18.. | the content, sealed under the record's key and bound to kind, number and revision |
//!
//! Erasing a record's slot thus makes its detail unreadable as well, wherever remnants of it lie.

use minicbor::{Decode, Encode};
use xinhub_domain::listing::{Content, RecordId, RecordKind, State};
use xinhub_domain::time::{Day, Timestamp};

use crate::crypto::{self, RecordKey};
use crate::vault::RECORD_KEY_EPOCH;

/// The format of values, and of the store's position, that this build writes.
pub(crate) const FORMAT: u16 = 2;
/// Bytes before the content.
const HEADER_BYTES: usize = 18;
const CRC_AT: std::ops::Range<usize> = 14..18;

/// A value is not what was written there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ValueFault {
    /// It is not there.
    #[error("its value is missing")]
    Missing,
    /// Those that lie with it don't end where they should.
    #[error("what lies with it does not divide into values")]
    Group,
    /// Too short, or the checksum does not match.
    #[error("its checksum does not match")]
    Checksum,
    /// Another build's.
    #[error("its format is {0}, not {FORMAT}")]
    Format(u16),
    /// Another key, another place, or other bytes.
    #[error("it does not open under its record's key")]
    Sealed,
    /// It opens and is not what it should be.
    #[error("its content does not decode")]
    Content,
}

/// What the store keeps of one listing.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(crate) struct ListingValue {
    #[n(0)]
    pub(crate) state: State,
    #[n(1)]
    pub(crate) court: String,
    #[n(2)]
    pub(crate) content: Content,
    #[n(3)]
    pub(crate) until: Option<Day>,
    #[n(4)]
    pub(crate) grace_until: Option<Day>,
    #[n(5)]
    pub(crate) listed_on: Option<Day>,
    #[n(6)]
    pub(crate) updated_at: Timestamp,
    #[n(7)]
    pub(crate) relations: Vec<RecordRef>,
    #[n(8)]
    pub(crate) exemptions: Vec<RecordRef>,
}

/// A relation or exemption of a listing: its content is a value of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct RecordRef {
    #[n(0)]
    pub(crate) number: u64,
    /// The revision of the event that made it, which its value carries.
    #[n(1)]
    pub(crate) revision: u64,
    #[n(2)]
    pub(crate) ended: bool,
}

/// A value whose checksum is right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a> {
    /// The event that it is as of.
    pub(crate) revision: u64,
    /// What follows the header.
    pub(crate) content: &'a [u8],
}

/// Puts the header before the content.
pub(crate) fn frame(key_epoch: u32, revision: u64, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + content.len());
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&key_epoch.to_le_bytes());
    bytes.extend_from_slice(&revision.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(content);
    let crc = checksum(&bytes);
    bytes[CRC_AT].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Checks the header, and takes it off.
pub(crate) fn unframe(bytes: &[u8]) -> Result<Value<'_>, ValueFault> {
    let (header, content) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(ValueFault::Checksum)?;
    let [f0, f1, _, _, _, _, r0, r1, r2, r3, r4, r5, r6, r7, c0, c1, c2, c3] = *header;
    if checksum(bytes) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Err(ValueFault::Checksum);
    }
    let format = u16::from_le_bytes([f0, f1]);
    if format != FORMAT {
        return Err(ValueFault::Format(format));
    }
    Ok(Value { revision: u64::from_le_bytes([r0, r1, r2, r3, r4, r5, r6, r7]), content })
}

fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..CRC_AT.start]), &bytes[CRC_AT.end..])
}

/// A record's content as a value.
pub(crate) fn seal<T: Encode<()>>(key: &RecordKey, record: RecordId, revision: u64, content: &T) -> Vec<u8> {
    let content = minicbor::to_vec(content).expect("encoding into memory does not fail");
    frame(RECORD_KEY_EPOCH, revision, &crypto::seal(key, &associated_data(record, revision), &content))
}

/// A record's content from its value.
pub(crate) fn open<T>(key: &RecordKey, record: RecordId, value: &Value<'_>) -> Result<T, ValueFault>
where
    T: for<'b> Decode<'b, ()>,
{
    let content = crypto::open(key, &associated_data(record, value.revision), value.content);
    minicbor::decode(&content.map_err(|_| ValueFault::Sealed)?).map_err(|_| ValueFault::Content)
}

/// What a value is bound to: put in another's place, or under another revision, it does not open.
fn associated_data(record: RecordId, revision: u64) -> [u8; 24] {
    let mut data = *b"detail\0\0................";
    data[6] = FORMAT as u8;
    data[7] = record.kind as u8;
    data[8..16].copy_from_slice(&record.number.to_be_bytes());
    data[16..].copy_from_slice(&revision.to_be_bytes());
    data
}

/// A record by its kind and number.
pub(crate) fn record(kind: RecordKind, number: u64) -> RecordId {
    RecordId { kind, number }
}
