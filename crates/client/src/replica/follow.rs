//! The loop that keeps a replica where the hub is.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_stream::wrappers::ReceiverStream;
use xinhub_api::v1;
use xinhub_api::v1::follow_changes_request::Message as ChangesOut;
use xinhub_api::v1::follow_changes_response::Message as ChangesIn;
use xinhub_api::v1::follow_lifts_request::Message as LiftsOut;
use xinhub_api::v1::follow_lifts_response::Message as LiftsIn;
use xinhub_index::Prf;
use xinhub_translog::note::Verifier;

use super::held::Broken;
use super::store::{self, About};
use super::{Audience, Lifted, Shared, boot_ms};
use crate::{Config, Error, Hub};

/// Between two tries where the hub isn't reached: at first, and at most. Each waits by a chance of its own.
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_MOST: Duration = Duration::from_secs(30);
/// A stream that stood for so long counts as a success: the next try is a first one.
const STEADY: Duration = Duration::from_secs(30);
/// How often what is held is written to the directory.
const SAVE_EVERY: Duration = Duration::from_secs(600);
/// Messages to the hub that wait for the connection.
const AHEAD: usize = 16;
/// The part of a lease that is used: the rest is for clocks that differ in speed.
const LEASE_USED_PERCENT: u64 = 80;

/// Why a session ended.
enum End {
    /// The replica was closed, and all that it had to confirm is with the hub.
    Stopped,
    /// What is held can't be led on from: it is fetched anew.
    Resync(Duration),
    /// The connection, or the hub.
    Lost(Error),
    /// What came does not fit.
    Broken(String),
}

impl From<Error> for End {
    fn from(error: Error) -> End {
        End::Lost(error)
    }
}

impl From<Broken> for End {
    fn from(broken: Broken) -> End {
        End::Broken(broken.to_string())
    }
}

/// Follows for ever.
pub(super) async fn run(shared: Arc<Shared>, config: Config) {
    let mut pause = RETRY_FIRST;
    loop {
        let began = Instant::now();
        let end = session(&shared, &config).await;
        if began.elapsed() > STEADY {
            pause = RETRY_FIRST;
        }
        let wait = match end {
            End::Stopped => return,
            End::Resync(within) => {
                tracing::info!("the replica is fetched anew");
                forget(&shared);
                chance(within)
            }
            End::Lost(error) => {
                tell(&shared, Some(error.to_string()));
                chance(pause)
            }
            End::Broken(problem) => {
                tracing::error!(problem, "the replica and the hub have parted: it is fetched anew");
                forget(&shared);
                tell(&shared, Some(problem));
                chance(pause)
            }
        };
        tokio::select! {
            () = stopped(&shared) => return,
            () = sleep(wait) => {}
        }
        pause = (pause * 2).min(RETRY_MOST);
    }
}

/// Resolves once the replica is to end.
async fn stopped(shared: &Shared) {
    let mut stop = shared.stop.subscribe();
    // The sender lives as long as this.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Half of a time, and by chance up to the whole.
fn chance(most: Duration) -> Duration {
    // The second half of a UUIDv7 is random (RFC 9562, section 5.7).
    let (_, low) = uuid::Uuid::now_v7().as_u64_pair();
    let share = u32::try_from(low % 1_000).unwrap_or(0);
    most / 2 + most / 2_000 * share
}

/// Answers nothing from what is held any more.
fn forget(shared: &Shared) {
    shared.held.lock().epoch = [0; 16];
    shared.state.send_modify(|state| {
        (state.synced, state.lease_until_ms) = (false, 0);
    });
}

fn tell(shared: &Shared, trouble: Option<String>) {
    shared.state.send_modify(|state| state.trouble = trouble);
}

async fn session(shared: &Arc<Shared>, config: &Config) -> End {
    match begin(shared, config).await {
        Ok((lifts, changes)) => {
            let (epoch, revision, lift_seq) = place(shared);
            let instance_id = shared.instance.to_vec();
            let open =
                v1::FollowLiftsOpen { instance_id: instance_id.clone(), epoch: epoch.to_vec(), revision, lift_seq };
            let lifted = follow_lifts(shared, &lifts, open);
            let open = v1::FollowChangesOpen { instance_id, epoch: epoch.to_vec(), revision, lift_seq };
            let changed = follow_changes(shared, &changes, open);
            // One without the other would let the replica drift: they end together.
            tokio::select! {
                end = lifted => end,
                end = changed => end,
                end = save_regularly(shared) => end,
            }
            .unwrap_or_else(|end| end)
        }
        Err(end) => end,
    }
}

fn place(shared: &Shared) -> ([u8; 16], u64, u64) {
    let held = shared.held.lock();
    (held.epoch, held.revision, held.lift_seq)
}

/// Connects twice, learns the audience, and holds a list to lead on from.
async fn begin(shared: &Arc<Shared>, config: &Config) -> Result<(Hub, Hub), End> {
    let (lifts, changes) = (Hub::connect(config.clone()).await?, Hub::connect(config.clone()).await?);
    let manifest = changes.sync().get_manifest(v1::GetManifestRequest {}).await?;
    let audience = Arc::new(audience(&manifest)?);
    let same = shared.audience.load().as_ref().is_some_and(|known| {
        (&known.id, known.key_epoch, known.key) == (&audience.id, audience.key_epoch, audience.key)
    });
    if !same {
        // What is held was digested under another key.
        forget(shared);
    }
    shared.audience.store(Some(Arc::clone(&audience)));
    if place(shared).0 == [0; 16] {
        let (this, of) = (Arc::clone(shared), Arc::clone(&audience));
        let loaded = tokio::task::spawn_blocking(move || store::load(&this, &of)).await;
        if !loaded.unwrap_or(false) {
            fetch(shared, &changes, &audience, manifest.snapshot.unwrap_or_default()).await?;
        }
    }
    Ok((lifts, changes))
}

fn audience(manifest: &v1::GetManifestResponse) -> Result<Audience, End> {
    let key: [u8; 32] =
        manifest.key.as_slice().try_into().map_err(|_| End::Broken("the audience's key is not 32 bytes".to_owned()))?;
    let verifier = Verifier::parse(&manifest.verifier_key).map_err(|error| End::Broken(error.to_string()))?;
    Ok(Audience {
        id: manifest.audience.clone(),
        key,
        key_epoch: manifest.key_epoch,
        prf: Prf::new(&key),
        measures: manifest.measures.clone(),
        lease_ms: u64::from(manifest.lease_ms),
        beat_ms: u64::from(manifest.beat_ms.max(1)),
        verifier,
    })
}

/// Fetches a snapshot, from where an earlier try broke off, and shows it once it is whole.
async fn fetch(shared: &Arc<Shared>, hub: &Hub, audience: &Audience, snapshot: v1::Snapshot) -> Result<(), End> {
    let disk = |error: std::io::Error| End::Lost(Error::Config(format!("replica directory: {error}")));
    let (mut file, mut offset) = store::part(shared, &snapshot.id).map_err(disk)?;
    if offset < snapshot.bytes {
        let request = v1::FetchChunksRequest { snapshot: snapshot.id.clone(), offset };
        let mut chunks = hub.sync().fetch_chunks(request).await?;
        while let Some(chunk) = chunks.next().await? {
            if chunk.offset != offset {
                return Err(End::Broken("a chunk of the snapshot is missing".to_owned()));
            }
            file.write_all(&chunk.data).map_err(disk)?;
            offset += chunk.data.len() as u64;
        }
    }
    file.sync_all().map_err(disk)?;
    drop(file);
    let field = |bytes: &[u8], what: &str| End::Broken(format!("{what} of {} bytes", bytes.len()));
    let about = About {
        format: 1,
        audience: audience.id.clone(),
        key_epoch: audience.key_epoch,
        key_check: store::key_check(audience),
        epoch: snapshot.epoch.as_slice().try_into().map_err(|_| field(&snapshot.epoch, "an epoch"))?,
        revision: snapshot.revision,
        lift_seq: snapshot.lift_seq,
        state_digest: snapshot
            .state_digest
            .as_slice()
            .try_into()
            .map_err(|_| field(&snapshot.state_digest, "a digest"))?,
    };
    let this = Arc::clone(shared);
    let loaded = tokio::task::spawn_blocking(move || {
        let loaded = store::load_section(&this, &this.dir.join("index.part"), &about);
        // Whole or not, it is not fetched on.
        store::drop_part(&this);
        loaded
    });
    match loaded.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(problem)) => Err(End::Broken(problem)),
        Err(error) => Err(End::Broken(error.to_string())),
    }
}

async fn save_regularly(shared: &Arc<Shared>) -> Result<End, End> {
    loop {
        sleep(SAVE_EVERY).await;
        let this = Arc::clone(shared);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || store::save(&this)).await {
            tracing::warn!(%error, "the replica is not on disk: the next start fetches it anew");
        }
    }
}

async fn follow_lifts(shared: &Shared, hub: &Hub, open: v1::FollowLiftsOpen) -> Result<End, End> {
    let Some(audience) = shared.audience.load_full() else { return Ok(End::Resync(Duration::ZERO)) };
    let (out, requests) = mpsc::channel(AHEAD);
    send(&out, LiftsOut::Open(open))?;
    let mut stream = hub.sync().follow_lifts(ReceiverStream::new(requests)).await?;
    let mut pings = Pings { number: 0, sent_ms: Vec::new() };
    let mut every = interval(Duration::from_millis(audience.beat_ms));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // A connection that died without a word is given up once no beat has come for so long.
    let silence = Duration::from_millis(audience.lease_ms.max(2 * audience.beat_ms));
    let mut heard = Instant::now();
    loop {
        let message = tokio::select! {
            () = stopped(shared) => {
                // What was confirmed is on its way: the hub has read it all once it ends the stream itself.
                drop(out);
                while let Ok(Some(_)) = stream.next().await {}
                return Ok(End::Stopped);
            }
            message = stream.next() => message?,
            _ = every.tick() => {
                if heard.elapsed() > silence {
                    return Ok(End::Lost(Error::Connection("no beat came for a whole lease".to_owned())));
                }
                send(&out, LiftsOut::Ping(v1::Ping { number: pings.next() }))?;
                continue;
            }
        };
        heard = Instant::now();
        match message.map(|message| message.message) {
            Some(Some(LiftsIn::Opened(_))) => tell(shared, None),
            Some(Some(LiftsIn::Lift(lift))) => {
                let keys = apply(shared, &lift)?;
                send(&out, LiftsOut::Ack(v1::LiftAck { lift_seq: lift.lift_seq }))?;
                if let Some(call) = shared.on_lift.as_ref().filter(|_| keys > 0) {
                    call(Lifted { lift_seq: lift.lift_seq, revision: lift.revision, keys });
                }
            }
            Some(Some(LiftsIn::Beat(beat))) => {
                let lift_seq = heard_beat(shared, &audience, &mut pings, &beat)?;
                // Cumulative: where nothing came there may still be something that the hub has forgotten.
                send(&out, LiftsOut::Ack(v1::LiftAck { lift_seq }))?;
            }
            Some(Some(LiftsIn::Resync(resync))) => return Ok(resynced(&resync)),
            // What a newer hub may say beside it.
            Some(None) => {}
            None => return Ok(End::Lost(Error::Connection("the hub ended the stream".to_owned()))),
        }
    }
}

fn send(out: &mpsc::Sender<v1::FollowLiftsRequest>, message: LiftsOut) -> Result<(), End> {
    let sent = out.try_send(v1::FollowLiftsRequest { message: Some(message) });
    sent.map_err(|_| End::Lost(Error::Connection("the hub does not read".to_owned())))
}

fn resynced(resync: &v1::Resync) -> End {
    End::Resync(Duration::from_millis(u64::from(resync.within_ms)))
}

fn apply(shared: &Shared, lift: &v1::Lift) -> Result<usize, End> {
    let (keys, lift_seq, entries) = {
        let mut held = shared.held.lock();
        let keys = held.lift((lift.prev_lift_seq, lift.lift_seq), lift.revision, &lift.changes)?;
        (keys, held.lift_seq, held.writer.index().len() as u64)
    };
    shared.state.send_modify(|state| (state.lift_seq, state.entries) = (lift_seq, entries));
    Ok(keys)
}

/// When pings were sent, until they are answered.
struct Pings {
    number: u64,
    sent_ms: Vec<(u64, u64)>,
}

impl Pings {
    /// The next ping's number, sent now.
    fn next(&mut self) -> u64 {
        self.number += 1;
        self.sent_ms.push((self.number, boot_ms()));
        self.number
    }

    /// When the ping was sent that a beat answers. Earlier ones are answered with it.
    fn answered(&mut self, number: u64) -> Option<u64> {
        let sent_ms = self.sent_ms.iter().find(|(sent, _)| *sent == number).map(|(_, at)| *at);
        self.sent_ms.retain(|(sent, _)| *sent > number);
        sent_ms
    }
}

/// Checks a beat, and begins the lease that it gives. Returns the lift up to which all is applied.
fn heard_beat(shared: &Shared, audience: &Audience, pings: &mut Pings, beat: &v1::Beat) -> Result<u64, End> {
    let text = audience.verifier.verify(&beat.note).map_err(|error| End::Broken(format!("a beat {error}")))?;
    let said = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let number = |name: &str| said(name).and_then(|value| value.parse::<u64>().ok());
    let (epoch, revision, applied) = place(shared);
    let is_ours = text.starts_with("xinhub beat 1\n")
        && said("epoch") == Some(&*format!("{:032x}", u128::from_be_bytes(epoch)))
        && said("audience") == Some(&*audience.id);
    let (Some(lift_seq), true) = (number("lift_seq"), is_ours) else {
        return Err(End::Broken("a beat is of another history or audience".to_owned()));
    };
    if lift_seq > applied {
        return Err(End::Broken("a beat names a lift that did not come before it".to_owned()));
    }
    let answered = pings.answered(beat.ping);
    let holds_all = number("revision").is_some_and(|named| named <= revision);
    shared.state.send_modify(|state| {
        // What is held is all that there is, or was when the ping was sent; until a beat says so nothing is answered from it.
        if let Some(sent_ms) = answered.filter(|_| holds_all) {
            state.synced = true;
            state.heard_ms = state.heard_ms.max(sent_ms);
        }
        // From the sending of the ping: whatever was under way since is on the hub's side of it.
        if let Some(sent_ms) = answered {
            let lease_ms = audience.lease_ms * LEASE_USED_PERCENT / 100;
            state.lease_until_ms = state.lease_until_ms.max(sent_ms + lease_ms);
        }
    });
    Ok(applied)
}

async fn follow_changes(shared: &Shared, hub: &Hub, open: v1::FollowChangesOpen) -> Result<End, End> {
    let (out, requests) = mpsc::channel(AHEAD);
    let send = |message| {
        let sent = out.try_send(v1::FollowChangesRequest { message: Some(message) });
        sent.map_err(|_| End::Lost(Error::Connection("the hub does not read".to_owned())))
    };
    send(ChangesOut::Open(open))?;
    let mut stream = hub.sync().follow_changes(ReceiverStream::new(requests)).await?;
    show(shared);
    while let Some(message) = stream.next().await? {
        match message.message {
            Some(ChangesIn::Batch(batch)) => {
                let to = (batch.revision, batch.lift_seq);
                shared.held.lock().change(batch.prev_revision, to, &batch.changes)?;
                show(shared);
                send(ChangesOut::Ack(v1::ChangesAck { revision: batch.revision }))?;
            }
            Some(ChangesIn::Resync(resync)) => return Ok(resynced(&resync)),
            None => {}
        }
    }
    Ok(End::Lost(Error::Connection("the hub ended the stream".to_owned())))
}

/// Tells where the replica is.
fn show(shared: &Shared) {
    let held = shared.held.lock();
    let (epoch, revision, lift_seq) = (held.epoch, held.revision, held.lift_seq);
    let entries = held.writer.index().len() as u64;
    drop(held);
    shared.state.send_modify(|state| {
        (state.epoch, state.revision, state.lift_seq, state.entries) = (epoch, revision, lift_seq, entries);
    });
}
