#![allow(clippy::unwrap_used)]
use super::*;
use crate::storage::sim::SimStorage;

fn keyring() -> Arc<Keyring> {
    Arc::new(Keyring::ephemeral())
}

fn keys(count: usize) -> Vec<RecordKey> {
    (0..count).map(|_| RecordKey::random()).collect()
}

#[test]
fn keys_are_put_with_one_sync_read_back_and_erased_for_good() {
    let (sim, keyring, keys) = (SimStorage::new(1), keyring(), keys(100));
    let mut slots = SlotFile::create(&*sim.storage(), "slots", Arc::clone(&keyring)).unwrap();
    let syncs = sim.counts().syncs;
    slots.put_many(1, &keys).unwrap();
    assert_eq!(sim.counts().syncs, syncs + 1);
    slots.erase(7).unwrap();
    slots.erase(7).unwrap();
    drop(slots);

    let mut slots = SlotFile::open(&*sim.crash(1).storage(), "slots", keyring).unwrap();
    let reader = slots.reader();
    for (slot, key) in (1..).zip(&keys) {
        let want = if slot == 7 { SlotKey::Erased } else { SlotKey::Live(key.clone()) };
        assert_eq!(reader.key(slot).unwrap(), want, "slot {slot}");
    }
    for missing in [0, 101, 1 << 40, u64::MAX] {
        assert_eq!(slots.key(missing).unwrap(), SlotKey::Missing);
    }
    assert!(matches!(slots.put_many(5, &keys[..4]), Err(SlotError::AlreadyErased { slot: 7, .. })));
    slots.put_many(5, &keys[..2]).unwrap();
    assert_eq!(slots.key(6).unwrap(), SlotKey::Live(keys[1].clone()));
    let full = SlotFile::create(&*sim.storage(), "slots", self::keyring());
    assert!(matches!(full, Err(SlotError::Exists { .. })));
}

#[test]
fn the_file_grows_ahead_and_a_full_disk_is_told_before_anything_is_written() {
    let (sim, keyring, keys) = (SimStorage::new(1), keyring(), keys(2));
    let mut slots = SlotFile::create(&*sim.storage(), "slots", keyring).unwrap();
    sim.limit_bytes(Some(sim.used_bytes()));
    let last = GROWTH_BYTES / SLOT_BYTES - 1;
    slots.put_many(last, &keys[..1]).unwrap();
    assert!(matches!(slots.put_many(last, &keys), Err(SlotError::Full { .. })));
    assert!(!slots.is_poisoned());
    slots.erase(last).unwrap();
    sim.limit_bytes(None);
    slots.put_many(last + 1, &keys).unwrap();
    assert_eq!(slots.key(last + 2).unwrap(), SlotKey::Live(keys[1].clone()));
}

#[test]
fn a_failed_sync_ends_it() {
    let (sim, keyring, keys) = (SimStorage::new(1), keyring(), keys(2));
    let mut slots = SlotFile::create(&*sim.storage(), "slots", keyring).unwrap();
    sim.fail_sync(1, io::ErrorKind::Other);
    assert!(matches!(slots.put_many(1, &keys), Err(SlotError::Io { doing: "sync", .. })));
    assert!(matches!(slots.put_many(1, &keys), Err(SlotError::Poisoned)));
    assert!(matches!(slots.erase(1), Err(SlotError::Poisoned)));
}

#[test]
fn damage_is_told_never_taken_for_a_key() {
    let (sim, keyring, keys) = (SimStorage::new(1), keyring(), keys(3));
    let mut slots = SlotFile::create(&*sim.storage(), "slots", Arc::clone(&keyring)).unwrap();
    slots.put_many(1, &keys).unwrap();
    let mut stored = [0; SLOT_BYTES as usize];
    let file = sim.storage().open("slots", OpenMode::ReadWrite).unwrap();
    file.read_at(&mut stored, 2 * SLOT_BYTES).unwrap();
    for at in 0..60 {
        let mut damaged = stored;
        damaged[at] ^= 0x10;
        file.write_at(&damaged, 2 * SLOT_BYTES).unwrap();
        match slots.key(2) {
            Err(SlotError::Corrupt { slot: 2, .. } | SlotError::NewerFormat { .. }) => {}
            other => panic!("byte {at}: {other:?}"),
        }
    }
    // A slot that was copied elsewhere is whole, but not that slot's.
    file.write_at(&stored, 3 * SLOT_BYTES).unwrap();
    assert!(slots.key(3).unwrap_err().to_string().contains("another slot's number"));
    file.write_at(&stored, 2 * SLOT_BYTES).unwrap();

    let other = SlotFile::open(&*sim.storage(), "slots", self::keyring()).unwrap();
    assert!(other.key(2).unwrap_err().to_string().contains("does not unwrap"));
    file.write_at(&[2, 0], 8).unwrap();
    let newer = SlotFile::open(&*sim.storage(), "slots", keyring);
    assert!(matches!(newer, Err(SlotError::NewerFormat { found: 2, .. })));
}

#[test]
fn a_slot_of_another_generation_names_the_key_it_needs() {
    let (sim, keyring, keys) = (SimStorage::new(1), keyring(), keys(1));
    let mut slots = SlotFile::create(&*sim.storage(), "slots", Arc::clone(&keyring)).unwrap();
    slots.put_many(1, &keys).unwrap();
    let wrapped = wrap(keyring.current(Purpose::Kek), &keys[0]);
    let file = sim.storage().open("slots", OpenMode::ReadWrite).unwrap();
    file.write_at(&encode_slot(LIVE, 9, 1, &wrapped), SLOT_BYTES).unwrap();
    assert!(slots.key(1).unwrap_err().to_string().contains("kek.9.key"));
}
