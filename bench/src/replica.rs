//! `replica`: what a client pays for a replica of each reach: to fill it, to go on from its directory, and to ask it.

use std::fmt::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use xinhub_client::{Hub, Inquiry, Replica, ReplicaConfig, ReplicaState, v1};

use crate::ask::{Questions, questions};
use crate::process::On;
use crate::report::Run;
use crate::world::{BANK, MEASURE, World};
use crate::{Common, Result, note};

/// Look-ups of one round, once timed together and once each for itself, less what a clock's own reading costs. Answers against somebody
/// each leave a record: no more than there are places for.
const MISSES: usize = 200_000;
const HITS: usize = 1_024;
const TOGETHER: usize = 16;
/// Look-ups of one batch, and batches.
const BATCH: usize = 1_000;
const BATCHES: usize = 200;

const PROVED_WITHIN: Duration = Duration::from_secs(600);

const FILTER: (&str, v1::ReplicaReach) = ("filter", v1::ReplicaReach::Filter);
const EXACT: (&str, v1::ReplicaReach) = ("exact", v1::ReplicaReach::Exact);

/// How often what is done.
#[derive(Clone, Copy)]
pub(crate) struct How {
    reaches: &'static [(&'static str, v1::ReplicaReach)],
    /// Whether the hub makes the snapshot of each reach for one more before.
    first: bool,
    /// Of each reach.
    replicas: u16,
    /// Rounds of look-ups in each of these.
    look_ups: u16,
}

impl How {
    pub(crate) fn usual(rounds: u16) -> Self {
        Self { reaches: &[FILTER, EXACT], first: true, replicas: rounds, look_ups: 1 }
    }

    /// Only how long a look-up takes.
    pub(crate) fn quick(rounds: u16) -> Self {
        Self { reaches: &[EXACT], first: false, replicas: 1, look_ups: rounds }
    }
}

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
}

/// One reach.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Reach {
    reach: String,
    /// From an empty directory, the first time: the hub makes the snapshot too. A quick run takes the snapshot that there is.
    first_s: Option<f64>,
    /// From an empty directory, with the snapshot there: medians, as all below.
    synced_s: f64,
    /// From its own directory.
    reopened_s: f64,
    entries: u64,
    on_disk_bytes: u64,
    memory_bytes: u64,
    /// Somebody who is not listed: half of the look-ups take less, and all but one in a hundred.
    miss_p50_ns: f64,
    miss_p99_ns: f64,
    /// Somebody who is listed, with the place for its record; 0 where the hub is asked.
    hit_p50_ns: f64,
    hit_p99_ns: f64,
    /// Of a batch about people who are not listed, for each of them, with a message for each. A filter leaves nearly all of these to the hub.
    batch_ns: Option<f64>,
    /// The same, packed.
    packed_ns: Option<f64>,
}

/// The whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) listings: u64,
    pub(crate) rounds: usize,
    reaches: Vec<Reach>,
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

async fn open(hub: &Hub, dir: &std::path::Path, reach: v1::ReplicaReach) -> Result<(Replica, f64)> {
    let since = Instant::now();
    let replica = Replica::open(hub, ReplicaConfig::new(dir).reach(reach))?;
    tokio::time::timeout(Duration::from_secs(600), replica.synced()).await?;
    Ok((replica, since.elapsed().as_secs_f64()))
}

fn bytes_of(dir: &std::path::Path) -> Result<u64> {
    let sizes = std::fs::read_dir(dir)?.map(|file| Ok(file?.metadata()?.len()));
    sizes.sum::<Result<u64>>()
}

/// Nanoseconds that a look-up takes: at half, of the means of some together, and at 99 of a hundred, each for itself. Counts who was answered.
fn look_up(replica: &Replica, asked: &[Inquiry], count: usize) -> (f64, f64, usize) {
    let mut answered = 0;
    let mut ask = |one: &Inquiry| {
        let answer = std::hint::black_box(replica.answer(MEASURE, None, one));
        answered += usize::from(answer.is_some());
    };
    let mut together = Vec::with_capacity(count / TOGETHER);
    for group in asked.chunks_exact(TOGETHER).cycle().take(count / TOGETHER) {
        // Whoever asks has just read whom about.
        let group = group.to_vec();
        let since = Instant::now();
        group.iter().for_each(&mut ask);
        together.push(since.elapsed().as_nanos() as f64 / group.len() as f64);
    }
    let mut alone = Vec::with_capacity(count);
    let mut nothing = Vec::with_capacity(count);
    for one in asked.iter().cycle().take(count) {
        let one = one.clone();
        let since = Instant::now();
        ask(&one);
        alone.push(since.elapsed().as_nanos() as f64);
        nothing.push(Instant::now().elapsed().as_nanos() as f64);
    }
    alone.sort_by(f64::total_cmp);
    let most = alone[alone.len() * 99 / 100] - median(nothing);
    (median(together), most, answered)
}

/// Nanoseconds for each who is asked about in a batch: the median of many batches.
async fn in_batches(replica: &Replica, batches: &[v1::BatchCheckRequest]) -> Result<f64> {
    let mut each = Vec::with_capacity(BATCHES);
    for batch in batches.iter().cycle().take(BATCHES) {
        // Whoever asks has just put it together.
        let request = batch.clone();
        let since = Instant::now();
        let response = replica.check_many(request).await?;
        each.push(since.elapsed().as_nanos() as f64 / BATCH as f64);
        std::hint::black_box(response);
    }
    Ok(median(each))
}

/// What replicas are asked.
struct Asked {
    clear: Questions,
    listed: Questions,
    /// About the clear ones: with a message for each, and packed.
    batches: Vec<v1::BatchCheckRequest>,
    packed: Vec<v1::BatchCheckRequest>,
}

/// What look-ups have taken, round by round, as in [`Reach`].
#[derive(Default)]
struct LookUps {
    miss_p50: Vec<f64>,
    miss_p99: Vec<f64>,
    hit_p50: Vec<f64>,
    hit_p99: Vec<f64>,
    batch: Vec<f64>,
    packed: Vec<f64>,
}

impl LookUps {
    fn misses(&mut self, replica: &Replica, asked: &Asked, rounds: u16) {
        let clear = inquiries(replica, &asked.clear);
        for _ in 0..rounds {
            let (half, most, _) = look_up(replica, &clear, MISSES);
            self.miss_p50.push(half);
            self.miss_p99.push(most);
        }
    }

    async fn batches(&mut self, replica: &Replica, asked: &Asked, rounds: u16) -> Result<()> {
        for _ in 0..rounds {
            self.batch.push(in_batches(replica, &asked.batches).await?);
            self.packed.push(in_batches(replica, &asked.packed).await?);
        }
        Ok(())
    }

    fn hits(&mut self, replica: &Replica, asked: &Asked) -> Result<()> {
        let (half, most, answered) = look_up(replica, &inquiries(replica, &asked.listed), HITS);
        if answered < 2 * HITS {
            return Err(format!("only {answered} of {} are answered by the replica", 2 * HITS).into());
        }
        self.hit_p50.push(half);
        self.hit_p99.push(most);
        Ok(())
    }
}

/// Batches with a message for each who is asked about; and the same, packed.
fn batches_of(questions: &Questions) -> (Vec<v1::BatchCheckRequest>, Vec<v1::BatchCheckRequest>) {
    let asked: Vec<_> = questions.requests.iter().filter_map(|(request, _)| request.inquiry.clone()).collect();
    let of = |inquiries: &[v1::Inquiry]| v1::BatchCheckRequest {
        measure: MEASURE.to_owned(),
        inquiries: inquiries.to_vec(),
        ..v1::BatchCheckRequest::default()
    };
    let packed = |batch: &v1::BatchCheckRequest| {
        let identities: Vec<_> = batch.inquiries.iter().filter_map(|inquiry| inquiry.identity.as_ref()).collect();
        let groups = identities.chunk_by(|one, next| one.kind == next.kind).map(|group| v1::PackedIdentities {
            kind: group[0].kind,
            numbers: group.iter().map(|identity| &*identity.number).collect::<Vec<_>>().join("\n"),
            ..v1::PackedIdentities::default()
        });
        v1::BatchCheckRequest { packed: groups.collect(), inquiries: Vec::new(), ..batch.clone() }
    };
    let batches: Vec<_> = asked.chunks_exact(BATCH).map(of).collect();
    let packed = batches.iter().map(packed).collect();
    (batches, packed)
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let (world, filled) = World::filled(&args.common.place, args.common.rows).await?;
    let figures = measure(&world, How::usual(args.common.rounds)).await?;
    args.common.output.write(&Run { replica: Some(figures), ..Run::of(&filled)? })
}

impl Figures {
    /// Of somebody who is not listed, in an exact replica.
    pub(crate) fn miss_p50_ns(&self) -> Option<f64> {
        self.reaches.iter().find(|one| one.reach == EXACT.0).map(|one| one.miss_p50_ns)
    }
}

pub(crate) async fn measure(world: &World, how: How) -> Result<Figures> {
    let server = world.serve(On::All).await?;
    let (clear, listed) = questions(world)?;
    let listings = world.status(&server).await?.listings;
    let hub = world.client(&server, BANK).await?;
    let (batches, packed) = batches_of(&clear);
    let asked = Asked { clear, listed, batches, packed };
    let mut reaches = Vec::new();
    for &(name, reach) in how.reaches {
        note(format_args!("reach {name}"));
        let mut first_s = None;
        if how.first {
            let first = tempfile::tempdir_in(world.path("."))?;
            let (replica, took) = open(&hub, first.path(), reach).await?;
            replica.unsubscribe().await?;
            first_s = Some(took);
        }
        let (mut synced, mut reopened, mut look_ups) = (Vec::new(), Vec::new(), LookUps::default());
        let (mut entries, mut memory_bytes, mut on_disk_bytes) = (0, 0, 0);
        for _ in 0..how.replicas {
            let dir = tempfile::tempdir_in(world.path("."))?;
            let (replica, took) = open(&hub, dir.path(), reach).await?;
            synced.push(took);
            if reach == v1::ReplicaReach::Exact {
                // What it holds is summed up meanwhile, by all processors: that is not what a look-up costs from then on.
                let is_proved = |state: &ReplicaState| state.compared_revision > 0;
                tokio::time::timeout(PROVED_WITHIN, replica.watch().wait_for(is_proved)).await??;
            }
            look_ups.misses(&replica, &asked, how.look_ups);
            if reach == v1::ReplicaReach::Exact {
                look_ups.batches(&replica, &asked, how.look_ups).await?;
                look_ups.hits(&replica, &asked)?;
            }
            let state = replica.state();
            (entries, memory_bytes) = (state.entries, state.memory_bytes);
            replica.close().await?;
            on_disk_bytes = bytes_of(dir.path())?;
            let (replica, took) = open(&hub, dir.path(), reach).await?;
            reopened.push(took);
            replica.unsubscribe().await?;
        }
        reaches.push(Reach {
            reach: name.to_owned(),
            first_s,
            synced_s: median(synced),
            reopened_s: median(reopened),
            entries,
            on_disk_bytes,
            memory_bytes,
            miss_p50_ns: median(look_ups.miss_p50),
            miss_p99_ns: median(look_ups.miss_p99),
            hit_p50_ns: median(look_ups.hit_p50),
            hit_p99_ns: median(look_ups.hit_p99),
            batch_ns: (!look_ups.batch.is_empty()).then(|| median(look_ups.batch)),
            packed_ns: (!look_ups.packed.is_empty()).then(|| median(look_ups.packed)),
        });
    }
    server.stop().await?;
    Ok(Figures { listings, rounds: usize::from(how.replicas * how.look_ups), reaches })
}

fn inquiries(replica: &Replica, questions: &Questions) -> Vec<Inquiry> {
    let asked = questions.requests.iter().filter_map(|(request, _)| request.inquiry.as_ref());
    asked.filter_map(|inquiry| replica.inquiry(inquiry)).collect()
}

pub(crate) fn text(figures: &Figures) -> String {
    let mut text = String::from(
        "| reach | snapshot made and fetched, s | fetched, s | from its directory, s | entries | on disk, B per listing | in memory, B per listing | not listed p50, ns | p99, ns | listed p50, ns | p99, ns | in batches of 1,000, ns each | packed |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let whole = |ns: Option<f64>| ns.map_or_else(String::new, |ns| format!("{ns:.0}"));
    for one in &figures.reaches {
        let per = |bytes: u64| bytes as f64 / figures.listings as f64;
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "| {} | {} | {:.2} | {:.2} | {} | {:.2} | {:.2} | {:.0} | {:.0} | {:.0} | {:.0} | {} | {} |",
            one.reach,
            one.first_s.map_or_else(String::new, |first_s| format!("{first_s:.2}")),
            one.synced_s,
            one.reopened_s,
            one.entries,
            per(one.on_disk_bytes),
            per(one.memory_bytes),
            one.miss_p50_ns,
            one.miss_p99_ns,
            one.hit_p50_ns,
            one.hit_p99_ns,
            whole(one.batch_ns),
            whole(one.packed_ns)
        );
    }
    text
}
