//! What was acknowledged is there after a kill.

#![allow(clippy::unwrap_used)]

use xinhub_tests::v1::{AnswerReason as Why, ListingState, Verdict};
use xinhub_tests::{Ask, Hub, Subject, parties};

const LOAN: &str = "credit.lending";

#[tokio::test]
async fn publish_check_lift_check_and_all_is_there_after_a_kill() {
    let mut hub = Hub::start().await;
    let (kept, lifted, nobody) = (Subject::organisation(), Subject::person(), Subject::person());
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let kept_outcome = court.list(&kept).await;
    let lifted_outcome = court.list(&lifted).await;
    for subject in [&kept, &lifted] {
        Ask::about(subject, LOAN).expect(&bank, Verdict::Consider, Why::ListedDebtor).await;
    }
    let removed = court.remove(lifted_outcome.listing).await.unwrap();
    assert_eq!(removed.state(), ListingState::Removed);
    Ask::about(&lifted, LOAN).expect(&bank, Verdict::Clear, Why::NotListed).await;
    Ask::about(&nobody, LOAN).expect(&bank, Verdict::Clear, Why::NotListed).await;
    let before = hub.status().await;

    hub.kill_and_restart().await;

    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    Ask::about(&kept, LOAN).at_least(removed.position.as_ref().unwrap()).answer(&bank).await;
    Ask::about(&kept, LOAN).expect(&bank, Verdict::Consider, Why::ListedDebtor).await;
    Ask::about(&lifted, LOAN).expect(&bank, Verdict::Clear, Why::NotListed).await;
    hub.details_caught_up().await;
    let read = court.read(kept_outcome.listing).await.unwrap();
    assert_eq!((read.state(), &read.etag), (ListingState::Listed, &kept_outcome.etag));
    assert_eq!(read.content.unwrap().name, kept.name);
    assert_eq!(court.read(lifted_outcome.listing).await.unwrap().state(), ListingState::Removed);
    let after = hub.status().await;
    assert_eq!((after.epoch, after.listings), (before.epoch, 2));
    assert!(after.revision >= before.revision);
    hub.stop().await;
    let checked = hub.daemon("fsck");
    assert!(
        checked.status.success(),
        "{}{}",
        String::from_utf8_lossy(&checked.stdout),
        String::from_utf8_lossy(&checked.stderr)
    );
}
