//! What a replica has answered, from the moment of the answer until the hub has it on record.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use xinhub_client::By;
use xinhub_ledger::keys::Keyring;
use xinhub_server::audit::{AuditReader, Entry, ReportedWhat};
use xinhub_tests::following::{Following, connected, leased};
use xinhub_tests::v1::{self, AnswerReason as Why, Verdict};
use xinhub_tests::wait::until;
use xinhub_tests::{Ask, Hub, Proxy, Subject, parties};

const LOAN: &str = "credit.lending";
const SUPPLIER: &str = "procurement.supplier";
/// Answers that a replica keeps for a hub that it does not reach: past it the hub is asked.
const KEPT: usize = 65_536;

fn loan(subject: &Subject) -> Ask {
    Ask::about(subject, LOAN)
}

/// What the hub has on record of its replicas.
#[derive(Debug, Default)]
struct OnRecord {
    adverse: BTreeSet<[u8; 16]>,
    gaps: usize,
    /// How many were answered clear, by measure.
    clears: BTreeMap<String, u64>,
}

async fn on_record(hub: &mut Hub) -> OnRecord {
    hub.stop().await;
    let keys = Arc::new(Keyring::load(&hub.dir().join("keys")).unwrap());
    let reader = AuditReader::inspect(&hub.data_dir().join("audit"), keys).unwrap();
    let mut found = OnRecord::default();
    for entry in reader.entries().unwrap() {
        match entry.unwrap().1 {
            Entry::Call(call) if call.method == "ReportAnswers" && call.verdict(0).is_some() => {
                assert!(found.adverse.insert(call.id), "an answer is recorded twice");
            }
            Entry::Reported(reported) => match reported.what {
                ReportedWhat::Gap { .. } => found.gaps += 1,
                ReportedWhat::Clears { measure, count, .. } => *found.clears.entry(measure).or_default() += count,
            },
            Entry::Call(_) | Entry::Coarse(_) | Entry::Gap(_) => {}
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_a_kill_and_is_recorded_once() {
    let mut hub = Hub::start_with(leased(2)).await;
    let proxy = Proxy::to(hub.grpc()).await;
    let (court, debtor) = (hub.court().await, Subject::person());
    court.list(&debtor).await;
    let way = connected(&hub, parties::BANK, Some(&proxy)).await;
    let following = Following::at(&way, TempDir::new().unwrap(), |config| config).await;
    following.until_leased().await;
    for _ in 0..3 {
        let told = following.replica.check_recorded(loan(&debtor).request()).await.unwrap();
        assert_eq!(told.by, By::Replica);
    }
    // The hub takes the report, and its answer is lost: it is sent again, to the hub after a kill.
    let all = [following.path().join("records"), following.path().join("instance")];
    let kept: Vec<Vec<u8>> = all.iter().map(|path| std::fs::read(path).unwrap()).collect();
    following.until_reported().await;
    let dir = following.close().await;
    for (name, bytes) in ["records", "instance"].iter().zip(kept) {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    // As if the process had been killed.
    std::fs::write(dir.path().join("alive"), "1").unwrap();
    hub.kill_and_restart().await;
    proxy.lead_to(hub.grpc());
    let following = Following::at(&way, dir, |config| config).await;
    following.until_reported().await;
    following.close().await;
    let found = on_record(&mut hub).await;
    assert_eq!((found.adverse.len(), found.gaps), (3, 1), "each is recorded once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_reported_twice_at_the_same_time_goes_on_record_once() {
    let mut hub = Hub::start_with(leased(2)).await;
    let (court, debtor) = (hub.court().await, Subject::person());
    court.list(&debtor).await;
    let bank = connected(&hub, parties::BANK, None).await;
    let following = Following::at(&bank, TempDir::new().unwrap(), |config| config).await;
    following.until_leased().await;
    let name = std::fs::read_to_string(following.path().join("instance")).unwrap();
    let instance_id = u128::from_str_radix(&name.trim().replace('-', ""), 16).unwrap().to_be_bytes().to_vec();
    let now = jiff::Timestamp::now().as_second();
    let answer = |sequence| {
        let answer = v1::ReplicaAnswer {
            time: Some(xinhub_tests::timestamp(now)),
            measure: LOAN.to_owned(),
            identity: Some(debtor.identity()),
            verdict: Verdict::Consider.into(),
            reason: Why::ListedDebtor.into(),
            ..v1::ReplicaAnswer::default()
        };
        v1::ReplicaEntry { sequence, entry: Some(v1::replica_entry::Entry::Answer(answer)) }
    };
    let request = v1::ReportAnswersRequest { instance_id, entries: (1..=5).map(answer).collect() };
    // Each over a connection of its own.
    let mut reports = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (bank, request) = (connected(&hub, parties::BANK, None).await, request.clone());
        reports.spawn(async move { bank.audit().report_answers(request).await.unwrap().sequence });
    }
    assert_eq!(reports.join_all().await, [5; 8]);
    following.close().await;
    assert_eq!(on_record(&mut hub).await.adverse.len(), 5);
}

/// The directory of a process that dies as soon as it has its answer has the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_answered_as_recorded_is_on_the_disk() {
    const ASKED: usize = 5;
    let mut hub = Hub::start_with(leased(30)).await;
    let proxy = Proxy::to(hub.grpc()).await;
    let debtor = Subject::person();
    hub.court().await.list(&debtor).await;
    let way = connected(&hub, parties::BANK, Some(&proxy)).await;
    let following = Following::at(&way, TempDir::new().unwrap(), |config| config).await;
    following.until_leased().await;
    // The hub hears of nothing: what it has on record in the end comes from the copy.
    proxy.stall(true);
    let copy = TempDir::new().unwrap();
    for _ in 0..ASKED {
        let told = following.replica.check_recorded(loan(&debtor).request()).await.unwrap();
        for name in ["records", "instance", "alive"] {
            std::fs::copy(following.path().join(name), copy.path().join(name)).unwrap();
        }
        assert_eq!((told.by, told.verdict()), (By::Replica, Verdict::Consider));
    }
    drop(following);
    let direct = connected(&hub, parties::BANK, None).await;
    let again = Following::at(&direct, copy, |config| config).await;
    again.until_reported().await;
    again.close().await;
    let found = on_record(&mut hub).await;
    assert_eq!((found.adverse.len(), found.gaps), (ASKED, 1));
}

/// Who closes a replica has not to wait before for what it reports now and then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_last_is_on_record_once_a_replica_is_closed() {
    const CLEAR: u64 = 300;
    let mut hub = Hub::start_with(leased(30)).await;
    let debtor = Subject::person();
    hub.court().await.list(&debtor).await;
    let following = Following::of(&hub, parties::BANK).await;
    following.until_leased().await;
    let nobody = loan(&Subject::person());
    for _ in 0..CLEAR {
        assert!(following.is_clear(nobody.clone()).await);
    }
    for _ in 0..2 {
        let told = following.replica.check_recorded(loan(&debtor).request()).await.unwrap();
        assert_eq!((told.by, told.verdict()), (By::Replica, Verdict::Consider));
    }
    let told = following.check(loan(&debtor)).await;
    assert_eq!((told.by, told.verdict()), (By::Replica, Verdict::Consider));
    following.close().await;
    let found = on_record(&mut hub).await;
    assert_eq!((found.adverse.len(), found.gaps), (3, 0));
    // How many, and of nobody whom.
    assert_eq!(found.clears, BTreeMap::from([(LOAN.to_owned(), CLEAR)]));
}

/// Where there is no place for another answer on record, there is none against anybody.
/// Who waits for no batch.
async fn hasty(hub: &Hub, client: &str, proxy: &Proxy) -> xinhub_client::Hub {
    let mut config = hub.client_config(client);
    config.endpoint = format!("https://{}", proxy.address());
    config.timeouts.batch = Duration::from_millis(200);
    xinhub_client::Hub::connect(config).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_can_not_be_recorded_is_not_spoken_against() {
    let hub = Hub::start_with(leased(30)).await;
    let proxy = Proxy::to(hub.grpc()).await;
    let (debtor, nobody) = (Subject::person(), Subject::person());
    hub.court().await.list(&debtor).await;
    let way = hasty(&hub, parties::BANK, &proxy).await;
    let following = Following::at(&way, TempDir::new().unwrap(), |config| config).await;
    following.until_leased().await;
    let replica = &following.replica;
    let asked = replica.inquiry(&loan(&debtor).into_inquiry()).unwrap();
    proxy.stall(true);
    let mut answered = 0;
    while answered < KEPT {
        match replica.answer(LOAN, None, &asked) {
            Some(answer) => {
                assert!(answer.verdict().is_adverse());
                answered += 1;
            }
            // They come faster than the disk takes them.
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
        assert!(!replica.state().lease().is_zero(), "the lease ended before the places did: {answered}");
    }
    for _ in 0..100 {
        assert_eq!(replica.answer(LOAN, None, &asked), None);
    }
    assert!(!replica.state().lease().is_zero());
    assert!(following.is_clear(loan(&nobody)).await, "who is clear needs no place");
    let told = following.check(loan(&debtor)).await;
    assert_eq!((told.by, told.verdict()), (By::Nobody, Verdict::Unknown), "nobody is restricted by that");
    let batch = |of: &[&Subject]| v1::BatchCheckRequest {
        measure: LOAN.to_owned(),
        inquiries: of.iter().map(|one| loan(one).into_inquiry()).collect(),
        ..Default::default()
    };
    assert!(following.replica.check_many(batch(&[&nobody])).await.is_ok());
    assert!(following.replica.check_many(batch(&[&nobody, &debtor])).await.is_err(), "nor by a batch");
    proxy.stall(false);
    until("the hub has them, and there are places again", || async {
        let told = following.check(loan(&debtor)).await;
        (told.by == By::Replica && told.verdict() == Verdict::Consider).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_says_by_itself_what_is_said_one_by_one() {
    let mut hub = Hub::start_with(leased(30)).await;
    let proxy = Proxy::to(hub.grpc()).await;
    let court = hub.court().await;
    // More than are looked up together; some listed, one with a credit code that may be another's, one whom the measure does not concern.
    let mut bidders: Vec<Subject> = (0..300).map(|_| Subject::organisation()).collect();
    for at in [0, 7, 270] {
        court.list(&bidders[at]).await;
    }
    bidders[20] = Subject::flagged_organisation();
    bidders.push(Subject::person());
    let way = hasty(&hub, parties::PROCUREMENT, &proxy).await;
    let following = Following::at(&way, TempDir::new().unwrap(), |config| config).await;
    following.until_leased().await;
    // Nobody else can answer.
    proxy.stall(true);
    let mut alone = Vec::new();
    for bidder in &bidders {
        let told = following.replica.check_recorded(Ask::about(bidder, SUPPLIER).request()).await.unwrap();
        assert_eq!(told.by, By::Replica);
        alone.push(told.response.answer.unwrap());
    }
    let adverse = alone.iter().filter(|answer| answer.verdict() == Verdict::Restricted).count();
    assert_eq!(adverse, 3);
    let all = bidders.iter().enumerate().map(|(at, one)| {
        // A reference of one's own, or the name of somebody who is not listed, makes no difference.
        let ask = Ask::about(one, SUPPLIER);
        let ask = if at % 2 == 0 { ask.reference("lot-4") } else { ask };
        if at == 30 { ask.name("of nobody who is listed").into_inquiry() } else { ask.into_inquiry() }
    });
    let inquiries: Vec<_> = all.collect();
    let of = |inquiries| v1::BatchCheckRequest { measure: SUPPLIER.to_owned(), inquiries, ..Default::default() };
    let told = following.replica.check_many(of(inquiries.clone())).await.unwrap();
    let answer = |result: v1::BatchCheckResult| match result.result {
        Some(v1::batch_check_result::Result::Answer(answer)) => answer,
        other => panic!("{other:?}"),
    };
    assert_eq!(told.results.into_iter().map(answer).collect::<Vec<_>>(), alone);
    let at = following.check(Ask::about(&bidders[1], SUPPLIER)).await.response.position.unwrap();
    let (place, use_by) = (told.position.unwrap(), told.use_by.unwrap());
    assert_eq!(place.token, at.token);
    let left_s = use_by.seconds - place.time.unwrap().seconds;
    assert!((0..=30).contains(&left_s), "{left_s}");

    let numbers = |subjects: &[Subject]| subjects.iter().map(Subject::number).collect::<Vec<_>>().join("\n");
    let group = |subjects: &[Subject]| v1::PackedIdentities {
        kind: subjects[0].identity().kind,
        numbers: numbers(subjects),
        ..Default::default()
    };
    let packed = vec![group(&bidders[..300]), group(&bidders[300..])];
    let told = following.replica.check_many(v1::BatchCheckRequest { packed, ..of(Vec::new()) }).await.unwrap();
    assert!(told.results.is_empty());
    let told = told.packed.unwrap();
    let verdicts: Vec<u8> = alone.iter().map(|answer| answer.verdict() as u8).collect();
    assert_eq!(told.verdicts, verdicts);
    let said = told.results.into_iter().map(|one| (one.position as usize, answer(one.result.unwrap())));
    let usual = Subject::organisation();
    let usual = following.check(Ask::about(&usual, SUPPLIER)).await.response.answer.unwrap();
    let more = alone.into_iter().enumerate().filter(|(_, answer)| *answer != usual);
    assert_eq!(said.collect::<Vec<_>>(), more.collect::<Vec<_>>());

    // Whatever speaks against somebody has its record; where one can't be answered from here, none is, and none is recorded.
    let mut faulty = inquiries.clone();
    faulty[299].identity.as_mut().unwrap().number.push('0');
    let mut named = inquiries;
    named[270].name = "another one".to_owned();
    for inquiries in [faulty, named] {
        assert!(following.replica.check_many(of(inquiries)).await.is_err());
    }
    proxy.stall(false);
    following.close().await;
    let found = on_record(&mut hub).await;
    assert_eq!(found.adverse.len(), 3 * adverse);
    let clear = 3 * (bidders.len() - adverse) + 2;
    assert_eq!(found.clears.into_iter().collect::<Vec<_>>(), [(SUPPLIER.to_owned(), clear as u64)]);
}
