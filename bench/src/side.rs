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

/// How often a paced import goes on.
const STEP: Duration = Duration::from_millis(20);
/// At most, of an import's chunk.
const CHUNK_BYTES: usize = 1024 * 1024;
/// Followers on one connection: each takes two of its streams.
const A_CONNECTION: usize = 50;

/// Where in the history followers begin.
#[derive(Clone)]
pub(crate) struct Place {
    epoch: Vec<u8>,
    revision: u64,
    lift_seq: u64,
}

impl Place {
    /// That of the current snapshot.
    pub(crate) async fn of_snapshot(bank: &Hub) -> Result<Self> {
        let snapshot = manifest(bank).await?.snapshot.ok_or("a manifest without a snapshot")?;
        Ok(Self { epoch: snapshot.epoch, revision: snapshot.revision, lift_seq: snapshot.lift_seq })
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
    let Place { epoch, revision, lift_seq } = place;
    let reach = v1::ReplicaReach::Exact.into();
    let send = async |message| {
        let sent = sender.send(v1::FollowLiftsRequest { message: Some(message) }).await;
        sent.map_err(|_| "the stream of lifts has ended")
    };
    send(Out::Open(v1::FollowLiftsOpen { instance_id, epoch, revision, lift_seq, reach })).await?;
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
            Some(In::Resync(_)) | None => return Err("a follower has to begin anew".into()),
        }
    }
    Err("the stream of lifts has ended".into())
}

async fn follow_changes(hub: Hub, instance_id: Vec<u8>, place: Place) -> Result<()> {
    use v1::follow_changes_request::Message as Out;
    use v1::follow_changes_response::Message as In;

    let (sender, receiver) = mpsc::channel(4);
    let Place { epoch, revision, lift_seq } = place;
    let reach = v1::ReplicaReach::Exact.into();
    let send = async |message| {
        let sent = sender.send(v1::FollowChangesRequest { message: Some(message) }).await;
        sent.map_err(|_| "the stream of changes has ended")
    };
    send(Out::Open(v1::FollowChangesOpen { instance_id, epoch, revision, lift_seq, reach })).await?;
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

/// An import that is under way.
pub(crate) struct Import {
    task: JoinHandle<Result<()>>,
}

impl Import {
    /// Sends a file of so many rows, so many of them a second, or as fast as the hub takes them.
    pub(crate) async fn start(court: Hub, path: PathBuf, rows: u64, rows_per_s: Option<f64>) -> Result<Self> {
        let bytes = tokio::fs::metadata(&path).await?.len();
        let step = rows_per_s.map(|rate| bytes as f64 / rows as f64 * rate * STEP.as_secs_f64());
        Ok(Self { task: tokio::spawn(import(court, path, step)) })
    }

    /// Breaks it off where it is; an error if it had failed before.
    pub(crate) async fn stop(self) -> Result<()> {
        if self.task.is_finished() {
            return self.task.await?;
        }
        self.task.abort();
        Ok(())
    }
}

async fn import(court: Hub, path: PathBuf, bytes_a_step: Option<f64>) -> Result<()> {
    use v1::import_listings_request::Part;

    let (sender, receiver) = mpsc::channel(1);
    let actor = v1::Actor { staff_id: "bench".to_owned(), post: "clerk".to_owned() };
    let options = v1::ImportOptions {
        import_id: xinhub_client::request_id(),
        file: v1::ImportFile::Listings.into(),
        actor: Some(actor),
        ..v1::ImportOptions::default()
    };
    let send = async |part| {
        sender.send(v1::ImportListingsRequest { part: Some(part) }).await.map_err(|_| "the hub takes no more rows")
    };
    send(Part::Options(options)).await?;
    let mut responses = court.registry().import_listings(ReceiverStream::new(receiver)).await?;
    let heard = async {
        while let Some(response) = responses.next().await? {
            if let Some(v1::import_listings_response::Part::Fault(fault)) = response.part {
                return Err(format!("a row was refused: {fault:?}").into());
            }
        }
        Result::Ok(())
    };
    let sent = async {
        let mut file = File::open(path).await?;
        let mut steps = interval(STEP);
        steps.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut owed = 0.0;
        loop {
            let most = match bytes_a_step {
                None => CHUNK_BYTES,
                Some(step) => {
                    steps.tick().await;
                    owed = (owed + step).min(CHUNK_BYTES as f64);
                    owed as usize
                }
            };
            let mut chunk = vec![0; most];
            let read = file.read(&mut chunk).await?;
            if read == 0 && most > 0 {
                return Result::Ok(());
            }
            owed -= read as f64;
            chunk.truncate(read);
            send(Part::Chunk(chunk)).await?;
        }
    };
    tokio::select! {
        heard = heard => heard,
        sent = sent => sent,
    }
}
