#![allow(clippy::unwrap_used)]
use super::*;
use std::collections::BTreeSet;

/// Every content that 400 power cuts leave of a file whose sectors were `a` (synced), then `b`, then `c` (not synced).
fn outcomes(sim: &SimStorage) -> BTreeSet<Vec<u8>> {
    let content = |seed| {
        let file = sim.crash(seed).storage().open("f", OpenMode::ReadOnly).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_at(&mut bytes, 0).unwrap();
        bytes.chunks(512).map(|sector| sector[0]).collect()
    };
    (0..400).map(content).collect()
}

fn file_of(sim: &SimStorage, byte: u8, sectors: usize) -> Arc<dyn StorageFile> {
    let file = sim.storage().open("f", OpenMode::CreateNew).unwrap();
    file.write_at(&vec![byte; 512 * sectors], 0).unwrap();
    file.sync_data().unwrap();
    sim.storage().sync_dir().unwrap();
    file
}

#[test]
fn synced_content_stays_and_unsynced_sectors_take_any_state_since() {
    let sim = SimStorage::new(1);
    let file = file_of(&sim, b'a', 2);
    assert_eq!(outcomes(&sim), BTreeSet::from([b"aa".to_vec()]));
    file.write_at(&[b'b'; 1024], 0).unwrap();
    file.write_at(&[b'c'; 1024], 0).unwrap();
    let all: BTreeSet<Vec<u8>> = b"abc".iter().flat_map(|x| b"abc".map(|y| vec![*x, y])).collect();
    assert_eq!(outcomes(&sim), all);
    file.write_at(&[b'd'; 100], 1000).unwrap();
    assert!(outcomes(&sim).iter().any(|sectors| sectors.len() == 2) && outcomes(&sim).iter().any(|s| s.len() == 3));
    file.sync_data().unwrap();
    assert_eq!(outcomes(&sim), BTreeSet::from([b"ccd".to_vec()]));
}

#[test]
fn names_are_lost_until_the_directory_is_synced() {
    let sim = SimStorage::new(1);
    file_of(&sim, b'a', 1);
    let storage = sim.storage();
    storage.rename("f", "g").unwrap();
    storage.open("h", OpenMode::CreateNew).unwrap();
    let lists: BTreeSet<Vec<String>> = (0..200).map(|seed| sim.crash(seed).storage().list().unwrap()).collect();
    assert_eq!(
        lists,
        [vec!["f"], vec!["g"], vec!["f", "h"], vec!["g", "h"]]
            .map(|l| l.into_iter().map(String::from).collect())
            .into()
    );
    storage.sync_dir().unwrap();
    assert_eq!(sim.crash(3).storage().list().unwrap(), ["g", "h"]);
    storage.remove("g").unwrap();
    let kept = (0..50).filter(|&seed| sim.crash(seed).storage().list().unwrap().len() == 2).count();
    assert!((1..50).contains(&kept));
}

#[test]
fn a_retried_sync_lies() {
    let sim = SimStorage::new(1);
    let file = file_of(&sim, b'a', 2);
    file.write_at(&[b'b'; 1024], 0).unwrap();
    sim.fail_sync(1, io::ErrorKind::Other);
    file.sync_data().unwrap_err();
    file.sync_data().unwrap();
    let mut shown = [0; 1024];
    file.read_at(&mut shown, 0).unwrap();
    assert_eq!(shown, [b'b'; 1024], "the page cache goes on showing it");
    assert_eq!(outcomes(&sim).len(), 1, "and no power cut changes what was lost");
    let after: BTreeSet<Vec<u8>> = (0..20).flat_map(|seed| outcomes(&sim.restart(seed))).collect();
    assert_eq!(after, outcomes(&sim));
}

#[test]
fn faults_come_where_they_were_set() {
    let sim = SimStorage::new(1);
    let file = file_of(&sim, b'a', 2);
    sim.fail_write(2, io::ErrorKind::StorageFull);
    file.write_at(b"x", 0).unwrap();
    assert_eq!(file.write_at(b"x", 0).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert!(sim.has_failed());
    file.write_at(b"x", 0).unwrap();

    sim.limit_bytes(Some(sim.used_bytes() + 10));
    assert_eq!(file.preallocate(2000).unwrap_err().kind(), io::ErrorKind::StorageFull);
    file.preallocate(1034).unwrap();

    sim.mute_syncs(|call| call.path == "f" && call.nth_of_handle == 2);
    file.sync_data().unwrap();
    assert!(outcomes(&sim).len() > 1, "a muted sync does nothing");
    file.sync_data().unwrap();
    assert_eq!(outcomes(&sim).len(), 1);

    let lock = sim.storage().lock("LOCK").unwrap();
    assert_eq!(sim.storage().lock("LOCK").unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(lock);
    sim.storage().lock("LOCK").unwrap();

    sim.power_off_after(1);
    file.write_at(b"y", 0).unwrap();
    file.sync_data().unwrap_err();
    file.read_at(&mut [0], 0).unwrap_err();
    assert!(sim.crash(1).storage().list().is_ok());
}
