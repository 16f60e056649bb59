//! Snapshots there and back, and every way in which one can be damaged.

use std::io::{self, Cursor, Read};

use super::chunk::checksum;
use super::{
    Change, FORMAT, Heads, LoadError, Loaded, MAX_CHUNK_BYTES, SectionWriter, encode_change, read_changes,
    read_entries, write_entries,
};
use crate::testing::{key_from, nth_key, random_entry, rng, usual_entry};
use crate::{Entry, Exemption, Exemptions, Index, IndexWriter, Key, MAX_EXEMPTIONS, Relations, Until};

const KEY_EPOCH: u32 = 7;

fn filled(entries: impl Iterator<Item = (Key, Entry)>) -> IndexWriter {
    let (_, mut writer) = Index::new();
    for (key, entry) in entries {
        writer.insert(key, &entry);
    }
    writer
}

fn random_index(seed: u64, len: u64) -> IndexWriter {
    let mut rng = rng(seed);
    filled((0..len).map(|n| (nth_key(n), random_entry(&mut rng))))
}

fn written(writer: &mut IndexWriter, heads: Heads) -> Vec<u8> {
    let mut section = Vec::new();
    write_entries(&writer.freeze(), KEY_EPOCH, heads, &mut section).unwrap();
    section
}

fn entries(writer: &mut IndexWriter) -> Vec<(Key, Entry)> {
    writer.freeze().entries().collect()
}

/// The section's chunks, frames included.
fn chunks(section: &[u8]) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    let mut rest = section;
    while let Some(length) = rest.first_chunk() {
        let (chunk, after) = rest.split_at(8 + u32::from_le_bytes(*length) as usize);
        chunks.push(chunk.to_vec());
        rest = after;
    }
    chunks
}

/// Gives a chunk whose payload was changed on purpose its right length and checksum.
fn reframe(chunk: &mut [u8]) {
    let length = ((chunk.len() - 8) as u32).to_le_bytes();
    let sum = checksum(length, &chunk[8..]).to_le_bytes();
    chunk[..4].copy_from_slice(&length);
    chunk[4..8].copy_from_slice(&sum);
}

/// Loads `section` over an index that holds something else; it must be refused and leave that untouched.
fn refused(section: &[u8]) -> LoadError {
    let mut target = filled((0..3).map(|n| (nth_key(1_000_000 + n), usual_entry(n))));
    let (before, bytes) = (entries(&mut target), target.index().memory_bytes());
    let error = read_entries(&mut Cursor::new(section), KEY_EPOCH, &mut target).unwrap_err();
    assert!(entries(&mut target) == before, "a refused snapshot changed the index: {error}");
    assert_eq!((target.index().len(), target.index().memory_bytes()), (before.len(), bytes));
    error
}

fn check_round_trip(mut source: IndexWriter) {
    let section = written(&mut source, Heads::Keep);
    let mut target = random_index(77, 50);
    let mut from = Cursor::new([section.as_slice(), b"what follows"].concat());
    let loaded = read_entries(&mut from, KEY_EPOCH, &mut target).unwrap();
    let len = source.index().len();
    assert_eq!(loaded, Loaded { entries: len as u64, bytes: section.len() as u64 });
    assert_eq!(from.position(), section.len() as u64, "what follows the section is not read");
    assert!(entries(&mut target) == entries(&mut source), "the entries differ");
    assert_eq!(target.index().len(), len);
    assert_eq!(written(&mut target, Heads::Keep), section, "one index has one snapshot");
    assert!(chunks(&section).iter().all(|chunk| chunk.len() <= MAX_CHUNK_BYTES));
}

#[test]
fn comes_back_as_it_was() {
    check_round_trip(random_index(1, 0));
    check_round_trip(random_index(2, 1));
    check_round_trip(random_index(3, 50_000));
    check_round_trip(filled((0..100_000).map(|n| (nth_key(n), usual_entry(n)))));
    let edges = [key_from(0, 0), key_from(u64::MAX, u64::MAX)];
    check_round_trip(filled(edges.into_iter().map(|key| (key, usual_entry(1)))));
}

#[test]
fn the_largest_entries_fit_a_chunk() {
    let most = vec![Exemption { from_s: 1, until_s: u64::MAX, scope: 3 }; MAX_EXEMPTIONS];
    let mut entry = Entry::uniform(Relations::ALL, Until::FOREVER);
    entry.relations[0] = Until::day(1);
    entry.exemptions = Exemptions::try_from(most).unwrap();
    check_round_trip(filled((0..20).map(|n| (nth_key(n), entry.clone()))));
}

#[test]
fn a_loaded_index_goes_on_living() {
    let mut source = random_index(4, 20_000);
    let section = written(&mut source, Heads::Keep);
    let (index, mut target) = Index::new();
    read_entries(&mut section.as_slice(), KEY_EPOCH, &mut target).unwrap();
    let mut rng = rng(5);
    for n in (0..40_000).step_by(3) {
        let entry = random_entry(&mut rng);
        target.insert(nth_key(n), &entry);
        assert_eq!(index.probe(&nth_key(n)), Some(entry));
        target.remove(&nth_key(n + 1));
        assert_eq!(index.probe(&nth_key(n + 1)), None);
    }
}

#[test]
fn a_replicas_snapshot_has_no_heads() {
    let mut source = random_index(6, 2_000);
    let section = written(&mut source, Heads::Drop);
    let (_, mut target) = Index::new();
    read_entries(&mut section.as_slice(), KEY_EPOCH, &mut target).unwrap();
    let mut expected = entries(&mut source);
    expected.iter_mut().for_each(|(_, entry)| entry.head = 0);
    assert!(entries(&mut target) == expected);
}

#[test]
fn a_snapshot_is_of_one_moment() {
    let mut source = random_index(7, 5_000);
    let before = entries(&mut source);
    let frozen = source.freeze();
    for n in 0..10_000 {
        source.remove(&nth_key(n));
    }
    let mut section = Vec::new();
    write_entries(&frozen, KEY_EPOCH, Heads::Keep, &mut section).unwrap();
    read_entries(&mut section.as_slice(), KEY_EPOCH, &mut source).unwrap();
    assert!(entries(&mut source) == before);
}

#[test]
fn any_flipped_bit_is_found() {
    let section = written(&mut random_index(8, 20), Heads::Keep);
    for bit in 0..section.len() * 8 {
        let mut damaged = section.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        match refused(&damaged) {
            LoadError::Damaged { .. } | LoadError::Truncated { .. } => {}
            error => panic!("bit {bit}: {error}"),
        }
    }
}

#[test]
fn any_cut_is_found() {
    let section = written(&mut random_index(9, 20), Heads::Keep);
    for length in 0..section.len() {
        let error = refused(&section[..length]);
        assert!(matches!(error, LoadError::Truncated { .. }), "cut at {length}: {error}");
    }
    // Between two whole chunks of a large one too.
    let chunks = chunks(&written(&mut random_index(10, 10_000), Heads::Keep));
    assert!(chunks.len() > 5);
    let error = refused(&chunks[..3].concat());
    assert!(matches!(error, LoadError::Truncated { chunk: 3 }), "{error}");
}

/// Changes the chunks of a good section, and says what must be found.
fn check_chunks(expected: &str, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
    let mut changed = chunks(&written(&mut random_index(11, 10_000), Heads::Keep));
    change(&mut changed);
    let error = refused(&changed.concat()).to_string();
    assert!(error.contains(expected), "{error:?} should contain {expected:?}");
}

#[test]
fn whole_chunks_in_the_wrong_place_are_found() {
    check_chunks("missing or out of order", |chunks| chunks.swap(1, 2));
    check_chunks("missing or out of order", |chunks| drop(chunks.remove(1)));
    check_chunks("missing or out of order", |chunks| drop(chunks.remove(0)));
    check_chunks("missing or out of order", |chunks| chunks.insert(2, chunks[1].clone()));
}

/// Offsets within a chunk of what the module docs describe.
const FORMAT_AT: usize = 8;
const NUMBER_AT: usize = 14;
const KIND_AT: usize = 18;
const BODY_AT: usize = 19;

/// Changes the first chunk and gives it a right checksum: what a faulty program would write.
fn check_first(expected: &str, change: impl FnOnce(&mut Vec<u8>)) {
    check_chunks(expected, |chunks| {
        change(&mut chunks[0]);
        reframe(&mut chunks[0]);
    });
}

#[test]
fn what_no_program_writes_is_refused() {
    check_first("unknown kind", |chunk| chunk[KIND_AT] = 2);
    check_first("unknown relation", |chunk| chunk[BODY_AT + 16] = 0x20);
    check_first("not in force", |chunk| chunk[BODY_AT + 16..][..2].copy_from_slice(&[1, 2]));
    check_first("unknown shape", |chunk| chunk[BODY_AT + 18] = 8);
    check_first("a day out of range", |chunk| {
        chunk[BODY_AT + 16..][..3].copy_from_slice(&[1, 0, 0]);
        chunk[BODY_AT + 19..][..4].copy_from_slice(&0x10_0000_u32.to_le_bytes());
    });
    check_first("keys out of order", |chunk| chunk[BODY_AT] = 0xff);
    check_first("ends early", |chunk| chunk.truncate(BODY_AT + 3));
    check_first("too many exemptions", |chunk| {
        chunk[BODY_AT + 16..][..3].copy_from_slice(&[0, 0, 4]);
        chunk[BODY_AT + 19..][..2].copy_from_slice(&u16::MAX.to_le_bytes());
    });
    check_chunks("number of entries", |chunks| {
        let end = chunks.last_mut().unwrap();
        end[BODY_AT] ^= 1;
        reframe(end);
    });
    // One chunk fewer, the rest renumbered: every checksum is right, the count isn't.
    check_chunks("number of entries", |chunks| {
        chunks.remove(1);
        for (number, chunk) in chunks.iter_mut().enumerate() {
            chunk[NUMBER_AT..][..4].copy_from_slice(&(number as u32).to_le_bytes());
            reframe(chunk);
        }
    });
}

#[test]
fn a_newer_format_is_told_from_damage() {
    let newer = FORMAT + 1;
    check_first("format 2 is newer than 1", |chunk| chunk[FORMAT_AT..][..2].copy_from_slice(&newer.to_le_bytes()));
    check_first("format 0", |chunk| chunk[FORMAT_AT] = 0);
    // The same bytes without a right checksum are damage.
    check_chunks("wrong checksum", |chunks| chunks[0][FORMAT_AT] = 2);
}

#[test]
fn keys_of_another_epoch_are_refused() {
    let section = written(&mut random_index(12, 100), Heads::Keep);
    let (index, mut target) = Index::new();
    let error = read_entries(&mut section.as_slice(), KEY_EPOCH + 1, &mut target).unwrap_err();
    assert!(matches!(error, LoadError::KeyEpoch { found: KEY_EPOCH, expected: 8 }), "{error}");
    assert!(index.is_empty());
}

#[test]
fn a_failing_source_is_not_a_short_one() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let section = written(&mut random_index(13, 5_000), Heads::Keep);
    let (_, mut target) = Index::new();
    let mut from = Cursor::new(&section[..section.len() / 2]).chain(Failing);
    let error = read_entries(&mut from, KEY_EPOCH, &mut target).unwrap_err();
    assert!(matches!(error, LoadError::Io { .. }), "{error}");
}

#[test]
fn changes_are_read_as_they_were_written_or_not_at_all() {
    let mut rng = rng(14);
    let changes: Vec<Change> = (0..200)
        .map(|number| {
            let entry = Entry { head: 0, ..random_entry(&mut rng) };
            (nth_key(number), (number % 3 != 0).then_some(entry))
        })
        .collect();
    let (mut bytes, mut ends) = (Vec::new(), vec![0]);
    for (key, entry) in &changes {
        encode_change(key, entry.as_ref(), &mut bytes);
        ends.push(bytes.len());
    }
    assert_eq!(read_changes(&bytes).unwrap(), changes);
    for cut in 0..bytes.len() {
        assert_eq!(read_changes(&bytes[..cut]).is_ok(), ends.contains(&cut), "cut at {cut}");
    }
    let absent = |relations, shape| read_changes(&[&[1; 16][..], &[relations, 0, shape]].concat());
    assert_eq!(absent(0, 8), Ok(vec![(Key([1; 16]), None)]));
    assert_eq!(absent(1, 8), Err("a relation of a key that has no entry"));
    assert_eq!(absent(0, 16), Err("an unknown shape of entry"));
}

#[test]
fn a_section_takes_ascending_keys_alone() {
    let mut bytes = Vec::new();
    let mut section = SectionWriter::new(KEY_EPOCH, Heads::Drop, &mut bytes);
    section.entry(&Key([2; 16]), &Entry::default()).unwrap();
    for late in [Key([2; 16]), Key([1; 16])] {
        assert_eq!(section.entry(&late, &Entry::default()).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
    section.entry(&Key([3; 16]), &Entry::default()).unwrap();
    section.end().unwrap();
    let (index, mut target) = Index::new();
    assert_eq!(read_entries(&mut bytes.as_slice(), KEY_EPOCH, &mut target).unwrap().entries, 2);
    assert!(index.probe(&Key([2; 16])).is_some() && index.probe(&Key([3; 16])).is_some());
}
