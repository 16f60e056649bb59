//! Resident IDs and credit codes against python-stdnum, an implementation by others, over 120,000 generated numbers,
//! valid and corrupted.
//!
//! Known gaps of python-stdnum 2.2, each checked here to be a gap and nothing else:
//! - it refuses credit codes that begin with A, N or Y or have a letter for category, and takes ones that begin
//!   with 0;
//! - it ignores the check character of the organisation code inside a credit code;
//! - it takes birth dates in the future and before 1800;
//! - it refuses places that its table of counties lacks, or fails on them (here a warning, and by province);
//! - it knows no 15-digit form, so none is generated.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use jiff::ToSpan;
use jiff::civil::{Date, date};
use rand::Rng;
use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use xinhub_domain::identity::{Identity, Kind, Source, Violations, Warning, synthetic};

const NUMBERS: usize = 120_000;
const SEED: u64 = 20_260_115;
const TODAY: Date = date(2026, 1, 15);

#[test]
fn agrees_with_python_stdnum() {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let numbers: Vec<(Kind, String)> = (0..NUMBERS)
        .map(|index| match index % 2 {
            0 => (Kind::ResidentId, resident_id(&mut rng)),
            _ => (Kind::Uscc, credit_code(&mut rng)),
        })
        .collect();
    let verdicts = ask_stdnum(&numbers);

    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for ((kind, number), verdict) in numbers.iter().zip(&verdicts) {
        let ours = Identity::parse(*kind, number, None, Source::LookerUp, TODAY);
        let class = if *kind == Kind::ResidentId {
            compare_resident_id(verdict, &ours)
        } else {
            compare_credit_code(verdict, &ours, &number.to_uppercase())
        };
        let told = ours.as_ref().err().map(codes);
        let class = class.unwrap_or_else(|| panic!("{kind:?} {number}: stdnum says {verdict}, we say {told:?}"));
        *seen.entry(class).or_default() += 1;
    }
    // A comparison that never met a case would prove nothing about it.
    for class in CLASSES {
        assert!(seen.get(class).is_some_and(|&count| count >= 100), "{class} is not covered: {seen:?}");
    }
}

/// Every way in which the two may stand to each other.
const CLASSES: [&str; 13] = [
    "id: both valid",
    "id: place unknown to stdnum",
    "id: place unknown to both",
    "id: in the future or before 1800",
    "id: no calendar date",
    "id: check digit",
    "id: form",
    "uscc: both valid",
    "uscc: letter in the first two",
    "uscc: starts with 0",
    "uscc: embedded check",
    "uscc: check digit",
    "uscc: form",
];

/// The class of agreement, or `None` for a disagreement.
fn compare_resident_id(verdict: &str, ours: &Result<Identity, Violations>) -> Option<&'static str> {
    let unknown_region = ours.as_ref().is_ok_and(|id| id.warnings().contains(&Warning::UnknownRegion));
    let told = ours.as_ref().err().map(codes).unwrap_or_default();
    match (verdict, &*told) {
        ("ok", "") if !unknown_region => Some("id: both valid"),
        ("place", "") if unknown_region => Some("id: place unknown to both"),
        ("place", "") => Some("id: place unknown to stdnum"),
        ("ok" | "place", "birth_date_in_future" | "birth_date_too_early") => Some("id: in the future or before 1800"),
        ("date", "birth_date") => Some("id: no calendar date"),
        ("InvalidChecksum", told) if told.split(',').any(|code| code == "check_digit") => Some("id: check digit"),
        ("InvalidLength", told) if told.split(',').any(|code| code == "length") => Some("id: form"),
        // stdnum looks at the first 17 alone and takes any last character for a wrong check digit.
        ("InvalidFormat" | "InvalidChecksum", told) if told.split(',').any(|code| code == "character") => {
            Some("id: form")
        }
        _ => None,
    }
}

/// The class of agreement, or `None` for a disagreement.
fn compare_credit_code(verdict: &str, ours: &Result<Identity, Violations>, number: &str) -> Option<&'static str> {
    let told = ours.as_ref().err().map(codes).unwrap_or_default();
    let has = |wanted: &str| told.split(',').any(|code| code == wanted);
    match verdict {
        "ok" if told.is_empty() => Some("uscc: both valid"),
        "ok" if told == "embedded_check_digit" => Some("uscc: embedded check"),
        "ok" if number.starts_with('0') && has("character") => Some("uscc: starts with 0"),
        "InvalidFormat" if !has("character") && number[..2].contains(char::is_alphabetic) => {
            Some("uscc: letter in the first two")
        }
        "InvalidFormat" if has("character") => Some("uscc: form"),
        "InvalidLength" if has("length") => Some("uscc: form"),
        "InvalidChecksum" if has("check_digit") => Some("uscc: check digit"),
        _ => None,
    }
}

fn codes(violations: &Violations) -> String {
    violations.iter().map(|violation| violation.code()).collect::<Vec<_>>().join(",")
}

/// A resident ID: two of five valid, the rest wrong in one of several ways.
fn resident_id(rng: &mut ChaCha8Rng) -> String {
    // Counties that stand in every edition of GB/T 2260, and random places.
    let known = ["110101", "120101", "310101", "440103", "510104", "610102", "650102", "440882"];
    let region = match rng.random_range(0..4) {
        0 => format!("{:06}", rng.random_range(100_000..900_000)),
        _ => (*known.choose(rng).unwrap()).to_owned(),
    };
    let birth = date(1900, 1, 1).checked_add(rng.random_range(0..46_000i64).days()).unwrap();
    let sequence = rng.random_range(0..1000);
    let valid = synthetic::resident_id(&region, birth, sequence);
    match rng.random_range(0..10) {
        0 => with_date(&region, "20990101", sequence),
        1 => with_date(&region, &format!("{:08}", rng.random_range(101..18_000_000)), sequence),
        2 => with_date(&region, ["19900230", "20001301", "19000229", "20010029"].choose(rng).unwrap(), sequence),
        3 => with_other(&valid, "0123456789", rng),
        4 => swapped(&valid, rng),
        5 => misshapen(&valid, "ABCXYZ", rng),
        6 => valid.to_lowercase(),
        _ => valid,
    }
}

/// A personal number around a date that need not be one, with its check digit.
fn with_date(region: &str, date: &str, sequence: u16) -> String {
    let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let first_17 = format!("{region}{date}{sequence:03}");
    let sum: u32 = first_17.bytes().zip(weights).map(|(c, weight)| u32::from(c - b'0') * weight).sum();
    format!("{first_17}{}", ["1", "0", "X", "9", "8", "7", "6", "5", "4", "3", "2"][sum as usize % 11])
}

/// A credit code: half of them valid, the rest wrong in one of several ways.
fn credit_code(rng: &mut ChaCha8Rng) -> String {
    let head = *["91", "92", "93", "11", "12", "52", "N2", "A1", "Y1"].choose(rng).unwrap();
    let region = format!("{:06}", rng.random_range(0..1_000_000));
    let valid = synthetic::uscc(head, &region, rng.random());
    let charset = "0123456789ABCDEFGHJKLMNPQRTUWXY";
    match rng.random_range(0..12) {
        0 => with_other(&valid, charset, rng),
        1 => swapped(&valid, rng),
        2 => misshapen(&valid, "IOSVZ", rng),
        3 => valid.to_lowercase(),
        4 => with_outer_check("91", &with_other(&valid[2..17], charset, rng)),
        5 => with_outer_check("01", &valid[2..17]),
        _ => valid,
    }
}

/// A credit code whose own check character is right, whatever is inside.
fn with_outer_check(head: &str, rest: &str) -> String {
    let charset = "0123456789ABCDEFGHJKLMNPQRTUWXY";
    let first_17 = format!("{head}{rest}");
    let (mut sum, mut weight) = (0, 1);
    for c in first_17.chars() {
        sum += charset.find(c).unwrap() * weight;
        weight = weight * 3 % 31;
    }
    let check = charset.as_bytes()[(31 - sum % 31) % 31];
    format!("{first_17}{}", char::from(check))
}

/// `number` with one character replaced by another of `charset`.
fn with_other(number: &str, charset: &str, rng: &mut ChaCha8Rng) -> String {
    let mut bytes = number.as_bytes().to_vec();
    let place = rng.random_range(0..bytes.len());
    let old = bytes[place];
    while bytes[place] == old {
        bytes[place] = *charset.as_bytes().choose(rng).unwrap();
    }
    String::from_utf8(bytes).unwrap()
}

/// `number` with two neighbours swapped.
fn swapped(number: &str, rng: &mut ChaCha8Rng) -> String {
    let mut bytes = number.as_bytes().to_vec();
    let place = rng.random_range(0..bytes.len() - 1);
    bytes.swap(place, place + 1);
    String::from_utf8(bytes).unwrap()
}

/// `number` too short, too long, or with a character of `foreign`.
fn misshapen(number: &str, foreign: &str, rng: &mut ChaCha8Rng) -> String {
    match rng.random_range(0..3) {
        0 => number[..rng.random_range(1..15)].to_owned(),
        1 => format!("{number}{}", rng.random_range(0..10)),
        _ => with_other(number, foreign, rng),
    }
}

/// stdnum's verdict on each number.
fn ask_stdnum(numbers: &[(Kind, String)]) -> Vec<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stdnum_oracle.py");
    let mut python = Command::new(python())
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test environment's Python starts");
    let mut stdin = python.stdin.take().unwrap();
    let mut input = String::new();
    for (kind, number) in numbers {
        input += if *kind == Kind::ResidentId { "id " } else { "uscc " };
        input += number;
        input.push('\n');
    }
    // Written aside: both pipes are short, and each side would wait for the other.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "stdnum_oracle.py failed (see above): run `make test-setup`");
    writer.join().unwrap().unwrap();
    let verdicts: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(verdicts.len(), numbers.len());
    verdicts
}

/// The Python of the environment that `tests/setup.sh` makes.
fn python() -> PathBuf {
    let default = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/test-venv"));
    let venv = std::env::var_os("XINHUB_TEST_VENV").map_or_else(default, PathBuf::from);
    let python = venv.join("bin/python");
    assert!(python.exists(), "no Python environment for the tests in {}: run `make test-setup`", venv.display());
    python
}
