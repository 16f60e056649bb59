//! Replicas as their users meet them: kept where the hub is through cuts, stalls, kills and restarts, and every lift confirmed.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use xinhub_client::{By, Inquiry, Replica, ReplicaConfig, Replied};
use xinhub_tests::v1::{self, MutationOutcome, Verdict};
use xinhub_tests::wait::{until, within};
use xinhub_tests::{Ask, Code, Hub, Proxy, Reason, Setup, Subject, parties, refused};

const LOAN: &str = "credit.lending";

fn leased(seconds: u32) -> Setup {
    Setup { limits: format!("lease_seconds = {seconds}"), ..Setup::default() }
}

fn manifest() -> v1::GetManifestRequest {
    v1::GetManifestRequest { instance_id: vec![7; 16], ..Default::default() }
}

/// A replica of the lenders' audience, and its directory.
struct Following {
    replica: Replica,
    dir: TempDir,
    lifts: Arc<AtomicU64>,
}

/// A connection by another way, where there is one between.
async fn connected(hub: &Hub, client: &str, way: Option<&Proxy>) -> xinhub_client::Hub {
    let mut config = hub.client_config(client);
    if let Some(proxy) = way {
        config.endpoint = format!("https://{}", proxy.address());
    }
    xinhub_client::Hub::connect(config).await.unwrap()
}

async fn follow(hub: &Hub, way: Option<&Proxy>, dir: TempDir) -> Following {
    let client = connected(hub, parties::BANK, way).await;
    let lifts = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&lifts);
    let config = ReplicaConfig::new(dir.path()).on_lift(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let replica = Replica::open(&client, config).unwrap();
    within(replica.synced()).await;
    Following { replica, dir, lifts }
}

impl Following {
    async fn new(hub: &Hub) -> Following {
        follow(hub, None, TempDir::new().unwrap()).await
    }

    async fn check(&self, subject: &Subject) -> Replied {
        self.replica.check(Ask::about(subject, LOAN).request()).await.unwrap()
    }

    /// Whether the replica finds this subject clear by itself.
    async fn is_clear(&self, subject: &Subject) -> bool {
        let replied = self.check(subject).await;
        replied.by == By::Replica && replied.verdict() == Verdict::Clear
    }

    /// Waits until the replica finds this subject clear by itself, or not.
    async fn until_clear(&self, subject: &Subject, clear: bool) {
        until(
            "the replica is where the hub is",
            || async move { (self.is_clear(subject).await == clear).then_some(()) },
        )
        .await;
    }
}

fn inquiry(replica: &Replica, subject: &Subject) -> Inquiry {
    replica.inquiry(&Ask::about(subject, LOAN).into_inquiry()).unwrap()
}

async fn status(client: &xinhub_client::Hub, lift: &MutationOutcome) -> v1::GetLiftStatusResponse {
    let request = v1::GetLiftStatusRequest { position: lift.position.clone() };
    client.sync().get_lift_status(request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lift_is_pushed_confirmed_and_complete() {
    let hub = Hub::start_with(leased(2)).await;
    let (court, nobody) = (hub.court().await, Subject::person());
    let (before, after) = (Subject::person(), Subject::organisation());
    let first = court.list(&before).await;
    let following = Following::new(&hub).await;
    // What is clear is clear in this very process.
    assert!(following.is_clear(&nobody).await);
    let told = following.check(&before).await;
    assert_eq!(told.verdict(), Verdict::Consider, "{told:?}");
    // Lending looks harder; a person decides.
    assert!(!told.must_refuse());
    let second = court.list(&after).await;
    following.until_clear(&after, false).await;

    let lift = court.remove(first.listing).await.unwrap();
    following.until_clear(&before, true).await;
    assert_eq!(following.check(&before).await.verdict(), Verdict::Clear);
    let seen = until("the replica has confirmed it", || async {
        let seen = status(&court.client, &lift).await;
        (seen.acknowledged == 1).then_some(seen)
    });
    let seen = seen.await;
    assert_eq!((seen.subscribers, seen.pending, seen.lease_run_out), (1, 0, 0));
    let complete = until("the lift is complete", || async {
        Some(status(&court.client, &lift).await).filter(|seen| seen.complete)
    });
    assert!(complete.await.complete_time.is_none());
    assert_eq!(following.lifts.load(Ordering::Relaxed), 1);
    let state = following.replica.state();
    assert!(state.answers() && state.trouble.is_none(), "{state:?}");
    until("a lease stands", || async { (following.replica.state().lease() > Duration::ZERO).then_some(()) }).await;
    // Closed right behind a lift, it has confirmed it all the same.
    let third = court.remove(second.listing).await.unwrap();
    until("the last lift has come", || async { (following.lifts.load(Ordering::Relaxed) == 2).then_some(()) }).await;
    following.replica.close().await.unwrap();
    assert_eq!(status(&court.client, &third).await.acknowledged, 1);
    // A listing is no lift, nor is a position that nobody has reached.
    let request = v1::GetLiftStatusRequest { position: second.position };
    refused(court.client.sync().get_lift_status(request).await, Code::InvalidArgument, Reason::InvalidField);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_cut_off_holds_a_lift_up_for_its_lease_and_no_longer() {
    let hub = Hub::start_with(leased(2)).await;
    let proxy = Proxy::to(hub.grpc()).await;
    let (court, debtor) = (hub.court().await, Subject::person());
    let listed = court.list(&debtor).await;
    let following = follow(&hub, Some(&proxy), TempDir::new().unwrap()).await;
    until("a lease stands", || async { (following.replica.state().lease() > Duration::ZERO).then_some(()) }).await;
    proxy.stall(true);
    let lift = court.remove(listed.listing).await.unwrap();
    let seen = status(&court.client, &lift).await;
    assert_eq!((seen.subscribers, seen.acknowledged, seen.complete), (1, 0, false), "{seen:?}");
    let complete = until("its lease has run out", || async {
        Some(status(&court.client, &lift).await).filter(|seen| seen.complete)
    });
    let seen = complete.await;
    assert_eq!((seen.acknowledged, seen.lease_run_out, seen.pending), (0, 1, 0));
    // By its own clock the replica's lease was over before the hub stopped waiting for it.
    assert_eq!(following.replica.state().lease(), Duration::ZERO);
    proxy.stall(false);
    following.until_clear(&debtor, true).await;
    until("it has confirmed it after all", || async {
        (status(&court.client, &lift).await.acknowledged == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_goes_on_from_its_directory_and_through_restarts_of_the_hub() {
    let mut hub = Hub::start_with(leased(2)).await;
    let proxy = Proxy::to(hub.grpc()).await;
    let (kept, freed, later) = (Subject::person(), Subject::person(), Subject::organisation());
    let court = hub.court().await;
    court.list(&kept).await;
    let listed = court.list(&freed).await;
    let following = follow(&hub, Some(&proxy), TempDir::new().unwrap()).await;
    let instance = std::fs::read(following.dir.path().join("instance")).unwrap();
    let Following { replica, dir, .. } = following;
    replica.close().await.unwrap();
    // While it is away.
    let lift = court.remove(listed.listing).await.unwrap();
    court.list(&later).await;
    hub.kill_and_restart().await;
    proxy.lead_to(hub.grpc());
    let following = follow(&hub, Some(&proxy), dir).await;
    following.until_clear(&freed, true).await;
    following.until_clear(&later, false).await;
    following.until_clear(&kept, false).await;
    assert!(!following.dir.path().join("index.part").exists(), "it was fetched anew");
    assert_eq!(std::fs::read(following.dir.path().join("instance")).unwrap(), instance);
    // The same subscriber as before the kill, and not one more.
    let court = hub.court().await;
    until("it has confirmed what came while it was away", || async {
        let seen = status(&court.client, &lift).await;
        (seen.subscribers == 1 && seen.acknowledged == 1).then_some(())
    })
    .await;
    // A damaged file is not shown: it is fetched anew.
    let Following { replica, dir, .. } = following;
    replica.close().await.unwrap();
    let path = dir.path().join("index.snap");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let following = follow(&hub, Some(&proxy), dir).await;
    following.until_clear(&freed, true).await;
    following.until_clear(&kept, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_ends_where_its_grant_ends_and_who_has_none_gets_none() {
    let hub = Hub::start().await;
    let (court, debtor) = (hub.court().await, Subject::person());
    court.list(&debtor).await;
    let plain = hub.client(parties::PLAIN_BANK).await;
    refused(plain.sync().get_manifest(manifest()).await, Code::PermissionDenied, Reason::ReachNotGranted);
    let platform = hub.client(parties::PROCUREMENT).await;
    let theirs = platform.sync().get_manifest(manifest()).await.unwrap();
    let lender = hub.client(parties::BANK).await;
    let ours = lender.sync().get_manifest(manifest()).await.unwrap();
    let bureau = hub.client(parties::BUREAU).await;
    assert_eq!(bureau.sync().get_manifest(manifest()).await.unwrap().key, ours.key);
    // Copies of two audiences don't join, nor does one get the other's.
    assert_ne!(theirs.key, ours.key);
    let request = v1::FetchChunksRequest { snapshot: ours.snapshot.unwrap().id, offset: 0 };
    refused(platform.sync().fetch_chunks(request).await.map(|_| ()), Code::NotFound, Reason::NotFound);

    let following = Following::new(&hub).await;
    following.until_clear(&debtor, false).await;
    let policy = std::fs::read_to_string(hub.policy_path()).unwrap();
    let without = policy.replacen(", \"filter\", \"exact\"]\naudience = \"lenders\"", "]", 1);
    assert_ne!(policy, without);
    hub.put_policy(&without).await;
    until("the replica is told that it may no longer follow", || async {
        let trouble = following.replica.state().trouble?;
        trouble.contains("reach").then_some(())
    })
    .await;
    hub.put_policy(&policy).await;
    let freed = Subject::person();
    let listed = court.list(&freed).await;
    following.until_clear(&freed, false).await;
    court.remove(listed.listing).await.unwrap();
    following.until_clear(&freed, true).await;
}

/// Cuts, stalls, and kills of the hub, while courts list and lift. In the end every replica holds what a new one does, and at no
/// time does one lose a lift that it has once applied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_or_doubled_through_faults() {
    const ROUNDS: usize = 40;
    let mut hub = Hub::start_with(leased(2)).await;
    let proxy = Proxy::to(hub.grpc()).await;
    let mut following = Vec::new();
    for _ in 0..3 {
        following.push(follow(&hub, Some(&proxy), TempDir::new().unwrap()).await);
    }
    let (mut listed, mut freed) = (Vec::new(), Vec::new());
    let (mut faults, mut applied) = (0, 0);
    for round in 0..ROUNDS {
        let court = hub.court().await;
        for _ in 0..3 {
            let subject = Subject::person();
            let outcome = court.list(&subject).await;
            listed.push((subject, outcome.listing));
        }
        if round % 3 != 0 {
            let (subject, listing) = listed.remove(round * 7 % listed.len());
            court.remove(listing).await.unwrap();
            freed.push(subject);
        }
        match round % 4 {
            0 => proxy.cut(),
            1 => proxy.stall(true),
            2 => proxy.stall(false),
            _ if round % 8 == 3 => {
                hub.kill_and_restart().await;
                proxy.lead_to(hub.grpc());
            }
            _ => proxy.cut(),
        }
        faults += 1;
        for one in &following {
            // Every lift here is a removal, so the number of one is its place among them.
            for (lift_seq, subject) in (1..).zip(&freed) {
                let is_applied = || one.replica.state().lift_seq >= lift_seq;
                let asked = inquiry(&one.replica, subject);
                let (before, told, after) = (is_applied(), one.replica.answer(LOAN, None, &asked), is_applied());
                let told = told.map(|answer| answer.verdict().is_adverse());
                assert!(!(before && after) || told != Some(true), "a lift that was applied was undone");
                applied += usize::from(before && after && told == Some(false));
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    proxy.stall(false);
    assert!(applied > ROUNDS, "{applied} times a lift was seen applied");
    assert!(faults >= ROUNDS && proxy.connections() > 20, "{} connections", proxy.connections());
    let fresh = Following::new(&hub).await;
    for one in following.iter().chain([&fresh]) {
        for (subject, _) in &listed {
            one.until_clear(subject, false).await;
        }
        for subject in &freed {
            one.until_clear(subject, true).await;
        }
        let (entries, expected) = (one.replica.state().entries, fresh.replica.state().entries);
        assert_eq!(entries, expected, "a replica holds other entries than a new one");
    }
}
