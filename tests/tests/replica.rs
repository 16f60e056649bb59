//! Replicas as their users meet them: kept where the hub is through cuts, stalls, kills and restarts, and every lift confirmed.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use xinhub_client::{Fault, Replica, ReplicaConfig};
use xinhub_tests::file::{Form, options, row, send};
use xinhub_tests::following::{Following, connected, leased};
use xinhub_tests::v1::follow_lifts_request::Message as Out;
use xinhub_tests::v1::follow_lifts_response::Message as In;
use xinhub_tests::v1::{self, MutationOutcome, ReplicaReach, Verdict};
use xinhub_tests::wait::{until, within};
use xinhub_tests::{Ask, Code, Hub, Proxy, Reason, Subject, parties, refused};

const LOAN: &str = "credit.lending";

fn manifest() -> v1::GetManifestRequest {
    v1::GetManifestRequest { instance_id: vec![7; 16], ..Default::default() }
}

async fn follow(hub: &Hub, way: Option<&Proxy>, dir: TempDir) -> Following {
    Following::at(&connected(hub, parties::BANK, way).await, dir, |config| config).await
}

fn loan(subject: &Subject) -> Ask {
    Ask::about(subject, LOAN)
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
    let following = Following::of(&hub, parties::BANK).await;
    // What is clear is clear in this very process.
    assert!(following.is_clear(loan(&nobody)).await);
    let told = following.check(loan(&before)).await;
    assert_eq!(told.verdict(), Verdict::Consider, "{told:?}");
    // Lending looks harder; a person decides.
    assert!(!told.must_refuse());
    let second = court.list(&after).await;
    following.until_clear(&loan(&after), false).await;

    let lift = court.remove(first.listing).await.unwrap();
    following.until_clear(&loan(&before), true).await;
    assert_eq!(following.check(loan(&before)).await.verdict(), Verdict::Clear);
    let seen = until("the replica has confirmed it", || async {
        let seen = status(&court.client, &lift).await;
        (seen.acknowledged == 1).then_some(seen)
    });
    let seen = seen.await;
    assert_eq!((seen.subscribers, seen.pending, seen.lease_run_out), (1, 0, 0));
    let complete = until("the lift is complete", || async {
        Some(status(&court.client, &lift).await).filter(|seen| seen.complete)
    });
    let completed = complete.await.complete_time.unwrap();
    let lifted = lift.position.clone().unwrap().time.unwrap();
    assert!((completed.seconds, completed.nanos) > (lifted.seconds, lifted.nanos));
    assert_eq!(status(&court.client, &lift).await.complete_time, Some(completed), "it stays what it was");
    assert_eq!(following.lifts(), 1);
    let state = following.replica.state();
    assert!(state.answers() && state.trouble.is_none(), "{state:?}");
    until("a lease stands", || async { (following.replica.state().lease() > Duration::ZERO).then_some(()) }).await;
    // Closed right behind a lift, it has confirmed it all the same.
    let third = court.remove(second.listing).await.unwrap();
    until("the last lift has come", || async { (following.lifts() == 2).then_some(()) }).await;
    following.close().await;
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
    following.until_clear(&loan(&debtor), true).await;
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
    following.until_clear(&loan(&freed), true).await;
    following.until_clear(&loan(&later), false).await;
    following.until_clear(&loan(&kept), false).await;
    assert_eq!(following.replica.state().snapshot_bytes, 0, "it was fetched anew");
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
    following.until_clear(&loan(&freed), true).await;
    following.until_clear(&loan(&kept), false).await;
    assert!(following.replica.state().snapshot_bytes > 0, "what is damaged was taken");
}

/// A directory of which a part was put back from a copy would speak against somebody who was lifted since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_list_that_was_put_back_is_not_taken() {
    let hub = Hub::start_with(leased(2)).await;
    let (court, freed, kept) = (hub.court().await, Subject::person(), Subject::person());
    let listed = court.list(&freed).await;
    court.list(&kept).await;
    let following = follow(&hub, None, TempDir::new().unwrap()).await;
    following.until_clear(&loan(&freed), false).await;
    let dir = following.close().await;
    let path = dir.path().join("index.snap");
    let older = std::fs::read(&path).unwrap();
    let following = follow(&hub, None, dir).await;
    until("what was loaded is summed up", || async { (following.replica.state().compared_revision > 0).then_some(()) })
        .await;
    court.remove(listed.listing).await.unwrap();
    following.until_clear(&loan(&freed), true).await;
    let dir = following.close().await;
    assert_ne!(std::fs::read(&path).unwrap(), older, "what is held was saved");
    std::fs::write(&path, older).unwrap();
    let following = follow(&hub, None, dir).await;
    following.until_clear(&loan(&kept), false).await;
    assert!(following.is_clear(loan(&freed)).await);
    let state = following.replica.state();
    assert!(state.snapshot_bytes > 0 && state.alarms == 0, "{state:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_ahead_of_a_hub_that_was_set_back_begins_anew() {
    let (_hub, following, kept, lost) = set_back(ReplicaReach::Exact, &[]).await;
    following.until_clear(&loan(&lost), true).await;
    following.until_clear(&loan(&kept), false).await;
}

/// At the replica's revision there is another history by then. No digest would tell a filter that it lacks somebody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_of_a_hub_that_was_set_back_and_went_on_begins_anew() {
    let others: Vec<Subject> = (0..3).map(|_| Subject::person()).collect();
    let (_hub, following, kept, _) = set_back(ReplicaReach::Filter, &others).await;
    for one in others.iter().chain([&kept]) {
        following.until_clear(&loan(one), false).await;
    }
}

/// A hub is set back to before somebody was listed, and lists others before a replica that knows of that one comes again. Who is
/// listed in both, and who only was.
async fn set_back(reach: ReplicaReach, others: &[Subject]) -> (Hub, Following, Subject, Subject) {
    let mut hub = Hub::start_with(leased(2)).await;
    let (kept, lost) = (Subject::person(), Subject::person());
    hub.court().await.list(&kept).await;
    hub.stop().await;
    let backup = TempDir::new().unwrap();
    let copy = |from: &Path, to: &Path| {
        assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
    };
    copy(&hub.data_dir(), &backup.path().join("data"));
    hub.serve().await;
    let follow = async |hub: &Hub, dir| {
        Following::at(&connected(hub, parties::BANK, None).await, dir, |config| config.reach(reach)).await
    };
    let following = follow(&hub, TempDir::new().unwrap()).await;
    hub.court().await.list(&lost).await;
    following.until_clear(&loan(&lost), false).await;
    // Its directory is as far as it is: what is there can't be led on from either.
    let dir = following.close().await;
    hub.kill();
    std::fs::remove_dir_all(hub.data_dir()).unwrap();
    copy(&backup.path().join("data"), &hub.data_dir());
    hub.serve().await;
    for one in others {
        hub.court().await.list(one).await;
    }
    let following = follow(&hub, dir).await;
    (hub, following, kept, lost)
}

/// A hub that stops says so, and what its replicas hold is good for the one that comes after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_stops_says_so() {
    let mut hub = Hub::start_with(leased(2)).await;
    let proxy = Proxy::to(hub.grpc()).await;
    let (kept, later) = (Subject::person(), Subject::person());
    hub.court().await.list(&kept).await;
    let following = follow(&hub, Some(&proxy), TempDir::new().unwrap()).await;
    let bank = hub.client(parties::BANK).await;
    let snapshot = bank.sync().get_manifest(manifest()).await.unwrap().snapshot.unwrap();
    let v1::Snapshot { epoch, revision, lift_seq, chain, .. } = snapshot;
    let open = v1::FollowLiftsOpen { instance_id: vec![7; 16], epoch, revision, lift_seq, chain, ..Default::default() };
    let (out, requests) = mpsc::channel(1);
    out.send(v1::FollowLiftsRequest { message: Some(Out::Open(open)) }).await.unwrap();
    let mut stream = bank.sync().follow_lifts(ReceiverStream::new(requests)).await.unwrap();
    assert!(matches!(within(stream.next()).await.unwrap().unwrap().message, Some(In::Opened(_))));
    hub.terminate();
    let drained = async {
        while let Some(said) = stream.next().await.unwrap() {
            if matches!(said.message, Some(In::Drain(_))) {
                return true;
            }
        }
        false
    };
    assert!(within(drained).await);
    assert!(hub.ended().await.success());
    hub.serve().await;
    proxy.lead_to(hub.grpc());
    hub.court().await.list(&later).await;
    following.until_clear(&loan(&later), false).await;
    following.until_clear(&loan(&kept), false).await;
    until("the trouble is over", || async { following.replica.state().trouble.is_none().then_some(()) }).await;
    let state = following.replica.state();
    assert_eq!((state.alarms, state.entries), (0, 2), "{state:?}");
}

/// Of another history nothing that is held says anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_of_another_history_begins_anew() {
    let mut hub = Hub::start_with(leased(2)).await;
    let proxy = Proxy::to(hub.grpc()).await;
    let (before, after) = (Subject::person(), Subject::person());
    hub.court().await.list(&before).await;
    let following = follow(&hub, Some(&proxy), TempDir::new().unwrap()).await;
    following.until_clear(&loan(&before), false).await;
    let was = following.replica.state();
    hub.stop().await;
    hub.begin_anew();
    hub.serve().await;
    proxy.lead_to(hub.grpc());
    // Nothing that it held is left, though it never stopped, and what is new is there.
    hub.court().await.list(&after).await;
    following.until_clear(&loan(&before), true).await;
    following.until_clear(&loan(&after), false).await;
    let state = following.replica.state();
    assert_ne!(state.epoch, was.epoch);
    assert_ne!(state.token(), was.token());
    assert_eq!((state.entries, state.alarms, state.lag()), (1, 0, 0), "{state:?}");
}

/// A change that is lost between stream and index is found out by the digest that beats carry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_lacks_somebody_finds_it_out() {
    let hub = Hub::start_with(leased(2)).await;
    let (court, first, lost) = (hub.court().await, Subject::person(), Subject::person());
    court.list(&first).await;
    let bank = connected(&hub, parties::BANK, None).await;
    let set_up = |config: ReplicaConfig| config.with_fault(Some(Fault::ChangeLost));
    let following = Following::at(&bank, TempDir::new().unwrap(), set_up).await;
    following.until_clear(&loan(&first), false).await;
    let proved = until("it is proved that it holds what the hub has told", || async {
        let state = following.replica.state();
        (state.compared_revision > 0).then_some(state)
    });
    assert_eq!(proved.await.alarms, 0);
    let listed = court.list(&lost).await;
    let alarmed = until("it finds out that it lacks somebody", || async {
        let state = following.replica.state();
        (state.alarms == 1).then_some(state)
    });
    alarmed.await;
    following.until_clear(&loan(&lost), false).await;
    let there = hub.status().await.revision;
    until("it is proved that it is whole again", || async {
        (following.replica.state().compared_revision >= there).then_some(())
    })
    .await;
    court.remove(listed.listing).await.unwrap();
    following.until_clear(&loan(&lost), true).await;
    assert_eq!(following.replica.state().alarms, 1);
}

/// What was fetched of a list before a cut is not fetched again, also where the hub was killed meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_fetched_on_from_where_it_broke_off() {
    const ROWS: usize = 12_000;
    /// Of the list, beside what a connection begins with.
    const BEFORE: u64 = 200_000;
    let mut hub = Hub::start_with(leased(2)).await;
    let rows: Vec<_> = (0..ROWS).map(|_| row(&Subject::person())).collect();
    let (court, file) = (hub.client(parties::COURT).await, Form::default().listings(&rows));
    let sent = send(&court, options(v1::ImportFile::Listings), &file).await.unwrap();
    assert_eq!(sent.counts().0, ROWS as u64);
    let proxy = Proxy::to(hub.grpc()).await;
    let bank = connected(&hub, parties::BANK, Some(&proxy)).await;
    proxy.let_through(BEFORE);
    let dir = TempDir::new().unwrap();
    let replica = Replica::open(&bank, ReplicaConfig::new(dir.path()).reach(ReplicaReach::Exact)).unwrap();
    let cut = until("a part of the list is there", || async {
        let state = replica.state();
        (state.fetched_bytes > BEFORE / 2).then_some(state)
    });
    let cut = cut.await;
    assert!(cut.fetched_bytes < cut.snapshot_bytes - BEFORE / 4, "{cut:?}");
    hub.kill_and_restart().await;
    proxy.lead_to(hub.grpc());
    let before = proxy.passed();
    proxy.let_through(u64::MAX);
    proxy.cut();
    within(replica.synced()).await;
    let came = proxy.passed() - before;
    let state = replica.state();
    assert_eq!((state.entries, state.snapshot_bytes), (ROWS as u64, cut.snapshot_bytes), "{state:?}");
    assert!(came < cut.snapshot_bytes - BEFORE / 4, "{came} bytes came, of a list of {}", cut.snapshot_bytes);
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

    let following = Following::of(&hub, parties::BANK).await;
    following.until_clear(&loan(&debtor), false).await;
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
    following.until_clear(&loan(&freed), false).await;
    court.remove(listed.listing).await.unwrap();
    following.until_clear(&loan(&freed), true).await;
}
