//! SyncService: what replicas begin with, and what they follow. The streams are in [`super::follow`].

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use aws_lc_rs::digest;
use prost::Message;
use prost::bytes::Bytes;
use rustix::io::{ReadWriteFlags, preadv2};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use xinhub_api::convert::timestamp_to;
use xinhub_api::reason::{Failure, Reason};
use xinhub_api::v1;
use xinhub_api::v1::sync_service_server::SyncService;
use xinhub_domain::decision::Field;
use xinhub_domain::policy::{AdminAsk, Denial, Reach, SyncAsk, SyncPermit};
use xinhub_domain::time::Timestamp;
use xinhub_translog::note::Signer;

use super::call::{Call, unary};
use super::tell::Terms;
use super::{follow, status};
use crate::sync::{Feed, LiftStatus, Replication, Snapshot, Subscriber};

/// Bytes of a snapshot in one message.
const CHUNK_BYTES: usize = 64 * 1024;
/// Where a chunk begins in its buffer: in its message up to 15 bytes come first, and a copy to there would be slow; see
/// [`crate::tls::RECORD_BYTES`].
const APART_BYTES: usize = 64;
/// Messages of a snapshot that wait for their reader.
const CHUNKS_AHEAD: usize = 4;

/// The service.
pub(super) struct Replicas;

type Chunks = ReceiverStream<Result<v1::FetchChunksResponse, Status>>;

#[tonic::async_trait]
impl SyncService for Replicas {
    async fn get_manifest(
        &self,
        request: Request<v1::GetManifestRequest>,
    ) -> Result<Response<v1::GetManifestResponse>, Status> {
        unary(request, get_manifest).await
    }

    type FetchChunksStream = Chunks;

    async fn fetch_chunks(&self, request: Request<v1::FetchChunksRequest>) -> Result<Response<Chunks>, Status> {
        let call = Call::of(&request)?;
        let result = fetch_chunks(&call, request.get_ref());
        call.close(result).await.map(Response::new).map_err(Status::from)
    }

    type FollowLiftsStream = follow::Lifts;

    async fn follow_lifts(
        &self,
        request: Request<Streaming<v1::FollowLiftsRequest>>,
    ) -> Result<Response<follow::Lifts>, Status> {
        let call = Call::of(&request)?;
        Ok(Response::new(follow::lifts(call, request.into_inner())))
    }

    type FollowChangesStream = follow::Changes;

    async fn follow_changes(
        &self,
        request: Request<Streaming<v1::FollowChangesRequest>>,
    ) -> Result<Response<follow::Changes>, Status> {
        let call = Call::of(&request)?;
        Ok(Response::new(follow::changes(call, request.into_inner())))
    }

    async fn unsubscribe(
        &self,
        request: Request<v1::UnsubscribeRequest>,
    ) -> Result<Response<v1::UnsubscribeResponse>, Status> {
        unary(request, unsubscribe).await
    }

    async fn get_lift_status(
        &self,
        request: Request<v1::GetLiftStatusRequest>,
    ) -> Result<Response<v1::GetLiftStatusResponse>, Status> {
        unary(request, get_lift_status).await
    }
}

/// The right to a replica, and the feed of its audience.
pub(super) fn entitled(call: &Call) -> Result<(SyncPermit, Arc<Feed>), Failure> {
    let hub = call.hub();
    let permit = hub.authority.permit(call.peer(), call.method(), &SyncAsk, call.now())?;
    let feed = feed_of(&hub.sync, &permit)?;
    Ok((permit, feed))
}

/// The feed of the audience that somebody may keep a replica of.
pub(super) fn feed_of(sync: &Replication, permit: &SyncPermit) -> Result<Arc<Feed>, Failure> {
    let feed = sync.feed(permit.audience().id()).filter(|feed| feed.audience() == permit.audience());
    // Between a policy and the feeds that it brings lies a moment.
    feed.ok_or_else(|| Failure::new(Reason::Overloaded, "the audience is being set up; try again"))
}

/// Which reach a replica is to have: the one it asks for, if it is granted; where it asks for none, the one that tells its holder less.
pub(super) fn reach(permit: &SyncPermit, wanted: i32) -> Result<Reach, Failure> {
    let wanted = match v1::ReplicaReach::try_from(wanted) {
        Ok(v1::ReplicaReach::Filter) => Reach::Filter,
        Ok(v1::ReplicaReach::Exact) => Reach::Exact,
        Ok(v1::ReplicaReach::Unspecified) if permit.may_hold(Reach::Filter) => Reach::Filter,
        Ok(v1::ReplicaReach::Unspecified) => Reach::Exact,
        Err(_) => return Err(Failure::field(Reason::InvalidField, "reach", "is `filter` or `exact`")),
    };
    if permit.may_hold(wanted) { Ok(wanted) } else { Err(Denial::ReachNotGranted { reach: wanted }.into()) }
}

/// Which replica of a client's speaks.
pub(super) fn subscriber(call: &Call, instance: &[u8], path: &str) -> Result<Subscriber, Failure> {
    let instance = instance.try_into().map_err(|_| Failure::field(Reason::InvalidField, path, "is 16 bytes"))?;
    Ok(Subscriber { client: call.peer().client_id().to_string(), instance })
}

async fn get_manifest(call: Arc<Call>, request: v1::GetManifestRequest) -> Result<v1::GetManifestResponse, Failure> {
    let hub = call.hub();
    let (permit, feed) = entitled(&call)?;
    reach(&permit, request.reach)?;
    let who = subscriber(&call, &request.instance_id, "instance_id")?;
    call.charge(permit.client())?;
    hub.sync.up_to_now(&feed, &hub.ledger).await;
    // Policy may be another one by now.
    let (permit, feed) = entitled(&call)?;
    let reach = reach(&permit, request.reach)?;
    let snapshot = hub.sync.snapshot(&feed, reach, &hub.ledger).await.map_err(|error| {
        tracing::error!(%error, "no snapshot can be made");
        Failure::new(Reason::Storage, "the hub can't make a snapshot just now; its operator finds why in the log")
    })?;
    Ok(manifest(&hub.sync, &hub.signer, (&permit, &feed, reach), &who, &snapshot))
}

/// What a replica has to know to begin.
pub(super) fn manifest(
    sync: &Replication,
    signer: &Signer,
    (permit, feed, reach): (&SyncPermit, &Feed, Reach),
    who: &Subscriber,
    snapshot: &Snapshot,
) -> v1::GetManifestResponse {
    v1::GetManifestResponse {
        snapshot: Some(v1::Snapshot {
            epoch: snapshot.epoch.to_vec(),
            revision: snapshot.revision,
            lift_seq: snapshot.lift_seq,
            id: snapshot.id(),
            bytes: snapshot.bytes,
            entries: snapshot.entries,
            sha256: snapshot.sha256.to_vec(),
            chain: snapshot.chain.to_vec(),
            state_digest: if reach == Reach::Exact { snapshot.state_digest.to_vec() } else { Vec::new() },
        }),
        lease_ms: u32::try_from(sync.lease_ms()).unwrap_or(u32::MAX),
        beat_ms: u32::try_from(sync.beat_ms()).unwrap_or(u32::MAX),
        verifier_key: signer.verifier_key(),
        reach: reach_to(reach) as i32,
        record_key: sync.record_key(who).to_vec(),
        reported: sync.subscribers.reported(who),
        terms: terms(permit, feed).to_vec(),
        ..decides_by(permit, feed)
    }
}

/// Of a manifest, by which audience and rules a replica decides.
fn decides_by(permit: &SyncPermit, feed: &Feed) -> v1::GetManifestResponse {
    let (catalogue, units) = permit.catalogue().excerpt(permit.audience().measures());
    let measures = permit.measures().iter().filter_map(|granted| {
        let row = permit.catalogue().by_id(granted.measure)?;
        Some(v1::ReplicaMeasure {
            code: row.code.to_string(),
            items: granted.items.iter().map(ToString::to_string).collect(),
            enabled_on: row.enabled_on.clone().unwrap_or_default(),
            limit_fen: granted.limit_fen.map_or(0, |fen| i64::try_from(fen).unwrap_or(i64::MAX)),
        })
    });
    let fields = Field::ALL.iter().filter(|field| permit.client().fields().contains(**field));
    let (key, key_epoch) = feed.key();
    v1::GetManifestResponse {
        audience: feed.id().to_owned(),
        key: key.to_vec(),
        key_epoch,
        measures: measures.collect(),
        catalogue,
        units,
        fields: fields.map(ToString::to_string).collect(),
        ..v1::GetManifestResponse::default()
    }
}

/// Stands for them: the streams go on under these and no others.
pub(super) fn terms(permit: &SyncPermit, feed: &Feed) -> Terms {
    let mut terms = [0; 16];
    let hash = digest::digest(&digest::SHA256, &decides_by(permit, feed).encode_to_vec());
    terms.copy_from_slice(&hash.as_ref()[..16]);
    terms
}

fn reach_to(reach: Reach) -> v1::ReplicaReach {
    match reach {
        Reach::Filter => v1::ReplicaReach::Filter,
        Reach::Exact => v1::ReplicaReach::Exact,
        Reach::Online | Reach::Detail => v1::ReplicaReach::Unspecified,
    }
}

async fn unsubscribe(call: Arc<Call>, request: v1::UnsubscribeRequest) -> Result<v1::UnsubscribeResponse, Failure> {
    let (permit, _) = entitled(&call)?;
    let who = subscriber(&call, &request.instance_id, "instance_id")?;
    call.charge(permit.client())?;
    end_subscriber(&call, who).await.map(|_| v1::UnsubscribeResponse {})
}

/// Ends a subscription; says whether there was one.
pub(super) async fn end_subscriber(call: &Call, who: Subscriber) -> Result<bool, Failure> {
    let hub = Arc::clone(call.hub());
    let ended = tokio::task::spawn_blocking(move || hub.sync.subscribers.end(&who)).await;
    ended.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(|error| {
        tracing::error!(%error, "the end of a subscription can't be made durable");
        Failure::new(Reason::Storage, "the end of the subscription can't be made durable just now; try again")
    })
}

fn fetch_chunks(call: &Arc<Call>, request: &v1::FetchChunksRequest) -> Result<Chunks, Failure> {
    let hub = call.hub();
    let (permit, feed) = entitled(call)?;
    call.charge(permit.client())?;
    let gone = || Failure::new(Reason::NotFound, "the snapshot is no longer there: take the manifest anew");
    let snapshot = hub.sync.snapshots.find(&feed, &request.snapshot, |reach| permit.may_hold(reach));
    let snapshot = snapshot.ok_or_else(gone)?;
    if request.offset > snapshot.bytes {
        return Err(Failure::field(Reason::InvalidField, "offset", "lies beyond the snapshot's end"));
    }
    let from = Arc::new(hub.sync.snapshots.file(&snapshot).map_err(|_| gone())?);
    let (chunks, stream) = mpsc::channel(CHUNKS_AHEAD);
    let (call, reach, key) = (Arc::clone(call), snapshot.reach(), feed.key_digest());
    let still = move |call: &Call| {
        let (permit, feed) = entitled(call)?;
        let same = permit.may_hold(reach) && feed.key_digest() == key;
        if same {
            Ok(())
        } else {
            Err(Failure::new(Reason::NotFound, "the snapshot is another audience's: take the manifest anew"))
        }
    };
    tokio::spawn(send_chunks(call, still, (from, snapshot.bytes), request.offset, chunks));
    Ok(ReceiverStream::new(stream))
}

/// Sends a snapshot of so many bytes as fast as it is read, and no thread waits for the reader.
async fn send_chunks(
    call: Arc<Call>,
    still: impl Fn(&Call) -> Result<(), Failure> + Send + 'static,
    (from, bytes): (Arc<File>, u64),
    mut offset: u64,
    chunks: mpsc::Sender<Result<v1::FetchChunksResponse, Status>>,
) {
    while offset < bytes {
        let length = CHUNK_BYTES.min(usize::try_from(bytes - offset).unwrap_or(CHUNK_BYTES));
        let read = read_chunk(&from, offset, length).await.map_err(|error| {
            tracing::error!(%error, "a snapshot for replicas can't be read");
            Failure::new(Reason::Storage, "the snapshot can't be read; fetch on from here")
        });
        // Whoever may hold a replica no longer gets no more of it.
        let chunk = still(&call).and(read).map(|data| v1::FetchChunksResponse { offset, data });
        let is_last = chunk.is_err();
        if chunks.send(chunk.map_err(Status::from)).await.is_err() || is_last {
            return;
        }
        offset += length as u64;
        // What is in memory is read without a pause: others have their turn.
        tokio::task::yield_now().await;
    }
}

/// So many bytes from an offset on: at once if the system has all of them in memory, otherwise beside the threads that answer calls.
///
/// # Errors
/// It can't be read, or is shorter.
async fn read_chunk(from: &Arc<File>, offset: u64, length: usize) -> io::Result<Bytes> {
    let mut data = vec![0; APART_BYTES + length];
    let into = &mut [IoSliceMut::new(&mut data[APART_BYTES..])];
    // Whatever it fails of shows again below; and fewer bytes say nothing, none not even that the file ends (Linux 5.9 and 5.10).
    if preadv2(from, into, offset, ReadWriteFlags::NOWAIT) == Ok(length) {
        return Ok(Bytes::from(data).slice(APART_BYTES..));
    }
    let from = Arc::clone(from);
    let reading = tokio::task::spawn_blocking(move || {
        from.read_exact_at(&mut data[APART_BYTES..], offset)?;
        Ok(Bytes::from(data).slice(APART_BYTES..))
    });
    reading.await.map_err(io::Error::other)?
}

async fn get_lift_status(
    call: Arc<Call>,
    request: v1::GetLiftStatusRequest,
) -> Result<v1::GetLiftStatusResponse, Failure> {
    let hub = call.hub();
    let permit = hub.authority.permit(call.peer(), call.method(), &AdminAsk, call.now())?;
    call.charge(permit.client())?;
    let token = request.position.map(|position| position.token).unwrap_or_default();
    let (_, lift_seq) = hub.ledger.lift_at(&token).map_err(status::reach)?.ok_or_else(|| {
        let problem = "is not that of a lift: give back the position that the lift was answered with";
        Failure::field(Reason::InvalidField, "position", problem)
    })?;
    let LiftStatus { standing, left_ms, complete, completed } = hub.sync.lift_status(lift_seq);
    let end = Timestamp(call.now().0.saturating_add(i64::try_from(left_ms).unwrap_or(i64::MAX)));
    Ok(v1::GetLiftStatusResponse {
        subscribers: standing.subscribers,
        acknowledged: standing.acknowledged,
        lease_run_out: standing.lease_run_out,
        pending: standing.pending,
        complete,
        complete_time: if complete { completed } else { Some(end) }.map(timestamp_to),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn a_chunk_is_whole_or_it_is_none() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
        file.write_all(&bytes).unwrap();
        let file = Arc::new(file);
        let offset = CHUNK_BYTES as u64;
        let last = read_chunk(&file, offset, 100_000 - CHUNK_BYTES).await.unwrap();
        assert!(last == bytes[CHUNK_BYTES..], "other bytes");
        // As a file that the disk has cut: to whoever fetches it, it must not look as if it ended there.
        for offset in [offset, 100_000] {
            let cut = read_chunk(&file, offset, CHUNK_BYTES).await;
            assert_eq!(cut.map_err(|error| error.kind()), Err(io::ErrorKind::UnexpectedEof));
        }
    }
}
