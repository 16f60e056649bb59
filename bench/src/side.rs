//! What else a hub does while it is asked: an import comes in, followers are told of every change, a snapshot is made.

use std::path::PathBuf;
use std::time::Duration;

use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::wrappers::ReceiverStream;
use xinhub_client::{Hub, v1};

use crate::Result;
use crate::process::Server;
use crate::world::{BANK, World};

/// At most, of an import's chunk.
const CHUNK_BYTES: usize = 256 * 1024;
/// Followers on one connection: each takes two of its streams.
const A_CONNECTION: usize = 50;

/// Where in the history followers begin.
#[derive(Clone)]
pub(crate) struct Place {
    epoch: Vec<u8>,
    revision: u64,
    lift_seq: u64,
    chain: Vec<u8>,
}

impl Place {
    /// That of the current snapshot.
    pub(crate) async fn of_snapshot(bank: &Hub) -> Result<Self> {
        let snapshot = manifest(bank).await?.snapshot.ok_or("a manifest without a snapshot")?;
        let v1::Snapshot { epoch, revision, lift_seq, chain, .. } = snapshot;
        Ok(Self { epoch, revision, lift_seq, chain })
    }
}

/// Asks for the snapshot of the exact index, which the hub makes if it has none.
pub(crate) async fn manifest(bank: &Hub) -> Result<v1::GetManifestResponse> {
    let request = v1::GetManifestRequest { instance_id: instance(0), reach: v1::ReplicaReach::Exact.into() };
    Ok(bank.sync().get_manifest(request).await?)
}

fn instance(number: usize) -> Vec<u8> {
    format!("bench {number:010}").into_bytes()
}

/// Subscribers that follow lifts and changes, and confirm both.
pub(crate) struct Followers {
    hubs: Vec<Hub>,
    count: usize,
    tasks: JoinSet<Result<()>>,
}

impl Followers {
    pub(crate) async fn start(world: &World, server: &Server, count: usize, place: &Place) -> Result<Self> {
        let (mut hubs, mut tasks) = (Vec::new(), JoinSet::new());
        for number in 0..count {
            if number % A_CONNECTION == 0 {
                hubs.push(world.client(server, BANK).await?);
            }
            let Some(hub) = hubs.last() else { continue };
            tasks.spawn(follow_lifts(hub.clone(), instance(number), place.clone()));
            tasks.spawn(follow_changes(hub.clone(), instance(number), place.clone()));
        }
        Ok(Self { hubs, count, tasks })
    }

    /// Ends the subscriptions; an error if one had ended before.
    pub(crate) async fn stop(mut self) -> Result<()> {
        if let Some(ended) = self.tasks.try_join_next() {
            ended??;
            return Err("a follower's stream has ended".into());
        }
        self.tasks.shutdown().await;
        for number in 0..self.count {
            let request = v1::UnsubscribeRequest { instance_id: instance(number) };
            self.hubs[number / A_CONNECTION].sync().unsubscribe(request).await?;
        }
        Ok(())
    }
}

async fn follow_lifts(hub: Hub, instance_id: Vec<u8>, place: Place) -> Result<()> {
    use v1::follow_lifts_request::Message as Out;
    use v1::follow_lifts_response::Message as In;

    let (sender, receiver) = mpsc::channel(4);
    let Place { epoch, revision, lift_seq, chain } = place;
    let reach = v1::ReplicaReach::Exact.into();
    let send = async |message| {
        let sent = sender.send(v1::FollowLiftsRequest { message: Some(message) }).await;
        sent.map_err(|_| "the stream of lifts has ended")
    };
    send(Out::Open(v1::FollowLiftsOpen {
        instance_id,
        epoch,
        revision,
        lift_seq,
        reach,
        chain,
        ..v1::FollowLiftsOpen::default()
    }))
    .await?;
    let mut lifts = hub.sync().follow_lifts(ReceiverStream::new(receiver)).await?;
    let mut pings = 0;
    while let Some(response) = lifts.next().await? {
        match response.message {
            Some(In::Lift(lift)) => send(Out::Ack(v1::LiftAck { lift_seq: lift.lift_seq })).await?,
            Some(In::Beat(_)) => {
                pings += 1;
                send(Out::Ping(v1::Ping { number: pings })).await?;
            }
            Some(In::Opened(_)) => {}
            Some(In::Resync(_) | In::Drain(_)) | None => return Err("a follower has to begin anew".into()),
        }
    }
    Err("the stream of lifts has ended".into())
}

async fn follow_changes(hub: Hub, instance_id: Vec<u8>, place: Place) -> Result<()> {
    use v1::follow_changes_request::Message as Out;
    use v1::follow_changes_response::Message as In;

    let (sender, receiver) = mpsc::channel(4);
    let Place { epoch, revision, lift_seq, chain } = place;
    let reach = v1::ReplicaReach::Exact.into();
    let send = async |message| {
        let sent = sender.send(v1::FollowChangesRequest { message: Some(message) }).await;
        sent.map_err(|_| "the stream of changes has ended")
    };
    send(Out::Open(v1::FollowChangesOpen {
        instance_id,
        epoch,
        revision,
        lift_seq,
        reach,
        chain,
        ..v1::FollowChangesOpen::default()
    }))
    .await?;
    let mut changes = hub.sync().follow_changes(ReceiverStream::new(receiver)).await?;
    let mut applied = revision;
    while let Some(response) = changes.next().await? {
        let Some(In::Batch(batch)) = response.message else { return Err("a follower has to begin anew".into()) };
        if batch.prev_revision != applied {
            return Err(format!("changes from {} on, expected from {applied} on", batch.prev_revision).into());
        }
        applied = batch.revision;
        send(Out::Ack(v1::ChangesAck { revision: applied })).await?;
    }
    Err("the stream of changes has ended".into())
}

/// Imports that are under way.
pub(crate) struct Imports {
    task: JoinHandle<Result<()>>,
}

impl Imports {
    /// Sends files one after the other, not before `every` has passed since the one before, and each once the hub has taken that.
    pub(crate) fn start(court: Hub, files: Vec<PathBuf>, every: Duration) -> Self {
        let task = async move {
            let mut pace = interval(every);
            pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
            for file in files {
                pace.tick().await;
                import(&court, file).await?;
            }
            Result::Ok(())
        };
        Self { task: tokio::spawn(task) }
    }

    /// Breaks them off where they are; an error if one had failed before.
    pub(crate) async fn stop(self) -> Result<()> {
        if self.task.is_finished() {
            return self.task.await?;
        }
        self.task.abort();
        Ok(())
    }
}

async fn import(court: &Hub, path: PathBuf) -> Result<()> {
    use v1::import_listings_request::Part;
    use v1::import_listings_response::Part as Heard;

    let actor = v1::Actor { staff_id: "bench".to_owned(), post: "clerk".to_owned() };
    let options = v1::ImportOptions {
        import_id: xinhub_client::request_id(),
        file: v1::ImportFile::Listings.into(),
        actor: Some(actor),
        ..v1::ImportOptions::default()
    };
    let (sender, receiver) = mpsc::channel(1);
    let request = |part| v1::ImportListingsRequest { part: Some(part) };
    let sending = async move {
        sender.send(request(Part::Options(options))).await?;
        let mut file = File::open(path).await?;
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let read = file.read(&mut chunk).await?;
            if read == 0 {
                return Result::Ok(());
            }
            chunk.truncate(read);
            sender.send(request(Part::Chunk(chunk))).await?;
        }
    };
    let hearing = async {
        let mut responses = court.registry().import_listings(ReceiverStream::new(receiver)).await?;
        while let Some(response) = responses.next().await? {
            match response.part {
                Some(Heard::Summary(summary)) => return Result::Ok(summary),
                Some(Heard::Fault(fault)) => return Err(format!("a row was refused: {fault:?}").into()),
                _ => {}
            }
        }
        Err("an import without an end".into())
    };
    let (sent, heard) = tokio::join!(sending, hearing);
    let summary: v1::ImportSummary = heard?;
    sent?;
    if summary.added != summary.rows {
        return Err(format!("{} of {} rows were added", summary.added, summary.rows).into());
    }
    Ok(())
}
