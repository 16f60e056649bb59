#![allow(clippy::unwrap_used)]
//! A good directory is clean and stays untouched; each kind of damage is found and named.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use xinhub_domain::listing::event::FORMAT as EVENT_FORMAT;
use xinhub_domain::listing::{Clear, Draft, EventKind, RecordId, RecordKind, State, Visibility};
use xinhub_domain::time::Timestamp;

use super::*;
use crate::command::Command;
use crate::crypto;
use crate::detail::store::StorePosition;
use crate::detail::testing::*;
use crate::detail::value::{self, ListingValue};
use crate::entry::{Entry, EventRecord};
use crate::recovery::save_snapshot;
use crate::seglog::{LogConfig, Position};
use crate::table::{FLAGGED, Place};
use crate::testing::*;
use crate::vault::{Opened, RECORD_KEY_EPOCH};

async fn disk_with_history() -> Disk {
    let disk = Disk::new();
    disk.run(history).await;
    disk
}

fn fsck(disk: &Disk) -> Report {
    let report = run(disk.path(), Arc::clone(&disk.keyring));
    let text = report.to_string();
    for number in 0..10 {
        assert!(!text.contains(&person(number).number), "a report names nobody");
    }
    assert!(!text.contains("合成"), "a report names nobody");
    report
}

/// The check finds exactly these: the area, and words of the text.
#[track_caller]
fn expect(case: &str, disk: &Disk, expected: &[(Area, &str)]) {
    let report = fsck(disk);
    assert_eq!(report.refused(), None, "{case}");
    let found = report.findings();
    assert!(!report.is_clean() && found.len() == expected.len(), "{case}: {report}");
    for (finding, (area, words)) in found.iter().zip(expected) {
        assert!(finding.area == *area && finding.text.contains(words), "{case}: {words:?} is not in {finding:?}");
    }
}

/// Like [`expect`], where one fault has many consequences: the first is told.
#[track_caller]
fn expect_first(case: &str, disk: &Disk, area: Area, words: &str) {
    let report = fsck(disk);
    let first = report.findings().first().unwrap_or_else(|| panic!("{case}: nothing was found"));
    assert!(first.area == area && first.text.contains(words), "{case}: {report}");
}

#[track_caller]
fn expect_clean(case: &str, disk: &Disk, note: &str) {
    let report = fsck(disk);
    assert!(report.is_clean(), "{case}: {report}");
    assert!(report.to_string().contains(note), "{case}: {report}");
}

/// Every file with its bytes.
fn files(disk: &Disk) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![disk.path().to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    files
}

fn names(disk: &Disk, dir: &str) -> Vec<PathBuf> {
    let mut names: Vec<_> = fs::read_dir(disk.path().join(dir)).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_good_directory_is_clean_and_left_as_it_is() {
    let disk = disk_with_history().await;
    let before = files(&disk);
    let report = fsck(&disk);
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.listings, report.index_keys, report.erased, report.audit_frames), (4, 7, 0, 0));
    assert_eq!((report.snapshot_revision, report.detail_revision), (Some(report.events), Some(report.events)));
    assert_eq!((report.entries, report.detail_values), (13, 4 + 2 + 2));
    assert!(report.to_string().contains("clean: journal, state and detail agree"));
    assert!(files(&disk) == before, "a check changes nothing");

    // A snapshot and a detail store from a while ago are no differences: a start brings them up.
    let old = disk.copy();
    disk.run(|ledger| async {
        submit(&ledger, Command::Hide { listing: 1, ground: "stayed".to_owned() }).await;
        publish(&ledger, content(&draft(person(8), 8))).await;
        ledger
    })
    .await;
    for path in names(&disk, "snapshots") {
        fs::remove_file(path).unwrap();
    }
    copy_dir(&old.path().join("snapshots"), &disk.path().join("snapshots"));
    disk.take_detail_of(&old);
    expect_clean("old derived files", &disk, "the detail store is 2 events behind");

    for dir in ["snapshots", "detail"] {
        fs::remove_dir_all(disk.path().join(dir)).unwrap();
    }
    expect_clean("no derived files", &disk, "there is no detail store");
    assert!(!disk.detail_dir().exists(), "a check makes nothing");
    expect_clean("a new ledger", &Disk::new(), "there is no snapshot");
}

/// Found by the demo: a unit's report after the last event of a listing was told as a difference in time.
#[tokio::test]
async fn what_happens_beside_a_listing_later_is_no_difference() {
    let disk = disk_with_history().await;
    disk.clock.advance_ms(60_000);
    disk.run(|ledger| async {
        let until = start().day().plus_days(3);
        submit(&ledger, Command::Defer { listing: 1, ground: "impedes_duty".to_owned(), until }).await;
        ledger
    })
    .await;
    expect_clean("a deferral", &disk, "clean");
}

/// Its keys were missed in the index, where they must not be.
#[tokio::test]
async fn an_entry_that_only_the_own_unit_may_be_shown_is_no_difference() {
    let disk = disk_with_history().await;
    disk.run(|ledger| async {
        let (visibility, own_unit) = (Visibility::OwnUnitOnly, "bank".to_owned());
        publish(&ledger, content(&Draft { visibility, own_unit, ..draft(person(9), 9) })).await;
        ledger
    })
    .await;
    expect_clean("an entry in no index", &disk, "clean");
}

/// The check made what an older directory lacks, and would have made an empty file in place of one that was lost.
#[tokio::test]
async fn a_directory_from_before_petitions_and_imports_is_clean_and_left_as_it_is() {
    let disk = disk_with_history().await;
    for name in ["petition.slots", "import.slots"] {
        fs::remove_file(disk.path().join("slots").join(name)).unwrap();
    }
    let before = files(&disk);
    expect_clean("an older directory", &disk, "clean");
    assert!(files(&disk) == before, "a check makes nothing");
}

#[tokio::test]
async fn what_can_not_be_checked_is_refused() {
    let disk = disk_with_history().await;
    let refused = |words: &str| {
        let report = fsck(&disk);
        assert!(!report.is_clean());
        assert!(report.refused().is_some_and(|text| text.contains(words)), "{report}");
    };
    let ledger = disk.ledger();
    refused("another xinhubd runs on it");
    ledger.shutdown();
    drop(ledger);
    fs::write(disk.path().join("FORMAT"), "xinhub-data;format=2\n").unwrap();
    refused("newer format");
    fs::remove_file(disk.path().join("FORMAT")).unwrap();
    refused("holds no ledger");
    let report = run(&disk.path().join("nowhere"), Arc::clone(&disk.keyring));
    assert!(report.refused().is_some() && !disk.path().join("nowhere").exists());
}

#[tokio::test]
async fn a_flipped_byte_of_the_journal_is_found() {
    let disk = disk_with_history().await;
    let [segment] = &names(&disk, "journal")
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "seg"))
        .collect::<Vec<_>>()[..]
    else {
        panic!("one segment is enough for this history")
    };
    for at in [3, 40, 512, 516, 530, 700, 2_000] {
        flip(segment, at);
        expect_first("a flipped byte", &disk, Area::Journal, "damaged");
        flip(segment, at);
    }
    expect_clean("all flipped back", &disk, "clean");
    fs::remove_dir_all(disk.path().join("journal")).unwrap();
    expect("no journal", &disk, &[(Area::Journal, "missing")]);
}

/// Writes the journal anew, its frames sound, its entries changed. Derived files go: they are of the old one.
fn rewrite(disk: &Disk, max_payload_bytes: usize, change: impl FnOnce(&mut Vec<Entry>)) {
    let files = disk.open();
    let stored = files.vault.journal().after(0).map(|stored| Entry::decode(&stored.unwrap().payload).unwrap());
    let mut entries: Vec<Entry> = stored.collect();
    let epoch = files.resident.read().epoch;
    change(&mut entries);
    drop(files);
    for dir in ["journal", "snapshots", "detail"] {
        fs::remove_dir_all(disk.path().join(dir)).unwrap();
    }
    let storage = FileStorage::open_dir(&disk.path().join("journal")).unwrap();
    let config =
        LogConfig { segment_bytes: 1, max_payload_bytes, reserve: false, ..LogConfig::new(LogPurpose::Journal) };
    let mut log = SegmentedLog::create(storage, config, epoch).unwrap();
    for entry in entries {
        log.append(&entry.encode()).unwrap();
    }
}

#[tokio::test]
async fn an_entry_that_does_not_hold_is_found() {
    let disk = disk_with_history().await;
    let check = |case: &str, words: &str, change: &dyn Fn(&mut Vec<Entry>)| {
        let copy = disk.copy();
        rewrite(&copy, 1 << 20, change);
        expect_first(case, &copy, Area::Journal, words);
    };
    check("a leaf", "the leaf hash does not match", &|entries| entries[2].events[0].leaf_hash[0] ^= 1);
    check("a commitment", "the commitment does not match", &|entries| entries[2].events[0].salt[0] ^= 1);
    check("an entry is gone", "the one before ended with", &|entries| drop(entries.remove(3)));
    check("another history", "belongs to another history", &|entries| entries[1].epoch[0] ^= 1);
    check("a count of lifts", "count of lifts", &|entries| {
        change_clear(&mut entries[4], |clear| clear.lift_seq = Some(9))
    });
    check("a revision", "does not follow", &|entries| change_clear(&mut entries[11], |clear| clear.revision = 99));
    check("a listing", "not there", &|entries| change_clear(&mut entries[8], |clear| clear.listing = 77));
    check("an event", "no entry", &|entries| entries[1].events[0].clear = vec![0x81].into());
    check("a sealed part", "does not open", &|entries| {
        let other = entries[3].events[0].sealed.clone().unwrap();
        let mut clear = entries[0].events[0].clear().unwrap();
        entries[0].events[0] = EventRecord::new(&mut clear, Some(other.to_vec()));
    });
    let copy = disk.copy();
    rewrite(&copy, 1 << 20, |_| {});
    expect_clean("unchanged", &copy, "there is no snapshot");
}

/// Changes the part in clear, its hash right.
fn change_clear(entry: &mut Entry, change: impl FnOnce(&mut Clear)) {
    let event = &mut entry.events[0];
    let mut clear = event.clear().unwrap();
    change(&mut clear);
    event.clear = minicbor::to_vec(&clear).unwrap().into();
    event.leaf_hash = crypto::sha256(&[&[0], &event.clear[..]]);
}

#[tokio::test]
async fn what_comes_after_a_damaged_segment_is_checked_too() {
    let disk = disk_with_history().await;
    rewrite(&disk, 4_096, |_| {});
    expect_clean("several segments", &disk, "there is no snapshot");
    let segments = names(&disk, "journal");
    assert!(segments.len() > 1);
    let all = fsck(&disk).entries;
    flip(&segments[0], 600);
    let report = fsck(&disk);
    assert!(report.findings()[0].text.contains("damaged at byte"), "{report}");
    assert!(report.entries > 0 && report.entries < all);
    assert!(report.to_string().contains("checked on from entry"), "{report}");
    assert!(report.to_string().contains("not compared"), "{report}");
    assert!(report.to_string().contains("restore journal/"), "{report}");
    fs::remove_file(&segments[0]).unwrap();
    expect_first("no first segment", &disk, Area::Journal, "older segments are missing");
}

#[tokio::test]
async fn a_missing_or_damaged_slot_is_found() {
    let disk = disk_with_history().await;
    let slots = |name: &str| disk.path().join("slots").join(name);
    let relations = fs::read(slots("relation.slots")).unwrap();
    let mut emptied = relations.clone();
    emptied[64..128].fill(0);
    fs::write(slots("relation.slots"), &emptied).unwrap();
    expect_first("an empty slot", &disk, Area::Slots, "Relation 1 is empty");
    fs::write(slots("relation.slots"), relations).unwrap();
    expect_clean("restored", &disk, "clean");
    flip(&slots("listing.slots"), 2 * 64 + 20);
    expect_first("a damaged slot", &disk, Area::Slots, "slot 2 damaged");
    flip(&slots("listing.slots"), 2 * 64 + 20);
    let other = Disk { keyring: Arc::new(Keyring::ephemeral()), ..disk.copy() };
    let report = fsck(&other).to_string();
    assert!(report.contains("slots: ") && report.contains("does not unwrap"), "{report}");
    assert!(report.contains("snapshot: ") && report.contains("does not open"), "{report}");
    fs::remove_file(slots("exemption.slots")).unwrap();
    expect("no slot file", &disk, &[(Area::Slots, "exemption.slots")]);
}

#[tokio::test]
async fn a_key_destroyed_without_a_record_is_found() {
    let disk = disk_with_history().await;
    disk.erase(RecordKind::Relation, 1);
    for dir in ["snapshots", "detail"] {
        fs::remove_dir_all(disk.path().join(dir)).unwrap();
    }
    expect("erased", &disk, &[(Area::Slots, "Relation 1: its key was destroyed, and no erasure is recorded")]);
}

/// Saves an altered state as the hub's snapshot.
fn forge_snapshot(disk: &Disk, alter: impl FnOnce(&mut Resident)) {
    let files = disk.open();
    let mut resident = files.resident.write();
    alter(&mut resident);
    for path in names(disk, "snapshots") {
        fs::remove_file(path).unwrap();
    }
    let storage = FileStorage::open_dir(&disk.path().join("snapshots")).unwrap();
    let key_epoch = disk.keyring.current(Purpose::Index).key_epoch();
    save_snapshot(&*storage, resident.freeze(), key_epoch).unwrap();
}

/// Folds a hiding of listing 1 and takes it back everywhere but in the index.
fn unlist_in_index(resident: &mut Resident) {
    let (row, statistics) = (*resident.table.row(0), resident.statistics.clone());
    let clear = Clear {
        format: EVENT_FORMAT,
        revision: resident.revision + 1,
        kind: EventKind::Hide,
        record: RecordId { kind: RecordKind::Listing, number: 1 },
        listing: 1,
        key_epoch: RECORD_KEY_EPOCH,
        court: "c-one".to_owned(),
        at: start(),
        state: Some(State::Hidden),
        until: row.until(),
        grace_until: None,
        lift_seq: None,
        commitment: None,
        open: None,
        deadlines: None,
        petition: None,
        import: None,
    };
    resident.apply(&clear, &Opened::Nothing, Place(0)).unwrap();
    (*resident.table.row_mut(0), resident.statistics) = (row, statistics);
    resident.revision -= 1;
}

#[tokio::test]
async fn a_snapshot_that_disagrees_is_found() {
    let disk = disk_with_history().await;
    let check = |case: &str, words: &[&str], alter: &dyn Fn(&mut Resident)| {
        let copy = disk.copy();
        forge_snapshot(&copy, alter);
        let expected: Vec<_> = words.iter().map(|words| (Area::Snapshot, *words)).collect();
        expect(case, &copy, &expected);
    };
    check("a state", &["listing 4: the state is Some(Listed), the journal says Some(Removed)"], &|resident| {
        resident.table.row_mut(3).set_state(State::Listed);
    });
    check("a flag and a revision", &["listing 2: the revision", "listing 2: the flags"], &|resident| {
        resident.table.row_mut(1).set_revision(1);
        resident.table.row_mut(1).flags ^= FLAGGED;
    });
    check("relations", &["listing 2: the list of its relations"], &|resident| {
        resident.table.change_extra(1, |extra| extra.relations[0].set_ended(false));
    });
    check("a side entry", &["listing 1: its side entry is missing"], &|resident| {
        resident.table.extras.remove(0);
    });
    check("the index", &["listing 1: the index entry of one of its keys"], &unlist_in_index);
    check("a count", &["the count of relations is 9, the journal says 2"], &|resident| resident.relations = 9);
    check("a month", &["the count of listings by month"], &|resident| {
        resident.statistics.flows.values_mut().for_each(|flow| flow.listed += 1);
    });
    check("an announcement", &["the list of lifts to announce"], &|resident| resident.statistics.lifted.clear());
    check("the lifts", &["the count of lifts"], &|resident| resident.lift_seq += 1);
    check("a text in force", &["the configuration text `catalogue`"], &|resident| {
        resident.configured.insert("catalogue".to_owned(), [1; 32]);
    });
    check("outcomes", &["1 kept outcomes of requests are missing"], &|resident| {
        let _ = resident.outcomes.pop_first();
    });
    check("ahead", &["ahead of the journal"], &|resident| resident.sequence += 1);
    check("another journal", &["made from another journal"], &|resident| resident.chain[0] ^= 1);
    forge_snapshot(&disk, |_| {});
    expect_clean("nothing altered", &disk, "clean");
    flip(&names(&disk, "snapshots")[0], 700);
    expect("damaged", &disk, &[(Area::Snapshot, "damaged: a sealed block does not open")]);
}

/// Whoever looked before the first start of a new version was told that something differs.
#[tokio::test]
async fn a_snapshot_of_another_format_is_passed_over() {
    let disk = disk_with_history().await;
    let path = &names(&disk, "snapshots")[0];
    let mut bytes = fs::read(path).unwrap();
    bytes[8] -= 1;
    fs::write(path, bytes).unwrap();
    expect_clean("an older format", &disk, "it is passed over");
}

#[tokio::test]
async fn states_are_compared_in_both_directions() {
    let disk = disk_with_history().await;
    let shorter = disk.copy();
    let (one, same) = (disk.open(), disk.open());
    assert_eq!(compare(&one.resident.read(), &same.resident.read()), Vec::<String>::new());
    disk.run(|ledger| async {
        publish(&ledger, content(&draft(person(9), 9))).await;
        ledger
    })
    .await;
    let (long, short) = (disk.open(), shorter.open());
    let (long, short) = (long.resident.read(), short.resident.read());
    let missing = compare(&long, &short);
    assert!(missing.iter().any(|text| text == "listing 5: the index entry of one of its keys differs"), "{missing:?}");
    let more = compare(&short, &long);
    assert!(more.iter().any(|text| text.contains("the index has 1 keys of listings")), "{more:?}");
    assert!(more.iter().any(|text| text.contains("the count of listings is 5, the journal says 4")), "{more:?}");
}

fn listing(number: u64) -> RecordId {
    value::record(RecordKind::Listing, number)
}

/// Seals another content under the record's key: all checks of the value itself hold.
fn forge_value(disk: &Disk, number: u64, alter: impl FnOnce(&mut ListingValue, &mut u64)) {
    let key = disk.open().vault.key(listing(number)).unwrap().unwrap();
    disk.with_store(|store| {
        let bytes = store.get(listing(number)).unwrap().unwrap();
        let found = value::unframe(&bytes).unwrap();
        let mut content: ListingValue = value::open(&key, listing(number), &found).unwrap();
        let mut revision = found.revision;
        alter(&mut content, &mut revision);
        store.put_raw(listing(number), Some(&value::seal(&key, listing(number), revision, &content)));
    });
}

#[tokio::test]
async fn a_detail_value_that_disagrees_is_found() {
    let disk = disk_with_history().await;
    let check = |case: &str, words: &[&str], damage: &dyn Fn(&Disk)| {
        let copy = disk.copy();
        damage(&copy);
        let expected: Vec<_> = words.iter().map(|words| (Area::Detail, *words)).collect();
        expect(case, &copy, &expected);
    };
    let remove = |disk: &Disk, record: RecordId| disk.with_store(|store| store.put_raw(record, None));
    check("missing", &["listing 2: is missing"], &|disk| remove(disk, listing(2)));
    check("the last is missing", &["listing 4: is missing"], &|disk| remove(disk, listing(4)));
    check("a relation is missing", &["relation 2: is missing"], &|disk| {
        remove(disk, value::record(RecordKind::Relation, 2));
    });
    check("superfluous", &["listing 5: is superfluous", "exemption 3: is superfluous"], &|disk| {
        disk.with_store(|store| {
            let bytes = store.get(listing(1)).unwrap().unwrap();
            store.put_raw(listing(5), Some(&bytes));
            store.put_raw(value::record(RecordKind::Exemption, 3), Some(&bytes));
        });
    });
    check("a flipped bit", &["listing 1: is damaged: its checksum"], &|disk| {
        disk.with_store(|store| {
            let mut bytes = store.get(listing(1)).unwrap().unwrap();
            bytes[50] ^= 1;
            store.put_raw(listing(1), Some(&bytes));
        });
    });
    check("another's value", &["listing 3: is damaged: it does not open"], &|disk| {
        disk.with_store(|store| {
            let bytes = store.get(listing(1)).unwrap().unwrap();
            store.put_raw(listing(3), Some(&bytes));
        });
    });
    check("stale", &["listing 1: is stale: as of revision 1"], &|disk| {
        forge_value(disk, 1, |_, revision| *revision = 1);
    });
    check("changed", &["listing 1: its state differs", "listing 1: its content differs"], &|disk| {
        forge_value(disk, 1, |value, _| {
            value.state = State::Removed;
            value.content.obligation = "another".to_owned();
        });
    });
    check("a changed list", &["listing 2: the list of its relations differs"], &|disk| {
        forge_value(disk, 2, |value, _| value.relations[1].ended = true);
    });
    check("a changed time", &["listing 1: the time of its last event"], &|disk| {
        forge_value(disk, 1, |value, _| value.updated_at = Timestamp(1));
    });
    check("another history", &["it belongs to another history"], &|disk| {
        disk.with_store(|store| store.put(Vec::new(), &StorePosition::start([7; 16])).unwrap());
    });
    check("garbage", &["can't be read"], &|disk| {
        fs::write(disk.detail_dir().join("conf"), b"not a configuration").unwrap();
    });
    expect_clean("the original", &disk, "clean");
    let report = fsck(&disk);
    assert_eq!(report.finding_count(), 0);
}

#[tokio::test]
async fn the_audit_log_is_checked_by_its_chain() {
    let disk = disk_with_history().await;
    let storage = FileStorage::open_dir(&disk.path().join("audit")).unwrap();
    let config = LogConfig { max_payload_bytes: 4_096, segment_bytes: 1, ..LogConfig::new(LogPurpose::Audit) };
    let mut log = SegmentedLog::create(storage, config, [3; 16]).unwrap();
    let frames: Vec<Position> = (0..20).map(|number| log.append(&[number; 1_000]).unwrap()).collect();
    drop(log);
    let report = fsck(&disk);
    assert!(report.is_clean() && report.audit_frames == frames.len() as u64, "{report}");
    flip(&names(&disk, "audit")[0], 700);
    expect("a flipped byte", &disk, &[(Area::Audit, "damaged")]);
}

#[tokio::test]
async fn erased_records_are_no_difference_once_recorded() {
    let disk = disk_with_history().await;
    let events = fsck(&disk).events;
    disk.erase(RecordKind::Listing, 4);
    let at = start();
    rewrite(&disk, 1 << 20, |entries| {
        let mut clear = Clear {
            format: EVENT_FORMAT,
            revision: events + 1,
            kind: EventKind::Erase,
            record: listing(4),
            listing: 4,
            key_epoch: RECORD_KEY_EPOCH,
            court: "c-one".to_owned(),
            at,
            state: None,
            until: None,
            grace_until: None,
            lift_seq: None,
            commitment: None,
            open: None,
            deadlines: None,
            petition: None,
            import: None,
        };
        let mut entry = entries[0].clone();
        entry.first_revision = events + 1;
        entry.events = vec![EventRecord::new(&mut clear, None)];
        entry.outcomes = Vec::new();
        entries.push(entry);
    });
    let alone = disk.alone();
    assert_eq!(alone.listing(4), None);
    assert!(alone.listing(1).is_some());
    alone.detail.stop();
    let report = fsck(&disk);
    assert!(report.is_clean() && report.erased == 1, "{report}");
    // A value that was kept all the same.
    disk.with_store(|store| store.put_raw(listing(4), Some(&value::frame(1, 5, b"sealed"))));
    expect("a left-over", &disk, &[(Area::Detail, "listing 4: is superfluous: the record was erased")]);
}
