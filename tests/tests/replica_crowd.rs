//! Many replicas at once: whoever doesn't read holds nobody up, and an import lets no lease lapse.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;
use uuid::Uuid;
use xinhub_tests::file::{Form, options, row, send};
use xinhub_tests::following::{Following, leased};
use xinhub_tests::v1::follow_lifts_request::Message as Out;
use xinhub_tests::v1::follow_lifts_response::Message as In;
use xinhub_tests::v1::sync_service_client::SyncServiceClient;
use xinhub_tests::v1::{self, ImportFile};
use xinhub_tests::wait::until;
use xinhub_tests::{Court, Hub, Setup, Subject, parties, raw};

/// Subscribers, and how many of them read nothing.
const SUBSCRIBERS: usize = 1_000;
const SLOW: usize = 50;
/// Streams on one connection.
const STREAMS: usize = 50;
/// Lifts before and after the slow ones come: after some ten of them no more goes out to one who doesn't read.
const BEFORE: u64 = 50;
const AFTER: u64 = 600;
const SLOW_WINDOW_BYTES: u32 = 1_024;
/// What a subscriber may cost the hub in memory: both ends of a stream, and its place among those that lifts wait for.
const MAX_BYTES_EACH: u64 = 64 << 10;
/// In which nearly every one of the others has a lift, once it is acknowledged: half of a lease, on a machine that does much besides.
const MOST_ARE_TOLD_WITHIN: Duration = Duration::from_secs(5);
/// By how much the hub may grow in all: 1 KiB for each lift that one who doesn't read misses would be 30 MiB.
const MAX_GROWTH_BYTES: u64 = 96 << 20;

/// Opens a stream; the sender keeps it open.
async fn opened(
    hub: &xinhub_client::Hub,
    open: v1::FollowLiftsOpen,
) -> (mpsc::Sender<v1::FollowLiftsRequest>, xinhub_client::Responses<v1::FollowLiftsResponse>) {
    let (out, requests) = mpsc::channel(8);
    out.send(v1::FollowLiftsRequest { message: Some(Out::Open(open)) }).await.unwrap();
    let stream = hub.sync().follow_lifts(ReceiverStream::new(requests)).await.unwrap();
    (out, stream)
}

/// Opens a stream on which nothing is read.
async fn unread(
    channel: &Channel,
    open: v1::FollowLiftsOpen,
) -> (mpsc::Sender<v1::FollowLiftsRequest>, Streaming<v1::FollowLiftsResponse>) {
    let (out, requests) = mpsc::channel(8);
    out.send(v1::FollowLiftsRequest { message: Some(Out::Open(open)) }).await.unwrap();
    let stream = SyncServiceClient::new(channel.clone()).follow_lifts(ReceiverStream::new(requests)).await.unwrap();
    (out, stream.into_inner())
}

/// A new replica's first message, by what its snapshot says.
fn opening(snapshot: &v1::Snapshot) -> v1::FollowLiftsOpen {
    let v1::Snapshot { epoch, revision, lift_seq, chain, .. } = snapshot.clone();
    let instance_id = Uuid::now_v7().into_bytes().to_vec();
    v1::FollowLiftsOpen { instance_id, epoch, revision, lift_seq, chain, ..Default::default() }
}

/// Lifts somebody; when that was acknowledged.
async fn lift(court: &Court) -> Instant {
    let listed = court.list(&Subject::person()).await;
    court.remove(listed.listing).await.unwrap();
    Instant::now()
}

/// Lifts, one after the other, each once all who read have had the one before; how long each receipt took, sorted.
async fn lifts(court: &Court, count: u64, heard: &mut mpsc::Receiver<(u64, Instant)>, from: u64) -> Vec<Duration> {
    let mut took = Vec::new();
    for number in from..from + count {
        let acknowledged = lift(court).await;
        for _ in 0..SUBSCRIBERS - SLOW {
            let (lift_seq, at) = tokio::time::timeout(Duration::from_secs(60), heard.recv()).await.unwrap().unwrap();
            assert_eq!(lift_seq, number, "a lift was missed or doubled");
            took.push(at.saturating_duration_since(acknowledged));
        }
    }
    took.sort_unstable();
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_holds_nobody_up() {
    let limits = format!("lease_seconds = 10\nreplicas_per_client = {}", SUBSCRIBERS + 1);
    let hub = Hub::start_with(Setup { limits, ..Setup::default() }).await;
    let court = hub.court().await;
    lift(&court).await;
    let first = hub.client(parties::BANK).await;
    let ask =
        |instance: Uuid| v1::GetManifestRequest { instance_id: instance.into_bytes().to_vec(), ..Default::default() };
    let snapshot = first.sync().get_manifest(ask(Uuid::now_v7())).await.unwrap().snapshot.unwrap();
    let (tell, mut heard) = mpsc::channel(2 * SUBSCRIBERS);
    let (stop, stopped) = watch::channel(());
    let ready = Arc::new(AtomicU64::new(0));
    let nobody = hub.resident_bytes();
    let mut readers = Vec::new();
    for _ in 0..(SUBSCRIBERS - SLOW) / STREAMS {
        let client = hub.client(parties::BANK).await;
        for _ in 0..STREAMS {
            let (out, mut stream) = opened(&client, opening(&snapshot)).await;
            let (tell, mut stopped, ready) = (tell.clone(), stopped.clone(), Arc::clone(&ready));
            readers.push(tokio::spawn(async move {
                loop {
                    let message = tokio::select! {
                        _ = stopped.changed() => return,
                        message = stream.next() => message.unwrap().unwrap().message,
                    };
                    match message {
                        Some(In::Opened(_)) => drop(ready.fetch_add(1, Ordering::Relaxed)),
                        Some(In::Lift(lift)) => {
                            let ack = Out::Ack(v1::LiftAck { lift_seq: lift.lift_seq });
                            let _ = out.try_send(v1::FollowLiftsRequest { message: Some(ack) });
                            tell.send((lift.lift_seq, Instant::now())).await.unwrap();
                        }
                        Some(In::Beat(_) | In::Drain(_)) | None => {}
                        Some(In::Resync(resync)) => panic!("{resync:?}"),
                    }
                }
            }));
        }
    }
    let all = (SUBSCRIBERS - SLOW) as u64;
    until("all are subscribed", || async { (ready.load(Ordering::Relaxed) == all).then_some(()) }).await;
    let each = hub.resident_bytes().saturating_sub(nobody) / all;
    assert!(each < MAX_BYTES_EACH, "{each} bytes each");
    let without = lifts(&court, BEFORE, &mut heard, 2).await;
    let before = hub.resident_bytes();
    let channel = raw::connect_with_window(&hub, parties::BANK, SLOW_WINDOW_BYTES).await.unwrap();
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        slow.push(unread(&channel, opening(&snapshot)).await);
    }
    let with = lifts(&court, AFTER, &mut heard, 2 + BEFORE).await;
    let grown = hub.resident_bytes().saturating_sub(before);
    let at = |took: &[Duration], percent: usize| took[(took.len() - 1) * percent / 100];
    println!(
        "from the court's acknowledgement to receipt: p50 {:?}, p99 {:?} without; p50 {:?}, p99 {:?} beside {SLOW} that don't read; \
         the hub has grown by {} KiB, and by {each} bytes for each that subscribed",
        at(&without, 50),
        at(&without, 99),
        at(&with, 50),
        at(&with, 99),
        grown >> 10
    );
    assert!(grown < MAX_GROWTH_BYTES, "{grown} bytes");
    assert!(at(&with, 99) < MOST_ARE_TOLD_WITHIN, "{:?}", at(&with, 99));
    stop.send_replace(());
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_lets_no_lease_lapse_and_holds_no_lift_up() {
    const ROWS: usize = 30_000;
    // The lease that a hub gives if nothing else is configured.
    let hub = Hub::start_with(leased(10)).await;
    let court = hub.court().await;
    let following = Following::of(&hub, parties::BANK).await;
    following.until_leased().await;
    let rows: Vec<_> = (0..ROWS).map(|_| row(&Subject::person())).collect();
    let file = Form::default().listings(&rows);
    let client = hub.client(parties::COURT).await;
    let done = Arc::new(AtomicBool::new(false));
    let importing = {
        let done = Arc::clone(&done);
        tokio::spawn(async move {
            let sent = send(&client, options(ImportFile::Listings), &file).await.unwrap();
            done.store(true, Ordering::Release);
            sent.counts()
        })
    };
    let mut lifts = 0;
    while !done.load(Ordering::Acquire) {
        let before = following.lifts();
        let since = lift(&court).await;
        until("the lift has come", || async { (following.lifts() > before).then_some(()) }).await;
        lifts += 1;
        if lifts % 20 == 0 {
            println!("lift {lifts} beside an import: {:?}", since.elapsed());
        }
        assert!(!following.replica.state().lease().is_zero(), "the lease lapsed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(importing.await.unwrap().0, ROWS as u64);
    assert!(lifts > 5, "{lifts} lifts beside the import");
    until("everything has come", || async { (following.replica.state().entries >= ROWS as u64).then_some(()) }).await;
}
