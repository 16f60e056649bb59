//! What a replica answers by itself, and by which right.

#![allow(clippy::unwrap_used)]

use tempfile::TempDir;
use xinhub_client::v1::ReplicaReach;
use xinhub_client::{By, ReplicaConfig};
use xinhub_tests::court::actor;
use xinhub_tests::following::{Following, connected, leased};
use xinhub_tests::subject::days_ago;
use xinhub_tests::v1::{self, AnswerReason as Why, Effect, OnUnknown, Verdict};
use xinhub_tests::wait::until;
use xinhub_tests::{Ask, Code, Hub, Proxy, Reason, Subject, parties, refused};

const LOAN: &str = "credit.lending";
const SUPPLIER: &str = "procurement.supplier";

fn loan(subject: &Subject) -> Ask {
    Ask::about(subject, LOAN)
}

fn room(subject: &Subject) -> Ask {
    Ask::about(subject, "consumption.hotel").item("star_rated")
}

async fn duties(client: &xinhub_client::Hub) -> Vec<u64> {
    let duties = client.measures().list_duties(v1::ListDutiesRequest::default()).await.unwrap().duties;
    duties.into_iter().map(|duty| duty.listing).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adverse_answer_is_given_under_a_lease_alone_and_goes_on_record() {
    let mut hub = Hub::start_with(leased(2)).await;
    let proxy = Proxy::to(hub.grpc()).await;
    let (court, debtor, nobody) = (hub.court().await, Subject::person(), Subject::person());
    let listed = court.list(&debtor).await;
    let way = connected(&hub, parties::BANK, Some(&proxy)).await;
    let following = Following::at(&way, TempDir::new().unwrap(), |config| config).await;
    following.until_leased().await;
    // Each waits for the disk: while that is behind, the hub is asked.
    let told = following.replica.check_recorded(loan(&debtor).reference("loan-17").request()).await.unwrap();
    assert_eq!((told.by, told.verdict()), (By::Replica, Verdict::Consider));
    let answer = told.response.answer.clone().unwrap();
    // The hub's own words, but for the listings' numbers.
    let online = loan(&debtor).answer(&hub.client(parties::BUREAU).await).await;
    let without = |answer: v1::Answer| v1::Answer { listings: Vec::new(), ..answer };
    assert_eq!(without(answer), without(online));
    let recorded = following.replica.check_recorded(loan(&debtor).request()).await.unwrap();
    assert_eq!((recorded.by, recorded.verdict()), (By::Replica, Verdict::Consider));
    following.until_reported().await;

    // Past its lease it speaks against nobody, and of nobody who is clear does it ask.
    proxy.stall(true);
    until("its lease has run out", || async { following.replica.state().lease().is_zero().then_some(()) }).await;
    let told = following.check(loan(&debtor)).await;
    assert_eq!((told.by, told.verdict()), (By::Nobody, Verdict::Unknown), "{told:?}");
    let answer = told.response.answer.unwrap();
    assert_eq!((answer.reason(), answer.on_unknown()), (Why::NotFresh, OnUnknown::AskAgainThenPerson));
    assert!(following.is_clear(loan(&nobody)).await);
    proxy.stall(false);
    following.until_leased().await;

    // It never asked the hub for this person, and owes what whoever asked owes: it was told, by its own replica.
    let client = hub.client(parties::BANK).await;
    assert_eq!(duties(&client).await, [0; 0]);
    court.remove(listed.listing).await.unwrap();
    following.until_clear(&loan(&debtor), true).await;
    assert_eq!(duties(&client).await, [listed.listing]);
    // It lifts what it had imposed, and says so in one call; whoever did not hear that it was taken may say it again.
    let today = days_ago(0);
    let lifted = || client.report_lifted(listed.listing, &today, "已恢复授信", actor("teller-0001", "teller"));
    assert_eq!(lifted().await.unwrap().duty_state(), v1::DutyState::Closed);
    assert_eq!(duties(&client).await, [0; 0]);
    refused(lifted().await, Code::NotFound, Reason::NotFound);
    // And so does whoever reports it only after the lift.
    let late = Subject::person();
    let listed = court.list(&late).await;
    until("the listing has come", || async {
        (following.check(loan(&late)).await.verdict() == Verdict::Consider).then_some(())
    })
    .await;
    court.remove(listed.listing).await.unwrap();
    following.close().await;
    assert!(duties(&client).await.contains(&listed.listing));
    hub.stop().await;
    let checked = hub.daemon("fsck");
    assert!(checked.status.success(), "{checked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_says_who_is_clear_and_asks_for_every_hit() {
    let hub = Hub::start_with(leased(2)).await;
    let (court, before, after) = (hub.court().await, Subject::person(), Subject::person());
    let first = court.list(&before).await;
    let hotel = connected(&hub, parties::HOTEL, None).await;
    let following = Following::filter(&hotel, TempDir::new().unwrap()).await;
    let strangers: Vec<Subject> = (0..40).map(|_| Subject::person()).collect();
    let mut clear = 0;
    for stranger in &strangers {
        clear += usize::from(following.is_clear(room(stranger)).await);
    }
    assert!(clear >= 35, "{clear} of 40 are seen to be clear");
    // In a batch the hub is asked about all where it has to be asked about one.
    let batch = v1::BatchCheckRequest {
        measure: "consumption.hotel".to_owned(),
        item: "star_rated".to_owned(),
        inquiries: vec![room(&strangers[0]).into_inquiry(), room(&before).into_inquiry()],
        ..Default::default()
    };
    let told = following.replica.check_many(batch).await.unwrap().results;
    let verdict = |at: usize| match &told[at].result {
        Some(v1::batch_check_result::Result::Answer(answer)) => answer.verdict(),
        other => panic!("{other:?}"),
    };
    assert_eq!((verdict(0), verdict(1)), (Verdict::Clear, Verdict::Restricted));
    let told = following.check(room(&before)).await;
    assert_eq!((told.by, told.verdict()), (By::Hub, Verdict::Restricted));
    assert!(told.response.answer.as_ref().unwrap().slip.is_some());
    assert!(told.must_refuse(), "one bit is enough to refuse");
    // What comes and goes since the filter was made.
    let second = court.list(&after).await;
    following.until_clear(&room(&after), false).await;
    court.remove(first.listing).await.unwrap();
    following.until_clear(&room(&before), true).await;
    // It goes on from its directory.
    let dir = following.close().await;
    court.remove(second.listing).await.unwrap();
    let following = Following::filter(&hotel, dir).await;
    following.until_clear(&room(&before), true).await;
    following.until_clear(&room(&after), true).await;
    assert!(following.path().join("filter.snap").exists());
    // A bank may have either, and has the one that tells it less where it asks for neither; of its filter, too, every hit is asked.
    let bank = connected(&hub, parties::BANK, None).await;
    let third = Subject::organisation();
    // The one before is told of at once, and this one has to wait; whoever connects meanwhile waits with it.
    court.list(&Subject::organisation()).await;
    court.list(&third).await;
    let unsaid = |config: ReplicaConfig| config.reach(ReplicaReach::Unspecified);
    let filter = Following::at(&bank, TempDir::new().unwrap(), unsaid).await;
    let told = filter.check(loan(&third)).await;
    assert_eq!((told.by, told.verdict()), (By::Hub, Verdict::Consider));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_replica_can_not_know_it_asks() {
    let hub = Hub::start_with(leased(2)).await;
    let (court, exempt, named) = (hub.court().await, Subject::organisation(), Subject::organisation());
    let listed = court.list(&exempt).await;
    court.list(&named).await;
    let platform = connected(&hub, parties::PROCUREMENT, None).await;
    let following = Following::at(&platform, TempDir::new().unwrap(), |config| config).await;
    following.until_leased().await;
    let ask = |subject: &Subject| Ask::about(subject, SUPPLIER);
    let told = following.check(ask(&exempt)).await;
    assert_eq!((told.by, told.verdict()), (By::Replica, Verdict::Restricted));
    let answer = told.response.answer.as_ref().unwrap();
    assert!(told.must_refuse() == (answer.effect() == Effect::Prohibit));
    // A name is compared by the hub alone.
    let told = following.check(ask(&named).name("another one")).await;
    assert_eq!((told.by, told.verdict()), (By::Hub, Verdict::Unknown));
    // Leave of the court: when and for what, the hub knows.
    let now = jiff::Timestamp::now().as_second();
    let content = v1::ExemptionContent {
        identity: Some(exempt.identity()),
        measures: vec![SUPPLIER.to_owned()],
        from: Some(xinhub_tests::timestamp(now - 60)),
        until: Some(xinhub_tests::timestamp(now + 86_400)),
        ground: "own_property".to_owned(),
        approver: "president-0001".to_owned(),
        ..Default::default()
    };
    let mutation = Some(xinhub_client::mutation(actor("clerk-0002", "judge"), None));
    let request = v1::ExemptRequest { mutation, listing: listed.listing, content: Some(content) };
    court.client.registry().exempt(request).await.unwrap();
    until("the leave has come", || async {
        let told = following.check(ask(&exempt)).await;
        (told.by == By::Hub && told.verdict() == Verdict::Clear).then_some(())
    })
    .await;
    // All bidders at one place in the history, or all by the hub.
    let bidders = |subjects: &[&Subject]| v1::BatchCheckRequest {
        measure: SUPPLIER.to_owned(),
        inquiries: subjects.iter().map(|one| ask(one).into_inquiry()).collect(),
        ..Default::default()
    };
    let both = following.replica.check_many(bidders(&[&Subject::organisation(), &named])).await.unwrap();
    let verdict = |result: &v1::BatchCheckResult| match &result.result {
        Some(v1::batch_check_result::Result::Answer(answer)) => answer.verdict(),
        other => panic!("{other:?}"),
    };
    let verdicts: Vec<Verdict> = both.results.iter().map(verdict).collect();
    assert_eq!(verdicts, [Verdict::Clear, Verdict::Restricted]);
    assert!(both.position.is_some());
    let all = following.replica.check_many(bidders(&[&named, &exempt])).await.unwrap();
    assert_eq!(all.results.iter().map(verdict).collect::<Vec<_>>(), [Verdict::Restricted, Verdict::Clear]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_ends_is_waited_for_no_longer() {
    let hub = Hub::start_with(leased(2)).await;
    let (court, operator) = (hub.court().await, hub.client(parties::OPERATOR).await);
    let list = || async { operator.admin().list_subscribers(v1::ListSubscribersRequest {}).await.unwrap().subscribers };
    let (one, two) = (Following::of(&hub, parties::BANK).await, Following::of(&hub, parties::BUREAU).await);
    let clients: Vec<String> = list().await.into_iter().map(|one| one.client).collect();
    assert_eq!(clients, [parties::BANK, parties::BUREAU]);
    one.replica.unsubscribe().await.unwrap();
    until("it is forgotten once its lease is over", || async { (list().await.len() == 1).then_some(()) }).await;
    let left = list().await.remove(0);
    // One that is gone for good is ended by an operator.
    drop(two);
    let ended = v1::EndSubscriberRequest { client: left.client.clone(), instance: left.instance.clone() };
    operator.admin().end_subscriber(ended.clone()).await.unwrap();
    until("it is forgotten too", || async { list().await.is_empty().then_some(()) }).await;
    assert!(operator.admin().end_subscriber(ended).await.is_err());
    let debtor = Subject::person();
    let listed = court.list(&debtor).await;
    let lift = court.remove(listed.listing).await.unwrap();
    let seen = court.client.sync().get_lift_status(v1::GetLiftStatusRequest { position: lift.position }).await.unwrap();
    assert_eq!(seen.subscribers, 0);
}
