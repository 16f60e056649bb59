//! The loop that keeps a replica where the hub is.

use std::collections::HashMap;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_stream::wrappers::ReceiverStream;
use xinhub_api::v1;
use xinhub_api::v1::follow_changes_request::Message as ChangesOut;
use xinhub_api::v1::follow_changes_response::Message as ChangesIn;
use xinhub_api::v1::follow_lifts_request::Message as LiftsOut;
use xinhub_api::v1::follow_lifts_response::Message as LiftsIn;
use xinhub_domain::decision::Field;
use xinhub_domain::measure::Catalogue;
use xinhub_domain::time::Timestamp;
use xinhub_index::Prf;
use xinhub_translog::note::Verifier;

use super::held::{Broken, Held};
use super::records::Records;
use super::store::{self, About};
use super::{Audience, Fault, Granted, Lifted, ReplicaReach, Shared, Times, signed, wall_ms};
use crate::{Config, Error, Hub};

/// Between two tries where the hub isn't reached: at first, and at most. Each waits by a chance of its own.
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_MOST: Duration = Duration::from_secs(30);
/// How long answers of one's own wait for others before they are reported, and how many go in one report.
const REPORT_EVERY: Duration = Duration::from_secs(5);
const REPORT_ENTRIES: usize = 500;
/// Keys that may have changed since a filter was made: past it a new one is smaller.
const MAX_BESIDE_FILTER: usize = 1_000_000;
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
                shared.forget();
                store::discard(&shared);
                chance(within)
            }
            End::Lost(error) => {
                tell(&shared, Some(error.to_string()));
                chance(pause)
            }
            End::Broken(problem) => {
                tracing::error!(problem, "the replica and the hub have parted: it is fetched anew");
                shared.forget();
                store::discard(&shared);
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

fn tell(shared: &Shared, trouble: Option<String>) {
    shared.state.send_modify(|state| state.trouble = trouble);
}

async fn session(shared: &Arc<Shared>, config: &Config) -> End {
    match begin(shared, config).await {
        Ok((lifts, changes)) => {
            let (Some((epoch, revision, lift_seq)), Some(audience)) = (place(shared), shared.audience()) else {
                return End::Resync(Duration::ZERO);
            };
            let (instance_id, epoch, reach) = (shared.instance.to_vec(), epoch.to_vec(), audience.reach as i32);
            let open = v1::FollowLiftsOpen {
                instance_id: instance_id.clone(),
                epoch: epoch.clone(),
                revision,
                lift_seq,
                reach,
            };
            let lifted = follow_lifts(shared, &lifts, &audience, open);
            let open = v1::FollowChangesOpen { instance_id, epoch, revision, lift_seq, reach };
            let changed = follow_changes(shared, &changes, open);
            // One without the other would let the replica drift: they end together.
            tokio::select! {
                end = lifted => end,
                end = changed => end,
                end = save_regularly(shared) => end,
                end = report(shared, &changes) => end,
            }
            .unwrap_or_else(|end| end)
        }
        Err(end) => end,
    }
}

fn place(shared: &Shared) -> Option<([u8; 16], u64, u64)> {
    shared.held.lock().as_ref().map(|held| (held.epoch, held.revision, held.lift_seq))
}

/// Does something with what is held; where nothing is, it is fetched.
fn with_held<T>(shared: &Shared, act: impl FnOnce(&mut Held) -> Result<T, Broken>) -> Result<T, End> {
    let mut held = shared.held.lock();
    let held = held.as_mut().ok_or(End::Resync(Duration::ZERO))?;
    act(held).map_err(End::from)
}

/// Connects twice, learns the audience, and holds a list to lead on from.
async fn begin(shared: &Arc<Shared>, config: &Config) -> Result<(Hub, Hub), End> {
    let (lifts, changes) = (Hub::connect(config.clone()).await?, Hub::connect(config.clone()).await?);
    let request = v1::GetManifestRequest { instance_id: shared.instance.to_vec(), reach: shared.reach as i32 };
    let manifest = changes.sync().get_manifest(request).await?;
    let records = records(shared, &manifest).await?;
    let audience = Arc::new(audience(&manifest, &records)?);
    let of = |audience: &Audience| (audience.id.clone(), audience.key_epoch, audience.key, audience.reach);
    if shared.audience().is_some_and(|known| of(&known) != of(&audience)) {
        // What is held was digested under another key, or is of another sort.
        shared.forget();
    }
    if shared.held.lock().is_some() {
        // The rules may have changed; what is held stays.
        shared.set_audience(&audience);
    } else {
        let snapshot = manifest.snapshot.unwrap_or_default();
        let (this, of, epoch) = (Arc::clone(shared), Arc::clone(&audience), snapshot.epoch.clone());
        let loaded = tokio::task::spawn_blocking(move || store::load(&this, &of, &epoch)).await;
        if !loaded.unwrap_or(false) {
            fetch(shared, &changes, &audience, snapshot).await?;
        }
    }
    Ok((lifts, changes))
}

/// What was answered is kept under a key that the hub gives.
async fn records(shared: &Arc<Shared>, manifest: &v1::GetManifestResponse) -> Result<Arc<Records>, End> {
    if let Some(records) = shared.records.load_full() {
        return Ok(records);
    }
    let key = bytes(&manifest.record_key, "the key of records")?;
    let (dir, reported) = (shared.dir.clone(), manifest.reported);
    let opened = tokio::task::spawn_blocking(move || Records::open(&dir, &key, reported, Timestamp(wall_ms()))).await;
    let records = opened.unwrap_or_else(|error| Err(Error::Config(error.to_string())))?;
    shared.records.store(Some(Arc::clone(&records)));
    Ok(records)
}

fn bytes<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N], End> {
    bytes.try_into().map_err(|_| End::Broken(format!("{what} has {} bytes, and not {N}", bytes.len())))
}

fn audience(manifest: &v1::GetManifestResponse, records: &Records) -> Result<Audience, End> {
    let key = bytes(&manifest.key, "the audience's key")?;
    let verifier = Verifier::parse(&manifest.verifier_key).map_err(|error| End::Broken(error.to_string()))?;
    let mut catalogue = Catalogue::parse(&manifest.catalogue, &manifest.units)
        .map_err(|faults| End::Broken(format!("the catalogue: {faults}")))?;
    let mut measures = HashMap::new();
    for granted in &manifest.measures {
        let id = catalogue.measure(&granted.code).map(|measure| measure.id);
        if let Some(id) = id.filter(|_| !granted.enabled_on.is_empty()) {
            catalogue.switch_on(id, granted.enabled_on.clone());
        }
        let clears = records.counter(&granted.code);
        let limit_fen = u64::try_from(granted.limit_fen).ok().filter(|fen| *fen > 0);
        measures.insert(granted.code.clone(), Granted { items: granted.items.clone(), limit_fen, clears });
    }
    Ok(Audience {
        id: manifest.audience.clone(),
        key,
        key_epoch: manifest.key_epoch,
        reach: match manifest.reach() {
            ReplicaReach::Exact => ReplicaReach::Exact,
            ReplicaReach::Filter | ReplicaReach::Unspecified => ReplicaReach::Filter,
        },
        prf: Prf::new(&key),
        catalogue,
        measures,
        fields: manifest.fields.iter().filter_map(|field| Field::parse(field)).collect(),
        lease_ms: u64::from(manifest.lease_ms),
        beat_ms: u64::from(manifest.beat_ms.max(1)),
        verifier,
    })
}

/// Fetches a snapshot, from where an earlier try broke off, and shows it once it is whole.
async fn fetch(shared: &Arc<Shared>, hub: &Hub, audience: &Arc<Audience>, snapshot: v1::Snapshot) -> Result<(), End> {
    let disk = |error: std::io::Error| End::Lost(Error::Config(format!("replica directory: {error}")));
    let (mut file, mut offset) = store::part(shared, &snapshot.id).map_err(disk)?;
    let show_fetched = |offset| {
        shared.state.send_modify(|state| (state.fetched_bytes, state.snapshot_bytes) = (offset, snapshot.bytes));
    };
    show_fetched(offset);
    if offset < snapshot.bytes {
        let request = v1::FetchChunksRequest { snapshot: snapshot.id.clone(), offset };
        let mut chunks = hub.sync().fetch_chunks(request).await?;
        while let Some(chunk) = chunks.next().await? {
            if chunk.offset != offset {
                return Err(End::Broken("a chunk of the snapshot is missing".to_owned()));
            }
            file.write_all(&chunk.data).map_err(disk)?;
            offset += chunk.data.len() as u64;
            show_fetched(offset);
        }
    }
    file.sync_all().map_err(disk)?;
    drop(file);
    let epoch = bytes(&snapshot.epoch, "an epoch")?;
    let mut about = About::new(audience, epoch, snapshot.revision, snapshot.lift_seq);
    if !about.is_filter {
        about.state_digest = bytes(&snapshot.state_digest, "a digest")?;
    }
    let (this, of) = (Arc::clone(shared), Arc::clone(audience));
    let taken = tokio::task::spawn_blocking(move || {
        let taken = store::take_part(&this, &of, &about, &snapshot.sha256);
        // Whole or not, it is not fetched on.
        store::drop_part(&this);
        taken
    });
    match taken.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(problem)) => Err(End::Broken(problem)),
        Err(error) => Err(End::Broken(error.to_string())),
    }
}

/// Tells the hub what was answered here, for ever.
async fn report(shared: &Arc<Shared>, hub: &Hub) -> Result<End, End> {
    let Some(records) = shared.records.load_full() else { return Ok(End::Resync(Duration::ZERO)) };
    let mut durable = records.durable();
    loop {
        durable.borrow_and_update();
        while let entries @ [_, ..] = &*records.unreported(REPORT_ENTRIES) {
            let request = v1::ReportAnswersRequest { instance_id: shared.instance.to_vec(), entries: entries.to_vec() };
            match hub.audit().report_answers(request).await {
                Ok(response) => records.reported(response.sequence),
                Err(error) => {
                    // It is kept, and reported again; what is followed goes on.
                    tracing::warn!(%error, "the hub did not take what the replica has answered");
                    break;
                }
            }
        }
        show(shared);
        let stops = *shared.stop.borrow();
        if stops && records.unreported(1).is_empty() {
            std::future::pending::<()>().await;
        }
        let more = async {
            // The sender lives as long as the records.
            let _ = durable.changed().await;
            sleep(REPORT_EVERY).await;
        };
        tokio::select! {
            // What is left is reported at once.
            () = stopped(shared), if !stops => {}
            () = tokio::time::sleep(RETRY_MOST) => {}
            () = more => {}
        }
    }
}

async fn save_regularly(shared: &Arc<Shared>) -> Result<End, End> {
    loop {
        sleep(SAVE_EVERY).await;
        if with_held(shared, |held| Ok(held.beside_filter()))? > MAX_BESIDE_FILTER {
            return Ok(End::Resync(Duration::ZERO));
        }
        let this = Arc::clone(shared);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || store::save(&this)).await {
            tracing::warn!(%error, "the replica is not on disk: the next start fetches it anew");
        }
    }
}

async fn follow_lifts(shared: &Shared, hub: &Hub, audience: &Audience, open: v1::FollowLiftsOpen) -> Result<End, End> {
    let (out, requests) = mpsc::channel(AHEAD);
    let request = |message| v1::FollowLiftsRequest { message: Some(message) };
    out.send(request(LiftsOut::Open(open))).await.map_err(|_| ended())?;
    let mut stream = hub.sync().follow_lifts(ReceiverStream::new(requests)).await?;
    let mut pings = Pings { number: 0, sent: Vec::new() };
    let mut every = interval(Duration::from_millis(audience.beat_ms));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // A connection that died without a word is given up once no beat has come for so long.
    let silence = Duration::from_millis(audience.lease_ms.max(2 * audience.beat_ms));
    let mut heard = Instant::now();
    // Cumulative: the last confirmation says it for all, also for what the hub has forgotten.
    let mut applied = None;
    loop {
        let message = tokio::select! {
            biased;
            place = out.reserve(), if applied.is_some() => {
                let lift_seq = applied.take().unwrap_or_default();
                place.map_err(|_| ended())?.send(request(LiftsOut::Ack(v1::LiftAck { lift_seq })));
                continue;
            }
            () = reported(shared) => break,
            _ = every.tick() => {
                if heard.elapsed() > silence {
                    return Ok(End::Lost(Error::Connection("no beat came for a whole lease".to_owned())));
                }
                // Where there is no room it would wait, and the lease counts from its sending.
                if let Ok(place) = out.try_reserve() {
                    place.send(request(LiftsOut::Ping(v1::Ping { number: pings.next(&shared.times) })));
                }
                continue;
            }
            message = stream.next() => message?,
        };
        heard = Instant::now();
        match message.map(|message| message.message) {
            Some(Some(LiftsIn::Opened(_))) => tell(shared, None),
            Some(Some(LiftsIn::Lift(lift))) => {
                let keys = if shared.fault == Some(Fault::LiftsInBulk) { 0 } else { apply(shared, &lift)? };
                match out.try_reserve() {
                    Ok(place) => place.send(request(LiftsOut::Ack(v1::LiftAck { lift_seq: lift.lift_seq }))),
                    Err(_) => applied = Some(lift.lift_seq),
                }
                if let Some(call) = shared.on_lift.as_ref().filter(|_| keys > 0) {
                    let lifted = Lifted { lift_seq: lift.lift_seq, revision: lift.revision, keys };
                    // What the caller's code does wrong ends nothing here.
                    if catch_unwind(AssertUnwindSafe(|| call(lifted))).is_err() {
                        tracing::error!("what is called at a lift has panicked");
                    }
                }
            }
            Some(Some(LiftsIn::Beat(beat))) => {
                applied = Some(heard_beat(shared, audience, &mut pings, &beat)?);
            }
            Some(Some(LiftsIn::Resync(resync))) => return Ok(resynced(&resync)),
            // What a newer hub may say beside it.
            Some(None) => {}
            None => return Ok(ended()),
        }
    }
    // What was confirmed is on its way: the hub has read it all once it ends the stream itself.
    drop(out);
    while let Ok(Some(_)) = stream.next().await {}
    Ok(End::Stopped)
}

fn resynced(resync: &v1::Resync) -> End {
    End::Resync(Duration::from_millis(u64::from(resync.within_ms)))
}

fn apply(shared: &Shared, lift: &v1::Lift) -> Result<usize, End> {
    let (prev_and_own, places) = ((lift.prev_lift_seq, lift.lift_seq), (lift.revision, lift.as_of));
    let (keys, lift_seq) = with_held(shared, |held| {
        let keys = held.lift(prev_and_own, places, &lift.changes)?;
        Ok((keys, held.lift_seq))
    })?;
    shared.state.send_modify(|state| state.lift_seq = lift_seq);
    Ok(keys)
}

/// When pings were sent, until they are answered.
struct Pings {
    number: u64,
    sent: Vec<(u64, Sent)>,
}

/// By the boot clock, and by how much the wall clock was ahead of it.
#[derive(Clone, Copy)]
struct Sent {
    at_ms: u64,
    parted_ms: i64,
}

impl Pings {
    /// The next ping's number, sent now.
    fn next(&mut self, times: &Times) -> u64 {
        self.number += 1;
        self.sent.push((self.number, Sent { at_ms: times.boot_ms(), parted_ms: times.parted_ms() }));
        self.number
    }

    /// When the ping was sent that a beat answers. Earlier ones are answered with it.
    fn answered(&mut self, number: u64) -> Option<Sent> {
        let answered = self.sent.iter().find(|(sent, _)| *sent == number).map(|(_, sent)| *sent);
        self.sent.retain(|(sent, _)| *sent > number);
        answered
    }
}

/// Checks a beat, and begins the lease that it gives. Returns the lift up to which all is applied.
fn heard_beat(shared: &Shared, audience: &Audience, pings: &mut Pings, beat: &v1::Beat) -> Result<u64, End> {
    let text = audience.verifier.verify(&beat.note).map_err(|error| End::Broken(format!("a beat {error}")))?;
    let said = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let number = |name: &str| said(name).and_then(|value| value.parse::<u64>().ok());
    let (epoch, revision, applied) = place(shared).ok_or(End::Resync(Duration::ZERO))?;
    let is_ours = text.starts_with("xinhub beat 1\n")
        && said("epoch") == Some(&*format!("{:032x}", u128::from_be_bytes(epoch)))
        && said("audience") == Some(&*audience.id);
    let (Some(lift_seq), true) = (number("lift_seq"), is_ours) else {
        return Err(End::Broken("a beat is of another history or audience".to_owned()));
    };
    if lift_seq > applied && shared.fault != Some(Fault::LiftsInBulk) {
        return Err(End::Broken("a beat names a lift that did not come before it".to_owned()));
    }
    if let Some((at, digest)) = said("digest").and_then(digest_of) {
        with_held(shared, |held| held.expect(at, digest))?;
    }
    let Some(sent) = pings.answered(beat.ping) else { return Ok(applied) };
    let times = &shared.times;
    if let Some(time_ms) = number("time_ms").and_then(|time| i64::try_from(time).ok()) {
        times.hub_ahead.store(time_ms - signed(times.boot_ms()), Ordering::Release);
    }
    // What is held is all that there is, or was when the ping was sent; until a beat says so nothing is answered from it.
    let holds_all = number("revision").is_some_and(|named| named <= revision);
    if holds_all {
        times.heard.fetch_max(sent.at_ms.max(1), Ordering::AcqRel);
    }
    // From the sending of the ping: whatever was under way since is on the hub's side of it.
    let until_ms = sent.at_ms + audience.lease_ms * LEASE_USED_PERCENT / 100;
    times.parted.store(sent.parted_ms, Ordering::Release);
    times.lease_until.fetch_max(until_ms, Ordering::AcqRel);
    shared.state.send_modify(|state| {
        state.synced |= holds_all;
        state.heard_ms = times.heard.load(Ordering::Acquire);
        state.lease_until_ms = times.lease_until.load(Ordering::Acquire);
    });
    Ok(applied)
}

/// A place, and the digest there.
fn digest_of(text: &str) -> Option<(u64, [u8; 32])> {
    let (revision, hex) = text.split_once(' ')?;
    let (high, low) = hex.split_at_checked(32)?;
    let half = |hex: &str| u128::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 32).map(u128::to_be_bytes);
    let mut digest = [0; 32];
    digest[..16].copy_from_slice(&half(high)?);
    digest[16..].copy_from_slice(&half(low)?);
    Some((revision.parse().ok()?, digest))
}

/// Resolves once the replica is to end, and the hub has all that it has answered.
async fn reported(shared: &Shared) {
    stopped(shared).await;
    while shared.records.load().as_ref().is_some_and(|records| !records.unreported(1).is_empty()) {
        sleep(Duration::from_millis(20)).await;
    }
}

async fn follow_changes(shared: &Shared, hub: &Hub, open: v1::FollowChangesOpen) -> Result<End, End> {
    let (out, requests) = mpsc::channel(AHEAD);
    let request = |message| v1::FollowChangesRequest { message: Some(message) };
    out.send(request(ChangesOut::Open(open))).await.map_err(|_| ended())?;
    let mut stream = hub.sync().follow_changes(ReceiverStream::new(requests)).await?;
    show(shared);
    // Cumulative: where many batches come at once the last confirmation says it for all.
    let mut applied = None;
    loop {
        let message = tokio::select! {
            place = out.reserve(), if applied.is_some() => {
                let revision = applied.take().unwrap_or_default();
                place.map_err(|_| ended())?.send(request(ChangesOut::Ack(v1::ChangesAck { revision })));
                continue;
            }
            message = stream.next() => message?,
        };
        match message.map(|message| message.message) {
            Some(Some(ChangesIn::Batch(batch))) => {
                let to = (batch.revision, batch.lift_seq);
                with_held(shared, |held| held.change(batch.prev_revision, to, batch.as_of, &batch.changes))?;
                show(shared);
                applied = Some(batch.revision);
            }
            Some(Some(ChangesIn::Resync(resync))) => return Ok(resynced(&resync)),
            Some(None) => {}
            None => return Ok(ended()),
        }
    }
}

fn ended() -> End {
    End::Lost(Error::Connection("the hub ended the stream".to_owned()))
}

/// Tells where the replica is.
fn show(shared: &Shared) {
    let Some((epoch, revision, lift_seq)) = place(shared) else { return };
    let standing = shared.standing.load();
    let (entries, bytes) = standing.as_ref().map_or((0, 0), |of| (of.view.entries(), of.view.bytes() as u64));
    let unreported = shared.records.load().as_ref().map_or(0, |records| records.taken());
    shared.times.revision.store(revision, Ordering::Release);
    shared.state.send_modify(|state| {
        (state.epoch, state.revision, state.lift_seq) = (epoch, revision, lift_seq);
        (state.entries, state.memory_bytes, state.unreported) = (entries, bytes, unreported);
    });
}
