//! Disks that fill up, directories that are damaged, lost, swapped or of another version.

#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::task::JoinSet;
use xinhub_tests::court::content;
use xinhub_tests::file::{Form, Row, row, send_listings};
use xinhub_tests::v1::{AnswerReason as Why, ListingState as State, Verdict};
use xinhub_tests::wait::until;
use xinhub_tests::{Ask, Code, Court, Hub, Reason, Setup, Subject, parties, refused, v1};

const LOAN: &str = "credit.lending";

fn small() -> Setup {
    Setup { ledger: "segment_mib = 1".to_owned(), ..Setup::default() }
}

/// A disk of its own, in memory; gone when this is dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, mebibytes: u32) -> Disk {
        let size = format!("size={mebibytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).status().unwrap();
        assert!(mounted.success(), "mounting needs root, or a user namespace");
        Disk(at.to_owned())
    }

    /// Leaves no byte free.
    fn fill(&self) {
        let mut filler = File::options().create(true).append(true).open(self.0.join("filler")).unwrap();
        for piece in [1 << 20, 4096, 1] {
            while filler.write(&vec![b'x'; piece]).is_ok_and(|written| written == piece) {}
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Whether this process may mount; where it may not, the test runs once more in a user namespace of its own, in which it
/// may, and has passed if it passes there.
fn may_mount(test: &str) -> bool {
    const WITHIN: &str = "XINHUB_TEST_IN_NAMESPACE";
    if rustix::process::geteuid().is_root() || std::env::var_os(WITHIN).is_some() {
        return true;
    }
    let mut again = Command::new("unshare");
    again.args(["--user", "--map-root-user", "--mount"]).arg(std::env::current_exe().unwrap());
    let passed = again.args(["--exact", test, "--nocapture"]).env(WITHIN, "1").status().unwrap();
    assert!(passed.success(), "{test} fails in a user namespace");
    false
}

/// Publishes, many at a time, until journal or audit log have no room; returns what was acknowledged.
async fn publish_until_refused(court: &Court) -> Vec<(Subject, u64)> {
    let mut listed = Vec::new();
    loop {
        let mut calls = JoinSet::new();
        for _ in 0..64 {
            let (court, subject) = (court.clone(), Subject::person());
            calls.spawn(async move { (court.publish(content(&subject)).await, subject) });
        }
        let mut refusals = 0;
        while let Some(done) = calls.join_next().await {
            match done.unwrap() {
                (Ok(outcome), subject) => listed.push((subject, outcome.listing)),
                (Err(error), _) => {
                    assert_eq!(error.code(), Code::Unavailable, "{error}");
                    assert!(matches!(error.reason(), Some(Reason::Storage | Reason::AuditUnavailable)), "{error:?}");
                    assert!(error.retry_after().is_some());
                    refusals += 1;
                }
            }
        }
        if refusals > 0 {
            return listed;
        }
        assert!(listed.len() < 30_000, "the disk never fills");
    }
}

/// Only lifts go through on a full disk, for which a reserve is kept; nothing acknowledged is lost; with room again all
/// goes on.
#[tokio::test]
async fn on_a_full_disk_lifts_go_through_and_nothing_is_lost() {
    if !may_mount("on_a_full_disk_lifts_go_through_and_nothing_is_lost") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let disk = Disk::mount(place.path(), 96);
    let mut hub = Hub::start_with(Setup { data_dir: Some(place.path().join("data")), ..small() }).await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let mut listed = Vec::new();
    for _ in 0..20 {
        let subject = Subject::person();
        let outcome = court.list(&subject).await;
        listed.push((subject, outcome.listing));
    }
    disk.fill();
    listed.extend(publish_until_refused(&court).await);
    // What the hub frees meanwhile may be enough for one row; nothing else than its being taken or refused will do.
    let imported = Subject::person();
    match send_listings(&court.client, &Form::default().listings(&[row(&imported)])).await {
        Ok(done) => assert_eq!(done.counts(), (1, 0, 0, 0)),
        Err(error) => assert_eq!(error.code(), Code::Unavailable, "{error}"),
    }
    let (lifted, kept) = listed.split_at(10);
    for (subject, listing) in lifted {
        assert_eq!(court.remove(*listing).await.unwrap().state(), State::Removed);
        // Without room for its record an answer isn't given, nor turned into another.
        match Ask::about(subject, LOAN).response(&bank).await {
            Ok(response) => assert_eq!(response.answer.unwrap().verdict(), Verdict::Clear),
            Err(error) => assert_eq!(error.code(), Code::Unavailable, "{error}"),
        }
    }
    match Ask::about(&kept[0].0, LOAN).response(&bank).await {
        Ok(response) => assert_eq!(response.answer.unwrap().verdict(), Verdict::Consider),
        Err(error) => assert_eq!(error.code(), Code::Unavailable, "{error}"),
    }
    hub.kill();
    disk.make_room();
    hub.serve().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    for (subjects, expected) in [(lifted, Verdict::Clear), (kept, Verdict::Consider)] {
        for subjects in subjects.chunks(500) {
            let inquiries = subjects.iter().map(|(subject, _)| Ask::about(subject, LOAN).into_inquiry()).collect();
            let request = v1::BatchCheckRequest { measure: LOAN.to_owned(), inquiries, ..Default::default() };
            for result in bank.lookup().batch_check(request).await.unwrap().results {
                let Some(v1::batch_check_result::Result::Answer(answer)) = result.result else { panic!("no answer") };
                assert_eq!(answer.verdict(), expected);
            }
        }
    }
    court.list(&Subject::person()).await;
    hub.stop().await;
    assert!(hub.daemon("fsck").status.success());
}

/// Room comes back while the hub runs: it goes on by itself.
#[tokio::test]
async fn a_hub_goes_on_by_itself_when_room_returns() {
    if !may_mount("a_hub_goes_on_by_itself_when_room_returns") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let disk = Disk::mount(place.path(), 96);
    let mut hub = Hub::start_with(Setup { data_dir: Some(place.path().join("data")), ..small() }).await;
    let court = hub.court().await;
    disk.fill();
    let before = publish_until_refused(&court).await;
    disk.make_room();
    let subject = Subject::person();
    until("publishing goes on", || {
        let (court, content) = (court.clone(), content(&subject));
        async move { court.publish(content).await.ok() }
    })
    .await;
    let bank = hub.client(parties::BANK).await;
    for (subject, _) in before.iter().step_by(50) {
        Ask::about(subject, LOAN).expect(&bank, Verdict::Consider, Why::ListedDebtor).await;
    }
    Ask::about(&subject, LOAN).expect(&bank, Verdict::Consider, Why::ListedDebtor).await;
    hub.stop().await;
    assert!(hub.daemon("fsck").status.success());
}

/// A write that fails for any other reason than room: its outcome is unknown, so the hub ends at once and recovers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_write_ends_the_hub_and_the_next_start_recovers() {
    let under = ["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""].map(str::to_owned).to_vec();
    let mut hub = Hub::start_with(Setup { under, ..small() }).await;
    let court = hub.court().await;
    let taken = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> =
        (0..4).map(|_| tokio::spawn(publish_until_it_fails(court.clone(), Arc::clone(&taken)))).collect();
    until("they publish", || async { (taken.load(Relaxed) >= 20).then_some(()) }).await;
    hub.let_writes_fail();
    let status = hub.ended().await;
    assert_eq!(status.code(), Some(4), "{}", hub.log());
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    assert!(acknowledged.len() >= 20);
    hub.serve().await;
    let bank = hub.client(parties::BANK).await;
    for subject in &acknowledged {
        assert_eq!(Ask::about(subject, LOAN).answer(&bank).await.verdict(), Verdict::Consider);
    }
    let listings = hub.status().await.listings;
    // Each writer had one more under way, of which nothing was known.
    let most = acknowledged.len() as u64 + 4;
    assert!((acknowledged.len() as u64..=most).contains(&listings), "{listings} of {}", acknowledged.len());
    hub.stop().await;
    assert!(hub.daemon("fsck").status.success());
}

async fn publish_until_it_fails(court: Court, taken: Arc<AtomicUsize>) -> Vec<Subject> {
    let mut acknowledged = Vec::new();
    loop {
        let subject = Subject::person();
        match court.publish(content(&subject)).await {
            Ok(_) => {
                acknowledged.push(subject);
                taken.fetch_add(1, Relaxed);
            }
            Err(error) => {
                assert!(matches!(error.code(), Code::Unavailable | Code::Internal | Code::Cancelled), "{error:?}");
                return acknowledged;
            }
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() { found.extend(files(&entry.path())) } else { found.push(entry.path()) }
    }
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Every byte of every file's middle half is another.
fn damage(dir: &Path) {
    for path in files(dir) {
        let mut bytes = fs::read(&path).unwrap();
        let length = bytes.len();
        bytes[length / 4..length * 3 / 4].iter_mut().for_each(|byte| *byte ^= 0x5A);
        fs::write(&path, bytes).unwrap();
    }
}

/// A hub that has stopped, with its details as they were after the first half of its listings set aside.
async fn stopped() -> (Hub, PathBuf, Vec<(Subject, u64)>) {
    let mut hub = Hub::start_with(small()).await;
    let early = hub.dir().join("early-detail");
    let mut listed = Vec::new();
    for half in 0..2 {
        let court = hub.court().await;
        for _ in 0..60 {
            let subject = Subject::person();
            let outcome = court.list(&subject).await;
            listed.push((subject, outcome.listing));
        }
        hub.details_caught_up().await;
        hub.stop().await;
        if half == 0 {
            copy(&hub.data_dir().join("detail"), &early);
            hub.serve().await;
            // A detail that the early copy has in an older state.
            let court = hub.court().await;
            court.remove(listed.remove(0).1).await.unwrap();
        }
    }
    (hub, early, listed)
}

/// The detail store is derived: whatever becomes of it, answers go on, and it is there again.
#[tokio::test]
async fn a_damaged_stale_or_missing_detail_store_is_rebuilt() {
    let (mut hub, early, listed) = stopped().await;
    let detail = hub.data_dir().join("detail");
    let replace = |with: &Path| {
        fs::remove_dir_all(&detail).unwrap();
        copy(with, &detail);
    };
    let whole = hub.dir().join("whole-detail");
    copy(&detail, &whole);
    let breakages: [(&str, &dyn Fn()); 6] = [
        ("missing", &|| fs::remove_dir_all(&detail).unwrap()),
        ("empty", &|| {
            fs::remove_dir_all(&detail).unwrap();
            fs::create_dir(&detail).unwrap();
        }),
        ("damaged", &|| damage(&detail)),
        ("truncated", &|| {
            for file in files(&detail) {
                let length = fs::metadata(&file).unwrap().len();
                File::options().write(true).open(file).unwrap().set_len(length / 2).unwrap();
            }
        }),
        ("stale", &|| replace(&early)),
        ("emptied files", &|| files(&detail).iter().for_each(|file| fs::write(file, b"").unwrap())),
    ];
    for (what, break_it) in breakages {
        break_it();
        hub.serve().await;
        let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
        for (subject, _) in listed.iter().step_by(20) {
            assert_eq!(Ask::about(subject, LOAN).answer(&bank).await.verdict(), Verdict::Consider, "{what}");
        }
        hub.details_caught_up().await;
        for (subject, listing) in &listed {
            let read = court.read(*listing).await.unwrap();
            assert_eq!((read.state(), &read.content.unwrap().name), (State::Listed, &subject.name), "{what}");
        }
        Ask::about(&listed[0].0, LOAN)
            .name(&listed[0].0.name)
            .expect(&bank, Verdict::Consider, Why::ListedDebtor)
            .await;
        hub.stop().await;
        let checked = hub.daemon("fsck");
        assert!(checked.status.success(), "{what}: {}", String::from_utf8_lossy(&checked.stdout));
    }
}

/// While details are built anew, answers without a name go on; with one they say that it can't be compared just now.
#[tokio::test]
async fn a_name_is_not_checked_while_details_catch_up() {
    let mut hub = Hub::start().await;
    let subjects: Vec<Subject> = (0..30_000).map(|_| Subject::person()).collect();
    let rows: Vec<Row> = subjects.iter().map(row).collect();
    let court = hub.court().await;
    let imported = send_listings(&court.client, &Form::default().listings(&rows)).await.unwrap();
    assert_eq!(imported.counts(), (30_000, 0, 0, 0));
    hub.details_caught_up().await;
    let last = subjects.last().unwrap();
    for _ in 0..5 {
        hub.stop().await;
        fs::remove_dir_all(hub.data_dir().join("detail")).unwrap();
        hub.serve().await;
        let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
        let named = || Ask::about(last, LOAN).name(&last.name);
        let read = court.read(30_000).await;
        let answer = named().answer(&bank).await;
        Ask::about(last, LOAN).expect(&bank, Verdict::Consider, Why::ListedDebtor).await;
        court.list(&Subject::person()).await;
        hub.details_caught_up().await;
        named().expect(&bank, Verdict::Consider, Why::ListedDebtor).await;
        assert_eq!(court.read(30_000).await.unwrap().content.unwrap().name, last.name);
        if answer.verdict() == Verdict::Unknown && read.is_err() {
            assert_eq!(answer.reason(), Why::NameNotChecked);
            let error = refused(read, Code::Unavailable, Reason::DetailCatchingUp);
            assert!(error.retry_after().is_some());
            return;
        }
    }
    panic!("details were never behind");
}

/// A start that must be refused, with these words, and leaves every file as it was.
async fn refuses_to_start(hub: &mut Hub, what: &str, words: &[&str]) {
    let sums = |dir: &Path| -> Vec<(PathBuf, blake3::Hash)> {
        let mut files: Vec<_> = files(dir).into_iter().filter(|file| !file.ends_with("LOCK")).collect();
        files.sort();
        files.into_iter().map(|file| (file.clone(), blake3::hash(&fs::read(file).unwrap()))).collect()
    };
    let before = sums(&hub.data_dir());
    let (status, said) = hub.serve_in_vain().await;
    assert_eq!(status.code(), Some(3), "{what}: {said}");
    for word in words {
        assert!(said.contains(word), "{what}: no `{word}` in {said}");
    }
    assert!(before == sums(&hub.data_dir()), "{what}: files were changed");
}

#[tokio::test]
async fn a_directory_of_a_newer_format_is_refused_with_a_clear_text() {
    let (mut hub, _, listed) = stopped().await;
    let format = hub.data_dir().join("FORMAT");
    let was = fs::read_to_string(&format).unwrap();
    assert!(was.contains("format=1"));
    fs::write(&format, was.replace("format=1", "format=2")).unwrap();
    refuses_to_start(&mut hub, "newer", &["newer format", "run the version that wrote it"]).await;
    let checked = hub.daemon("fsck");
    assert!(!checked.status.success());
    fs::write(&format, was).unwrap();
    hub.serve().await;
    let bank = hub.client(parties::BANK).await;
    assert_eq!(Ask::about(&listed[0].0, LOAN).answer(&bank).await.verdict(), Verdict::Consider);
}

/// Nothing but a torn tail is ever cut: a journal damaged in its middle is not skipped over.
#[tokio::test]
async fn a_damaged_journal_is_refused_and_never_skipped() {
    let (mut hub, _, _) = stopped().await;
    let snapshots = hub.data_dir().join("snapshots");
    fs::remove_dir_all(&snapshots).unwrap();
    fs::create_dir(&snapshots).unwrap();
    let mut segments = files(&hub.data_dir().join("journal"));
    segments.sort();
    let segment = File::options().read(true).write(true).open(&segments[0]).unwrap();
    let mut byte = [0];
    segment.read_exact_at(&mut byte, 6_000).unwrap();
    segment.write_all_at(&[byte[0] ^ 0xFF], 6_000).unwrap();
    let checked = hub.daemon("fsck");
    assert!(!checked.status.success(), "fsck finds it");
    refuses_to_start(&mut hub, "journal", &["journal"]).await;
}

#[tokio::test]
async fn lost_files_do_not_go_unnoticed() {
    let (mut hub, _, _) = stopped().await;
    for (what, words) in [("audit", ["audit"]), ("slots", ["slot"]), ("journal", ["journal"])] {
        let (dir, aside) = (hub.data_dir().join(what), hub.dir().join("aside"));
        fs::rename(&dir, &aside).unwrap();
        let (status, said) = hub.serve_in_vain().await;
        assert_eq!(status.code(), Some(3), "{what}: {said}");
        assert!(words.iter().all(|word| said.contains(word)), "{what}: {said}");
        let _ = fs::remove_dir_all(&dir);
        fs::rename(&aside, &dir).unwrap();
    }
    let keys = hub.dir().join("keys");
    let (key, aside) = (files(&keys).remove(0), hub.dir().join("aside"));
    fs::rename(&key, &aside).unwrap();
    refuses_to_start(&mut hub, "a key", &["key"]).await;
    fs::rename(&aside, &key).unwrap();
    hub.serve().await;
}

#[tokio::test]
async fn a_directory_in_use_is_not_opened_twice() {
    let hub = Hub::start().await;
    let second = hub.daemon("serve");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(3), "{said}");
    assert!(said.contains("in use"), "{said}");
    assert_eq!(hub.daemon("init").status.code(), Some(3), "init never overwrites a hub");
    hub.court().await.list(&Subject::person()).await;
}

#[tokio::test]
async fn fsck_says_what_differs() {
    let (mut hub, early, _) = stopped().await;
    assert!(hub.daemon("fsck").status.success());
    let detail = hub.data_dir().join("detail");
    fs::remove_dir_all(&detail).unwrap();
    copy(&early, &detail);
    let checked = hub.daemon("fsck");
    let said = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
    assert!(said.contains("detail"), "{said}");
    hub.serve().await;
    hub.details_caught_up().await;
    hub.stop().await;
    assert!(hub.daemon("fsck").status.success(), "a start has put it right");
}
