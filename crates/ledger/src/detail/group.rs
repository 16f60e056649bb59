//! How values lie under sled's keys: four of a kind to a key.
//!
//! A page of sled holds sixteen entries at most, and takes memory as long as the store is open, whether it is read or not. With one
//! record to an entry that was fifty bytes a record; and what sled does for an entry is most of what one costs.
//!
//! A key is the records' kind (1 byte) and their number divided by four (8, big-endian), so that records lie in order. What lies
//! under it, numbers little-endian:
//!
//! | bytes | field |
//! |---|---|
//! | 0..16 | four lengths, u32 each; 0 where there is no such value |
//! | 16.. | the values ([`super::value`]), one behind the other |
//!
//! There is no checksum over it: every value has its own, and knows its place.

use xinhub_domain::listing::RecordId;

/// Records of one kind that lie together.
const MEMBERS: usize = 4;
/// Bytes of a key.
const KEY_BYTES: usize = 9;
const LENGTH_BYTES: usize = 4;

pub(super) type Key = [u8; KEY_BYTES];
/// The values of a group, by place.
pub(super) type Members<'a> = [Option<&'a [u8]>; MEMBERS];

/// The key under which a record's value lies.
pub(super) fn key_of(record: RecordId) -> Key {
    let mut key = [0; KEY_BYTES];
    key[0] = record.kind as u8;
    key[1..].copy_from_slice(&(record.number / MEMBERS as u64).to_be_bytes());
    key
}

/// The place of a record's value in its group.
pub(super) fn place_of(record: RecordId) -> usize {
    (record.number % MEMBERS as u64) as usize
}

/// The number of a key's first record; `None` where no record has such a key.
pub(super) fn first_of(key: &[u8]) -> Option<u64> {
    let key: &Key = key.try_into().ok()?;
    let [_, group @ ..] = *key;
    u64::from_be_bytes(group).checked_mul(MEMBERS as u64).filter(|first| first.checked_add(MEMBERS as u64).is_some())
}

/// The values of a group; `None` where its bytes are not one.
pub(super) fn split(bytes: &[u8]) -> Option<Members<'_>> {
    let (lengths, mut rest) = bytes.split_at_checked(MEMBERS * LENGTH_BYTES)?;
    let (lengths, _) = lengths.as_chunks();
    let mut members = [None; MEMBERS];
    for (member, length) in members.iter_mut().zip(lengths) {
        let value;
        (value, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        *member = Some(value).filter(|value| !value.is_empty());
    }
    rest.is_empty().then_some(members)
}

/// A group of values; `None` of none.
pub(super) fn join(members: &Members<'_>) -> Option<Vec<u8>> {
    let values = || members.iter().map(|member| member.unwrap_or_default());
    let length: usize = values().map(<[u8]>::len).sum();
    if length == 0 {
        return None;
    }
    let mut bytes = Vec::with_capacity(MEMBERS * LENGTH_BYTES + length);
    for value in values() {
        let length = u32::try_from(value.len()).expect("a value is smaller than an entry of the journal");
        bytes.extend_from_slice(&length.to_le_bytes());
    }
    values().for_each(|value| bytes.extend_from_slice(value));
    Some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use xinhub_domain::listing::RecordKind;

    use super::*;

    #[test]
    fn records_in_a_row_share_a_key_and_keys_lie_in_order() {
        let record = |number| RecordId { kind: RecordKind::Listing, number };
        let keys: Vec<_> = [0, 3, 4, 7, 8, u64::MAX].map(|number| key_of(record(number))).into();
        assert!(keys.is_sorted());
        assert_eq!((keys[0], keys[2]), (keys[1], keys[3]));
        assert!(keys[1] < keys[2] && keys[3] < keys[4]);
        assert_eq!([4, 5, 6, 7].map(|number| place_of(record(number))), [0, 1, 2, 3]);
        assert_eq!(keys.iter().map(|key| first_of(key)).collect::<Vec<_>>()[..5], [0, 0, 4, 4, 8].map(Some));
        assert_eq!(first_of(&keys[0][..8]), None);
        assert_eq!(first_of(&[1, 0xff, 0, 0, 0, 0, 0, 0, 0]), None);
        let relation = RecordId { kind: RecordKind::Relation, number: 1 };
        assert_ne!(key_of(relation), keys[0]);
    }

    #[test]
    fn what_is_joined_divides_again() {
        let cases: [Members<'_>; 4] = [
            [Some(b"one"), Some(b"two"), Some(b"three"), Some(b"four")],
            [None, Some(b"two"), None, None],
            [Some(b"one"), None, None, Some(b"4")],
            [None, None, None, Some(b"four")],
        ];
        for members in cases {
            assert_eq!(split(&join(&members).unwrap()), Some(members));
        }
        assert_eq!(join(&[None; MEMBERS]), None);
    }

    #[test]
    fn what_is_no_group_is_told() {
        let whole = join(&[Some(b"one"), None, Some(b"three"), None]).unwrap();
        for length in 0..whole.len() {
            assert_eq!(split(&whole[..length]), None, "{length} bytes");
        }
        assert_eq!(split(&[&whole[..], b"x"].concat()), None);
        let mut longer = whole.clone();
        longer[3] = 0xff;
        assert_eq!(split(&longer), None);
    }
}
