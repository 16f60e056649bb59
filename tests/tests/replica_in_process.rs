//! What a question costs in the caller's own process.

#![allow(clippy::unwrap_used)]

use allocation_counter::measure;
use tempfile::TempDir;
use xinhub_tests::following::{Following, connected, leased};
use xinhub_tests::{Ask, Hub, Subject, parties};

const LOAN: &str = "credit.lending";

/// Whoever asks about a guest, and is told that nothing is known, has allocated nothing; and it is noticed where something is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_clear_is_told_without_allocating() {
    let hub = Hub::start_with(leased(10)).await;
    let debtor = Subject::person();
    hub.court().await.list(&debtor).await;
    let bank = connected(&hub, parties::BANK, None).await;
    let exact = Following::at(&bank, TempDir::new().unwrap(), |config| config).await;
    let filter = Following::filter(&bank, TempDir::new().unwrap()).await;
    exact.until_leased().await;
    for following in [&exact, &filter] {
        let replica = &following.replica;
        let asked = || replica.inquiry(&Ask::about(&Subject::person(), LOAN).into_inquiry()).unwrap();
        // A thread's first question makes the place by which the thread takes part in what is shared.
        drop(replica.answer(LOAN, None, &asked()));
        let mut clear = 0;
        for _ in 0..100 {
            let (asked, mut answer) = (asked(), None);
            let taken = measure(|| answer = replica.answer(LOAN, None, &asked));
            assert_eq!((taken.count_total, taken.bytes_total), (0, 0), "{answer:?}");
            clear += usize::from(answer.is_some_and(|answer| !answer.verdict().is_adverse()));
        }
        assert!(clear > 90, "{clear} of 100 are clear");
    }
    // One against somebody has a place on record, which takes memory.
    let asked = exact.replica.inquiry(&Ask::about(&debtor, LOAN).into_inquiry()).unwrap();
    assert!(measure(|| drop(exact.replica.answer(LOAN, None, &asked))).count_total > 0);
}
