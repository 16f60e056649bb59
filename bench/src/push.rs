//! `push`: from a court's acknowledgement of a lift until each of so many subscribers has it, next to a bare broadcast, and to a key
//! that as many watch in etcd.

use std::collections::VecDeque;
use std::fmt::Write;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prost::Message;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use xinhub_client::v1::follow_lifts_request::Message as Out;
use xinhub_client::v1::follow_lifts_response::Message as In;
use xinhub_client::{Hub, Replica, ReplicaConfig, v1};

use crate::ask::questions;
use crate::compare::Spread;
use crate::peers::{self, Etcd};
use crate::process::Server;
use crate::publish::{lift, publish_all};
use crate::report::Run;
use crate::world::{BANK, COURT, World};
use crate::{Common, Result, note};

const BARE: &str = "bare broadcast";
const LIFT: &str = "a lift";
const WATCH: &str = "etcd, a key watched";
/// Lifts before those that count.
const WARM_UP: usize = 5;
/// As the client SDK does.
const CONFIRM_AFTER: Duration = Duration::from_millis(50);
/// A receipt that takes longer ends the run.
const COMES_WITHIN: Duration = Duration::from_secs(60);
/// As the client SDK does: the part of a lease that is used.
const LEASE_USED_PERCENT: u64 = 80;
/// Between two lifts.
const PAUSE: Duration = Duration::from_millis(100);
/// Beside an import: between two lifts, between two looks at the lease, and how many lifts there are listings for.
const BETWEEN_LIFTS: Duration = Duration::from_millis(250);
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
const MAX_BESIDE: usize = 2_000;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    how: How,
}

/// Who is told, and how often.
#[derive(Clone, Copy, clap::Args)]
pub(crate) struct How {
    /// Subscribers
    #[arg(long, default_value_t = 1_000)]
    subscribers: usize,
    /// Connections that they share
    #[arg(long, default_value_t = 1_000)]
    connections: usize,
    /// Lifts in a round
    #[arg(long, default_value_t = 60)]
    lifts: usize,
    /// Without etcd, also where it is installed
    #[arg(long)]
    no_peers: bool,
    /// Then lift while so many rows are imported, and watch the lease of a replica meanwhile; 0 for not
    #[arg(long, default_value_t = 0)]
    import_rows: u64,
}

impl How {
    pub(crate) const USUAL: Self =
        Self { subscribers: 1_000, connections: 1_000, lifts: 60, no_peers: false, import_rows: 0 };
    pub(crate) const QUICK: Self = Self { lifts: 10, no_peers: true, ..Self::USUAL };

    /// How many subscribers share each connection, as even as it goes.
    fn streams(self) -> impl Iterator<Item = usize> {
        let before = move |connection| self.subscribers * connection / self.connections;
        (0..self.connections).map(move |connection| before(connection + 1) - before(connection))
    }
}

/// One round: milliseconds from the acknowledgement to the receipts.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Measured {
    p50_ms: f64,
    p99_ms: f64,
    /// The last of a lift's receipts: the median over the lifts.
    last_ms: f64,
    /// From the request to the acknowledgement: the median.
    acknowledged_ms: f64,
    server_cpu_us: f64,
}

/// One of those compared.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    what: String,
    rounds: Vec<Measured>,
    p50_ms: Spread,
    p99_ms: Spread,
    last_ms: Spread,
    /// Server CPU time for each receipt.
    server_cpu_us: Spread,
    /// The last receipt against the bare broadcast's of the same round.
    last_ratio: Spread,
}

/// Lifts while rows are imported.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Beside {
    rows: u64,
    seconds: f64,
    lifts: usize,
    measured: Measured,
    /// The last receipt against the median of the rounds without an import.
    last_ratio: f64,
    /// From the court's request to its acknowledgement, with the import and without: the median.
    acknowledged_ms: [f64; 2],
    /// The least that was left of any lease, a subscriber's when it was renewed or a replica's at any time, and how often nothing was.
    least_lease_ms: u64,
    lapses: u64,
}

/// What was left of leases.
#[derive(Debug, Default)]
struct Leases {
    least_ms: AtomicU64,
    lapses: AtomicU64,
}

impl Leases {
    fn begin(&self) {
        self.least_ms.store(u64::MAX, Ordering::Relaxed);
        self.lapses.store(0, Ordering::Relaxed);
    }

    fn seen(&self, left: Duration) {
        self.least_ms.fetch_min(u64::try_from(left.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.lapses.fetch_add(u64::from(left.is_zero()), Ordering::Relaxed);
    }
}

/// How a subscriber keeps its lease; it sends nothing where there is none.
struct Lease {
    beat_ms: u64,
    lasts: Duration,
    leases: Arc<Leases>,
    /// When pings were sent that are not answered yet, by their number.
    sent: VecDeque<(u64, Instant)>,
    until: Option<Instant>,
}

impl Lease {
    fn new(manifest: Option<&v1::GetManifestResponse>, leases: &Arc<Leases>) -> Lease {
        let ms = |of: fn(&v1::GetManifestResponse) -> u32| manifest.map_or(0, |manifest| u64::from(of(manifest)));
        Lease {
            beat_ms: ms(|manifest| manifest.beat_ms),
            lasts: Duration::from_millis(ms(|manifest| manifest.lease_ms) * LEASE_USED_PERCENT / 100),
            leases: Arc::clone(leases),
            sent: VecDeque::new(),
            until: None,
        }
    }

    fn renewed(&mut self, ping: u64) {
        while let Some((number, at)) = self.sent.pop_front_if(|(number, _)| *number <= ping) {
            if number == ping
                && let Some(until) = self.until.replace(at + self.lasts)
            {
                self.leases.seen(until.saturating_duration_since(Instant::now()));
            }
        }
    }
}

/// The whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    subscribers: usize,
    connections: usize,
    lifts: usize,
    rounds: u16,
    rows: Vec<Row>,
    /// For each subscriber anew: writing a lift's message around the changes, which are encoded once for all.
    framing_ns: f64,
    beside: Option<Beside>,
}

/// Those who listen on one server.
struct Crowd<'a> {
    what: &'static str,
    server: &'a Server,
    receipts: mpsc::Receiver<(u64, Instant)>,
    subscribers: usize,
    last: u64,
    /// Holds their tasks.
    _listening: JoinSet<()>,
}

/// Listens until it is dropped, and tells when each lift came: 0 once it listens.
type Listener = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

type Told = mpsc::Sender<(u64, Instant)>;

/// The hub's subscribers, or those of a bare broadcast, which has no manifest.
#[derive(Default)]
struct Subscribers {
    instances: Vec<Vec<u8>>,
    leases: Arc<Leases>,
}

impl Subscribers {
    async fn connect(
        &mut self,
        (world, server, how): (&World, &Server, How),
        manifest: Option<&v1::GetManifestResponse>,
        told: &Told,
    ) -> Result<Vec<Listener>> {
        let snapshot = manifest.and_then(|manifest| manifest.snapshot.clone()).unwrap_or_default();
        let mut listeners: Vec<Listener> = Vec::new();
        for streams in how.streams() {
            let hub = world.client(server, BANK).await?;
            for _ in 0..streams {
                let instance_id = uuid::Uuid::now_v7().into_bytes().to_vec();
                self.instances.push(instance_id.clone());
                let open = v1::FollowLiftsOpen {
                    instance_id,
                    epoch: snapshot.epoch.clone(),
                    revision: snapshot.revision,
                    lift_seq: snapshot.lift_seq,
                    chain: snapshot.chain.clone(),
                    ..v1::FollowLiftsOpen::default()
                };
                let lease = Lease::new(manifest, &self.leases);
                listeners.push(Box::pin(listen(hub.clone(), open, lease, told.clone())));
            }
        }
        Ok(listeners)
    }
}

async fn watchers(etcd: &Etcd, how: How, told: &Told) -> Result<Vec<Listener>> {
    let mut listeners: Vec<Listener> = Vec::new();
    for streams in how.streams() {
        let channel = etcd.connect().await?;
        for _ in 0..streams {
            listeners.push(Box::pin(peers::watch(channel.clone(), told.clone())));
        }
    }
    Ok(listeners)
}

/// What makes a server tell something.
enum Trigger {
    /// A court lifts these, one after the other.
    Court(Box<Hub>, Vec<u64>),
    Bare(Box<Hub>),
    /// Whoever puts the next number.
    Etcd(Channel, u64),
}

impl Trigger {
    async fn pull(&mut self) -> Result<()> {
        match self {
            Trigger::Court(court, listings) => {
                let listing = listings.pop().ok_or("nobody is left to be lifted")?;
                lift(court, listing).await?;
            }
            Trigger::Bare(hub) => drop(hub.sync().unsubscribe(v1::UnsubscribeRequest::default()).await?),
            Trigger::Etcd(channel, number) => {
                *number += 1;
                peers::put(channel.clone(), *number).await?;
            }
        }
        Ok(())
    }
}

/// The lift, once its confirmation is due; never where there is none.
async fn due(unconfirmed: Option<(Instant, u64)>) -> u64 {
    let Some((until, lift_seq)) = unconfirmed else { std::future::pending().await };
    tokio::time::sleep_until(until).await;
    lift_seq
}

/// Listens until it is dropped, confirms as a replica does, and says when each lift came.
async fn listen(hub: Hub, open: v1::FollowLiftsOpen, mut lease: Lease, told: Told) -> Result<()> {
    let beat_ms = lease.beat_ms;
    let (out, requests) = mpsc::channel(16);
    let request = |message| v1::FollowLiftsRequest { message: Some(message) };
    out.send(request(Out::Open(open))).await?;
    let mut stream = hub.sync().follow_lifts(ReceiverStream::new(requests)).await?;
    let mut every = interval(Duration::from_millis(beat_ms.max(1)));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = 0;
    // Until when it waits, and which lift.
    let mut unconfirmed: Option<(Instant, u64)> = None;
    loop {
        let message = tokio::select! {
            message = stream.next() => message?.ok_or("the stream has ended")?.message,
            lift_seq = due(unconfirmed) => {
                out.send(request(Out::Ack(v1::LiftAck { lift_seq }))).await?;
                unconfirmed = None;
                continue;
            }
            _ = every.tick(), if beat_ms > 0 => {
                number += 1;
                lease.sent.push_back((number, Instant::now()));
                out.send(request(Out::Ping(v1::Ping { number }))).await?;
                continue;
            }
        };
        match message {
            Some(In::Opened(_)) => told.send((0, Instant::now())).await?,
            Some(In::Lift(lift)) => {
                told.send((lift.lift_seq, Instant::now())).await?;
                if beat_ms > 0 {
                    let (until, _) = unconfirmed.unwrap_or((Instant::now() + CONFIRM_AFTER, 0));
                    unconfirmed = Some((until, lift.lift_seq));
                }
            }
            Some(In::Beat(beat)) => lease.renewed(beat.ping),
            None => {}
            Some(sent @ (In::Resync(_) | In::Drain(_))) => return Err(format!("sent away: {sent:?}").into()),
        }
    }
}

impl<'a> Crowd<'a> {
    /// Waits until all of them listen. `last` is the last lift that they know of.
    async fn gather(
        what: &'static str,
        server: &'a Server,
        (listeners, receipts): (Vec<Listener>, mpsc::Receiver<(u64, Instant)>),
        last: u64,
    ) -> Result<Crowd<'a>> {
        note(format_args!("{what}: {} subscribers", listeners.len()));
        let subscribers = listeners.len();
        let mut listening = JoinSet::new();
        for listener in listeners {
            listening.spawn(async move {
                if let Err(error) = listener.await {
                    note(format_args!("a subscriber has ended: {error}"));
                }
            });
        }
        let mut crowd = Crowd { what, server, receipts, subscribers, last, _listening: listening };
        for _ in 0..subscribers {
            next(&mut crowd.receipts).await?;
        }
        Ok(crowd)
    }

    /// So many lifts, each once all have had the one before.
    async fn round(&mut self, trigger: &mut Trigger, lifts: usize) -> Result<Measured> {
        let cpu_before = self.server.usage()?.cpu_s;
        let mut receipts = Receipts::default();
        for _ in 0..lifts {
            self.tell(trigger, &mut receipts).await?;
            // Its confirmations are work for the server too, and not what the next lift waits for.
            tokio::time::sleep(PAUSE).await;
        }
        receipts.measured(self.server.usage()?.cpu_s - cpu_before)
    }

    /// One lift, until all have it.
    async fn tell(&mut self, trigger: &mut Trigger, receipts: &mut Receipts) -> Result<()> {
        let asked = Instant::now();
        trigger.pull().await?;
        let acknowledged = Instant::now();
        receipts.acknowledged_ms.push((acknowledged - asked).as_secs_f64() * 1e3);
        self.last += 1;
        let mut last = 0.0_f64;
        for _ in 0..self.subscribers {
            let (lift, at) = next(&mut self.receipts).await?;
            if lift != self.last {
                return Err(format!("lift {lift} came where {} was due", self.last).into());
            }
            let took_ms = at.saturating_duration_since(acknowledged).as_secs_f64() * 1e3;
            receipts.all_ms.push(took_ms);
            last = last.max(took_ms);
        }
        receipts.last_ms.push(last);
        Ok(())
    }
}

/// How long receipts took, and the last of each lift.
#[derive(Default)]
struct Receipts {
    all_ms: Vec<f64>,
    last_ms: Vec<f64>,
    /// From the request to the acknowledgement.
    acknowledged_ms: Vec<f64>,
}

impl Receipts {
    fn measured(mut self, cpu_s: f64) -> Result<Measured> {
        self.all_ms.sort_by(f64::total_cmp);
        self.last_ms.sort_by(f64::total_cmp);
        self.acknowledged_ms.sort_by(f64::total_cmp);
        let (most, middle) = (self.all_ms.len().checked_sub(1).ok_or("nothing was lifted")?, self.last_ms.len() / 2);
        let acknowledged_ms = self.acknowledged_ms[middle];
        let at = |percent: usize| self.all_ms[most * percent / 100];
        let server_cpu_us = cpu_s * 1e6 / self.all_ms.len() as f64;
        Ok(Measured { p50_ms: at(50), p99_ms: at(99), last_ms: self.last_ms[middle], acknowledged_ms, server_cpu_us })
    }
}

/// Lifts for as long as rows are imported, and watches all leases.
async fn beside_import(
    world: &World,
    (crowd, trigger): (&mut Crowd<'_>, &mut Trigger),
    leases: &Leases,
    quiet: &Row,
    rows: u64,
) -> Result<Beside> {
    world.synthesize_more(rows, "more.csv").await?;
    let dir = tempfile::tempdir_in(world.path("."))?;
    let bank = world.client(crowd.server, BANK).await?;
    let replica = Replica::open(&bank, ReplicaConfig::new(dir.path()).reach(v1::ReplicaReach::Exact))?;
    tokio::time::timeout(COMES_WITHIN, replica.synced()).await?;
    let server = crowd.server;
    let mut receipts = Receipts::default();
    let cpu_before = server.usage()?.cpu_s;
    leases.begin();
    let watch = async {
        loop {
            leases.seen(replica.state().lease());
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    };
    let lift = async {
        let mut import = pin!(world.import(server, "more.csv"));
        let mut pause = interval(BETWEEN_LIFTS);
        pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                imported = &mut import => return imported,
                _ = pause.tick() => crowd.tell(trigger, &mut receipts).await?,
            }
        }
    };
    let imported = tokio::select! {
        imported = lift => imported?,
        () = watch => return Err("it is watched until the import ends".into()),
    };
    let (lifts, measured) = (receipts.last_ms.len(), receipts.measured(server.usage()?.cpu_s - cpu_before)?);
    replica.close().await?;
    let (least_lease_ms, lapses) = (leases.least_ms.load(Ordering::Relaxed), leases.lapses.load(Ordering::Relaxed));
    let last_ratio = measured.last_ms / quiet.last_ms.median;
    let acknowledged_ms =
        [measured.acknowledged_ms, Spread::of(quiet.rounds.iter().map(|one| one.acknowledged_ms)).median];
    let seconds = imported.seconds;
    Ok(Beside { rows, seconds, lifts, measured, last_ratio, acknowledged_ms, least_lease_ms, lapses })
}

async fn next(receipts: &mut mpsc::Receiver<(u64, Instant)>) -> Result<(u64, Instant)> {
    let receipt = tokio::time::timeout(COMES_WITHIN, receipts.recv()).await;
    Ok(receipt.map_err(|_| "a receipt didn't come")?.ok_or("nobody listens any more")?)
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let (world, filled) = World::filled(&args.common.place, args.common.rows).await?;
    // Followed from a new one there is no lift to catch up with.
    world.forget_snapshots()?;
    let figures = world.served(async |hub| measure(&world, hub, args.how, args.common.rounds).await).await?;
    args.common.output.write(&Run { push: Some(figures), ..Run::of(&filled)? })
}

/// Of a hub where nobody was lifted since its snapshot, if it has one.
pub(crate) async fn measure(world: &World, hub: &Server, how: How, rounds: u16) -> Result<Figures> {
    let broadcast = world.serve_broadcast().await?;
    let most_beside = if how.import_rows > 0 { MAX_BESIDE } else { 0 };
    let count = usize::from(rounds) * how.lifts + WARM_UP + most_beside;
    let court = world.client(hub, COURT).await?;
    note(format_args!("listing {count} who are to be lifted"));
    let listings = publish_all(&court, &questions(world)?.0, count).await?;
    let bank = world.client(hub, BANK).await?;
    let instance_id = uuid::Uuid::now_v7().into_bytes().to_vec();
    let request = v1::GetManifestRequest { instance_id, ..v1::GetManifestRequest::default() };
    let manifest = bank.sync().get_manifest(request).await?;
    let last = manifest.snapshot.as_ref().map_or(0, |snapshot| snapshot.lift_seq);
    let told = || mpsc::channel(2 * how.subscribers);
    let (mut bare, mut subscribers) = (Subscribers::default(), Subscribers::default());
    let (tell, receipts) = told();
    let listeners = bare.connect((world, &broadcast, how), None, &tell).await?;
    let bare = Crowd::gather(BARE, &broadcast, (listeners, receipts), 0).await?;
    let bare_trigger = Trigger::Bare(Box::new(world.client(&broadcast, BANK).await?));
    let (tell, receipts) = told();
    let listeners = subscribers.connect((world, hub, how), Some(&manifest), &tell).await?;
    let lifted = Crowd::gather(LIFT, hub, (listeners, receipts), last).await?;
    let mut contenders = vec![(bare, bare_trigger), (lifted, Trigger::Court(Box::new(court), listings))];
    let etcd = if how.no_peers { None } else { Etcd::empty(world).await? };
    if let Some(etcd) = &etcd {
        let (tell, receipts) = told();
        let listeners = watchers(etcd, how, &tell).await?;
        let watching = Crowd::gather(WATCH, &etcd.server, (listeners, receipts), 0).await?;
        contenders.push((watching, Trigger::Etcd(etcd.connect().await?, 0)));
    }
    for (crowd, trigger) in &mut contenders {
        crowd.round(trigger, WARM_UP).await?;
    }
    let mut measured = vec![Vec::new(); contenders.len()];
    for round in 1..=rounds {
        for ((crowd, trigger), measured) in contenders.iter_mut().zip(&mut measured) {
            note(format_args!("round {round} of {rounds}: {}", crowd.what));
            measured.push(crowd.round(trigger, how.lifts).await?);
        }
    }
    let bare = measured[0].clone();
    let named = contenders.iter().map(|(crowd, _)| crowd.what);
    let rows: Vec<Row> = named.zip(measured).map(|(what, rounds)| Row::of(what, rounds, &bare)).collect();
    let mut beside = None;
    if how.import_rows > 0 {
        note(format_args!("lifting beside an import of {} rows", how.import_rows));
        let (crowd, trigger) = &mut contenders[1];
        beside = Some(beside_import(world, (crowd, trigger), &subscribers.leases, &rows[1], how.import_rows).await?);
    }
    drop(contenders);
    if let Some(etcd) = etcd {
        etcd.server.kill();
    }
    broadcast.stop().await?;
    unsubscribe(&bank, subscribers.instances).await?;
    let How { subscribers, connections, lifts, .. } = how;
    Ok(Figures { subscribers, connections, lifts, rounds, rows, framing_ns: framing_ns(), beside })
}

/// No later lift waits for these.
async fn unsubscribe(bank: &Hub, instances: Vec<Vec<u8>>) -> Result<()> {
    /// What the hub keeps of them is synced together.
    const TOGETHER: usize = 50;
    for some in instances.chunks(TOGETHER) {
        let mut under_way: JoinSet<_> = some
            .iter()
            .map(|instance_id| {
                let (sync, request) = (bank.sync(), v1::UnsubscribeRequest { instance_id: instance_id.clone() });
                async move { sync.unsubscribe(request).await.map(drop) }
            })
            .collect();
        while let Some(done) = under_way.join_next().await {
            done??;
        }
    }
    Ok(())
}

/// Nanoseconds that it takes to write the message of a lift, of one key, into a buffer.
fn framing_ns() -> f64 {
    const TIMES: u32 = 1_000_000;
    let changes = vec![7; 17].into();
    let lift = v1::Lift { prev_lift_seq: 70_000, lift_seq: 70_001, revision: 10_000_000, changes, as_of: 10_000_000 };
    let message = v1::FollowLiftsResponse { message: Some(In::Lift(lift)) };
    let mut buffer = Vec::with_capacity(256);
    let since = Instant::now();
    for _ in 0..TIMES {
        buffer.clear();
        // There is room.
        let _ = std::hint::black_box(&message).encode(std::hint::black_box(&mut buffer));
    }
    since.elapsed().as_nanos() as f64 / f64::from(TIMES)
}

impl Figures {
    /// The last receipt of a number that is watched in etcd by that of a lift; `None` where etcd isn't installed.
    pub(crate) fn watch_vs_last(&self) -> Option<Spread> {
        let row = |what| self.rows.iter().find(|row| row.what == what);
        let rounds = row(WATCH)?.rounds.iter().zip(&row(LIFT)?.rounds);
        Some(Spread::of(rounds.map(|(watch, lift)| watch.last_ms / lift.last_ms)))
    }

    /// The last receipt of a lift by that of a bare broadcast.
    pub(crate) fn last_vs_broadcast(&self) -> Option<Spread> {
        self.rows.iter().find(|row| row.what == LIFT).map(|row| row.last_ratio)
    }
}

impl Row {
    fn of(what: &str, rounds: Vec<Measured>, bare: &[Measured]) -> Row {
        let spread = |value: fn(&Measured) -> f64| Spread::of(rounds.iter().map(value));
        Row {
            what: what.to_owned(),
            p50_ms: spread(|one| one.p50_ms),
            p99_ms: spread(|one| one.p99_ms),
            last_ms: spread(|one| one.last_ms),
            server_cpu_us: spread(|one| one.server_cpu_us),
            last_ratio: Spread::of(rounds.iter().zip(bare).map(|(this, bare)| this.last_ms / bare.last_ms)),
            rounds,
        }
    }
}

pub(crate) fn text(figures: &Figures) -> String {
    let Figures { subscribers, connections, lifts, rounds, framing_ns, .. } = figures;
    let mut text = format!(
        "{subscribers} subscribers on {connections} connections, {lifts} lifts in each of {rounds} rounds, {} ms apart. Of the server's time the \
         hub's beats and the confirmations are part; writing a lift's message around the bytes that all share takes {framing_ns:.0} ns.\n\n\
         | from the acknowledgement to | half of the receipts, ms | 99 of 100, ms | the last, ms | × bare | server CPU µs/receipt |\n\
         |---|---|---|---|---|---|\n",
        PAUSE.as_millis()
    );
    for row in &figures.rows {
        let Row { what, p50_ms, p99_ms, last_ms, last_ratio, server_cpu_us, .. } = row;
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "| {what} | {} | {} | {} | {} | {} |",
            p50_ms.text(1),
            p99_ms.text(1),
            last_ms.text(1),
            last_ratio.text(2),
            server_cpu_us.text(1)
        );
    }
    if let Some(ratio) = figures.watch_vs_last() {
        let _ = writeln!(text, "\nThe last to be told by etcd by the last to be told of a lift: {}.", ratio.text(2));
    }
    if let Some(Beside { rows, seconds, lifts, measured, last_ratio, acknowledged_ms, least_lease_ms, lapses }) =
        figures.beside
    {
        let Measured { p50_ms, p99_ms, last_ms, .. } = measured;
        let [with, without] = acknowledged_ms;
        let _ = writeln!(
            text,
            "\nBeside an import of {rows} rows that took {seconds:.1} s, {lifts} lifts: half of the receipts within {p50_ms:.1} ms, 99 of \
             100 within {p99_ms:.1} ms, the last of a lift's after {last_ms:.1} ms, {last_ratio:.2}× what it was without. The court had its \
             acknowledgement {with:.1} ms after it asked, {without:.1} ms without. Of any subscriber's lease, and of a replica's, \
             {least_lease_ms} ms were left at the least, and {lapses} times nothing."
        );
    }
    text
}
