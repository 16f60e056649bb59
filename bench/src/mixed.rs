//! `mixed`: how long somebody waits who asks by chance, while rows are imported, a snapshot is made and subscribers follow;
//! next to a hub that does nothing else.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::ask::{Questions, questions};
use crate::compare::{Compared, Row, Spread};
use crate::load::{Measured, Shape};
use crate::lookup::{CHECK, contender};
use crate::process::On;
use crate::report::Run;
use crate::side::{Followers, Imports, Place, manifest};
use crate::world::{BANK, COURT, World};
use crate::{Common, Result, note};

const ALONE: &str = "Check alone";
const PACED: &str = "Check beside it all";
const UNPACED: &str = "Check beside it all, import as fast as it goes";
/// How often a paced import begins: courts send what they have every now and then.
const EVERY: Duration = Duration::from_millis(500);
/// More than any hub imports in a second, in one file.
const MOST_ROWS_PER_S: f64 = 100_000.0;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    side: Side,
}

/// What goes on besides.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, clap::Args)]
pub(crate) struct Side {
    /// Rows imported a second
    #[arg(long, default_value_t = 10_000.0)]
    import_rows_per_s: f64,
    /// Subscribers that follow
    #[arg(long, default_value_t = 100)]
    subscribers: usize,
    /// Of what the hub can do alone, the part that is asked
    #[arg(long, default_value_t = 0.25)]
    share: f64,
}

impl Side {
    pub(crate) const USUAL: Self = Self { import_rows_per_s: 10_000.0, subscribers: 100, share: 0.25 };
}

/// The whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) side: Side,
    pub(crate) compared: Compared,
    /// Rows a second that came in, of paced imports and of the others.
    pub(crate) rows_per_s: [Spread; 2],
    /// In which a snapshot was made meanwhile.
    pub(crate) snapshot_s: Spread,
}

impl Figures {
    /// The 99th percentile of clear answers, beside it all by alone.
    pub(crate) fn p99_ratio(&self) -> Option<Spread> {
        self.compared.ratio(PACED, ALONE, p99)
    }
}

fn p99(one: &Measured) -> f64 {
    one.main.map_or(f64::NAN, |latency| latency.p99_us)
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let Common { rows, seconds, rounds, .. } = args.common;
    let (world, filled) = World::filled(&args.common.place, rows).await?;
    let figures = measure(&world, args.side, seconds, rounds).await?;
    args.common.output.write(&Run { mixed: Some(figures), ..Run::of(&filled)? })
}

/// One run beside other work.
struct Beside {
    measured: Measured,
    rows_per_s: f64,
    snapshot_s: f64,
}

pub(crate) async fn measure(world: &World, side: Side, seconds: f64, rounds: u16) -> Result<Figures> {
    let (clear, listed) = questions(world)?;
    let mixed = Questions::mixed(&clear, &listed, 1);
    let mut rows = [ALONE, PACED, UNPACED].map(Row::new);
    let (mut rows_per_s, mut snapshot_s) = ([Vec::new(), Vec::new()], Vec::new());
    let mut shape = None;
    for round in 1..=rounds {
        note(format_args!("round {round} of {rounds}: {ALONE}"));
        let hub = world.serve(On::Servers).await?;
        let check = contender(world, CHECK, &hub, mixed.clone());
        let shape = match shape {
            Some(shape) => shape,
            // The first round says for all of them how much is asked.
            None => *shape.insert(check.share(side.share, seconds).await?),
        };
        check.warm_up(shape).await?;
        rows[0].rounds.push(check.run(shape).await?);
        drop(check);
        hub.stop().await?;
        for (at, pace) in [Some(side.import_rows_per_s), None].into_iter().enumerate() {
            note(format_args!("round {round} of {rounds}: {}", rows[at + 1].what));
            let beside = beside(world, side, pace, &mixed, shape).await?;
            rows[at + 1].rounds.push(beside.measured);
            rows_per_s[at].push(beside.rows_per_s);
            snapshot_s.push(beside.snapshot_s);
        }
    }
    let shape = shape.ok_or("no round was run")?;
    let compared = Compared { shape, rows: rows.to_vec() };
    Ok(Figures { side, compared, rows_per_s: rows_per_s.map(Spread::of), snapshot_s: Spread::of(snapshot_s) })
}

async fn beside(world: &World, side: Side, pace: Option<f64>, mixed: &Questions, shape: Shape) -> Result<Beside> {
    let place = forget_snapshots(world).await?;
    let files = more_listings(world, pace, shape.seconds).await?;
    let hub = world.serve(On::Servers).await?;
    let check = contender(world, CHECK, &hub, mixed.clone());
    check.warm_up(shape).await?;
    let followers = Followers::start(world, &hub, side.subscribers, &place).await?;
    let (bank, court) = (world.client(&hub, BANK).await?, world.client(&hub, COURT).await?);
    let listings_before = world.status(&hub).await?.listings;
    let since = Instant::now();
    let imports = Imports::start(court, files, EVERY);
    let snapshot = tokio::spawn(async move { manifest(&bank).await.map(|_| since.elapsed()) });
    let measured = check.run(shape).await?;
    let listings = world.status(&hub).await?.listings - listings_before;
    let rows_per_s = listings as f64 / since.elapsed().as_secs_f64();
    imports.stop().await?;
    // Longer than the run, where there are many entries: it was being made all the time then.
    let snapshot_s = snapshot.await??.as_secs_f64();
    followers.stop().await?;
    drop(check);
    hub.stop().await?;
    Ok(Beside { measured, rows_per_s, snapshot_s })
}

/// Files with rows that no earlier run has brought: one for each time that a paced import begins, or one with more than can be taken.
async fn more_listings(world: &World, pace: Option<f64>, seconds: f64) -> Result<Vec<PathBuf>> {
    let (rows, count) = match pace {
        Some(rows_per_s) => (rows_per_s * EVERY.as_secs_f64(), (seconds / EVERY.as_secs_f64()).ceil() + 2.0),
        None => (MOST_ROWS_PER_S * (seconds + 1.0), 1.0),
    };
    let mut files = Vec::new();
    for number in 0..count as usize {
        let listings = format!("more-listings-{number}.csv");
        world.synthesize_more(rows as u64, &listings).await?;
        files.push(world.path(&listings));
    }
    Ok(files)
}

/// Takes away the snapshots for replicas, and says where the last one stood.
async fn forget_snapshots(world: &World) -> Result<Place> {
    let hub = world.serve(On::All).await?;
    let place = Place::of_snapshot(&world.client(&hub, BANK).await?).await?;
    hub.stop().await?;
    world.forget_snapshots()?;
    Ok(place)
}

pub(crate) fn text(figures: &Figures) -> String {
    let Figures { side, compared, rows_per_s: [paced, unpaced], snapshot_s } = figures;
    let Side { subscribers, share, .. } = side;
    let table = compared.table(ALONE, ALONE);
    let ratio = figures.p99_ratio().map_or_else(String::new, |ratio| ratio.text(2));
    let unpaced_ratio = compared.ratio(UNPACED, ALONE, p99).map_or_else(String::new, |ratio| ratio.text(2));
    format!(
        "Open load of {} calls, {share} of what the hub can do alone; beside it {subscribers} subscribers follow, and a \
         snapshot is made, which took {} s.\n\n{table}\n\np99 beside it all: {ratio} × alone, {} rows/s coming in; with an \
         import as fast as it goes {unpaced_ratio} ×, {} rows/s.\n",
        compared.shape.text(),
        snapshot_s.text(1),
        paced.text(0),
        unpaced.text(0),
    )
}
