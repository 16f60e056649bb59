#![allow(clippy::unwrap_used)]
use std::os::unix::fs::PermissionsExt;

use super::*;

fn key_dir() -> (tempfile::TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("keys");
    (temp, dir)
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn keys_are_made_once_closed_to_others_and_load_alike() {
    let (_temp, dir) = key_dir();
    let made = Keyring::create(&dir).unwrap();
    let loaded = Keyring::load(&dir).unwrap();
    for purpose in Purpose::ALL {
        assert_eq!(made.current(purpose).bytes(), loaded.current(purpose).bytes());
        assert_eq!(loaded.current(purpose).key_epoch(), 1);
        let mode = fs::metadata(dir.join(format!("{}.key", purpose.name()))).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }
    assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o7777, 0o700);
    assert!(matches!(Keyring::create(&dir), Err(KeyError::Exists { .. })));
    fs::remove_file(dir.join("kek.key")).unwrap();
    assert!(matches!(Keyring::create(&dir), Err(KeyError::Exists { .. })), "a single leftover is enough");
    assert!(matches!(Keyring::load(&dir), Err(KeyError::Missing { purpose: Purpose::Kek, .. })));
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_fix() {
    let (_temp, dir) = key_dir();
    Keyring::create(&dir).unwrap();
    let path = dir.join("index.key");
    for (mode, refused) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o440, true), (0o700, true)]
    {
        chmod(&path, mode);
        match Keyring::load(&dir) {
            Ok(_) => assert!(!refused, "{mode:o} was taken"),
            Err(error) => {
                let text = error.to_string();
                assert!(refused && text.contains("chmod 0600"), "{mode:o}: {text}");
            }
        }
    }
    chmod(&path, 0o440);
    Keyring::load_from(&dir, true).unwrap();
    chmod(&path, 0o444);
    assert!(matches!(Keyring::load_from(&dir, true), Err(KeyError::Exposed { .. })));
}

#[test]
fn a_damaged_line_is_refused_without_showing_the_key() {
    let (_temp, dir) = key_dir();
    Keyring::create(&dir).unwrap();
    let path = dir.join("audit.key");
    let line = fs::read_to_string(&path).unwrap();
    let hex = line.trim().rsplit('=').next().unwrap().to_owned();
    let cases = [
        (line.replace("xinhub-key", "key"), "begin with"),
        (line.replace("format=1", "format=x"), "second field"),
        (line.replace("format=1", "format=2"), "this version knows up to 1"),
        (line.replace("purpose=audit", "purpose=index"), "purpose field says index"),
        (line.replace("purpose=audit", "purpose=other"), "third field"),
        (line.replace("epoch=1", "epoch=0"), "fourth field"),
        (line.replace(&hex, &hex[..62]), "fifth field"),
        (line.replace(&hex, &hex.replace(&hex[..1], "g")), "fifth field"),
        (line.trim().to_owned() + ";more", "nothing may follow"),
        (String::new(), "begin with"),
    ];
    for (text, want) in cases {
        fs::write(&path, &text).unwrap();
        let error = Keyring::load(&dir).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
        assert!(!error.contains(&hex[..8]), "the key is in the error");
    }
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(Keyring::load(&dir).unwrap_err().to_string().contains("not text"));
}

#[test]
fn older_generations_stay_readable_and_the_newest_is_current() {
    let (_temp, dir) = key_dir();
    let first = Keyring::create(&dir).unwrap();
    fs::rename(dir.join("kek.key"), dir.join("kek.1.key")).unwrap();
    let hex = "ab".repeat(32);
    fs::write(dir.join("kek.key"), format!("xinhub-key;format=1;purpose=kek;epoch=2;hex={hex}\n")).unwrap();
    chmod(&dir.join("kek.key"), 0o600);
    fs::write(dir.join("server.key"), "a TLS key is none of ours").unwrap();

    let both = Keyring::load(&dir).unwrap();
    assert_eq!(both.current(Purpose::Kek).bytes(), &[0xab; 32]);
    assert_eq!(both.current(Purpose::Kek).key_epoch(), 2);
    let old = both.generation(Purpose::Kek, 1).unwrap();
    assert_eq!(old.bytes(), first.current(Purpose::Kek).bytes());
    assert!(both.generation(Purpose::Kek, 3).is_none());
    assert!(both.generation(Purpose::Index, 2).is_none());

    fs::copy(dir.join("kek.key"), dir.join("kek.7.key")).unwrap();
    assert!(Keyring::load(&dir).unwrap_err().to_string().contains("two files"));
    assert!(!format!("{both:?}").contains("ab"), "Debug shows no key");
}
