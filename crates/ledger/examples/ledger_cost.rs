//! What a ledger costs on a real disk: rows a second taken in, memory, bytes on disk, time to start, time to look up.
//!
//! `ledger_cost all ROWS DIR` imports synthetic listings, is killed, starts on the journal alone, stops, starts on the
//! snapshot; each in a process of its own. DIR is made, and must not exist. Single steps: `import ROWS DIR`, `start DIR`.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)] // A measurement, run by hand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use xinhub_domain::identity::{Kind, synthetic};
use xinhub_domain::listing::{Content, Draft, RawIdentity, Stage};
use xinhub_domain::measure::RelationSet;
use xinhub_domain::time::Day;
use xinhub_ledger::clock::manual::ManualClock;
use xinhub_ledger::keys::Keyring;
use xinhub_ledger::testing::{actor, court, draft, identity, lookup, start};
use xinhub_ledger::{ImportBatch, ImportRow, Ledger, Settings};

/// The hub's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: u64 = 1_000;
const PROBES: u64 = 1_000_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["all", rows, dir] => all(rows, dir),
        ["import", rows, dir] => import(rows.parse().unwrap(), Path::new(dir)),
        ["start", rows, dir] => start_up(rows.parse().unwrap(), Path::new(dir), true),
        ["look", rows, dir] => start_up(rows.parse().unwrap(), Path::new(dir), false),
        _ => println!("usage: ledger_cost all|import|start|look ROWS DIR"),
    }
}

/// Each step in a process of its own: the first ends without stopping anything, as a kill would.
fn all(rows: &str, dir: &str) {
    let this = std::env::current_exe().unwrap();
    for (step, what) in [("import", "import, then killed"), ("start", "start after the kill"), ("look", "clean start")]
    {
        println!("-- {what}");
        assert!(Command::new(&this).args([step, rows, dir]).status().unwrap().success());
    }
}

fn settings(dir: &Path) -> Settings {
    let mut settings = Settings::new(dir.join("data"), dir.join("keys"));
    // All of the journal is the tail after the kill.
    settings.snapshot_every_events = u64::MAX;
    settings
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(start()))
}

/// Seven persons and three organisations in ten, spread over dates of birth and numbers.
fn subject(number: u64) -> RawIdentity {
    if number % 10 < 7 {
        let born = Day(u32::try_from(number / 900 % 16_000).unwrap()).date();
        let born = born.with().year(born.year() - 20).day(born.day().min(28)).build().unwrap();
        let region = ["110101", "310104", "440882", "510104"][(number % 4) as usize];
        let number = synthetic::resident_id(region, born, (number % 900) as u16);
        RawIdentity { kind: Kind::ResidentId, number, issuing_state: None }
    } else {
        RawIdentity { kind: Kind::Uscc, number: synthetic::uscc("91", "440882", number), issuing_state: None }
    }
}

fn listing(number: u64) -> Draft {
    Draft {
        obligation: "合成数据：向申请执行人支付货款人民币若干元及迟延履行期间的债务利息".to_owned(),
        performance: "全部未履行".to_owned(),
        conduct: "合成数据：有履行能力而拒不履行生效法律文书确定义务".to_owned(),
        court_name: "合成第一人民法院".to_owned(),
        area: "合成省".to_owned(),
        ..draft(subject(number), 1 + u32::try_from(number).unwrap())
    }
}

fn import(rows: u64, dir: &Path) {
    fs::create_dir(dir).unwrap();
    Keyring::create(&dir.join("keys")).unwrap();
    Ledger::create(&settings(dir)).unwrap();
    let ledger = Ledger::open(settings(dir), clock()).unwrap();
    let (send, batches) = sync_channel(4);
    let making = std::thread::spawn(move || {
        for first in (0..rows).step_by(BATCH as usize) {
            let rows = (first..rows.min(first + BATCH)).map(|number| {
                ImportRow::Listing(Box::new(Content::check(&listing(number), Stage::Decision, start()).unwrap().0))
            });
            let rows = rows.collect();
            send.send(ImportBatch {
                actor: actor("clerk"),
                dry_run: false,
                amend: false,
                as_of: start(),
                released: None,
                complete: None,
                rows,
            })
            .unwrap();
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let begun = Instant::now();
    let mut taking = Duration::ZERO;
    for batch in batches {
        let begun = Instant::now();
        let outcomes = runtime.block_on(ledger.import(court("court-one"), batch)).unwrap();
        taking += begun.elapsed();
        assert!(outcomes.iter().all(|one| matches!(one, xinhub_ledger::RowOutcome::Added { .. })));
    }
    making.join().unwrap();
    let all = begun.elapsed();
    println!(
        "{rows} rows in {:.1} s: {:.0} rows/s, rows made and checked beside",
        all.as_secs_f64(),
        per_second(rows, all)
    );
    println!("in the ledger alone {:.1} s: {:.0} rows/s", taking.as_secs_f64(), per_second(rows, taking));
    let begun = Instant::now();
    while ledger.status().detail_revision < rows {
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("the detail store was {:.1} s behind", begun.elapsed().as_secs_f64());
    report(&ledger, rows, dir);
    std::process::exit(0);
}

fn start_up(rows: u64, dir: &Path, stop: bool) {
    let begun = Instant::now();
    let ledger = Ledger::open(settings(dir), clock()).unwrap();
    println!("start: {:.2} s", begun.elapsed().as_secs_f64());
    report(&ledger, rows, dir);
    probe(&ledger, rows);
    if stop {
        let begun = Instant::now();
        ledger.shutdown();
        println!("stop with a snapshot: {:.2} s", begun.elapsed().as_secs_f64());
    }
}

fn probe(ledger: &Ledger, rows: u64) {
    let permit = lookup("bank", "credit.lending", None);
    for (what, listed) in [("listed", true), ("not listed", false)] {
        let of = |number: u64| identity(&subject(if listed { number * 7_919 % rows } else { rows + number }));
        let identities: Vec<_> = (0..PROBES / 10).map(of).collect();
        let begun = Instant::now();
        let mut found = 0;
        for _ in 0..10 {
            found += identities.iter().filter(|one| ledger.probe(&permit, one, RelationSet::ALL).is_some()).count();
        }
        let nanos = begun.elapsed().as_nanos() as f64 / PROBES as f64;
        println!("look-up, {what}: {nanos:.0} ns ({found} of {PROBES} found)");
    }
}

fn report(ledger: &Ledger, rows: u64, dir: &Path) {
    let status = ledger.status();
    let part = |name: &str| bytes_of(&dir.join("data").join(name)) as f64 / rows as f64;
    println!(
        "bytes a listing on disk: journal {:.0}, slots {:.0}, detail {:.0}, snapshot {:.0}",
        part("journal"),
        part("slots"),
        part("detail"),
        part("snapshots")
    );
    println!(
        "bytes a listing in memory: index {:.0}, table {:.0}; memory at most {:.0} MB in all",
        status.index_bytes as f64 / rows as f64,
        status.table_bytes as f64 / rows as f64,
        peak_memory_bytes() as f64 / 1e6
    );
}

fn per_second(rows: u64, time: Duration) -> f64 {
    rows as f64 / time.as_secs_f64()
}

fn bytes_of(dir: &Path) -> u64 {
    let entries =
        fs::read_dir(dir).map(|entries| entries.flatten().map(|entry| entry.path()).collect::<Vec<PathBuf>>());
    let size =
        |path: &PathBuf| if path.is_dir() { bytes_of(path) } else { path.metadata().map_or(0, |meta| meta.len()) };
    entries.unwrap_or_default().iter().map(size).sum()
}

/// The process's own, as the kernel counts it.
fn peak_memory_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1_024
}
