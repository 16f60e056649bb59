//! What a replica does with what the hub tells it, and what it says: decided as messages come, without waiting for anybody.
//!
//! Promises: a session is a function of the messages that it is given, of the replica's clock and of its directory. What carries the
//! messages decides nothing: [`super::follow`] does it over connections, and a simulation in any order that a network could.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hashbrown::HashMap;
use xinhub_api::reason::Reason;
use xinhub_api::v1;
use xinhub_api::v1::follow_changes_request::Message as ChangesOut;
use xinhub_api::v1::follow_changes_response::Message as ChangesIn;
use xinhub_api::v1::follow_lifts_request::Message as LiftsOut;
use xinhub_api::v1::follow_lifts_response::Message as LiftsIn;
use xinhub_domain::decision::Field;
use xinhub_domain::measure::Catalogue;
use xinhub_index::Prf;
use xinhub_translog::note::Verifier;

use super::held::{Broken, Held};
use super::records::Records;
use super::store::{self, About};
use super::{Audience, Fault, Granted, Lifted, ReplicaReach, Shared, Times, signed};
use crate::Error;

/// Between two tries where the hub isn't reached: at first, and at most. Each waits by a chance of its own.
const RETRY_FIRST: Duration = Duration::from_millis(200);
pub(super) const RETRY_MOST: Duration = Duration::from_secs(30);
/// How soon a replica comes again to a hub that is stopping and does not say.
const DRAINED_WITHIN: Duration = Duration::from_secs(1);
/// A session that stood for so long counts as a success: the next try is a first one.
const STEADY: Duration = Duration::from_secs(30);
/// Keys that may have changed since a filter was made: past it a new one is smaller.
const MAX_BESIDE_FILTER: usize = 1_000_000;
/// Sessions that end with what can't be taken, and none between that stands for long: past it the replica begins anew.
const MAX_BROKEN: u32 = 3;
/// The part of a lease that is used: the rest is for clocks that differ in speed.
const LEASE_USED_PERCENT: u64 = 80;

/// Why a session ended.
#[derive(Debug)]
pub(super) enum End {
    /// The replica was closed, and all that it had to confirm is with the hub.
    Stopped,
    /// What is held can't be led on from: it is fetched anew.
    Resync(Duration),
    /// The connection, or the hub.
    Lost(Error),
    /// The hub is stopping.
    Drained(Duration),
    /// What came can't be taken. What is held stays as it was.
    Broken(String),
    /// What is held is not what the hub has told.
    Parted(String),
}

impl From<Error> for End {
    fn from(error: Error) -> End {
        match error {
            Error::Hub(refusal) if refusal.reason == Some(Reason::Draining) => End::Drained(DRAINED_WITHIN),
            error => End::Lost(error),
        }
    }
}

impl From<Broken> for End {
    fn from(broken: Broken) -> End {
        match broken {
            Broken::Gap(_) | Broken::Damaged(_) => End::Broken(broken.to_string()),
            Broken::Differs => End::Parted(broken.to_string()),
        }
    }
}

impl End {
    /// The hub has ended a stream without a word.
    pub(super) fn ended() -> End {
        End::Lost(Error::Connection("the hub ended the stream".to_owned()))
    }

    fn resync(resync: &v1::Resync) -> End {
        End::Resync(Duration::from_millis(u64::from(resync.within_ms)))
    }

    fn disk(error: std::io::Error) -> End {
        End::Lost(Error::Config(format!("replica directory: {error}")))
    }
}

/// How soon a replica comes again.
pub(super) struct Tries {
    pause: Duration,
    /// Sessions that ended with what can't be taken, since one stood for long or all was fetched.
    broken: u32,
}

impl Tries {
    pub(super) fn new() -> Tries {
        Tries { pause: RETRY_FIRST, broken: 0 }
    }

    /// What the end of a session means for what is held, and within how long the next one begins; `None`: no other does.
    pub(super) fn after(&mut self, shared: &Shared, lasted: Duration, end: End) -> Option<Duration> {
        if lasted > STEADY {
            (self.pause, self.broken) = (RETRY_FIRST, 0);
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(RETRY_MOST);
        match end {
            End::Stopped => None,
            End::Resync(within) => {
                tracing::info!("the replica is fetched anew");
                self.broken = 0;
                shared.forget();
                store::discard(shared);
                Some(within.max(pause))
            }
            End::Lost(error) => {
                tell(shared, Some(error.to_string()));
                Some(pause)
            }
            End::Drained(within) => {
                tell(shared, Some("the hub is stopping; the replica connects again".to_owned()));
                self.pause = RETRY_FIRST;
                Some(within)
            }
            End::Broken(problem) if self.broken < MAX_BROKEN => {
                tracing::error!(problem, "what the hub sent is not applied; the replica keeps what it holds");
                self.broken += 1;
                // It may have been a lift: nothing is said against anybody until the hub has been heard again.
                shared.end_lease();
                tell(shared, Some(problem));
                Some(pause)
            }
            End::Broken(problem) | End::Parted(problem) => {
                tracing::error!(problem, "the replica and the hub have parted: it is fetched anew");
                self.broken = 0;
                shared.forget();
                store::discard(shared);
                shared.state.send_modify(|state| state.alarms += 1);
                tell(shared, Some(problem));
                Some(pause)
            }
        }
    }
}

fn tell(shared: &Shared, trouble: Option<String>) {
    shared.state.send_modify(|state| state.trouble = trouble);
}

/// Where it is in which history, by revision and by lift.
fn place(shared: &Shared) -> Option<([u8; 16], u64, u64)> {
    shared.held.lock().as_ref().map(|held| (held.epoch, held.revision, held.lift_seq))
}

/// Does something with what is held; where nothing is, it is fetched.
fn with_held<T>(shared: &Shared, act: impl FnOnce(&mut Held) -> Result<T, Broken>) -> Result<T, End> {
    let mut held = shared.held.lock();
    let held = held.as_mut().ok_or(End::Resync(Duration::ZERO))?;
    act(held).map_err(End::from)
}

/// Tells where the replica is.
pub(super) fn show(shared: &Shared) {
    let at = shared.held.lock().as_ref().map(|held| (held.epoch, held.revision, held.lift_seq, held.compared));
    let Some((epoch, revision, lift_seq, compared)) = at else { return };
    let standing = shared.standing.load();
    let (entries, bytes) = standing.as_ref().map_or((0, 0), |of| (of.view.entries(), of.view.bytes() as u64));
    let unreported = shared.records.load().as_ref().map_or(0, |records| records.taken());
    shared.times.revision.store(revision, Ordering::Release);
    shared.state.send_modify(|state| {
        (state.epoch, state.revision, state.lift_seq) = (epoch, revision, lift_seq);
        (state.compared_revision, state.entries, state.memory_bytes, state.unreported) =
            (compared, entries, bytes, unreported);
    });
}

/// Notes that what is held is all that there is, or was when the ping was sent that a beat has answered, once it is. Until then nothing is
/// answered from it. What the beat named may come behind it.
fn level(shared: &Shared) {
    let times = &shared.times;
    let mut named = times.named.lock();
    let Some((epoch, revision, _)) = place(shared) else { return };
    if let Some((.., at_ms)) = named.take_if(|(of, named, _)| *of == epoch && *named <= revision) {
        let heard_ms = times.heard.fetch_max(at_ms, Ordering::AcqRel).max(at_ms);
        shared.state.send_modify(|state| (state.synced, state.heard_ms) = (true, heard_ms));
    }
}

/// A filter beside which too much has changed is fetched anew.
pub(super) fn is_worth_keeping(shared: &Shared) -> Result<(), End> {
    let beside = with_held(shared, |held| Ok(held.beside_filter()))?;
    if beside > MAX_BESIDE_FILTER { Err(End::Resync(Duration::ZERO)) } else { Ok(()) }
}

/// Learns the audience, and holds a list to lead on from: what is held, what is on disk, or else what has to be fetched. Reads the disk.
pub(super) fn begin(shared: &Arc<Shared>, manifest: v1::GetManifestResponse) -> Result<Option<Fetch>, End> {
    let records = records(shared, &manifest)?;
    let audience = Arc::new(audience(&manifest, &records)?);
    let of = |audience: &Audience| (audience.id.clone(), audience.key_epoch, audience.key, audience.reach);
    if shared.audience().is_some_and(|known| of(&known) != of(&audience)) {
        // What is held was digested under another key, or is of another sort.
        shared.forget();
    }
    if shared.held.lock().is_some() {
        // The rules may have changed; what is held stays.
        shared.set_audience(&audience);
        return Ok(None);
    }
    let snapshot = manifest.snapshot.unwrap_or_default();
    if store::load(shared, &audience, &snapshot.epoch) {
        return Ok(None);
    }
    Fetch::begin(shared, audience, snapshot).map(Some)
}

/// What was answered is kept under a key that the hub gives.
pub(super) fn records(shared: &Shared, manifest: &v1::GetManifestResponse) -> Result<Arc<Records>, End> {
    if let Some(records) = shared.records.load_full() {
        return Ok(records);
    }
    let key = bytes(&manifest.record_key, "the key of records")?;
    let records = Records::open(&shared.dir, &key, manifest.reported, shared.times.clock.clone())?;
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
        // Of one that isn't in it the hub alone can say.
        let Some(measure) = catalogue.measure(&granted.code).map(|measure| measure.id) else { continue };
        if !granted.enabled_on.is_empty() {
            catalogue.switch_on(measure, granted.enabled_on.clone());
        }
        let clears = records.counter(&granted.code);
        let limit_fen = u64::try_from(granted.limit_fen).ok().filter(|fen| *fen > 0);
        measures.insert(granted.code.clone(), Granted { measure, items: granted.items.clone(), limit_fen, clears });
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
        terms: manifest.terms.clone(),
    })
}

/// A snapshot that is fetched, from where an earlier try broke off, and shown once it is whole.
pub(super) struct Fetch {
    shared: Arc<Shared>,
    audience: Arc<Audience>,
    snapshot: v1::Snapshot,
    file: File,
    offset: u64,
}

impl Fetch {
    fn begin(shared: &Arc<Shared>, audience: Arc<Audience>, snapshot: v1::Snapshot) -> Result<Fetch, End> {
        let (file, offset) = store::part(shared, &snapshot.id).map_err(End::disk)?;
        let fetch = Fetch { shared: Arc::clone(shared), audience, snapshot, file, offset };
        fetch.show();
        Ok(fetch)
    }

    fn show(&self) {
        let fetched = (self.offset, self.snapshot.bytes);
        self.shared.state.send_modify(|state| (state.fetched_bytes, state.snapshot_bytes) = fetched);
    }

    /// What is missing of it, if anything is.
    pub(super) fn request(&self) -> Option<v1::FetchChunksRequest> {
        let (snapshot, offset) = (self.snapshot.id.clone(), self.offset);
        (offset < self.snapshot.bytes).then_some(v1::FetchChunksRequest { snapshot, offset })
    }

    pub(super) fn take(&mut self, chunk: &v1::FetchChunksResponse) -> Result<(), End> {
        if chunk.offset != self.offset {
            return Err(End::Broken("a chunk of the snapshot is missing".to_owned()));
        }
        self.file.write_all(&chunk.data).map_err(End::disk)?;
        self.offset += chunk.data.len() as u64;
        self.show();
        Ok(())
    }

    /// Checks what was fetched, and shows it. Reads the disk.
    pub(super) fn end(self) -> Result<(), End> {
        let Fetch { shared, audience, snapshot, file, .. } = self;
        file.sync_all().map_err(End::disk)?;
        drop(file);
        let history = (bytes(&snapshot.epoch, "an epoch")?, bytes(&snapshot.chain, "a chain hash")?);
        let mut about = About::new(&audience, history, snapshot.revision, snapshot.lift_seq);
        if !about.is_filter {
            about.state_digest = bytes(&snapshot.state_digest, "a digest")?;
        }
        let taken = store::take_part(&shared, &audience, about, &snapshot.sha256);
        // Whole or not, it is not fetched on.
        store::drop_part(&shared);
        taken.map_err(End::Broken)
    }
}

/// The streams of a session, and what each says first.
pub(super) struct Opened {
    pub(super) lifts: Lifts,
    pub(super) open_lifts: v1::FollowLiftsRequest,
    pub(super) changes: Changes,
    pub(super) open_changes: v1::FollowChangesRequest,
}

/// Begins to follow from what is held.
pub(super) fn follow(shared: &Arc<Shared>) -> Result<Opened, End> {
    let at = shared.held.lock().as_ref().map(|held| (held.epoch, held.revision, held.lift_seq, held.chain));
    let (Some((epoch, revision, lift_seq, chain)), Some(audience)) = (at, shared.audience()) else {
        return Err(End::Resync(Duration::ZERO));
    };
    let (instance_id, epoch, reach) = (shared.instance.to_vec(), epoch.to_vec(), audience.reach as i32);
    let chain = chain.to_vec();
    let terms = audience.terms.clone();
    let open = v1::FollowLiftsOpen {
        instance_id: instance_id.clone(),
        epoch: epoch.clone(),
        revision,
        lift_seq,
        reach,
        terms: terms.clone(),
        chain: chain.clone(),
    };
    let open_lifts = v1::FollowLiftsRequest { message: Some(LiftsOut::Open(open)) };
    let open = v1::FollowChangesOpen { instance_id, epoch, revision, lift_seq, reach, terms, chain };
    let open_changes = v1::FollowChangesRequest { message: Some(ChangesOut::Open(open)) };
    let lifts = Lifts::new(shared, audience);
    let changes = Changes { shared: Arc::clone(shared), applied: None, refused: None, passed_over: None };
    show(shared);
    Ok(Opened { lifts, open_lifts, changes, open_changes })
}

/// The lift stream, as the replica has it.
pub(super) struct Lifts {
    shared: Arc<Shared>,
    audience: Arc<Audience>,
    pings: Pings,
    /// When something came last.
    heard_ms: u64,
    /// Cumulative: the last confirmation says it for all, also for what the hub has forgotten.
    applied: Option<u64>,
}

impl Lifts {
    fn new(shared: &Arc<Shared>, audience: Arc<Audience>) -> Lifts {
        let (pings, heard_ms) = (Pings { number: 0, sent: Vec::new() }, shared.times.clock.boot_ms());
        Lifts { shared: Arc::clone(shared), audience, pings, heard_ms, applied: None }
    }

    /// Whether the hub has said once that what is held is all.
    pub(super) fn is_synced(&self) -> bool {
        self.shared.state.borrow().synced
    }

    /// How often a ping goes out.
    pub(super) fn beat_ms(&self) -> u64 {
        self.audience.beat_ms
    }

    /// A connection that died without a word is given up once no beat has come for so long.
    pub(super) fn is_alive(&self) -> Result<(), End> {
        let silence_ms = self.audience.lease_ms.max(2 * self.audience.beat_ms);
        if self.shared.times.clock.boot_ms().saturating_sub(self.heard_ms) <= silence_ms {
            return Ok(());
        }
        Err(End::Lost(Error::Connection("no beat came for a whole lease".to_owned())))
    }

    /// The next ping, sent now: a lease counts from here.
    pub(super) fn ping(&mut self) -> v1::FollowLiftsRequest {
        let number = self.pings.next(&self.shared.times);
        v1::FollowLiftsRequest { message: Some(LiftsOut::Ping(v1::Ping { number })) }
    }

    /// Whether there is something to confirm.
    pub(super) fn confirms(&self) -> bool {
        self.applied.is_some()
    }

    /// What there is to confirm.
    pub(super) fn confirmation(&mut self) -> Option<v1::FollowLiftsRequest> {
        let lift_seq = self.applied.take()?;
        Some(v1::FollowLiftsRequest { message: Some(LiftsOut::Ack(v1::LiftAck { lift_seq })) })
    }

    /// Takes what the hub has sent. A lift that concerned somebody is returned, for whoever wants to be called once it is confirmed.
    pub(super) fn take(&mut self, message: v1::FollowLiftsResponse) -> Result<Option<Lifted>, End> {
        self.heard_ms = self.shared.times.clock.boot_ms();
        match message.message {
            Some(LiftsIn::Opened(_)) => tell(&self.shared, None),
            Some(LiftsIn::Lift(lift)) => {
                let in_bulk = self.shared.fault == Some(Fault::LiftsInBulk);
                let keys = if in_bulk { 0 } else { self.apply(&lift)? };
                self.applied = Some(lift.lift_seq);
                let lifted = Lifted { lift_seq: lift.lift_seq, revision: lift.revision, keys };
                return Ok((keys > 0).then_some(lifted));
            }
            Some(LiftsIn::Beat(beat)) => self.applied = Some(self.heard_beat(&beat)?),
            Some(LiftsIn::Resync(resync)) => return Err(End::resync(&resync)),
            Some(LiftsIn::Drain(drain)) => {
                return Err(End::Drained(Duration::from_millis(u64::from(drain.within_ms))));
            }
            // What a newer hub may say beside it.
            None => {}
        }
        Ok(None)
    }

    fn apply(&self, lift: &v1::Lift) -> Result<usize, End> {
        let (prev_and_own, places) = ((lift.prev_lift_seq, lift.lift_seq), (lift.revision, lift.as_of));
        let (keys, lift_seq) = with_held(&self.shared, |held| {
            let keys = held.lift(prev_and_own, places, &lift.changes)?;
            Ok((keys, held.lift_seq))
        })?;
        self.shared.state.send_modify(|state| state.lift_seq = lift_seq);
        Ok(keys)
    }

    /// Checks a beat, and begins the lease that it gives. Returns the lift up to which all is applied.
    fn heard_beat(&mut self, beat: &v1::Beat) -> Result<u64, End> {
        let (shared, audience) = (&self.shared, &self.audience);
        let text = audience.verifier.verify(&beat.note).map_err(|error| End::Broken(format!("a beat {error}")))?;
        let said = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let number = |name: &str| said(name).and_then(|value| value.parse::<u64>().ok());
        let (epoch, _, applied) = place(shared).ok_or(End::Resync(Duration::ZERO))?;
        let is_ours = text.starts_with("xinhub beat 1\n")
            && said("epoch") == Some(&*format!("{:032x}", u128::from_be_bytes(epoch)))
            && said("audience") == Some(&*audience.id);
        let (Some(lift_seq), Some(named), true) = (number("lift_seq"), number("revision"), is_ours) else {
            return Err(End::Broken("a beat is of another history or audience".to_owned()));
        };
        if lift_seq > applied && shared.fault != Some(Fault::LiftsInBulk) {
            return Err(End::Broken("a beat names a lift that did not come before it".to_owned()));
        }
        let digest = said("digest").and_then(digest_of);
        let compared = with_held(shared, |held| {
            match digest {
                Some((at, digest)) => held.expect(at, digest)?,
                None => held.compare()?,
            }
            Ok(held.compared)
        })?;
        shared.state.send_if_modified(|state| std::mem::replace(&mut state.compared_revision, compared) != compared);
        shared.state.send_if_modified(|state| std::mem::replace(&mut state.hub_revision, named) != named);
        let Some(sent) = self.pings.answered(beat.ping) else { return Ok(applied) };
        let times = &shared.times;
        if let Some(time_ms) = number("time_ms").and_then(|time| i64::try_from(time).ok()) {
            times.hub_ahead.store(time_ms - signed(times.clock.boot_ms()), Ordering::Release);
        }
        // From the sending of the ping: whatever was under way since is on the hub's side of it.
        let until_ms = sent.at_ms + audience.lease_ms * LEASE_USED_PERCENT / 100;
        times.parted.store(sent.parted_ms, Ordering::Release);
        times.lease_until.fetch_max(until_ms, Ordering::AcqRel);
        shared.state.send_modify(|state| {
            state.lease_until_ms = times.lease_until.load(Ordering::Acquire);
        });
        *times.named.lock() = Some((epoch, named, sent.at_ms.max(1)));
        level(shared);
        Ok(applied)
    }
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
        let at_ms = times.clock.boot_ms();
        self.sent.push((self.number, Sent { at_ms, parted_ms: times.parted_ms(at_ms) }));
        self.number
    }

    /// When the ping was sent that a beat answers. Earlier ones are answered with it.
    fn answered(&mut self, number: u64) -> Option<Sent> {
        let answered = self.sent.iter().find(|(sent, _)| *sent == number).map(|(_, sent)| *sent);
        self.sent.retain(|(sent, _)| *sent > number);
        answered
    }
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

/// The change stream, as the replica has it.
pub(super) struct Changes {
    shared: Arc<Shared>,
    /// Cumulative: where many batches come at once the last confirmation says it for all.
    applied: Option<u64>,
    /// Why a batch was not applied, until that is said.
    refused: Option<v1::NackReason>,
    /// Where the last batch ended that was not applied: until what was refused comes again, what was under way behind it follows on that.
    passed_over: Option<u64>,
}

impl Changes {
    /// Whether there is something to confirm, or to refuse.
    pub(super) fn confirms(&self) -> bool {
        self.applied.is_some() || self.refused.is_some()
    }

    /// What there is to confirm, or to refuse.
    pub(super) fn confirmation(&mut self) -> Option<v1::FollowChangesRequest> {
        let applied = self.applied.take();
        let message = match self.refused.take() {
            Some(reason) => {
                let (_, revision, _) = place(&self.shared)?;
                ChangesOut::Nack(v1::ChangesNack { revision, reason: reason as i32 })
            }
            None => ChangesOut::Ack(v1::ChangesAck { revision: applied? }),
        };
        Some(v1::FollowChangesRequest { message: Some(message) })
    }

    /// Takes what the hub has sent.
    pub(super) fn take(&mut self, message: v1::FollowChangesResponse) -> Result<(), End> {
        match message.message {
            Some(ChangesIn::Batch(batch)) => self.take_batch(&batch),
            // What was refused again and again.
            Some(ChangesIn::Resync(resync))
                if self.passed_over.is_some() && resync.reason() == v1::ResyncReason::Position =>
            {
                Err(End::Parted("what the hub sends can't be applied, again and again".to_owned()))
            }
            Some(ChangesIn::Resync(resync)) => Err(End::resync(&resync)),
            None => Ok(()),
        }
    }

    fn take_batch(&mut self, batch: &v1::ChangeBatch) -> Result<(), End> {
        match with_held(&self.shared, |held| Ok(apply(held, batch)))? {
            Ok(revision) => {
                show(&self.shared);
                level(&self.shared);
                (self.applied, self.passed_over) = (Some(revision), None);
            }
            // Under way before the hub heard of what was refused.
            Err(Broken::Gap(_)) if self.passed_over == Some(batch.prev_revision) => {
                self.passed_over = Some(batch.revision);
            }
            Err(Broken::Gap(_)) => self.refuse(v1::NackReason::Gap, batch),
            Err(Broken::Damaged(_)) => self.refuse(v1::NackReason::Damaged, batch),
            Err(broken @ Broken::Differs) => return Err(broken.into()),
        }
        Ok(())
    }

    /// The hub sends it once more, and what is held stays as it is meanwhile.
    fn refuse(&mut self, reason: v1::NackReason, batch: &v1::ChangeBatch) {
        tracing::error!(?reason, "a batch of changes is not applied; the hub is asked for it again");
        (self.refused, self.passed_over) = (Some(reason), Some(batch.revision));
    }
}

/// Applies a batch; up to where all is applied then.
fn apply(held: &mut Held, batch: &v1::ChangeBatch) -> Result<u64, Broken> {
    let chain = batch.chain.as_slice().try_into().map_err(|_| Broken::Damaged("has a chain hash of another length"))?;
    held.change(batch.prev_revision, (batch.revision, batch.lift_seq), (batch.as_of, chain), &batch.changes)?;
    Ok(held.revision)
}
