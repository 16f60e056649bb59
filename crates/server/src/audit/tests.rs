#![allow(clippy::unwrap_used)]
use std::io::ErrorKind;
use std::time::Duration;

use xinhub_domain::decision::{AnswerReason, Verdict};
use xinhub_domain::identity::{Identity, KeyInput, Kind, Source};
use xinhub_domain::measure::{Effect, Relation};
use xinhub_domain::policy::{Class, Method};
use xinhub_domain::time::{Day, Timestamp};
use xinhub_ledger::clock::manual::ManualClock;
use xinhub_ledger::storage::OpenMode;
use xinhub_ledger::storage::sim::SimStorage;

use super::queue::{Next, next};
use super::*;

const NUMBER: &str = "110101199001010939";
const SMALL_SEGMENT_BYTES: u64 = 512 << 10;

fn now() -> Timestamp {
    Timestamp(Day::parse("2026-03-01").unwrap().end().0 - 1)
}

fn key(number: &str) -> KeyInput {
    let identity = Identity::parse(Kind::ResidentId, number, None, Source::LookerUp, now().date()).unwrap();
    identity.keys().next().unwrap()
}

/// A hub's audit log on a simulated disk.
struct World {
    disk: SimStorage,
    keys: Arc<Keyring>,
    clock: Arc<ManualClock>,
    settings: AuditSettings,
}

impl World {
    fn new() -> World {
        let settings = AuditSettings { segment_bytes: SMALL_SEGMENT_BYTES, ..AuditSettings::new("audit") };
        let disk = SimStorage::new(7);
        SegmentedLog::create(disk.storage(), settings.log(), [9; 16]).unwrap();
        World { disk, keys: Arc::new(Keyring::ephemeral()), clock: Arc::new(ManualClock::at(now())), settings }
    }

    fn open(&self) -> Audit {
        let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&self.clock);
        Audit::open_on(self.disk.storage(), &self.settings, Arc::clone(&self.keys), clock).unwrap()
    }

    /// The same hub on another disk.
    fn on(&self, disk: SimStorage) -> World {
        World { disk, keys: Arc::clone(&self.keys), clock: Arc::clone(&self.clock), settings: self.settings.clone() }
    }

    fn entries(&self, audit: &Audit) -> Vec<Entry> {
        audit.reader().entries().unwrap().map(|entry| entry.unwrap().1).collect()
    }
}

fn item(verdict: Verdict) -> AuditItem {
    let adverse = verdict.is_adverse();
    AuditItem {
        key: Some(key(NUMBER)),
        verdict: Some(verdict),
        listings: if adverse { vec![41, 42] } else { vec![] },
        subject_view: adverse.then(view).map(Box::new),
        ..AuditItem::default()
    }
}

fn view() -> SubjectView {
    SubjectView {
        reason: AnswerReason::RelatedPerson,
        effect: Some(Effect::Prohibit),
        relation: Some(Relation::LegalRepresentative),
        open_condition: None,
    }
}

fn record(measure: &str, items: Vec<AuditItem>) -> Record {
    Record {
        caller: "bank-1".into(),
        class: Some(Class::Bank),
        audit_class: "finance".into(),
        method: Method::BatchCheck,
        measure: Some(measure.into()),
        item: Some("star_hotel".into()),
        time: now(),
        reference: "LOAN-778".into(),
        token: vec![1; 25],
        request_id: [3; 16],
        code: 0,
        items,
    }
}

fn call(entry: Entry) -> Box<Call> {
    match entry {
        Entry::Call(call) => call,
        other => panic!("expected a call, got {other:?}"),
    }
}

#[tokio::test]
async fn a_call_comes_back_as_it_was_recorded() {
    let world = World::new();
    let audit = world.open();
    let ticket = audit.claim().unwrap();
    let id = ticket.id();
    assert_eq!(audit.record_durable(ticket, record("credit.lending", vec![item(Verdict::Restricted)])).await, Ok(id));
    let (key_epoch, entry) = audit.reader().entries().unwrap().next().unwrap().unwrap();
    let found = call(entry);
    assert_eq!(AuditId::from_bytes(found.id), id);
    assert_eq!((&*found.caller, &*found.class, &*found.method), ("bank-1", "bank", "BatchCheck"));
    assert_eq!((found.time, &*found.reference, found.code), (now(), "LOAN-778", 0));
    assert_eq!((found.item.as_deref(), found.token.len(), found.request_id), (Some("star_hotel"), 25, [3; 16]));
    assert_eq!(found.verdict(0), Some(Verdict::Restricted));
    let reader = audit.reader();
    assert_eq!(found.digest(0), reader.digest(key_epoch, &found, &key(NUMBER)));
    for listing in [41, 42] {
        assert_eq!(reader.subject_view(key_epoch, &found, listing), Some(view()), "listing {listing}");
    }
    assert_eq!(reader.subject_view(key_epoch, &found, 43), None);
    assert_eq!(reader.verify().unwrap(), Verified { frames: 1, entries: 1 });
}

#[tokio::test]
async fn digests_join_within_class_and_month_only() {
    let world = World::new();
    let audit = world.open();
    let april = Timestamp(now().0 + 31 * 86_400_000);
    assert_ne!(now().date().month(), april.date().month());
    for (class, time) in [("finance", now()), ("finance", now()), ("travel", now()), ("finance", april)] {
        let clear = Record { audit_class: class.into(), time, ..record("credit.lending", vec![item(Verdict::Clear)]) };
        audit.record_soon(audit.claim().unwrap(), clear).unwrap();
    }
    audit.shutdown();
    let digests: Vec<_> = world.entries(&audit).into_iter().map(|entry| call(entry).digest(0).unwrap()).collect();
    assert_eq!(digests[0], digests[1]);
    assert!(digests[0] != digests[2] && digests[0] != digests[3] && digests[2] != digests[3]);
}

#[tokio::test]
async fn of_stays_and_journeys_a_clear_answer_leaves_next_to_nothing() {
    let world = World::new();
    let audit = world.open();
    let soon = |record| audit.record_soon(audit.claim().unwrap(), record).unwrap();
    soon(record("consumption.hotel", vec![item(Verdict::Clear)]));
    soon(record("consumption.hotel", vec![item(Verdict::Unknown), item(Verdict::Clear)]));
    soon(Record { code: 3, ..record("consumption.hotel", vec![]) });
    let mixed = vec![item(Verdict::Clear), item(Verdict::Restricted), item(Verdict::Clear), item(Verdict::Unknown)];
    audit.record_durable(audit.claim().unwrap(), record("consumption.hotel", mixed)).await.unwrap();
    let mut entries = world.entries(&audit).into_iter();
    let hour = Timestamp(now().0 / 3_600_000 * 3_600_000);
    let coarse = |clear, other| {
        Entry::Coarse(Coarse { hour, caller: "bank-1".into(), measure: "consumption.hotel".into(), clear, other })
    };
    assert_eq!(entries.next(), Some(coarse(1, 0)));
    assert_eq!(entries.next(), Some(coarse(1, 1)));
    let refused = call(entries.next().unwrap());
    assert_eq!((refused.code, refused.item, &*refused.reference, refused.digests.len()), (3, None, "", 0));
    // The adverse one is on record whole; of the others only their number is.
    let adverse = call(entries.next().unwrap());
    assert_eq!((adverse.coarse_clear, adverse.coarse_other, adverse.verdicts.len()), (2, 1, 1));
    assert_eq!((adverse.verdict(0), adverse.details[0].listings.len()), (Some(Verdict::Restricted), 2));
}

#[tokio::test]
async fn a_batch_is_packed() {
    let world = World::new();
    let audit = world.open();
    let mut items: Vec<AuditItem> = (0..10_000).map(|_| item(Verdict::Clear)).collect();
    items[77] = AuditItem { error: Some(1), ..AuditItem::default() };
    items[99].reference = "R-99".into();
    items[500] = item(Verdict::Consider);
    audit.record_durable(audit.claim().unwrap(), record("credit.lending", items)).await.unwrap();
    assert!(audit.status().bytes < 171_000, "17 bytes for each plain item, not {}", audit.status().bytes);
    let found = call(world.entries(&audit).remove(0));
    assert_eq!((found.verdicts.len(), found.details.len()), (10_000, 3));
    assert_eq!((found.details[0].index, found.details[0].error, found.digest(77)), (77, Some(1), None));
    assert_eq!(found.details[1].reference.as_deref(), Some("R-99"));
    assert_eq!((found.details[2].index, found.verdict(500)), (500, Some(Verdict::Consider)));
}

/// Every byte on the disk, checked for what must not be there.
fn assert_no_plaintext(disk: &SimStorage, forbidden: &[&str]) {
    let storage = disk.storage();
    for name in storage.list().unwrap() {
        let file = storage.open(&name, OpenMode::ReadOnly).unwrap();
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_at(&mut bytes, 0).unwrap();
        for text in forbidden {
            let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!found, "{name} holds {text}");
        }
    }
}

#[tokio::test]
async fn no_plaintext_is_on_the_disk() {
    let world = World::new();
    let audit = world.open();
    let adverse = record("consumption.hotel", vec![item(Verdict::Restricted)]);
    audit.record_durable(audit.claim().unwrap(), adverse).await.unwrap();
    audit.record_soon(audit.claim().unwrap(), record("credit.lending", vec![item(Verdict::Clear)])).unwrap();
    audit.shutdown();
    assert_no_plaintext(
        &world.disk,
        &[NUMBER, &NUMBER[..17], "bank-1", "LOAN-778", "credit.lending", "RELATED_PERSON"],
    );
}

#[tokio::test]
async fn an_adverse_answer_waits_for_the_disk_and_is_refused_when_it_fails() {
    for nth in 1..=3 {
        let world = World::new();
        let audit = world.open();
        world.disk.fail_sync(nth, ErrorKind::Other);
        let mut acknowledged = Vec::new();
        for _ in 0..5 {
            let Ok(ticket) = audit.claim() else { break };
            let adverse = record("credit.lending", vec![item(Verdict::Restricted)]);
            match audit.record_durable(ticket, adverse).await {
                Ok(id) => acknowledged.push(id),
                Err(error) => assert_eq!(error, AuditUnavailable::Failed),
            }
        }
        assert_eq!(acknowledged.len() as u64, nth - 1, "after a failed sync nothing is acknowledged");
        assert_eq!(audit.claim().unwrap_err(), AuditUnavailable::Failed, "and no answer is begun");
        assert_eq!(audit.claim_lift().unwrap_err(), AuditUnavailable::Failed);
        tokio::time::timeout(Duration::from_secs(5), audit.failed()).await.unwrap();
        assert_eq!(audit.status().state, AuditState::Failed);
        drop(audit);
        for seed in 0..20 {
            let after = world.on(world.disk.crash(seed));
            let reopened = after.open();
            let found: Vec<_> = after.entries(&reopened).into_iter().map(|e| AuditId::from_bytes(call(e).id)).collect();
            assert!(acknowledged.iter().all(|id| found.contains(id)), "sync {nth}, seed {seed}");
        }
    }
}

#[tokio::test]
async fn an_adverse_record_can_not_be_handed_in_and_forgotten() {
    let audit = World::new().open();
    let adverse = || record("credit.lending", vec![item(Verdict::Consider)]);
    assert_eq!(audit.record_soon(audit.claim().unwrap(), adverse()), Err(AuditUnavailable::NotDurable));
    // The call failed, nothing left: the record may follow.
    assert!(audit.record_soon(audit.claim().unwrap(), Record { code: 14, ..adverse() }).is_ok());
}

#[tokio::test]
async fn every_acknowledged_record_survives_a_crash_under_concurrent_callers() {
    let world = World::new();
    let audit = world.open();
    for seed in 0..12_u64 {
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let audit = audit.clone();
                tokio::spawn(async move {
                    let adverse = record("credit.lending", vec![item(Verdict::Restricted)]);
                    audit.record_durable(audit.claim().unwrap(), adverse).await.unwrap()
                })
            })
            .collect();
        let mut acknowledged = Vec::new();
        for task in tasks {
            acknowledged.push(task.await.unwrap());
        }
        let after = world.on(world.disk.crash(seed));
        let reopened = after.open();
        let found: Vec<_> = after.entries(&reopened).into_iter().map(|e| AuditId::from_bytes(call(e).id)).collect();
        assert!(acknowledged.iter().all(|id| found.contains(id)), "seed {seed}");
        reopened.reader().verify().unwrap();
    }
    let status = audit.status();
    assert!(status.frames < status.records, "records that wait together share a sync: {status:?}");
}

#[tokio::test]
async fn a_full_queue_stops_answers_and_places_come_back() {
    let mut world = World::new();
    world.settings.queue_records = 3;
    let audit = world.open();
    let tickets: Vec<_> = (0..3).map(|_| audit.claim().unwrap()).collect();
    assert_eq!(audit.claim().unwrap_err(), AuditUnavailable::Busy);
    assert!(audit.claim_lift().is_ok(), "a lift never waits for askers");
    assert_eq!(audit.status().refused, 1);
    drop(tickets);
    let adverse = record("credit.lending", vec![item(Verdict::Restricted)]);
    audit.record_durable(audit.claim().unwrap(), adverse).await.unwrap();
    assert_eq!(audit.status().claimed, 0, "a record gives its place back once it is durable");
}

#[tokio::test]
async fn a_full_disk_stops_answers_until_space_returns_and_loses_nothing_promised() {
    let world = World::new();
    let audit = world.open();
    let big = || {
        let items = (0..2_000).map(|_| item(Verdict::Clear)).collect();
        record("credit.lending", items)
    };
    let adverse = || record("credit.lending", vec![item(Verdict::Restricted)]);
    world.disk.limit_bytes(Some(world.disk.used_bytes()));
    let mut promised = Vec::new();
    let mut late = None;
    while audit.status().state == AuditState::Running {
        late = audit.claim().ok().or(late);
        if let Ok(ticket) = audit.claim() {
            promised.extend(audit.record_soon(ticket, big()));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
        world.clock.advance_ms(60);
    }
    assert_eq!(audit.claim().unwrap_err(), AuditUnavailable::Full);
    // An answer that had its place before still does not leave.
    assert_eq!(audit.record_durable(late.unwrap(), adverse()).await, Err(AuditUnavailable::Full));
    // A lift goes through, out of the reserve.
    let lift = Record { method: Method::Revoke, measure: None, ..record("", vec![AuditItem::listing(41)]) };
    promised.push(audit.record_durable(audit.claim_lift().unwrap(), lift).await.unwrap());
    world.disk.limit_bytes(None);
    while audit.status().state == AuditState::Full {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(audit.record_durable(audit.claim().unwrap(), adverse()).await.is_ok());
    audit.shutdown();
    let entries = world.entries(&audit);
    let gaps = entries.iter().filter(|entry| matches!(entry, Entry::Gap(gap) if gap.refused >= 1)).count();
    assert_eq!(gaps, 1, "the log tells how long it was full");
    let found: Vec<_> = entries
        .into_iter()
        .filter_map(|entry| match entry {
            Entry::Call(call) => Some(AuditId::from_bytes(call.id)),
            Entry::Coarse(_) | Entry::Gap(_) | Entry::Reported(_) => None,
        })
        .collect();
    assert!(promised.iter().all(|id| found.contains(id)));
}

#[test]
fn what_nobody_waits_for_is_written_within_its_time() {
    let soon = |oldest_ms, now_ms| next(1, false, false, oldest_ms, now_ms, MAX_FLUSH_MS);
    assert_eq!(soon(1_000, 1_000), Next::WaitMs(50));
    assert_eq!(soon(1_000, 1_049), Next::WaitMs(1));
    assert_eq!(soon(1_000, 1_050), Next::Write);
    assert_eq!(soon(1_000, 9_000), Next::Write);
    assert_eq!(next(1, true, false, 1_000, 1_000, 50), Next::Write, "somebody waits");
    assert_eq!(next(1, false, true, 1_000, 1_000, 50), Next::Write, "stopping");
    assert_eq!(next(0, false, false, 0, 1_000, 50), Next::Wait);
    assert_eq!(next(0, false, true, 0, 1_000, 50), Next::Stop);
    let late = AuditSettings { flush_ms: MAX_FLUSH_MS + 1, ..AuditSettings::new("audit") };
    assert!(late.check().is_err(), "no setting makes it later");
}

#[tokio::test]
async fn old_segments_go_after_their_retention_and_no_sooner() {
    let mut world = World::new();
    let items = || (0..1_000).map(|_| item(Verdict::Clear)).collect();
    let fill = async |audit: &Audit, world: &World| {
        for _ in 0..80 {
            let clear = Record { time: world.clock.wall(), ..record("credit.lending", items()) };
            audit.record_durable(audit.claim().unwrap(), clear).await.unwrap();
        }
    };
    let segments = |world: &World| world.disk.storage().list().unwrap().len();
    let day = 86_400_000;
    world.settings.retention_days = MIN_RETENTION_DAYS;
    fill(&world.open(), &world).await;
    let before = segments(&world);
    for _ in 0..4 {
        world.clock.advance_ms(300 * day);
        fill(&world.open(), &world).await;
    }
    // 1,200 days on: the first year is over 1,096 days old, the second isn't.
    let audit = world.open();
    audit.shutdown();
    let first = audit.reader().entries().unwrap().next().unwrap().unwrap().1;
    let age_days = (world.clock.wall().0 - call(first).time.0) / i64::try_from(day).unwrap();
    assert!((900..=1_200).contains(&age_days), "the oldest kept is {age_days} days old");
    let kept = segments(&world);
    assert!(before > 2 && kept < 5 * before, "{before} segments a year, {kept} kept of five");
    audit.reader().verify().unwrap();
    // A clock that is years ahead removes nothing.
    let kept = segments(&world);
    world.clock.step_ms(i64::try_from(4_000 * day).unwrap());
    world.open().shutdown();
    assert_eq!(segments(&world), kept);
    assert!(AuditSettings { retention_days: 1_095, ..AuditSettings::new("audit") }.check().is_err());
}

#[test]
fn ids_read_back_and_tell_the_hour_only() {
    let id = AuditId::random(now());
    let text = id.to_string();
    assert_eq!((text.len(), AuditId::parse(&text)), (28, Ok(id)));
    assert_eq!(AuditId::parse(&text.to_lowercase().replace('0', "o").replace('1', "l")), Ok(id));
    assert_eq!(id.hour(), Timestamp(now().0 / 3_600_000 * 3_600_000));
    assert_ne!(AuditId::random(now()), id);
    for bad in
        ["", "A-", "B-0", &text[..27], &text.replace("A-0", "A-8"), &format!("{text}0"), "A-UUUUUUUUUUUUUUUUUUUUUUUUUU"]
    {
        assert_eq!(AuditId::parse(bad), Err(NotAnAuditId), "{bad}");
    }
}

#[test]
fn a_lost_log_is_told_and_a_present_one_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let settings = AuditSettings::new(dir.path().join("audit"));
    let keys = Arc::new(Keyring::ephemeral());
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(now()));
    let open = || Audit::open(&settings, Arc::clone(&keys), Arc::clone(&clock));
    assert!(matches!(open().unwrap_err(), AuditError::Missing { .. }));
    assert!(matches!(AuditReader::inspect(&settings.dir, Arc::clone(&keys)).unwrap_err(), AuditError::Missing { .. }));
    Audit::create(&settings).unwrap();
    assert!(matches!(Audit::create(&settings).unwrap_err(), AuditError::Log(LogError::Exists)));
    let audit = open().unwrap();
    audit.record_soon(audit.claim().unwrap(), record("credit.lending", vec![item(Verdict::Clear)])).unwrap();
    audit.shutdown();
    assert_eq!(audit.claim().unwrap_err(), AuditUnavailable::Stopping);
    let reader = AuditReader::inspect(&settings.dir, Arc::clone(&keys)).unwrap();
    assert_eq!(reader.verify().unwrap(), Verified { frames: 1, entries: 1 });
    // Without its key it tells nothing.
    let stranger = AuditReader::inspect(&settings.dir, Arc::new(Keyring::ephemeral())).unwrap();
    assert!(matches!(stranger.verify().unwrap_err(), AuditReadError::Damaged { .. }));
}
