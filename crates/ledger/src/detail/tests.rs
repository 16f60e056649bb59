#![allow(clippy::unwrap_used)]
//! The store follows, and is never believed: whatever happens to its files, answers are right or "catching up".

use std::fs;

use xinhub_domain::listing::{RecordKind, State};
use xinhub_domain::measure::Relation;

use super::store::{Store, StorePosition};
use super::testing::*;
use super::*;
use crate::command::{Command, ImportBatch, ImportRow, RowOutcome};
use crate::testing::*;

/// Every detail as it should be, read from a store built from nothing.
fn truth(disk: &Disk) -> Vec<Option<Arc<Detail>>> {
    let copy = disk.copy_without_detail();
    let alone = copy.alone();
    let all = alone.all();
    assert_eq!(alone.detail.rebuilds(), 0, "an absent store is no damaged one");
    alone.detail.stop();
    all
}

async fn disk_with_history() -> Disk {
    let disk = Disk::new();
    disk.run(history).await;
    disk
}

fn record(kind: RecordKind, number: u64) -> xinhub_domain::listing::RecordId {
    value::record(kind, number)
}

#[tokio::test]
async fn details_follow_what_courts_do() {
    let disk = disk_with_history().await;
    let alone = disk.alone();
    let first = alone.listing(1).unwrap();
    assert_eq!((first.state, first.court.as_str()), (State::Listed, "c-one"));
    assert_eq!(first.content, *content(&draft(person(1), 1)));
    assert_eq!((first.listed_on, first.until), (Some(start().day()), None));
    assert_eq!(first.updated_at, start());
    let ended: Vec<_> = first.exemptions.iter().map(|one| (one.exemption, one.ended)).collect();
    assert_eq!(ended, [(1, true), (2, false)]);
    assert_eq!(first.exemptions[0].content, *exemption(1));

    let second = alone.listing(2).unwrap();
    let ended: Vec<_> = second.relations.iter().map(|one| (one.relation, one.ended)).collect();
    assert_eq!(ended, [(1, true), (2, false)]);
    assert_eq!(second.relations[1].content, *relation(person(6), Relation::ActualController, ""));

    let third = alone.listing(3).unwrap();
    let last_of_grace = Day::parse("2026-02-28").unwrap().plus_days(30);
    assert_eq!((third.state, third.listed_on, third.grace_until), (State::Grace, None, Some(last_of_grace)));
    let fourth = alone.listing(4).unwrap();
    assert_eq!((fourth.state, fourth.listed_on), (State::Removed, Some(start().day())));

    for detail in [first, second, third, fourth] {
        let resident = alone.resident.read();
        let row = resident.table.row(resident.table.row_of(detail.listing).unwrap());
        assert_eq!((Some(detail.state), detail.revision, detail.until), (row.state(), row.revision(), row.until()));
    }
    assert_eq!(alone.listing(5), None);
    assert_eq!(alone.listing(0), None);
}

#[tokio::test]
async fn an_answer_is_never_from_before_an_acknowledged_write() {
    let disk = Disk::new();
    let ledger = disk.ledger();
    let listing = publish(&ledger, content(&draft(person(1), 1))).await;
    let mut seen = 0;
    for round in 0..60_u32 {
        let mut changed = draft(person(1), 1);
        changed.obligation = format!("round {round}");
        let outcome = submit(&ledger, Command::Amend { listing, content: content(&changed) }).await;
        // At once, and again once it is cached.
        for _ in 0..2 {
            match ledger.detail(listing) {
                Ok(detail) => {
                    let detail = detail.unwrap();
                    assert_eq!(
                        (detail.revision, detail.content.obligation.clone()),
                        (outcome.etag, changed.obligation.clone())
                    );
                    seen += 1;
                }
                Err(error) => assert_eq!(error, DetailError::CatchingUp),
            }
            eventually("caught up", || ledger.detail(listing).ok());
        }
    }
    assert!(seen >= 60);
    ledger.shutdown();
    assert!(ledger.detail(listing).unwrap().is_some(), "what is cached stays right: nothing changes any more");
}

#[tokio::test]
async fn a_restart_goes_on_where_it_was() {
    let disk = disk_with_history().await;
    let before = disk.with_store(|store| store.position().unwrap().unwrap());
    disk.run(|ledger| async {
        publish(&ledger, content(&draft(person(7), 7))).await;
        ledger
    })
    .await;
    let after = disk.with_store(|store| store.position().unwrap().unwrap());
    assert_eq!((after.sequence, after.revision, after.listings), (before.sequence + 1, before.revision + 1, 5));
    let alone = disk.alone();
    assert_eq!(alone.all(), truth(&disk));
    assert_eq!(alone.detail.rebuilds(), 0);
}

#[tokio::test]
async fn one_entry_may_take_several_batches() {
    let disk = Disk::new();
    disk.run(|ledger| async {
        let rows = (1..=1_000).map(|number| ImportRow::Listing(content(&draft(organisation(number), number as u32))));
        let batch = ImportBatch {
            actor: actor("j-1"),
            dry_run: false,
            amend: false,
            as_of: start(),
            released: None,
            complete: None,
            rows: rows.collect(),
        };
        let outcomes = ledger.import(court("court-one"), batch).await.unwrap();
        assert!(outcomes.iter().all(|outcome| matches!(outcome, RowOutcome::Added { .. })));
        ledger
    })
    .await;
    // As after a kill between two batches: values are ahead of the position.
    let start = StorePosition::start(disk.open().resident.read().epoch);
    disk.with_store(|store| store.put(Vec::new(), &start).unwrap());
    let alone = disk.alone();
    assert_eq!(alone.all(), truth(&disk));
    assert_eq!(alone.detail.rebuilds(), 0, "applying events again changes nothing");
}

#[tokio::test]
async fn events_applied_again_change_nothing() {
    let disk = disk_with_history().await;
    let end = disk.with_store(|store| store.position().unwrap().unwrap());
    let expected = truth(&disk);
    let stored: Vec<_> = disk.open().vault.journal().after(0).map(Result::unwrap).collect();
    for stored in &stored {
        let entry = crate::entry::Entry::decode(&stored.payload).unwrap();
        let back =
            StorePosition { sequence: stored.sequence, chain: stored.chain, revision: entry.last_revision(), ..end };
        disk.with_store(|store| store.put(Vec::new(), &back).unwrap());
        let alone = disk.alone();
        assert_eq!(alone.all(), expected, "from entry {}", stored.sequence);
        assert_eq!(alone.detail.rebuilds(), 0);
    }
}

/// Damages the closed store; reads are right all the same, after so many rebuilds.
async fn check_damage(case: &str, damage: impl FnOnce(&Disk), rebuilds: u64) {
    let disk = disk_with_history().await;
    damage(&disk);
    let alone = disk.alone();
    assert_eq!(alone.all(), truth(&disk), "{case}");
    assert_eq!(alone.detail.rebuilds(), rebuilds, "{case}");
    alone.detail.stop();
    let again = disk.alone();
    assert_eq!(again.all(), truth(&disk), "{case}: the new store lasts");
    assert_eq!(again.detail.rebuilds(), 0, "{case}: the new store lasts");
}

fn flip(disk: &Disk, kind: RecordKind, number: u64, byte: usize) {
    disk.with_store(|store| {
        let mut bytes = store.get(record(kind, number)).unwrap().unwrap();
        bytes[byte] ^= 1;
        store.put_raw(record(kind, number), Some(&bytes));
    });
}

/// The same value with another header, its checksum right.
fn reframe(disk: &Disk, number: u64, change: impl FnOnce(&mut Vec<u8>)) {
    disk.with_store(|store| {
        let mut bytes = store.get(record(RecordKind::Listing, number)).unwrap().unwrap();
        change(&mut bytes);
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..14]), &bytes[18..]);
        bytes[14..18].copy_from_slice(&crc.to_le_bytes());
        store.put_raw(record(RecordKind::Listing, number), Some(&bytes));
    });
}

#[tokio::test]
async fn a_damaged_value_is_found_and_the_store_built_anew() {
    use RecordKind::{Exemption, Hub, Listing, Relation};
    check_damage("a header bit", |disk| flip(disk, Listing, 1, 3), 1).await;
    check_damage("a content bit", |disk| flip(disk, Listing, 2, 60), 1).await;
    check_damage("a relation's bit", |disk| flip(disk, Relation, 2, 40), 1).await;
    check_damage("an exemption's bit", |disk| flip(disk, Exemption, 1, 40), 1).await;
    let change =
        |disk: &Disk, record, change: fn(&mut Vec<u8>)| disk.with_store(|store| store.change_raw(record, change));
    check_damage("a bit of the position", |disk| change(disk, record(Hub, 0), |bytes| bytes[30] ^= 1), 1).await;
    check_damage("no position", |disk| change(disk, record(Hub, 0), Vec::clear), 1).await;
    check_damage("a length", |disk| change(disk, record(Listing, 2), |bytes| bytes[4] ^= 1), 1).await;
    check_damage("less than lengths", |disk| change(disk, record(Listing, 2), |bytes| bytes.truncate(5)), 1).await;
    check_damage("more than values", |disk| change(disk, record(Relation, 2), |bytes| bytes.push(0)), 1).await;
    check_damage(
        "a value at its neighbour's place",
        |disk| change(disk, record(Listing, 2), |bytes| bytes[..8].rotate_left(4)),
        1,
    )
    .await;
    check_damage("another format", |disk| reframe(disk, 1, |bytes| bytes[0] = 9), 1).await;
    check_damage("another revision", |disk| reframe(disk, 1, |bytes| bytes[6] ^= 1), 1).await;
    check_damage("sealed bytes, checksum right", |disk| reframe(disk, 1, |bytes| bytes[40] ^= 1), 1).await;
    check_damage("a value is gone", |disk| disk.with_store(|store| store.put_raw(record(Listing, 3), None)), 1).await;
    check_damage("a relation is gone", |disk| disk.with_store(|store| store.put_raw(record(Relation, 1), None)), 1)
        .await;
}

#[tokio::test]
async fn a_store_of_an_older_format_is_replaced() {
    let disk = disk_with_history().await;
    disk.with_store(|store| {
        store.change_raw(record(RecordKind::Hub, 0), |bytes| {
            bytes[0] = value::FORMAT as u8 - 1;
            let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..14]), &bytes[18..]);
            bytes[14..18].copy_from_slice(&crc.to_le_bytes());
        });
        assert_eq!(store.position().unwrap_err().to_string(), "Hub 0: its format is 1, not 2");
    });
    let alone = disk.alone();
    assert_eq!(alone.all(), truth(&disk));
    assert_eq!(alone.detail.rebuilds(), 1);
}

#[tokio::test]
async fn what_lies_with_a_value_stays_when_it_goes() {
    let disk = Disk::new();
    disk.run(|ledger| async {
        for number in 1..=6 {
            publish(&ledger, content(&draft(person(number), number.into()))).await;
        }
        ledger
    })
    .await;
    let listing = |number| record(RecordKind::Listing, number);
    disk.with_store(|store| {
        let position = store.position().unwrap().unwrap();
        let there = |store: &Store| (1..=6).filter(|at| store.get(listing(*at)).unwrap().is_some()).collect::<Vec<_>>();
        let before = store.get(listing(3)).unwrap();
        store.put(vec![(listing(5), None), (listing(2), None)], &position).unwrap();
        assert_eq!(there(store), [1, 3, 4, 6]);
        assert_eq!(store.get(listing(3)).unwrap(), before);
        store.put((1..=6).map(|at| (listing(at), None)).collect(), &position).unwrap();
        assert!(there(store).is_empty());
        assert_eq!(store.values(RecordKind::Listing).unwrap().count(), 0);
    });
}

#[tokio::test]
async fn a_value_in_anothers_place_is_found() {
    let swap = |disk: &Disk| {
        disk.with_store(|store| {
            let other = store.get(record(RecordKind::Listing, 2)).unwrap().unwrap();
            store.put_raw(record(RecordKind::Listing, 1), Some(&other));
        });
    };
    check_damage("another listing's value", swap, 1).await;
}

#[tokio::test]
async fn an_older_value_put_back_is_found() {
    let disk = disk_with_history().await;
    let old = disk.with_store(|store| store.get(record(RecordKind::Listing, 1)).unwrap().unwrap());
    disk.run(|ledger| async {
        submit(&ledger, Command::Remove { listing: 1, ground: "performed".to_owned() }).await;
        ledger
    })
    .await;
    disk.with_store(|store| store.put_raw(record(RecordKind::Listing, 1), Some(&old)));
    let alone = disk.alone();
    assert_eq!(alone.listing(1).unwrap().state, State::Removed);
    assert_eq!(alone.detail.rebuilds(), 1);
}

#[tokio::test]
async fn damage_while_it_runs_is_found() {
    let disk = disk_with_history().await;
    let alone = disk.alone();
    alone.listing(2).unwrap();
    alone.detail.shared.store.read().as_ref().unwrap().put_raw(record(RecordKind::Listing, 1), Some(b"x"));
    assert_eq!(alone.detail.listing(1), Err(DetailError::CatchingUp));
    assert_eq!(alone.listing(1), truth(&disk)[0]);
    assert_eq!(alone.detail.rebuilds(), 1);
    assert_eq!(alone.detail.applied_revision(), alone.resident.read().revision);
}

#[tokio::test]
async fn files_that_sled_cannot_read_are_replaced() {
    let garbage = |disk: &Disk| {
        let db = disk.detail_dir().join("db");
        let length = fs::metadata(&db).unwrap().len() as usize;
        fs::write(db, vec![0xa5; length]).unwrap();
    };
    let conf = |disk: &Disk| fs::write(disk.detail_dir().join("conf"), b"not a configuration").unwrap();
    let file = |disk: &Disk| {
        fs::remove_dir_all(disk.detail_dir()).unwrap();
        fs::write(disk.detail_dir(), b"not a directory").unwrap();
    };
    for (case, damage) in [("garbage", &garbage as &dyn Fn(&Disk)), ("conf", &conf), ("a file", &file)] {
        let disk = disk_with_history().await;
        damage(&disk);
        let alone = disk.alone();
        assert_eq!(alone.all(), truth(&disk), "{case}");
    }
    let disk = disk_with_history().await;
    let db = fs::OpenOptions::new().write(true).open(disk.detail_dir().join("db")).unwrap();
    db.set_len(1_000).unwrap();
    assert_eq!(disk.alone().all(), truth(&disk), "cut short");
}

#[tokio::test]
async fn a_store_of_another_history_is_replaced() {
    let (disk, other) = (disk_with_history().await, disk_with_history().await);
    let expected = truth(&disk);
    disk.take_detail_of(&other);
    let alone = disk.alone();
    assert_eq!(alone.all(), expected);
    assert_eq!(alone.detail.rebuilds(), 1);
}

#[tokio::test]
async fn an_older_copy_of_the_store_catches_up() {
    let disk = disk_with_history().await;
    let old = disk.copy();
    disk.run(|ledger| async {
        submit(&ledger, Command::Remove { listing: 1, ground: "performed".to_owned() }).await;
        publish(&ledger, content(&draft(person(9), 9))).await;
        ledger
    })
    .await;
    let expected = truth(&disk);
    disk.take_detail_of(&old);
    let alone = disk.alone();
    assert_eq!(alone.all(), expected);
    assert_eq!(alone.detail.rebuilds(), 0);
}

#[tokio::test]
async fn a_store_ahead_of_its_journal_is_replaced() {
    let disk = disk_with_history().await;
    let (restored, branch) = (disk.copy(), disk.copy());
    disk.run(|ledger| async {
        submit(&ledger, Command::Remove { listing: 1, ground: "performed".to_owned() }).await;
        ledger
    })
    .await;
    restored.take_detail_of(&disk);
    let alone = restored.alone();
    assert_eq!(alone.listing(1).unwrap().state, State::Listed, "the older journal is the truth");
    assert_eq!(alone.detail.rebuilds(), 1);

    // The older journal has gone another way since, and is longer by now.
    branch
        .run(|ledger| async {
            for number in 10..14 {
                publish(&ledger, content(&draft(person(number), number.into()))).await;
            }
            ledger
        })
        .await;
    let expected = truth(&branch);
    branch.take_detail_of(&disk);
    let alone = branch.alone();
    assert_eq!(alone.all(), expected);
    assert_eq!(alone.detail.rebuilds(), 1);
}

#[tokio::test]
async fn an_erased_record_has_no_detail() {
    let disk = disk_with_history().await;
    disk.erase(RecordKind::Relation, 1);
    disk.erase(RecordKind::Exemption, 2);
    disk.erase(RecordKind::Listing, 3);
    let alone = disk.alone();
    assert_eq!(alone.listing(3), None);
    let relations: Vec<_> = alone.listing(2).unwrap().relations.iter().map(|one| one.relation).collect();
    let exemptions: Vec<_> = alone.listing(1).unwrap().exemptions.iter().map(|one| one.exemption).collect();
    assert_eq!((relations, exemptions), (vec![2], vec![1]));
    assert_eq!(alone.detail.rebuilds(), 0);
    assert_eq!(truth(&disk), alone.all(), "a store built anew says the same");
}

#[tokio::test]
async fn no_plaintext_is_on_disk() {
    let disk = Disk::new();
    disk.run(|ledger| async {
        let mut marked = draft(person(1), 1);
        marked.obligation = "marked-obligation".to_owned();
        publish(&ledger, content(&marked)).await;
        ledger
    })
    .await;
    let db = fs::read(disk.detail_dir().join("db")).unwrap();
    for plain in ["marked-obligation", &person(1).number, "合成甲"] {
        assert!(!db.windows(plain.len()).any(|window| window == plain.as_bytes()));
    }
}
