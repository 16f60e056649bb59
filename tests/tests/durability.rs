//! What was acknowledged is there after a kill, and nothing else is.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use xinhub_tests::court::{clerk, content, decision, related};
use xinhub_tests::v1::{self, AnswerReason as Why, ListingState as State, MutationOutcome, Relation, Verdict};
use xinhub_tests::wait::until;
use xinhub_tests::{Ask, Code, Court, Error, Hub, Setup, Subject, parties};

const LOAN: &str = "credit.lending";

#[track_caller]
fn fsck_is_clean(hub: &Hub) {
    let checked = hub.daemon("fsck");
    let said = [checked.stdout, checked.stderr].concat();
    assert!(checked.status.success(), "fsck: {}\n{}", checked.status, String::from_utf8_lossy(&said));
}

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
    assert_eq!(removed.state(), State::Removed);
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
    assert_eq!((read.state(), &read.etag), (State::Listed, &kept_outcome.etag));
    assert_eq!(read.content.unwrap().name, kept.name);
    assert_eq!(court.read(lifted_outcome.listing).await.unwrap().state(), State::Removed);
    let after = hub.status().await;
    assert_eq!((after.epoch, after.listings), (before.epoch, 2));
    assert!(after.revision >= before.revision);
    hub.stop().await;
    fsck_is_clean(&hub);
}

/// Where the hub is now; `None` while it is down.
type Whereabouts = watch::Receiver<Option<String>>;

/// How a writer reaches the hub wherever it is, each time it has been killed.
struct Line {
    whereabouts: Whereabouts,
    client: &'static str,
    pki: PathBuf,
    connected: Option<(String, Court)>,
}

impl Line {
    async fn court(&mut self) -> Court {
        loop {
            let endpoint = self.whereabouts.wait_for(Option::is_some).await.unwrap().clone().unwrap();
            match &self.connected {
                Some((at, court)) if *at == endpoint => return court.clone(),
                _ => {}
            }
            let file = |ending: &str| self.pki.join(format!("{}.{ending}", self.client));
            let config = xinhub_client::Config::new(&endpoint, self.pki.join("ca.pem"), file("pem"), file("key"));
            if let Ok(hub) = xinhub_client::Hub::connect(config).await {
                self.connected = Some((endpoint, Court::new(hub)));
            }
        }
    }

    /// Sends one mutation until it is acknowledged, whatever is killed meanwhile. Its request id stays the same.
    async fn insist<F: Future<Output = Result<MutationOutcome, Error>>>(
        &mut self,
        mut send: impl FnMut(Court) -> F,
    ) -> MutationOutcome {
        loop {
            match send(self.court().await).await {
                Ok(outcome) => return outcome,
                // Nothing is known of what became of it.
                Err(error) if matches!(error.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled) => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    }
}

/// What a writer was told of its listings.
#[derive(Default)]
struct Ledger {
    listings: BTreeMap<u64, (Subject, MutationOutcome)>,
    relations: BTreeMap<u64, (u64, Subject)>,
}

/// One court clerk, who publishes, hides, restores, relates and removes without end, and notes what was acknowledged.
struct Writer {
    line: Line,
    noted: Ledger,
    acknowledged: Arc<AtomicUsize>,
}

impl Writer {
    async fn work(mut self, mut stop: watch::Receiver<bool>) -> Ledger {
        let mut round = 0_u64;
        while !*stop.borrow_and_update() {
            round += 1;
            let subject = if round.is_multiple_of(2) { Subject::organisation() } else { Subject::person() };
            let listed = self.publish(&subject).await;
            match round % 4 {
                0 => self.relate(&listed).await,
                1 => self.remove(listed.listing).await,
                2 => self.hide_and_restore(listed.listing).await,
                _ => {}
            }
        }
        self.noted
    }

    fn note(&mut self, subject: Option<&Subject>, outcome: MutationOutcome) {
        self.acknowledged.fetch_add(1, Relaxed);
        let entry = self.noted.listings.entry(outcome.listing);
        match subject {
            Some(subject) => {
                let before = self.noted.listings.insert(outcome.listing, (subject.clone(), outcome));
                assert!(before.is_none(), "one number for two listings");
            }
            None => {
                entry.and_modify(|noted| noted.1 = outcome);
            }
        }
    }

    async fn publish(&mut self, subject: &Subject) -> MutationOutcome {
        let mutation = Some(xinhub_client::mutation(clerk(), None));
        let request = v1::PublishRequest { mutation, content: Some(content(subject)), ..Default::default() };
        let send = |court: Court| {
            let request = request.clone();
            async move { Ok(court.client.registry().publish(request).await?.outcome.unwrap()) }
        };
        let outcome = self.line.insist(send).await;
        self.note(Some(subject), outcome.clone());
        outcome
    }

    async fn remove(&mut self, listing: u64) {
        let mutation = Some(xinhub_client::mutation(clerk(), None));
        let request = v1::RemoveRequest { mutation, listing, ground: "performed".to_owned() };
        let send = |court: Court| {
            let request = request.clone();
            async move { Ok(court.client.registry().remove(request).await?.outcome.unwrap()) }
        };
        let outcome = self.line.insist(send).await;
        self.note(None, outcome);
    }

    async fn hide_and_restore(&mut self, listing: u64) {
        let mutation = Some(xinhub_client::mutation(clerk(), None));
        let request = v1::HideRequest { mutation, listing, ground: "settlement".to_owned() };
        let send = |court: Court| {
            let request = request.clone();
            async move { Ok(court.client.registry().hide(request).await?.outcome.unwrap()) }
        };
        let hidden = self.line.insist(send).await;
        let mutation = Some(xinhub_client::mutation(clerk(), Some(hidden.etag.clone())));
        self.note(None, hidden);
        let request = v1::RestoreRequest { mutation, listing, decision: Some(decision()) };
        let send = |court: Court| {
            let request = request.clone();
            async move { Ok(court.client.registry().restore(request).await?.outcome.unwrap()) }
        };
        let outcome = self.line.insist(send).await;
        self.note(None, outcome);
    }

    async fn relate(&mut self, listed: &MutationOutcome) {
        let person = Subject::person();
        let mutation = Some(xinhub_client::mutation(clerk(), Some(listed.etag.clone())));
        let content = Some(related(Relation::LegalRepresentative, &person));
        let request = v1::SetRelationRequest { mutation, listing: listed.listing, content };
        let send = |court: Court| {
            let request = request.clone();
            async move { Ok(court.client.registry().set_relation(request).await?.outcome.unwrap()) }
        };
        let outcome = self.line.insist(send).await;
        self.noted.relations.insert(outcome.record, (outcome.listing, person));
        self.note(None, outcome);
    }
}

/// Four writers of two courts retry under their request ids while the hub is killed a hundred times. In the end there is
/// every listing that was acknowledged, in the state and revision last acknowledged, and not one more; and journal, state
/// and details agree.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_kills_under_concurrent_writes_lose_nothing() {
    const KILLS: u32 = 100;
    let ledger = "segment_mib = 1\nsnapshot_every_events = 1000".to_owned();
    let mut hub = Hub::start_with(Setup { ledger, ..Setup::default() }).await;
    let (tell, whereabouts) = watch::channel(Some(endpoint(&hub)));
    let (stop, stopped) = watch::channel(false);
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut writers = JoinSet::new();
    for client in [parties::COURT, parties::OTHER_COURT, parties::COURT, parties::OTHER_COURT] {
        let pki = hub.dir().join("pki");
        let line = Line { whereabouts: whereabouts.clone(), client, pki, connected: None };
        let writer = Writer { line, noted: Ledger::default(), acknowledged: Arc::clone(&acknowledged) };
        writers.spawn(writer.work(stopped.clone()));
    }
    for kill in 0..KILLS {
        let before = acknowledged.load(Relaxed);
        until("some are acknowledged", || async { (acknowledged.load(Relaxed) >= before + 5).then_some(()) }).await;
        // In the midst of what comes then; at another moment each time.
        tokio::time::sleep(Duration::from_millis(u64::from(kill * 37 % 90))).await;
        tell.send_replace(None);
        hub.kill_and_restart().await;
        tell.send_replace(Some(endpoint(&hub)));
        assert!(writers.try_join_next().is_none(), "a writer ended early");
    }
    stop.send_replace(true);
    let noted = tokio::time::timeout(Duration::from_secs(60), writers.join_all()).await.unwrap();
    let writes = acknowledged.load(Relaxed);
    assert!(writes >= KILLS as usize * 5, "{writes} writes");
    everything_is_there(&hub, &noted).await;
    hub.stop().await;
    fsck_is_clean(&hub);
    hub.serve().await;
    everything_is_there(&hub, &noted).await;
}

fn endpoint(hub: &Hub) -> String {
    format!("https://{}", hub.grpc())
}

async fn everything_is_there(hub: &Hub, noted: &[Ledger]) {
    hub.details_caught_up().await;
    let (courts, unit) = ([hub.court().await, hub.other_court().await], hub.client(parties::UNIT).await);
    let mut found: BTreeMap<u64, v1::Listing> = BTreeMap::new();
    for court in &courts {
        let mut page_token = String::new();
        loop {
            let request = v1::ListListingsRequest { page_size: 500, page_token, states: Vec::new() };
            let page = court.client.lookup().list_listings(request).await.unwrap();
            found.extend(page.listings.into_iter().map(|listing| (listing.listing, listing)));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
    }
    let expected: BTreeMap<u64, &(Subject, MutationOutcome)> =
        noted.iter().flat_map(|ledger| &ledger.listings).map(|(number, noted)| (*number, noted)).collect();
    assert!(found.keys().eq(expected.keys()), "{} found, {} acknowledged", found.len(), expected.len());
    let bank = hub.client(parties::BANK).await;
    let mut inquiries = Vec::new();
    for (number, (subject, outcome)) in &expected {
        let listing = &found[number];
        assert_eq!((listing.state(), &listing.etag), (outcome.state(), &outcome.etag), "listing {number}");
        assert_eq!(listing.content.as_ref().unwrap().identities, subject.identities);
        inquiries.push(Ask::about(subject, LOAN).into_inquiry());
    }
    let outcomes: Vec<State> = expected.values().map(|noted| noted.1.state()).collect();
    for (inquiries, states) in inquiries.chunks(10_000).zip(outcomes.chunks(10_000)) {
        let request =
            v1::BatchCheckRequest { measure: LOAN.to_owned(), inquiries: inquiries.to_vec(), ..Default::default() };
        let response = bank.lookup().batch_check(request).await.unwrap();
        for (result, state) in response.results.iter().zip(states) {
            let Some(v1::batch_check_result::Result::Answer(answer)) = &result.result else { panic!("{result:?}") };
            let expected = if *state == State::Listed { Verdict::Consider } else { Verdict::Clear };
            assert_eq!(answer.verdict(), expected, "{state:?}");
        }
    }
    for (relation, (listing, person)) in noted.iter().flat_map(|ledger| &ledger.relations) {
        let told = &found[listing].relations;
        assert!(told.iter().any(|one| one.relation == *relation && !one.ended), "relation {relation}");
        let met = v1::condition_answer::Answer::Met(true);
        let ask = Ask::about(person, "transaction.real-estate").given("acquisition_only", met);
        ask.expect(&unit, Verdict::Restricted, Why::RelatedPerson).await;
    }
}

/// An answer is on record before it leaves: what a bank was told before a kill is known of the listing after it.
#[tokio::test]
async fn whom_a_listing_was_told_to_is_known_after_a_kill() {
    let mut hub = Hub::start().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let debtor = Subject::person();
    let listed = court.list(&debtor).await;
    let read = async |client: &xinhub_client::Hub| {
        let request = v1::GetListingRequest { listing: listed.listing, consistency: None };
        client.lookup().get_listing(request).await
    };
    hub.details_caught_up().await;
    assert_eq!(read(&bank).await.unwrap_err().code(), Code::NotFound);
    Ask::about(&debtor, LOAN).expect(&bank, Verdict::Consider, Why::ListedDebtor).await;
    hub.kill_and_restart().await;
    hub.details_caught_up().await;
    read(&hub.client(parties::BANK).await).await.unwrap();
}
