//! What a replica has answered, from the moment of the answer until the hub has it on record.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use xinhub_client::By;
use xinhub_ledger::keys::Keyring;
use xinhub_server::audit::{AuditReader, Entry, ReportedWhat};
use xinhub_tests::following::{Following, connected, leased};
use xinhub_tests::v1::Verdict;
use xinhub_tests::wait::until;
use xinhub_tests::{Ask, Hub, Proxy, Subject, parties};

const LOAN: &str = "credit.lending";
/// Answers that a replica keeps for a hub that it does not reach: past it the hub is asked.
const KEPT: usize = 65_536;

fn loan(subject: &Subject) -> Ask {
    Ask::about(subject, LOAN)
}

/// What the hub has on record of its replicas: adverse answers, gaps, and how many were answered clear, by measure.
async fn on_record(hub: &mut Hub) -> (usize, usize, BTreeMap<String, u64>) {
    hub.stop().await;
    let keys = Arc::new(Keyring::load(&hub.dir().join("keys")).unwrap());
    let reader = AuditReader::inspect(&hub.data_dir().join("audit"), keys).unwrap();
    let (mut adverse, mut gaps, mut clears) = (0, 0, BTreeMap::new());
    for entry in reader.entries().unwrap() {
        match entry.unwrap().1 {
            Entry::Call(call) if call.method == "ReportAnswers" => adverse += usize::from(call.verdict(0).is_some()),
            Entry::Reported(reported) => match reported.what {
                ReportedWhat::Gap { .. } => gaps += 1,
                ReportedWhat::Clears { measure, count, .. } => *clears.entry(measure).or_default() += count,
            },
            Entry::Call(_) | Entry::Coarse(_) | Entry::Gap(_) => {}
        }
    }
    (adverse, gaps, clears)
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
    until("all is on record", || async { (again.replica.state().unreported == 0).then_some(()) }).await;
    again.close().await;
    let (adverse, gaps, _) = on_record(&mut hub).await;
    assert_eq!((adverse, gaps), (ASKED, 1));
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
    let (adverse, gaps, clears) = on_record(&mut hub).await;
    assert_eq!((adverse, gaps), (3, 0));
    // How many, and of nobody whom.
    assert_eq!(clears, BTreeMap::from([(LOAN.to_owned(), CLEAR)]));
}

/// Where there is no place for another answer on record, there is none against anybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_can_not_be_recorded_is_not_spoken_against() {
    let hub = Hub::start_with(leased(30)).await;
    let proxy = Proxy::to(hub.grpc()).await;
    let (debtor, nobody) = (Subject::person(), Subject::person());
    hub.court().await.list(&debtor).await;
    let way = connected(&hub, parties::BANK, Some(&proxy)).await;
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
    proxy.stall(false);
    until("the hub has them, and there are places again", || async {
        let told = following.check(loan(&debtor)).await;
        (told.by == By::Replica && told.verdict() == Verdict::Consider).then_some(())
    })
    .await;
}
