#![allow(clippy::unwrap_used)]
use super::*;
use crate::storage::sim::SimStorage;
use crate::storage::{FileStorage, OpenMode};

fn config() -> LogConfig {
    LogConfig { segment_bytes: 4096, max_payload_bytes: 2000, reserve: false, ..LogConfig::new(LogPurpose::Journal) }
}

fn payload(sequence: u64) -> Vec<u8> {
    // Between 0 and 1,200 bytes, none of them zero, so that no sector looks torn by itself.
    let len = (sequence * 371) % 1200;
    (0..len).map(|i| crypto_byte(sequence, i) | 1).collect()
}

fn crypto_byte(sequence: u64, i: u64) -> u8 {
    crate::crypto::sha256(&[&sequence.to_le_bytes(), &i.to_le_bytes()])[0]
}

/// A log of `frames` frames, closed.
fn written(sim: &SimStorage, frames: u64) -> Vec<Position> {
    let mut log = SegmentedLog::create(sim.storage(), config(), [3; 16]).unwrap();
    (1..=frames).map(|sequence| log.append(&payload(sequence)).unwrap()).collect()
}

fn open(sim: &SimStorage) -> Result<(SegmentedLog, Recovery), LogError> {
    SegmentedLog::open(sim.storage(), config())
}

fn payloads(reader: &LogReader) -> Result<Vec<Vec<u8>>, LogError> {
    reader.iter_from(Position::START)?.map(|frame| frame.map(|frame| frame.payload)).collect()
}

fn overwrite(sim: &SimStorage, name: &str, offset: u64, bytes: &[u8]) {
    let file = sim.storage().open(name, OpenMode::ReadWrite).unwrap();
    file.write_at(bytes, offset).unwrap();
    file.sync_data().unwrap();
}

fn flip(sim: &SimStorage, name: &str, offset: u64, bit: u8) {
    let mut byte = [0];
    sim.storage().open(name, OpenMode::ReadOnly).unwrap().read_at(&mut byte, offset).unwrap();
    overwrite(sim, name, offset, &[byte[0] ^ 1 << bit]);
}

#[test]
fn frames_are_found_by_position_by_sequence_and_in_order() {
    let sim = SimStorage::new(1);
    let positions = written(&sim, 40);
    let (log, recovery) = open(&sim).unwrap();
    assert_eq!(recovery.cut, None);
    let reader = log.reader();
    assert!(reader.segments().len() > 4);
    assert_eq!(reader.tail().sequence, 40);
    assert_eq!(log.id(), [3; 16]);
    for (sequence, position) in (1..).zip(&positions) {
        assert_eq!(reader.read(*position).unwrap(), payload(sequence));
        for mut frames in [reader.iter_from(*position).unwrap(), reader.iter_from_sequence(sequence).unwrap()] {
            let frame = frames.next().unwrap().unwrap();
            assert_eq!((frame.sequence, frame.position, frame.payload), (sequence, *position, payload(sequence)));
            assert_eq!(frames.map(Result::unwrap).count() as u64, 40 - sequence);
        }
        assert_eq!(Position::from_u64(position.to_u64()), *position);
    }
    assert_eq!(reader.verify().unwrap(), log.tail());
    assert!(reader.iter_from_sequence(41).unwrap().next().is_none());
    assert!(matches!(reader.iter_from_sequence(42), Err(LogError::NoSuchSequence { first: 1, last: 40, .. })));
    assert!(matches!(reader.read(log.tail().end), Err(LogError::NoSuchFrame { .. })));
    assert!(matches!(reader.read(Position::START), Err(LogError::NoSuchFrame { .. })));
    let beside = Position::from_u64(positions[5].to_u64() + 8);
    assert!(matches!(reader.read(beside), Err(LogError::Corrupt { .. })));
}

#[test]
fn a_frame_is_found_from_near_it_and_not_from_its_segments_beginning() {
    let sim = SimStorage::new(1);
    let config = || LogConfig { segment_bytes: 1 << 20, ..config() };
    let mut log = SegmentedLog::create(sim.storage(), config(), [3; 16]).unwrap();
    let positions: Vec<Position> = (1..=3000).map(|sequence| log.append(&payload(sequence)).unwrap()).collect();
    let check = |reader: &LogReader, first: u64| {
        for (sequence, position) in (1..).zip(&positions).skip_while(|(sequence, _)| *sequence < first).step_by(97) {
            // Gone through once at most, from then on it is known.
            for _ in 0..2 {
                let frame = reader.iter_from_sequence(sequence).unwrap().next().unwrap().unwrap();
                assert_eq!((frame.sequence, frame.position, frame.payload), (sequence, *position, payload(sequence)));
            }
            let read_bytes = position.to_u64() - reader.place_before(sequence).unwrap().to_u64();
            assert!(read_bytes < 130 * 1024, "frame {sequence} is found from {read_bytes} bytes before it");
        }
    };
    assert!(log.reader().segments().len() > 1);
    check(&log.reader(), 1);
    drop(log);
    let mut log = SegmentedLog::open(sim.storage(), config()).unwrap().0;
    check(&log.reader(), 1);
    log.remove_segments_before(2990).unwrap();
    let first = log.reader().first_sequence();
    assert!(first > 1);
    check(&log.reader(), first);
    assert!(log.reader().iter_from_sequence(first - 1).is_err());
}

#[test]
fn a_follower_sees_each_frame_once_it_is_durable() {
    let temp = tempfile::tempdir().unwrap();
    let storage = FileStorage::open_dir(temp.path()).unwrap();
    let mut log = SegmentedLog::create(Arc::clone(&storage), config(), [3; 16]).unwrap();
    let follower = std::thread::spawn({
        let reader = log.reader();
        move || {
            let mut frames = reader.iter_from(Position::START).unwrap();
            let mut seen = 0;
            while seen < 200 {
                match frames.next() {
                    Some(frame) => {
                        seen += 1;
                        assert_eq!(frame.unwrap().payload, payload(seen));
                    }
                    None => std::thread::yield_now(),
                }
            }
        }
    });
    for sequence in 1..=200 {
        log.append(&payload(sequence)).unwrap();
    }
    follower.join().unwrap();
    let tail = log.tail();
    drop(log);
    assert_eq!(SegmentedLog::open(storage, config()).unwrap().0.tail(), tail);
}

#[test]
fn no_damaged_byte_ever_loses_or_changes_a_frame_unnoticed() {
    let sim = SimStorage::new(1);
    written(&sim, 12);
    let want: Vec<Vec<u8>> = (1..=12).map(payload).collect();
    let names = segments::names(&*sim.storage()).unwrap();
    let last = names.last().unwrap();
    let end = {
        let (log, _) = open(&sim).unwrap();
        log.offset
    };
    for name in &names {
        for offset in (0..4096).step_by(3) {
            let image = sim.crash(0);
            flip(&image, name, offset, (offset % 8) as u8);
            let what = format!("{name} at {offset}");
            match open(&image) {
                Err(LogError::Corrupt { .. } | LogError::NewerFormat { .. } | LogError::WrongLog { .. }) => {}
                Err(other) => panic!("{what}: {other}"),
                Ok((log, _)) => {
                    assert!(name != last || offset >= end || (100..512).contains(&offset), "{what}: not noticed");
                    match log.reader().verify() {
                        Ok(_) => assert_eq!(payloads(&log.reader()).unwrap(), want, "{what}"),
                        Err(error) => assert!(matches!(error, LogError::Corrupt { .. }), "{what}: {error}"),
                    }
                }
            }
        }
    }
}

#[test]
fn every_bit_of_the_last_frame_is_guarded() {
    let sim = SimStorage::new(1);
    let positions = written(&sim, 7);
    let last = segments::names(&*sim.storage()).unwrap().pop().unwrap();
    let (log, _) = open(&sim).unwrap();
    let (start, end) = (positions[6].to_u64() - log.header.base, log.offset);
    drop(log);
    for offset in start..end {
        for bit in [0, 3, 7] {
            let image = sim.crash(0);
            flip(&image, &last, offset, bit);
            let opened = open(&image);
            let inspected = SegmentedLog::inspect(image.storage(), LogPurpose::Journal);
            assert!(matches!(opened, Err(LogError::Corrupt { .. })), "byte {} bit {bit}", offset - start);
            assert!(matches!(inspected, Err(LogError::Corrupt { .. })));
        }
    }
}

#[test]
fn a_torn_tail_is_cut_and_told_and_inspection_changes_nothing() {
    let sim = SimStorage::new(1);
    let positions = written(&sim, 7);
    let last = segments::names(&*sim.storage()).unwrap().pop().unwrap();
    let (log, _) = open(&sim).unwrap();
    let (start, end) = (positions[6].to_u64() - log.header.base, log.offset);
    drop(log);
    // Cut short at every byte, as a failed write leaves it.
    for kept in 1..end - start {
        let image = sim.crash(0);
        overwrite(&image, &last, start + kept, &vec![0; (end - start - kept) as usize]);
        let before = image.counts();
        let (reader, inspected) = SegmentedLog::inspect(image.storage(), LogPurpose::Journal).unwrap();
        assert_eq!(image.counts(), before);
        assert_eq!(reader.tail().sequence, 6);
        let (mut log, recovery) = open(&image).unwrap();
        assert_eq!(recovery, inspected);
        assert_eq!(recovery.cut.map(|cut| (cut.file, cut.offset)), Some((last.clone(), start)), "kept {kept}");
        log.append(b"next").unwrap();
        assert_eq!(payloads(&log.reader()).unwrap().len(), 7);
        assert_eq!(open(&image).unwrap().1.cut, None);
    }
}

#[test]
fn a_log_that_lacks_a_part_stays_shut() {
    let sim = SimStorage::new(1);
    written(&sim, 40);
    let names = segments::names(&*sim.storage()).unwrap();
    let foreign = SimStorage::new(2);
    SegmentedLog::create(foreign.storage(), config(), [4; 16]).unwrap();
    let mut foreign_header = [0; HEADER_BYTES as usize];
    let first = foreign.storage().open(&names[0], OpenMode::ReadOnly).unwrap();
    first.read_at(&mut foreign_header, 0).unwrap();

    let check = |name: &str, damage: &dyn Fn(&SimStorage), want: &str| {
        let image = sim.crash(0);
        damage(&image);
        let error = open(&image).unwrap_err().to_string();
        assert!(error.contains(want), "{name}: {error}");
    };
    let remove = |index: usize| {
        let name = names[index].clone();
        move |sim: &SimStorage| sim.storage().remove(&name).unwrap()
    };
    check("a segment in the middle is missing", &remove(2), "a segment before this one is missing");
    check(
        "two are swapped",
        &|sim| sim.storage().rename(&names[2], &names[3]).unwrap(),
        "differs from the file's name",
    );
    check("of another log", &|sim| overwrite(sim, &names[0], 0, &foreign_header), "belongs to another log");
    check("newer", &|sim| overwrite(sim, &names[1], 8, &[2, 0]), "format 2, but this version knows up to 1");
    check("last frame gone", &|sim| overwrite(sim, &names[1], 512, &[0; 3584]), "not the one that the next segment");
    check("longer than made", &|sim| overwrite(sim, &names[1], 4096, &[1]), "file length differs");
    let audit = LogConfig { purpose: LogPurpose::Audit, ..config() };
    assert!(matches!(SegmentedLog::open(sim.storage(), audit), Err(LogError::WrongLog { what: "purpose", .. })));
    assert!(matches!(SegmentedLog::create(sim.storage(), config(), [3; 16]), Err(LogError::Exists)));
    let empty = SimStorage::new(1);
    assert!(matches!(open(&empty), Err(LogError::Empty)));
    assert!(!SegmentedLog::exists(&*empty.storage()).unwrap());
}

#[test]
fn lifts_go_through_on_a_full_disk_and_the_reserve_comes_back() {
    let sim = SimStorage::new(1);
    let config = LogConfig { reserve: true, ..config() };
    let mut log = SegmentedLog::create(sim.storage(), config.clone(), [3; 16]).unwrap();
    sim.limit_bytes(Some(sim.used_bytes()));
    let big = [7; 1500];
    let mut acked = 0;
    while log.append(&big).is_ok() {
        acked += 1;
    }
    assert!(matches!(log.append(&big), Err(LogError::Full { .. })));
    assert!(!log.is_poisoned());
    for _ in 0..2 {
        log.append_urgent(&big).unwrap();
        acked += 1;
    }
    assert!(!log.has_reserve());
    assert!(matches!(log.append(b"small, but ordinary"), Err(LogError::Full { .. })), "the room left is for lifts");
    log.append_urgent(b"small").unwrap();
    acked += 1;
    assert!(matches!(log.append_urgent(&big), Err(LogError::Full { .. })), "the reserve is one segment");
    drop(log);

    let (mut log, _) = SegmentedLog::open(sim.storage(), config).unwrap();
    assert!(!log.has_reserve(), "it starts on a full disk, too");
    assert!(matches!(log.append(b"ordinary"), Err(LogError::Full { .. })));
    sim.limit_bytes(None);
    log.append(b"ordinary").unwrap();
    assert!(log.has_reserve());
    assert_eq!(log.tail().sequence, acked + 1);
    log.reader().verify().unwrap();
}

#[test]
fn the_oldest_segments_can_go_and_the_rest_still_verifies() {
    let sim = SimStorage::new(1);
    let positions = written(&sim, 40);
    let (mut log, _) = open(&sim).unwrap();
    let reader = log.reader();
    let segments = reader.segments();
    let mut behind = reader.iter_from(Position::START).unwrap();
    behind.next().unwrap().unwrap();
    let keep = segments[3].first_sequence;
    assert_eq!(log.remove_segments_before(keep - 1).unwrap(), 2);
    assert_eq!(log.remove_segments_before(keep).unwrap(), 1);
    assert_eq!(log.remove_segments_before(keep).unwrap(), 0);
    assert_eq!(reader.first_sequence(), keep);
    assert!(matches!(reader.read(positions[0]), Err(LogError::NoSuchFrame { .. })));
    assert!(matches!(reader.iter_from_sequence(keep - 1), Err(LogError::NoSuchSequence { .. })));
    assert!(behind.any(|frame| matches!(frame, Err(LogError::NoSuchFrame { .. }))), "a reader left behind is told");
    assert_eq!(log.remove_segments_before(1000).unwrap() as usize, segments.len() - 4, "never the last");
    log.append(&payload(41)).unwrap();
    let tail = log.tail();
    drop(log);
    let (log, _) = open(&sim).unwrap();
    assert_eq!(log.reader().verify().unwrap(), tail);
}

#[test]
fn a_payload_over_the_bound_is_refused_and_a_larger_bound_outgrows_an_empty_segment() {
    let sim = SimStorage::new(1);
    let mut log = SegmentedLog::create(sim.storage(), config(), [3; 16]).unwrap();
    assert!(matches!(log.append(&[1; 2001]), Err(LogError::TooLarge { bytes: 2001, max_bytes: 2000 })));
    drop(log);
    let wider = LogConfig { max_payload_bytes: 10_000, ..config() };
    let (mut log, _) = SegmentedLog::open(sim.storage(), wider.clone()).unwrap();
    let position = log.append(&[1; 10_000]).unwrap();
    assert_eq!(log.reader().segments().len(), 1);
    log.append(&[2; 10_000]).unwrap();
    assert_eq!(log.reader().read(position).unwrap(), [1; 10_000]);
    drop(log);
    let (log, _) = SegmentedLog::open(sim.storage(), wider).unwrap();
    assert_eq!(log.reader().verify().unwrap().sequence, 2);
}
